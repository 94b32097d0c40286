//! `gaia prompt compare`: the questions of a file, answered by two prompts on the running node.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::columns::{side_by_side, terminal_width};
use super::{Context, OwnModel, find};
use crate::client::Client;
use crate::commands::ask::{ask_failure, client};
use crate::exit::{Exit, failure};
use crate::prompts::Folder;
use crate::terminal::{Terminal, Tint};

/// The most questions in one file.
const QUESTIONS_MAX: usize = 1000;
/// The longest question file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Both prompts are asked without chance, so that what differs comes from them.
const TEMPERATURE: f64 = 0.0;
const SEED: u64 = 1;

/// Arguments of `gaia prompt compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each line of the file is a question, or an object of JSON with a key \"question\".
Both prompts are asked with temperature 0.")]
pub struct Arguments {
    /// One prompt
    #[arg(value_name = "A")]
    first: String,
    /// The other
    #[arg(value_name = "B")]
    second: String,
    /// The file with the questions
    file: PathBuf,
    /// The most tokens in one answer [default: what the node allows]
    #[arg(long, value_name = "COUNT")]
    tokens_max: Option<u32>,
}

/// One answer by one prompt.
struct Answer {
    /// Which prompts were used, as the reply says.
    prompts: Value,
    text: String,
    tokens: u64,
    took: Duration,
}

pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let questions = read_questions(&arguments.file)?;
    let client = client(context)?;
    let folder = Folder::read(&context.home)?;
    let model = OwnModel::running(context);
    let names = [arguments.first.as_str(), arguments.second.as_str()];
    for name in names {
        find(&folder.set, model.as_ref(), name)?;
    }
    let width = terminal_width();
    let terminal = &context.terminal;
    let progress = progress(questions.len() * names.len());
    let mut pairs: Vec<[Answer; 2]> = Vec::new();
    for question in &questions {
        let ask = |name: &str| -> anyhow::Result<Answer> {
            progress.set_message(format!("{name}: {question}"));
            let answer = answer(&client, name, question, arguments.tokens_max)?;
            progress.inc(1);
            Ok(answer)
        };
        let pair = [ask(names[0])?, ask(names[1])?];
        if !terminal.json {
            progress.suspend(|| println!("{}", row(terminal, question, &pair, width)));
        }
        pairs.push(pair);
    }
    progress.finish_and_clear();
    terminal.answer(
        || to_json(&questions, &pairs),
        |terminal| summary(terminal, names, &pairs, width),
    );
    Ok(())
}

fn read_questions(path: &Path) -> anyhow::Result<Vec<String>> {
    let cannot = || format!("cannot read `{}`", path.display());
    let bytes = std::fs::metadata(path).with_context(cannot)?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!("`{}` has more than {FILE_BYTES_MAX} bytes", path.display());
        return Err(failure(Exit::Usage, message));
    }
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    questions(&text)
        .map_err(|problem| failure(Exit::Usage, format!("`{}`: {problem}", path.display())))
}

fn questions(text: &str) -> Result<Vec<String>, String> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let questions = lines.map(|(at, line)| {
        question(line.trim())
            .ok_or_else(|| format!("line {} is no JSON object with a text \"question\"", at + 1))
    });
    let questions: Vec<String> = questions.collect::<Result<_, _>>()?;
    match questions.len() {
        0 => Err("it has no question".to_owned()),
        count if count > QUESTIONS_MAX => {
            Err(format!("it has more than {QUESTIONS_MAX} questions"))
        }
        _ => Ok(questions),
    }
}

fn question(line: &str) -> Option<String> {
    if !line.starts_with('{') {
        return Some(line.to_owned());
    }
    let object: Value = serde_json::from_str(line).ok()?;
    object["question"].as_str().map(str::to_owned)
}

fn progress(steps: usize) -> ProgressBar {
    const TEMPLATE: &str = "[{bar:20}] {pos}/{len} {elapsed} {wide_msg}";
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn answer(
    client: &Client,
    name: &str,
    question: &str,
    tokens_max: Option<u32>,
) -> anyhow::Result<Answer> {
    let mut request = json!({
        "messages": [{"role": "user", "content": question}],
        "metadata": {"prompt": name},
        "temperature": TEMPERATURE,
        "seed": SEED,
    });
    if let Some(tokens_max) = tokens_max {
        request["max_tokens"] = json!(tokens_max);
    }
    let started = Instant::now();
    let reply = client.reply(request).map_err(ask_failure)?;
    let text = reply["choices"][0]["message"]["content"].as_str();
    Ok(Answer {
        prompts: reply["prompts"].clone(),
        text: text.unwrap_or_default().to_owned(),
        tokens: reply["usage"]["completion_tokens"].as_u64().unwrap_or(0),
        took: started.elapsed(),
    })
}

fn row(terminal: &Terminal, question: &str, pair: &[Answer; 2], width: usize) -> String {
    let [first, second] = pair;
    let costs = [first, second].map(|answer| {
        format!(
            "{} tokens, {:.1} s",
            answer.tokens,
            answer.took.as_secs_f64()
        )
    });
    format!(
        "{}\n{}\n{}\n",
        terminal.out(Tint::Bold, question),
        side_by_side(&first.text, &second.text, width),
        terminal.out(Tint::Dim, &side_by_side(&costs[0], &costs[1], width)),
    )
}

fn summary(terminal: &Terminal, names: [&str; 2], pairs: &[[Answer; 2]], width: usize) -> String {
    let of = |which: usize| {
        let answers = || pairs.iter().map(|pair| &pair[which]);
        let count = pairs.len().max(1) as f64;
        let tokens: u64 = answers().map(|answer| answer.tokens).sum();
        let seconds: f64 = answers().map(|answer| answer.took.as_secs_f64()).sum();
        format!(
            "{}: {:.0} tokens and {:.1} s an answer",
            versions(pairs, which).unwrap_or_else(|| names[which].to_owned()),
            tokens as f64 / count,
            seconds / count,
        )
    };
    let same = pairs.iter().filter(|[a, b]| a.text == b.text).count();
    format!(
        "{}\n{} of {} answers are the same",
        terminal.out(Tint::Bold, &side_by_side(&of(0), &of(1), width)),
        same,
        pairs.len(),
    )
}

/// The versions that answered, where it was the same ones all the time.
fn versions(pairs: &[[Answer; 2]], which: usize) -> Option<String> {
    let first = &pairs.first()?[which].prompts;
    if pairs.iter().any(|pair| pair[which].prompts != *first) {
        return None;
    }
    let names: Vec<&str> = first.as_array()?.iter().filter_map(Value::as_str).collect();
    Some(names.join(", "))
}

fn to_json(questions: &[String], pairs: &[[Answer; 2]]) -> Value {
    let side = |answer: &Answer| {
        json!({
            "prompts": answer.prompts,
            "answer": answer.text,
            "tokens": answer.tokens,
            "seconds": answer.took.as_secs_f64(),
        })
    };
    let rows = questions.iter().zip(pairs).map(|(question, [first, second])| {
        json!({"question": question, "a": side(first), "b": side(second)})
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_lines_or_objects() {
        let check = |text: &str, expected: Result<&[&str], &str>| match (questions(text), expected)
        {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        };
        check(
            "a?\n\n {\"question\": \"b?\", \"document\": \"x\"}\n",
            Ok(&["a?", "b?"]),
        );
        check("a\n{\"q\": 1}", Err("line 2"));
        check("\n \n", Err("no question"));
        check(&"q\n".repeat(QUESTIONS_MAX + 1), Err("more than 1000"));
        assert_eq!(
            questions(&"q\n".repeat(QUESTIONS_MAX)).unwrap().len(),
            QUESTIONS_MAX
        );
    }

    #[test]
    fn long_files_are_refused_before_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("questions.txt");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
        let error = read_questions(&path).unwrap_err().to_string();
        assert!(error.contains("more than 4194304 bytes"), "{error}");
    }

    fn answered(version: &str, text: &str, tokens: u64) -> Answer {
        Answer {
            prompts: json!([version]),
            text: text.to_owned(),
            tokens,
            took: Duration::from_secs(tokens),
        }
    }

    #[test]
    fn rows_and_summary() {
        let terminal = Terminal::new(false, true);
        let pairs = [
            [answered("a@1", "Yes.", 1), answered("b@1", "Yes.", 3)],
            [answered("a@1", "No.", 2), answered("b@2", "Never.", 4)],
        ];
        assert_eq!(
            row(&terminal, "Q?", &pairs[1], 45),
            "Q?\nNo.                   │ Never.\n2 tokens, 2.0 s       │ 4 tokens, 4.0 s\n"
        );
        assert_eq!(
            summary(&terminal, ["a", "b"], &pairs, 80),
            "a@1: 2 tokens and 1.5 s an answer      │ b: 4 tokens and 3.5 s an answer\n1 of 2 answers are the same"
        );
        let json = to_json(&["P?".to_owned(), "Q?".to_owned()], &pairs);
        assert_eq!(json[1]["b"]["answer"], "Never.");
        assert_eq!(json[0]["a"]["prompts"], json!(["a@1"]));
    }
}
