//! When a question asks for a prompt that nobody named: it matches a regular expression, or is similar
//! to an example.
//!
//! Expressions take time in proportion to the question, whatever they are.

use regex::{Regex, RegexBuilder};

use super::{Problem, REGEX_BYTES_MAX, REGEX_QUESTION_BYTES_MAX, SIMILAR_MAX, THRESHOLD_DEFAULT};

/// The rule of one prompt.
#[derive(Debug, Clone)]
pub(super) struct When {
    pattern: Option<Regex>,
    similar: Vec<String>,
    threshold: f32,
}

impl When {
    pub(super) fn new(
        pattern: Option<&str>,
        similar: Vec<String>,
        threshold: Option<f32>,
    ) -> Result<Self, Problem> {
        if similar.len() > SIMILAR_MAX {
            return Err(Problem::TooMany("questions in `similar`", SIMILAR_MAX));
        }
        let threshold = threshold.unwrap_or(THRESHOLD_DEFAULT);
        if !(-1.0..=1.0).contains(&threshold) {
            return Err(Problem::Threshold);
        }
        Ok(Self {
            pattern: pattern.map(compile).transpose()?,
            similar,
            threshold,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pattern.is_none() && self.similar.is_empty()
    }

    /// The questions whose embeddings are compared.
    pub(super) fn similar(&self) -> &[String] {
        &self.similar
    }

    pub(super) fn matches(&self, question: &str) -> bool {
        let mut end = question.len().min(REGEX_QUESTION_BYTES_MAX);
        while !question.is_char_boundary(end) {
            end -= 1;
        }
        let pattern = self.pattern.as_ref();
        pattern.is_some_and(|pattern| pattern.is_match(&question[..end]))
    }

    /// How similar the question is to the nearest example, where that is near enough.
    pub(super) fn nearness(&self, similarity: &dyn Fn(&str) -> Option<f32>) -> Option<f32> {
        let known = self
            .similar
            .iter()
            .filter_map(|example| similarity(example));
        known
            .max_by(f32::total_cmp)
            .filter(|similarity| *similarity >= self.threshold)
    }
}

fn compile(pattern: &str) -> Result<Regex, Problem> {
    let built = RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Problem::RegexTooLarge,
        error => Problem::Regex(last_line(&error.to_string())),
    })
}

/// The message without the drawing above it that shows where.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(pattern: &str) -> When {
        When::new(Some(pattern), Vec::new(), None).unwrap()
    }

    #[test]
    fn expressions_look_at_the_question() {
        assert!(when("(?i)refund|invoice").matches("Where is my REFUND?"));
        assert!(!when("^refund").matches("a refund"));
        assert!(!when("").is_empty());
        assert!(!When::new(None, Vec::new(), None).unwrap().matches("x"));
    }

    #[test]
    fn only_the_beginning_of_a_long_question_counts() {
        let question = |bytes: usize| "ä".repeat(bytes / 2) + "z";
        assert!(when("z").matches(&question(REGEX_QUESTION_BYTES_MAX - 2)));
        assert!(!when("z").matches(&question(REGEX_QUESTION_BYTES_MAX)));
        // A character across the limit is left out, not cut.
        assert!(!when("z").matches(&format!("y{}", question(REGEX_QUESTION_BYTES_MAX))));
    }

    #[test]
    fn large_and_wrong_expressions_are_refused() {
        let refused = |pattern| When::new(Some(pattern), Vec::new(), None).unwrap_err();
        assert_eq!(refused(r"\w{1000}{1000}"), Problem::RegexTooLarge);
        assert_eq!(refused("("), Problem::Regex("unclosed group".to_owned()));
    }

    #[test]
    fn the_nearest_example_counts_if_it_is_near_enough() {
        let texts = |count| vec!["a".to_owned(); count];
        let rule = When::new(None, vec!["a".to_owned(), "b".to_owned()], Some(0.5)).unwrap();
        let of =
            |a: Option<f32>, b: Option<f32>| rule.nearness(&|text| if text == "a" { a } else { b });
        assert_eq!(of(Some(0.4), Some(0.5)), Some(0.5));
        assert_eq!(of(Some(0.4), Some(0.49)), None);
        assert_eq!(of(None, Some(0.9)), Some(0.9));
        assert_eq!(of(None, None), None);
        assert!(When::new(None, texts(SIMILAR_MAX), None).is_ok());
        let many = When::new(None, texts(SIMILAR_MAX + 1), None).unwrap_err();
        assert_eq!(
            many,
            Problem::TooMany("questions in `similar`", SIMILAR_MAX)
        );
        let high = When::new(None, texts(1), Some(1.5)).unwrap_err();
        assert_eq!(high, Problem::Threshold);
    }
}
