//! What was measured on.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine and the programs, in words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Its cores, as this process may use them.
    pub cores: usize,
    /// Its instruction sets that matter to llama.cpp.
    pub instructions: Vec<String>,
    /// Main memory in GiB.
    pub memory_gib: f64,
    /// The system's kernel.
    pub kernel: String,
    /// Gaia's commit.
    pub commit: String,
    /// The llama.cpp in Gaia's engine.
    pub engine: String,
    /// The llama.cpp measured against.
    pub peer: String,
}

impl Machine {
    /// Looks around. `peer` names the llama.cpp measured against.
    pub fn here(peer: &str) -> Self {
        let cpu = read("/proc/cpuinfo");
        let flags = field(&cpu, "flags");
        let matter = [
            "avx2",
            "fma",
            "avx512f",
            "avx512_vnni",
            "avx512_bf16",
            "amx_int8",
        ];
        let has = |name: &&str| flags.split(' ').any(|flag| flag == *name);
        let kib: f64 = field(&read("/proc/meminfo"), "MemTotal")
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or(f64::NAN);
        Self {
            processor: field(&cpu, "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            instructions: matter.into_iter().filter(has).map(str::to_owned).collect(),
            memory_gib: kib / 1_048_576.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit(),
            engine: gaia_engine::engine_build().commit,
            peer: peer.to_owned(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> String {
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    });
    value.unwrap_or_default()
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(e2e::root())
            .args(arguments)
            .output();
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .unwrap_or_default()
    };
    let changed = !git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "host",
        "crates",
        "wasm-apps",
    ])
    .is_empty();
    git(&["rev-parse", "--short", "HEAD"]) + if changed { " with changes" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_field() {
        assert_eq!(field("a\t: b c\nd: e\n", "d"), "e");
        assert_eq!(field("a: b", "x"), "");
    }
}
