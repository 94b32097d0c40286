//! Several answers to one prompt, on their way at the same time.
//!
//! Each is a session of its own; the engine reads the prompt once where it shares what is equal. Dropped, all end.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use gaia_chat::Generation;

use crate::admission::Pass;
use crate::inference::{InferenceError, Model, Session, Step};

/// The engine at work on the answers to one prompt.
pub(crate) struct Choices {
    running: Vec<(u32, Session)>,
    /// Who is asked first the next time.
    first: usize,
    _pass: Pass,
}

type Wait<'a> = Pin<Box<dyn Future<Output = Result<Step, InferenceError>> + Send + 'a>>;

impl Choices {
    /// Starts `count` answers to `wanted`.
    ///
    /// # Errors
    /// What the engine refuses at once.
    pub(crate) fn start(
        model: &Model,
        wanted: &Generation,
        count: u32,
        pass: Pass,
    ) -> Result<Self, InferenceError> {
        let start = |choice| Ok((choice, model.start(&wanted.choice(choice))?));
        Ok(Self {
            running: (0..count).map(start).collect::<Result<_, _>>()?,
            first: 0,
            _pass: pass,
        })
    }

    /// What comes next, and in which answer; `None` when all have ended. May be dropped while it waits without losing
    /// anything.
    pub(crate) async fn next(&mut self) -> Option<(u32, Result<Step, InferenceError>)> {
        let (at, step) = match self.running.as_mut_slice() {
            [] => return None,
            [(_, session)] => (0, session.next().await),
            several => next_of(several, self.first).await,
        };
        self.first = at + 1;
        let choice = match step {
            Ok(Step::Piece(_)) => self.running.get(at).map(|(choice, _)| *choice),
            Ok(Step::End { .. }) | Err(_) => Some(self.running.remove(at).0),
        };
        choice.map(|choice| (choice, step))
    }
}

async fn next_of(
    sessions: &mut [(u32, Session)],
    first: usize,
) -> (usize, Result<Step, InferenceError>) {
    let waits = sessions.iter_mut();
    let mut waits: Vec<Wait<'_>> = waits
        .map(|(_, session)| -> Wait<'_> { Box::pin(session.next()) })
        .collect();
    let count = waits.len();
    poll_fn(|cx| {
        for at in (first..first + count).map(|at| at % count) {
            if let Poll::Ready(step) = waits[at].as_mut().poll(cx) {
                return Poll::Ready((at, step));
            }
        }
        Poll::Pending
    })
    .await
}
