//! Ways to put questions to a contender: so many at a time, or so many a second.

pub mod window;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::chat::{Answer, Ask, Chat, Outcome};
use crate::statistics::Random;

/// Of one open loop.
const QUESTIONS_MAX: u32 = 8000;

/// llama.cpp's threads wait for more work by spinning, for about a tenth of a second on the machine that this was
/// measured on; a contender that is measured meanwhile has a core less.
const SETTLE: Duration = Duration::from_millis(250);

/// Waits until whoever was measured last has come to rest.
pub fn settle() {
    std::thread::sleep(SETTLE);
}

/// What became of a lot of questions.
pub struct Load {
    /// Every answer.
    pub answers: Vec<Answer>,
}

/// Closed loop: `streams` clients, each of which asks `turns` questions one after the other.
pub fn closed(
    chat: &dyn Chat,
    streams: usize,
    turns: usize,
    ask: &(dyn Fn(usize, usize) -> Ask + Sync),
) -> Load {
    asked_in_turn(chat, streams, ask, &|turn, _| turn < turns)
}

/// Closed loop: `streams` clients, each of which asks one question after the other until its connection fails: by
/// itself when the time of `chat` is over.
pub fn closed_until(
    chat: &dyn Chat,
    streams: usize,
    ask: &(dyn Fn(usize, usize) -> Ask + Sync),
) -> Load {
    asked_in_turn(chat, streams, ask, &|_, last| {
        last.is_none_or(|answer| answer.outcome != Outcome::Broken)
    })
}

/// `goes_on` is told the turn and the last answer.
fn asked_in_turn(
    chat: &dyn Chat,
    streams: usize,
    ask: &(dyn Fn(usize, usize) -> Ask + Sync),
    goes_on: &(dyn Fn(usize, Option<&Answer>) -> bool + Sync),
) -> Load {
    settle();
    let answers = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..streams)
            .map(|stream| {
                scope.spawn(move || {
                    let mut answers: Vec<Answer> = Vec::new();
                    while goes_on(answers.len(), answers.last()) {
                        answers.push(chat.answer(&ask(stream, answers.len())));
                    }
                    answers
                })
            })
            .collect();
        clients
            .into_iter()
            .filter_map(|client| client.join().ok())
            .flatten()
            .collect()
    });
    Load { answers }
}

/// Open loop: a question at each time that is `due`, counted from now, whatever became of those before.
///
/// Clients who have their answer take the next question: a new thread for each would cost the machine that is
/// measured a third of a millisecond for every one that is refused.
pub fn open(chat: &dyn Chat, due: &[Duration], ask: &(dyn Fn(usize) -> Ask + Sync)) -> Load {
    settle();
    let begun = Instant::now();
    let (give, take) = mpsc::channel::<usize>();
    let take = Mutex::new(take);
    // Clients who wait for a question beyond those that are on their way.
    let free = AtomicUsize::new(0);
    let answer_all = || {
        let mut answers = Vec::new();
        while let Some(number) = next(&take) {
            answers.push(chat.answer(&ask(number)));
            free.fetch_add(1, Ordering::AcqRel);
        }
        answers
    };
    let answers = std::thread::scope(|scope| {
        let mut clients = Vec::new();
        for (number, due) in due.iter().enumerate() {
            std::thread::sleep((begun + *due).saturating_duration_since(Instant::now()));
            match free.load(Ordering::Acquire) {
                0 => clients.push(scope.spawn(answer_all)),
                _ => drop(free.fetch_sub(1, Ordering::AcqRel)),
            }
            let _ = give.send(number);
        }
        drop(give);
        clients
            .into_iter()
            .filter_map(|client| client.join().ok())
            .flatten()
            .collect()
    });
    Load { answers }
}

/// Whoever waits for the next question holds the lock, and lets go of it with the question.
fn next(questions: &Mutex<mpsc::Receiver<usize>>) -> Option<usize> {
    let questions = questions.lock().unwrap_or_else(PoisonError::into_inner);
    questions.recv().ok()
}

/// Times at equal distances, so many a second.
pub fn steady(a_second: f64, duration: Duration) -> Vec<Duration> {
    let count = count(a_second, duration);
    (0..count)
        .map(|number| duration.mul_f64(f64::from(number) / f64::from(count)))
        .collect()
}

/// Times as strangers come who know nothing of each other: a Poisson process of which the number that came is known.
/// The same `seed` gives the same times.
pub fn random(a_second: f64, duration: Duration, seed: u64) -> Vec<Duration> {
    let mut draw = Random::new(seed);
    let mut times: Vec<Duration> = (0..count(a_second, duration))
        .map(|_| duration.mul_f64(draw.share()))
        .collect();
    times.sort();
    times
}

fn count(a_second: f64, duration: Duration) -> u32 {
    let count = (a_second * duration.as_secs_f64()).round();
    (count as u32).min(QUESTIONS_MAX)
}

impl Load {
    /// Answers that came to their end.
    pub fn done(&self) -> impl Iterator<Item = &Answer> {
        self.answers
            .iter()
            .filter(|answer| answer.outcome == Outcome::Done)
    }

    /// Tokens a second of all together, prompts and all. NaN when a question went unanswered: a contender that
    /// drops work is not fast.
    pub fn tokens_per_second(&self) -> f64 {
        match self.done().count() == self.answers.len() {
            true => self.accepted_tokens_per_second(),
            false => f64::NAN,
        }
    }

    /// Tokens a second of what was answered.
    pub fn accepted_tokens_per_second(&self) -> f64 {
        let tokens: f64 = self.done().map(|answer| f64::from(answer.tokens)).sum();
        let begun = self.answers.iter().map(|answer| answer.asked).min();
        let ended = self.done().map(|answer| answer.ended).max();
        match begun.zip(ended) {
            Some((begun, ended)) => tokens / (ended - begun).as_secs_f64(),
            None => f64::NAN,
        }
    }

    /// Times to first token, in milliseconds.
    pub fn first_ms(&self) -> Vec<f64> {
        self.done()
            .map(|answer| milliseconds(answer.first()))
            .collect()
    }

    /// The share of all prompt tokens that were not computed again.
    pub fn cached_share(&self) -> f64 {
        let sum = |part: fn(&Answer) -> u32| {
            self.done()
                .map(|answer| f64::from(part(answer)))
                .sum::<f64>()
        };
        sum(|answer| answer.cached_tokens) / sum(|answer| answer.prompt_tokens)
    }

    /// How many ended with no answer at all before we hung up.
    pub fn broken_before(&self, hung_up: Instant) -> usize {
        self.answers
            .iter()
            .filter(|answer| answer.outcome == Outcome::Broken && answer.ended < hung_up)
            .count()
    }
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(Duration);

    impl Chat for Slow {
        fn name(&self) -> &str {
            "slow"
        }

        fn answer(&self, ask: &Ask) -> Answer {
            let mut answer = Answer::begun();
            std::thread::sleep(self.0);
            answer.tokens = ask.tokens;
            answer.outcome = match ask.tokens {
                0 => Outcome::Refused(429),
                _ => Outcome::Done,
            };
            answer.ended = Instant::now();
            answer
        }
    }

    fn ask(tokens: u32) -> Ask {
        Ask {
            tokens,
            ..Ask::default()
        }
    }

    #[test]
    fn a_closed_loop_asks_everything_and_counts_what_came() {
        let load = closed(&Slow(Duration::from_millis(1)), 3, 2, &|_, _| ask(5));
        assert_eq!(load.answers.len(), 6);
        assert!(load.tokens_per_second() > 0.0);
    }

    #[test]
    fn dropped_work_makes_no_speed() {
        let load = closed(&Slow(Duration::ZERO), 2, 1, &|stream, _| ask(stream as u32));
        assert!(load.tokens_per_second().is_nan());
        assert!(load.accepted_tokens_per_second() > 0.0);
    }

    /// Breaks off after so many answers.
    struct Fails(Mutex<u32>);

    impl Chat for Fails {
        fn name(&self) -> &str {
            "fails"
        }

        fn answer(&self, _: &Ask) -> Answer {
            let mut left = self.0.lock().unwrap();
            let mut answer = Answer::begun();
            if *left > 0 {
                *left -= 1;
                answer.outcome = Outcome::Done;
            }
            answer
        }
    }

    #[test]
    fn an_endless_loop_ends_with_its_connections() {
        let load = closed_until(&Fails(Mutex::new(9)), 3, &|_, _| ask(1));
        assert_eq!(load.done().count(), 9);
        assert_eq!(load.answers.len(), 9 + 3);
        assert_eq!(load.broken_before(Instant::now()), 3);
        // Connections begin at once, so the first answer in the list need not be the first that was asked.
        let begun = load
            .answers
            .iter()
            .map(|answer| answer.asked)
            .min()
            .unwrap();
        assert_eq!(load.broken_before(begun), 0);
    }

    #[test]
    fn strangers_come_at_their_rate_and_the_same_way_each_time() {
        let times = random(50.0, Duration::from_secs(20), 7);
        assert_eq!(times.len(), 1000);
        assert!(times.is_sorted() && times.last() < Some(&Duration::from_secs(20)));
        assert_eq!(times, random(50.0, Duration::from_secs(20), 7));
        assert_ne!(times, random(50.0, Duration::from_secs(20), 8));
        let most = random(f64::INFINITY, Duration::from_millis(1), 7);
        assert_eq!(most.len(), QUESTIONS_MAX as usize);
    }

    #[test]
    fn an_open_loop_does_not_wait_for_answers() {
        let load = open(
            &Slow(Duration::from_millis(200)),
            &steady(100.0, Duration::from_millis(100)),
            &|_| ask(1),
        );
        assert_eq!(load.answers.len(), 10);
        let asked = load.answers.iter().map(|answer| answer.asked);
        let took = asked
            .clone()
            .max()
            .zip(asked.min())
            .map(|(last, first)| last - first);
        assert!(took < Some(Duration::from_millis(290)));
    }
}
