//! What is written in a stretch of time out of the middle of a load.
//!
//! A speed over whole loads counts their ends: the way to full work, and the last answers, which have the machine to
//! themselves. Two loads with ends of different length cannot be compared by it; two windows of the same length can.

use std::time::{Duration, Instant};

use crate::chat::{Answer, Outcome};

/// A stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    from: Instant,
    length: Duration,
}

impl Window {
    /// From `from` on.
    pub fn new(from: Instant, length: Duration) -> Self {
        Self { from, length }
    }

    /// Its end.
    pub fn end(&self) -> Instant {
        self.from + self.length
    }

    /// Tokens a second that arrived in it, also of answers that began before or ended after. A piece of text stands
    /// for as many tokens as the pieces of its answer do on average; in one that came to no end, those of all others.
    pub fn tokens_per_second(&self, answers: &[Answer]) -> f64 {
        let ended = answers.iter().filter(|one| one.outcome == Outcome::Done);
        let (tokens, pieces) = ended.fold((0.0, 0.0), |(tokens, pieces), one| {
            (
                tokens + f64::from(one.tokens),
                pieces + one.arrivals.len() as f64,
            )
        });
        let usual = tokens / pieces;
        let tokens: f64 = answers
            .iter()
            .map(|one| self.pieces(one) * tokens_a_piece(one).unwrap_or(usual))
            .filter(|tokens| !tokens.is_nan())
            .sum();
        tokens / self.length.as_secs_f64()
    }

    fn pieces(&self, answer: &Answer) -> f64 {
        let inside = |at: &&Instant| **at >= self.from && **at < self.end();
        answer.arrivals.iter().filter(inside).count() as f64
    }
}

fn tokens_a_piece(answer: &Answer) -> Option<f64> {
    let told = answer.outcome == Outcome::Done && !answer.arrivals.is_empty();
    told.then(|| f64::from(answer.tokens) / answer.arrivals.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// An answer of which a piece came at each of `seconds`.
    fn answer(begun: Instant, outcome: Outcome, tokens: u32, seconds: &[f64]) -> Answer {
        Answer {
            outcome,
            tokens,
            arrivals: seconds
                .iter()
                .map(|at| begun + SECOND.mul_f64(*at))
                .collect(),
            ..Answer::begun()
        }
    }

    fn check(answers: &[(Outcome, u32, &[f64])], expected: f64) {
        let begun = Instant::now();
        let window = Window::new(begun + SECOND, 2 * SECOND);
        let answers: Vec<Answer> = answers
            .iter()
            .map(|(outcome, tokens, seconds)| answer(begun, *outcome, *tokens, seconds))
            .collect();
        assert_eq!(window.tokens_per_second(&answers), expected);
    }

    #[test]
    fn only_what_arrives_in_it_counts() {
        check(&[(Outcome::Done, 4, &[0.5, 1.0, 2.9, 3.0])], 1.0);
        check(&[(Outcome::Done, 4, &[0.5, 3.5])], 0.0);
        check(&[], 0.0);
    }

    #[test]
    fn a_piece_stands_for_as_many_tokens_as_others() {
        check(&[(Outcome::Done, 8, &[0.5, 1.5, 2.5, 3.5])], 2.0);
        let ended: (Outcome, u32, &[f64]) = (Outcome::Done, 6, &[0.1, 0.2, 0.3]);
        check(&[ended, (Outcome::Broken, 0, &[2.0])], 1.0);
    }

    #[test]
    fn the_refused_write_nothing() {
        check(&[(Outcome::Refused(429), 0, &[])], 0.0);
    }
}
