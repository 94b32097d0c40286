//! What a vocabulary takes, in a process of its own.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use gaia_counting::Counter;
use gaia_models::write_vocabulary;

use crate::models;

/// Names the file for the process that is measured.
const FILE: &str = "GAIA_TEST_VOCABULARY";

/// What SmolLM2's 49,152 tokens may take. Its 48,900 merges are kept as texts by llama.cpp.
const GROWN_KIB_MAX: u64 = 24 << 10;

/// Resident memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Run by the test below, in a process of its own; by itself it has no file, and nothing to do.
#[test]
fn measured() {
    let Some(file) = env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    // What starting llama.cpp takes is no vocabulary's.
    let before = resident_kib();
    let counter = Counter::open(&file).unwrap();
    let after = resident_kib();
    assert!(counter.text("Hello world").unwrap() > 0);
    println!("grown {} from {before} to {after}", after - before);
}

#[test]
#[cfg(target_os = "linux")]
fn a_vocabulary_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = match env::var_os(FILE) {
        Some(file) => PathBuf::from(file),
        None => {
            let file = folder.path().join("vocabulary.gguf");
            write_vocabulary(&models::chat_path(), &file).unwrap();
            file
        }
    };
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "memory::measured", "--nocapture"])
        .env(FILE, &file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let grown = said.lines().find_map(|line| line.split("grown ").nth(1));
    let grown =
        grown.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    println!("{grown}");
    let grown: u64 = grown.split(' ').next().unwrap().parse().unwrap();
    assert!(grown <= GROWN_KIB_MAX, "{grown} KiB");
}
