//! How well the right passage is found: hit@1, hit@3, hit@5 and the mean reciprocal rank.
//!
//! Only arithmetic: the caller asks the questions and reports at which rank the right passage came.

use serde::{Deserialize, Serialize};

use crate::citation::Citation;

/// A question and the passage that answers it, one line of a question file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is asked.
    pub question: String,
    /// The name of the document with the answer. A citation's document matches where it equals this or ends with it
    /// after a `/`, so a question file holds for a folder under any name.
    pub document: String,
    /// The innermost heading above the answer. Empty where any passage of the document will do.
    #[serde(default)]
    pub heading: String,
}

impl Question {
    /// Whether a citation is the passage asked for.
    pub fn is_answered_by(&self, citation: &Citation) -> bool {
        self.names_document(&citation.document) && self.names_heading(citation)
    }

    fn names_document(&self, document: &str) -> bool {
        document == self.document
            || document
                .strip_suffix(self.document.as_str())
                .is_some_and(|rest| rest.ends_with('/'))
    }

    /// A chunk may join short sections; then its text shows the heading.
    fn names_heading(&self, citation: &Citation) -> bool {
        self.heading.is_empty()
            || citation.heading.last() == Some(&self.heading)
            || citation.text.lines().any(|line| {
                line.trim_start_matches('#').trim() == self.heading && line.starts_with('#')
            })
    }

    /// The rank of the right passage, from 1, in citations that stand best first.
    pub fn rank(&self, citations: &[Citation]) -> Option<usize> {
        citations
            .iter()
            .position(|citation| self.is_answered_by(citation))
            .map(|index| index + 1)
    }
}

/// The result over all questions. Shares lie between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// How many questions were asked.
    pub questions: usize,
    /// Share with the right passage first.
    pub hit_1: f64,
    /// Share with it among the first three.
    pub hit_3: f64,
    /// Share with it among the first five.
    pub hit_5: f64,
    /// Mean of 1/rank, 0 where it was not found.
    pub mrr: f64,
}

impl Score {
    /// Takes the rank of the right passage for each question, from 1; `None` where it was not found.
    pub fn from_ranks(ranks: &[Option<usize>]) -> Self {
        if ranks.is_empty() {
            return Self::default();
        }
        let questions = ranks.len();
        let share = |n: usize| {
            ranks.iter().flatten().filter(|&&rank| rank <= n).count() as f64 / questions as f64
        };
        // Not `sum`: of nothing it is -0.
        let reciprocal = ranks
            .iter()
            .flatten()
            .map(|&rank| 1.0 / rank as f64)
            .fold(0.0, |sum, share| sum + share);
        Self {
            questions,
            hit_1: share(1),
            hit_3: share(3),
            hit_5: share(5),
            mrr: reciprocal / questions as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_ranks() {
        let check = |ranks: &[Option<usize>], expected: [f64; 4]| {
            let score = Score::from_ranks(ranks);
            let got = [score.hit_1, score.hit_3, score.hit_5, score.mrr];
            assert!(
                got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
                "{got:?} {expected:?}"
            );
        };
        check(&[], [0.0, 0.0, 0.0, 0.0]);
        check(&[Some(1)], [1.0, 1.0, 1.0, 1.0]);
        check(&[None], [0.0, 0.0, 0.0, 0.0]);
        check(
            &[Some(1), Some(2), Some(4), None],
            [0.25, 0.5, 0.75, (1.0 + 0.5 + 0.25) / 4.0],
        );
        check(
            &[Some(6), Some(5)],
            [0.0, 0.0, 0.5, (1.0 / 6.0 + 0.2) / 2.0],
        );
    }

    #[test]
    fn matches_the_right_passage() {
        let check = |document: &str, heading: &[&str], text: &str, expected: bool| {
            let question = Question {
                question: "?".into(),
                document: "install.md".into(),
                heading: "Disk".into(),
            };
            let heading = heading.iter().map(|&part| part.to_owned()).collect();
            let citation = Citation {
                document: document.into(),
                chunk: 0,
                heading,
                score: 1.0,
                start: 0,
                end: 0,
                text: text.into(),
            };
            assert_eq!(
                question.is_answered_by(&citation),
                expected,
                "{document} {text}"
            );
        };
        check("install.md", &["Install", "Disk"], "", true);
        check("handbook/install.md", &["Install", "Disk"], "", true);
        check("uninstall.md", &["Install", "Disk"], "", false);
        check("install.md", &["Disk", "Memory"], "", false);
        check(
            "install.md",
            &["Install"],
            "## Memory\n\n4 GB\n\n## Disk\n\n1 GB",
            true,
        );
        check("install.md", &["Install"], "Disk", false);
    }
}
