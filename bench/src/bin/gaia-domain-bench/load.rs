//! Load: so many connections that ask one question after the other, or questions that come at a rate.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::http::{Answer, Connection, Question};

/// What came of a load.
#[derive(Debug, Default)]
pub struct Found {
    /// Answers that came to their end.
    pub served: usize,
    /// All others.
    pub failed: usize,
    /// Times to the first byte, in milliseconds, of those that were served.
    pub first_ms: Vec<f64>,
    /// Times to the first word, of those.
    pub word_ms: Vec<f64>,
    /// How long it took.
    pub seconds: f64,
    /// The first of those that failed.
    pub failure: Option<String>,
}

impl Found {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.served as f64 / self.seconds
    }

    fn note(&mut self, answer: anyhow::Result<Answer>) {
        match answer {
            Ok(answer) if answer.is_served() => {
                let ms = |time: Duration| time.as_secs_f64() * 1e3;
                self.served += 1;
                self.first_ms.extend(answer.first.map(ms));
                self.word_ms.extend(answer.word.map(ms));
            }
            answer => {
                self.failed += 1;
                self.failure.get_or_insert_with(|| format!("{answer:?}"));
            }
        }
    }
}

/// So many connections ask for so long, one question after the other each.
///
/// # Errors
/// A connection cannot be opened.
pub async fn closed(
    at: SocketAddr,
    question: &Question,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Found> {
    let found = Rc::new(RefCell::new(Found::default()));
    let begun = Instant::now();
    let note = {
        let found = Rc::clone(&found);
        move |answer| {
            found.borrow_mut().note(answer);
            begun.elapsed() < time
        }
    };
    each(at, question, connections, Rc::new(note)).await?;
    let mut found = found.take();
    found.seconds = begun.elapsed().as_secs_f64();
    Ok(found)
}

/// What is done with an answer; whether its connection asks again.
pub type Note = Rc<dyn Fn(anyhow::Result<Answer>) -> bool>;

/// So many connections ask, one question after the other each, until `note` has enough of each.
///
/// # Errors
/// A connection cannot be opened.
pub async fn each(
    at: SocketAddr,
    question: &Question,
    connections: usize,
    note: Note,
) -> anyhow::Result<()> {
    let mut lanes = Vec::with_capacity(connections);
    for _ in 0..connections {
        lanes.push(Connection::open(at).await?);
    }
    let lanes = lanes.into_iter().map(|mut lane| {
        let (note, question) = (Rc::clone(&note), question.clone());
        tokio::task::spawn_local(async move { while note(lane.ask(&question).await) {} })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await?;
    }
    Ok(())
}

/// Questions come at a steady rate, whether those before were answered or not.
///
/// # Errors
/// A connection cannot be opened.
pub async fn open(
    at: SocketAddr,
    questions: &[Question],
    rate: f64,
    time: Duration,
) -> anyhow::Result<Found> {
    let found = Rc::new(RefCell::new(Found::default()));
    let idle = Rc::new(RefCell::new(Vec::<Connection>::new()));
    let begun = Instant::now();
    let mut running = Vec::new();
    let all = (rate * time.as_secs_f64()) as u32;
    for (number, question) in (0..all).zip(questions.iter().cycle()) {
        let due = begun + Duration::from_secs_f64(f64::from(number) / rate);
        tokio::time::sleep_until(due.into()).await;
        let (found, idle, question) = (Rc::clone(&found), Rc::clone(&idle), question.clone());
        running.push(tokio::task::spawn_local(async move {
            let kept = idle.borrow_mut().pop();
            let lane = match kept {
                Some(lane) => Ok(lane),
                None => Connection::open(at).await,
            };
            let answer = match lane {
                Ok(mut lane) => {
                    let answer = lane.ask(&question).await;
                    idle.borrow_mut().push(lane);
                    answer
                }
                Err(error) => Err(error),
            };
            found.borrow_mut().note(answer);
        }));
    }
    for asked in running {
        asked.await?;
    }
    let mut found = found.take();
    found.seconds = begun.elapsed().as_secs_f64();
    Ok(found)
}

/// So many connections ask these questions, each the next one that nobody has asked.
///
/// # Errors
/// A connection cannot be opened.
pub async fn shared(
    at: SocketAddr,
    questions: &[Question],
    connections: usize,
) -> anyhow::Result<Found> {
    let found = Rc::new(RefCell::new(Found::default()));
    let left: VecDeque<Question> = questions.iter().cloned().collect();
    let left = Rc::new(RefCell::new(left));
    let begun = Instant::now();
    let mut lanes = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut lane = Connection::open(at).await?;
        let (found, left) = (Rc::clone(&found), Rc::clone(&left));
        lanes.push(tokio::task::spawn_local(async move {
            loop {
                let next = left.borrow_mut().pop_front();
                let Some(question) = next else { return };
                let answer = lane.ask(&question).await;
                found.borrow_mut().note(answer);
            }
        }));
    }
    for lane in lanes {
        lane.await?;
    }
    let mut found = found.take();
    found.seconds = begun.elapsed().as_secs_f64();
    Ok(found)
}
