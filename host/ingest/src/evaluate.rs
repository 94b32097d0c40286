//! Asks the questions of a file and reports at which rank the right passage is found.
//!
//! Retrieval only: no answer is generated, so a run takes seconds and says one thing.

use gaia_rag::evaluation::{Question, Score};
use gaia_rag::{Citation, Hit, SelectLimits, select};
use serde::Serialize;

use crate::http::HttpError;
use crate::store::Store;
use crate::worker::{Worker, WorkerError};

/// How deep the right passage is looked for.
const DEPTH: usize = 20;
/// The most questions in a file.
pub const QUESTIONS_MAX: usize = 100_000;

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] HttpError),
    /// A line of the file is no question.
    #[error("line {line} is not a question: {source}")]
    Line {
        /// From 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// No questions.
    #[error("the file has no questions")]
    Empty,
    /// Too many.
    #[error("the file has more than {QUESTIONS_MAX} questions")]
    TooMany,
}

/// The result.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// Over all questions.
    pub score: Score,
    /// One by one, in the order of the file.
    pub answers: Vec<Answer>,
}

/// What was found for a question.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The question and its right passage.
    #[serde(flatten)]
    pub question: Question,
    /// The rank of the right passage, from 1.
    pub rank: Option<usize>,
    /// What came first.
    pub first: Option<Citation>,
}

/// Reads a question file: one JSON object a line, empty lines aside.
///
/// # Errors
/// Names the first line that is not a question.
pub fn read_questions(text: &str) -> Result<Vec<Question>, EvaluateError> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let questions = lines.map(|(index, line)| {
        serde_json::from_str(line).map_err(|source| EvaluateError::Line {
            line: index + 1,
            source,
        })
    });
    let questions: Vec<Question> = questions.collect::<Result<_, _>>()?;
    match questions.len() {
        0 => Err(EvaluateError::Empty),
        1..=QUESTIONS_MAX => Ok(questions),
        _ => Err(EvaluateError::TooMany),
    }
}

/// The passages nearest to a question, best first, however far they are.
///
/// # Errors
/// When the worker or the store fails.
pub fn search(
    worker: &Worker,
    store: &Store,
    question: &str,
    limit: usize,
) -> Result<Vec<Citation>, EvaluateError> {
    let vector = embedded(worker, question)?;
    Ok(cited(store.query(&vector, limit)?, limit))
}

/// The same among the passages that were read from one of `origins`.
///
/// # Errors
/// When the worker or the store fails.
pub fn search_among(
    worker: &Worker,
    store: &Store,
    question: &str,
    limit: usize,
    origins: &[&str],
) -> Result<Vec<Citation>, EvaluateError> {
    let vector = embedded(worker, question)?;
    Ok(cited(store.query_among(&vector, limit, origins)?, limit))
}

fn embedded(worker: &Worker, question: &str) -> Result<Vec<f32>, EvaluateError> {
    let vectors = worker.embed(&worker.embedding_model()?, &[question])?;
    Ok(vectors.into_iter().next().unwrap_or_default())
}

fn cited(hits: Vec<Hit>, limit: usize) -> Vec<Citation> {
    let limits = SelectLimits {
        score_threshold: f32::MIN,
        limit,
    };
    select(hits, limits)
}

/// Asks every question. Calls `on_answer` after each.
///
/// # Errors
/// When the worker or the store fails.
pub fn evaluate(
    worker: &Worker,
    store: &Store,
    questions: Vec<Question>,
    on_answer: &mut dyn FnMut(),
) -> Result<Evaluation, EvaluateError> {
    let model = worker.embedding_model()?;
    let texts: Vec<&str> = questions
        .iter()
        .map(|question| question.question.as_str())
        .collect();
    let vectors = worker.embed(&model, &texts)?;
    let mut answers = Vec::with_capacity(questions.len());
    for (question, vector) in questions.into_iter().zip(vectors) {
        let citations = cited(store.query(&vector, DEPTH)?, DEPTH);
        let rank = question.rank(&citations);
        answers.push(Answer {
            question,
            rank,
            first: citations.into_iter().next(),
        });
        on_answer();
    }
    let ranks: Vec<Option<usize>> = answers.iter().map(|answer| answer.rank).collect();
    Ok(Evaluation {
        score: Score::from_ranks(&ranks),
        answers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_files_are_checked() {
        let check = |text: &str, expected: Result<usize, &str>| {
            let got = read_questions(text)
                .map(|questions| questions.len())
                .map_err(|error| error.to_string());
            assert!(
                got.as_ref().map_err(|e| e.split(':').next().unwrap())
                    == expected.as_ref().map_err(|e| *e),
                "{got:?}"
            );
        };
        let line = r#"{"question":"q","document":"d","heading":"h"}"#;
        check(line, Ok(1));
        check(&format!("{line}\n\n{line}\n"), Ok(2));
        check(r#"{"question":"q","document":"d"}"#, Ok(1));
        check(
            &format!("{line}\nnonsense"),
            Err("line 2 is not a question"),
        );
        check("", Err("the file has no questions"));
    }
}
