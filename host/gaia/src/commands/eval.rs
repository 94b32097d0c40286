//! `gaia eval`: how well the node finds the right passage.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use gaia_ingest::{Evaluation, evaluate, read_questions};
use serde_json::json;

use super::Context;
use super::knowledge::Node;
use crate::terminal::{Terminal, Tint};

/// Arguments of `gaia eval`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each line of the file is one question and the passage that answers it:
  {\"question\": \"Which port?\", \"document\": \"start.md\", \"heading\": \"The address\"}

Shown are the share of questions whose passage comes first (hit@1), among the first three and five,
and the mean of 1/rank (MRR). The chat model is not asked.

Example:
  gaia eval knowledge/handbook.questions.jsonl")]
pub struct Arguments {
    /// The question file
    file: PathBuf,
    /// Also list the questions whose passage does not come first
    #[arg(long)]
    misses: bool,
}

/// Runs `gaia eval`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&arguments.file)
        .with_context(|| format!("cannot read `{}`", arguments.file.display()))?;
    let questions =
        read_questions(&text).with_context(|| format!("`{}`", arguments.file.display()))?;
    let node = Node::running(context)?;
    let evaluation = evaluate(&node.worker, &node.store, questions, &mut || {})?;
    context.terminal.answer(
        || json!(evaluation),
        |terminal| table(terminal, &evaluation) + &misses(terminal, &evaluation, arguments.misses),
    );
    Ok(())
}

fn table(terminal: &Terminal, evaluation: &Evaluation) -> String {
    let score = evaluation.score;
    let head = terminal.out(Tint::Dim, "questions   hit@1   hit@3   hit@5     MRR");
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    format!(
        "{head}\n{:>9} {:>7} {:>7} {:>7} {:>7.3}\n",
        score.questions,
        percent(score.hit_1),
        percent(score.hit_3),
        percent(score.hit_5),
        score.mrr
    )
}

fn misses(terminal: &Terminal, evaluation: &Evaluation, wanted: bool) -> String {
    let missed = evaluation
        .answers
        .iter()
        .filter(|answer| wanted && answer.rank != Some(1));
    let lines = missed.map(|answer| {
        let rank = answer
            .rank
            .map_or("not found".to_owned(), |rank| format!("rank {rank}"));
        let first = answer
            .first
            .as_ref()
            .map(|first| format!("{} > {}", first.document, first.heading.join(" > ")));
        let first = terminal.out(
            Tint::Dim,
            &format!(
                "first was {}",
                first.unwrap_or_else(|| "nothing".to_owned())
            ),
        );
        format!(
            "\n{rank:>9}  {}\n           {first}",
            answer.question.question
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use gaia_ingest::Answer;

    use super::*;

    #[test]
    fn the_table_and_the_misses() {
        let question =
            serde_json::from_value(json!({"question": "Why?", "document": "a.md", "heading": "B"}))
                .unwrap();
        let score = serde_json::from_value(
            json!({"questions": 1, "hit_1": 0.0, "hit_3": 1.0, "hit_5": 1.0, "mrr": 0.5}),
        );
        let answers = vec![Answer {
            question,
            rank: Some(2),
            first: None,
        }];
        let evaluation = Evaluation {
            score: score.unwrap(),
            answers,
        };
        let terminal = Terminal::new(false, true);
        let table = table(&terminal, &evaluation);
        assert!(
            table.contains("        1   0.0 % 100.0 % 100.0 %   0.500"),
            "{table}"
        );
        assert!(misses(&terminal, &evaluation, true).contains("rank 2  Why?"));
        assert_eq!(misses(&terminal, &evaluation, false), "");
    }
}
