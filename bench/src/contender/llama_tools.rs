//! llama.cpp's own measuring programs: what the model can do at most, with no server and no sampling around it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Setting;
use gaia_bench::child::end_with_this_process;

/// So many tokens are embedded at a measurement.
const EMBEDDED_TOKENS: u32 = 8192;

/// llama-bench and llama-batched-bench.
pub struct LlamaTools {
    /// Their folder.
    pub bin: PathBuf,
}

impl LlamaTools {
    /// Tokens a second that one stream writes after `depth` tokens.
    ///
    /// # Errors
    /// llama-bench failed.
    pub fn writing(&self, setting: &Setting, depth: u32, tokens: u32) -> anyhow::Result<f64> {
        let (depth, tokens) = (depth.to_string(), tokens.to_string());
        self.bench(
            setting,
            &["-r", "1", "-p", "0", "-n", &tokens, "-d", &depth],
        )
    }

    /// Tokens a second that are read in texts of `tokens` tokens; with an embedding model, embedded.
    ///
    /// # Errors
    /// llama-bench failed.
    pub fn reading(&self, setting: &Setting, tokens: u32, embeddings: bool) -> anyhow::Result<f64> {
        // A few short texts say nothing.
        let repetitions = if embeddings {
            EMBEDDED_TOKENS / tokens
        } else {
            1
        };
        let (tokens, repetitions) = (tokens.to_string(), repetitions.max(1).to_string());
        let embeddings = if embeddings { "1" } else { "0" };
        self.bench(
            setting,
            &[
                "-r",
                &repetitions,
                "-n",
                "0",
                "-p",
                &tokens,
                "-embd",
                embeddings,
            ],
        )
    }

    fn bench(&self, setting: &Setting, arguments: &[&str]) -> anyhow::Result<f64> {
        let threads = setting.threads.to_string();
        let mut command = self.command("llama-bench", setting);
        command
            .args(["-t", &threads, "-o", "json", "-fa", "auto"])
            .args(arguments);
        let text = run(command)?;
        let rows: Value = serde_json::from_str(&text).context("llama-bench's JSON")?;
        rows[0]["avg_ts"]
            .as_f64()
            .context("llama-bench names no speed")
    }

    /// For each number of streams, with prompts of `prompt` and answers of `tokens` tokens: tokens of the answers a
    /// second, over the time of prompts and answers together.
    ///
    /// # Errors
    /// llama-batched-bench failed.
    pub fn batched(
        &self,
        setting: &Setting,
        prompt: u32,
        tokens: u32,
        streams: &[usize],
    ) -> anyhow::Result<Vec<f64>> {
        let list: Vec<String> = streams.iter().map(ToString::to_string).collect();
        let mut command = self.command("llama-batched-bench", setting);
        command.args([
            "-t",
            &setting.threads.to_string(),
            "-c",
            &setting.cells.to_string(),
            "--kv-unified",
        ]);
        command.args([
            "-npp",
            &prompt.to_string(),
            "-ntg",
            &tokens.to_string(),
            "-npl",
            &list.join(","),
        ]);
        command.args(["--output-format", "jsonl"]);
        let text = run(command)?;
        let rows: Vec<_> = rows(&text).filter_map(|row| batched(&row)).collect();
        ensure!(
            rows.len() == streams.len(),
            "llama-batched-bench measured {} of {} numbers of streams",
            rows.len(),
            streams.len()
        );
        Ok(rows)
    }

    /// Tokens a second that are read in texts of `tokens` tokens, `texts` of them in one batch.
    ///
    /// # Errors
    /// llama-batched-bench failed.
    pub fn reading_together(
        &self,
        setting: &Setting,
        tokens: u32,
        texts: usize,
    ) -> anyhow::Result<f64> {
        let (threads, tokens, texts) = (
            setting.threads.to_string(),
            tokens.to_string(),
            texts.to_string(),
        );
        let mut command = self.command("llama-batched-bench", setting);
        command.args(["-t", &threads, "-c", "8192", "-b", "4096", "-ub", "4096"]);
        command.args(["-npp", &tokens, "-ntg", "0", "-npl", &texts]);
        command.args(["--output-format", "jsonl"]);
        let text = run(command)?;
        let found = rows(&text).find_map(|row| row["speed_pp"].as_f64());
        found.context("llama-batched-bench names no speed")
    }

    fn command(&self, program: &str, setting: &Setting) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.arg("-m").arg(&setting.model);
        command
    }
}

/// The folder's name says which llama.cpp it is.
pub fn name_of(bin: &Path) -> String {
    let names: Vec<_> = bin
        .components()
        .rev()
        .skip(1)
        .take(2)
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    match names.as_slice() {
        [flavour, version] => {
            format!("{version}, {flavour}").replace("llama.cpp-", "llama-cpp-python ")
        }
        _ => "none".to_owned(),
    }
}

/// The lines that are JSON. Where no token was written a speed is `-nan`, which JSON does not know.
fn rows(text: &str) -> impl Iterator<Item = Value> {
    let lines = text.lines().map(|line| line.replace("-nan", "null"));
    lines.filter_map(|line| serde_json::from_str(line.trim()).ok())
}

fn batched(row: &Value) -> Option<f64> {
    let number = |key: &str| row[key].as_f64();
    Some(number("pl")? * number("tg")? / number("t")?)
}

fn run(mut command: Command) -> anyhow::Result<String> {
    end_with_this_process(&mut command);
    let output = command
        .output()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    let shown = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{:?}: {shown}",
        command.get_program()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_its_build() {
        assert_eq!(
            name_of(Path::new("/a/llama.cpp-0.1.2/same/bin")),
            "llama-cpp-python 0.1.2, same"
        );
    }

    #[test]
    fn reads_lines_that_json_does_not_know() {
        let found: Vec<_> = rows("noise\n{\"speed_tg\": -nan, \"speed_pp\": 2.5}\n").collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["speed_pp"], 2.5);
    }

    #[test]
    fn counts_written_tokens_over_the_whole_time() {
        let row = serde_json::json!({"pl": 8, "tg": 10, "t": 2.0});
        assert_eq!(batched(&row), Some(40.0));
    }
}
