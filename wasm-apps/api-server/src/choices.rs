//! Several answers to one prompt, on their way at the same time.
//!
//! Each is a session of its own; the engine reads the prompt once where it shares what is equal. Dropped, all end.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use gaia_chat::{Ending, Generation};
use gaia_openai::Usage;

use crate::admission::Pass;
use crate::inference::{InferenceError, Model, Piece, Session, Step, TokenEvent};

/// The engine at work on the answers to one prompt.
pub(crate) struct Choices {
    running: Vec<(u32, Session)>,
    /// Who is asked first the next time.
    first: usize,
    /// What answers that are held to a schema still need when they are cut off.
    ending: Ending,
    /// Steps that come before the engine's next.
    coming: VecDeque<(u32, Step)>,
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
            ending: Ending::new(&wanted.sampling, count),
            coming: VecDeque::new(),
            _pass: pass,
        })
    }

    /// What comes next, and in which answer; `None` when all have ended. May be dropped while it waits without losing
    /// anything.
    pub(crate) async fn next(&mut self) -> Option<(u32, Result<Step, InferenceError>)> {
        loop {
            if let Some((choice, step)) = self.coming.pop_front() {
                return Some((choice, Ok(step)));
            }
            match self.next_of_engine().await? {
                (choice, Ok(step)) => self.take(choice, step),
                failed => return Some(failed),
            }
        }
    }

    /// What an answer took so far; `None` where it has ended or the engine does not tell.
    pub(crate) fn usage(&mut self, choice: u32) -> Option<Usage> {
        let mut running = self.running.iter_mut();
        let (_, session) = running.find(|(of, _)| *of == choice)?;
        session.usage()
    }

    /// What the caller is to be told of an answer that has ended.
    pub(crate) fn warning(&self, choice: u32) -> Option<String> {
        self.ending.warning(choice).map(str::to_owned)
    }

    fn take(&mut self, choice: u32, step: Step) {
        match step {
            Step::Piece(piece) => {
                let text = self.ending.push(choice, piece.text);
                self.come(choice, text, piece.events);
            }
            end @ Step::End { .. } => {
                let text = self.ending.close(choice);
                self.come(choice, text, Vec::new());
                self.coming.push_back((choice, end));
            }
        }
    }

    fn come(&mut self, choice: u32, text: String, events: Vec<TokenEvent>) {
        if !text.is_empty() || !events.is_empty() {
            let piece = Step::Piece(Piece { text, events });
            self.coming.push_back((choice, piece));
        }
    }

    async fn next_of_engine(&mut self) -> Option<(u32, Result<Step, InferenceError>)> {
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
