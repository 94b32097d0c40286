//! The executor: one thread, a queue of woken tasks, and a sleep in the reactor when the queue is empty.
//!
//! Invariant: a task is in the ready queue at most once, and between two polls of the sockets each task runs
//! at most [`ROUNDS_MAX`] times. Wakers are `Send` because hyper and axum ask for it; everything else stays on the thread.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::reactor::Reactor;
use crate::timer::Timers;

/// How often one task may read, or write, in one turn before the others get theirs.
pub const IO_BUDGET: u32 = 4;

/// How often what tasks wake in each other is run before the sockets are looked at again, which costs more than
/// running a task.
const ROUNDS_MAX: u32 = 4;

type TaskId = u64;
type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static RUNTIME: Runtime = Runtime::default();
}

#[derive(Default)]
struct Runtime {
    tasks: RefCell<BTreeMap<TaskId, (Task, Arc<TaskWaker>)>>,
    next_id: Cell<TaskId>,
    ready: Arc<Ready>,
    timers: RefCell<Timers>,
    reactor: RefCell<Reactor>,
    turn: Cell<u64>,
    /// Somebody wants the sockets looked at before he goes on.
    look: Cell<bool>,
}

#[derive(Default)]
struct Ready {
    queue: Mutex<VecDeque<Arc<TaskWaker>>>,
}

impl Ready {
    fn push(&self, task: Arc<TaskWaker>) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(task);
    }

    fn take(&self) -> VecDeque<Arc<TaskWaker>> {
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_empty(&self) -> bool {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(Arc::clone(self));
        }
    }
}

/// Runs `main` to its end on this thread, and with it everything that [`spawn`] adds meanwhile.
///
/// What is still running when `main` ends stays where it is; a later `block_on` on the same thread goes on
/// with it.
pub fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
    let output = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&output);
    spawn(async move {
        let value = main.await;
        *slot.borrow_mut() = Some(value);
    });
    RUNTIME.with(|runtime| {
        loop {
            for _ in 0..ROUNDS_MAX {
                runtime.run_ready();
                if let Some(value) = output.borrow_mut().take() {
                    return value;
                }
                if runtime.look.take() || runtime.ready.is_empty() {
                    break;
                }
            }
            runtime.wait();
        }
    })
}

/// Starts a task that runs beside the others and is dropped when it ends.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    RUNTIME.with(|runtime| {
        let id = runtime.next_id.get();
        runtime.next_id.set(id + 1);
        let waker = Arc::new(TaskWaker {
            id,
            queued: AtomicBool::new(true),
            ready: Arc::clone(&runtime.ready),
        });
        runtime
            .tasks
            .borrow_mut()
            .insert(id, (Box::pin(future), Arc::clone(&waker)));
        runtime.ready.push(waker);
    });
}

/// Lets every other woken task run once, and the sockets be looked at, before going on.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        RUNTIME.with(|runtime| runtime.look.set(true));
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Runtime {
    fn run_ready(&self) {
        for waker in self.ready.take() {
            waker.queued.store(false, Ordering::Release);
            self.run(&waker);
        }
    }

    // The task is out of the map while it runs, so that it may spawn others.
    fn run(&self, waker: &Arc<TaskWaker>) {
        let Some((mut task, own)) = self.tasks.borrow_mut().remove(&waker.id) else {
            return;
        };
        self.turn.set(self.turn.get() + 1);
        let std_waker = Waker::from(Arc::clone(waker));
        let done = task
            .as_mut()
            .poll(&mut Context::from_waker(&std_waker))
            .is_ready();
        if !done {
            self.tasks.borrow_mut().insert(waker.id, (task, own));
        }
    }

    // Sleeps until a socket or a timer is due; only looks when something is ready already.
    fn wait(&self) {
        let timeout = if self.ready.is_empty() {
            let next = self.timers.borrow().next_deadline();
            next.map(|deadline| deadline.saturating_duration_since(Instant::now()))
        } else {
            Some(Duration::ZERO)
        };
        let woken = self.reactor.borrow_mut().poll(timeout);
        woken.into_iter().for_each(Waker::wake);
        let due = self.timers.borrow_mut().take_due(Instant::now());
        due.into_iter().for_each(Waker::wake);
    }
}

pub(crate) fn with_timers<T>(act: impl FnOnce(&mut Timers) -> T) -> T {
    RUNTIME.with(|runtime| act(&mut runtime.timers.borrow_mut()))
}

#[cfg(target_os = "wasi")]
pub(crate) fn with_reactor<T>(act: impl FnOnce(&mut Reactor) -> T) -> T {
    RUNTIME.with(|runtime| act(&mut runtime.reactor.borrow_mut()))
}

/// Counts the uses of one stream in the current turn of the task that runs.
#[cfg_attr(not(target_os = "wasi"), allow(dead_code))]
#[derive(Debug, Default)]
pub(crate) struct Budget {
    turn: u64,
    used: u32,
}

#[cfg_attr(not(target_os = "wasi"), allow(dead_code))]
impl Budget {
    /// Whether one more use is within [`IO_BUDGET`] for this turn.
    pub(crate) fn take(&mut self) -> bool {
        self.take_in(RUNTIME.with(|runtime| runtime.turn.get()))
    }

    fn take_in(&mut self, turn: u64) -> bool {
        if self.turn != turn {
            *self = Self { turn, used: 0 };
        }
        self.used += 1;
        self.used <= IO_BUDGET
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sleep;

    #[test]
    fn main_returns_its_value() {
        assert_eq!(block_on(async { 7 }), 7);
    }

    #[test]
    fn spawned_tasks_take_turns() {
        let log = Rc::new(RefCell::new(Vec::new()));
        let (left, right) = (Rc::clone(&log), Rc::clone(&log));
        block_on(async move {
            spawn(async move {
                for n in 0..3 {
                    left.borrow_mut().push(('a', n));
                    yield_now().await;
                }
            });
            spawn(async move {
                for n in 0..3 {
                    right.borrow_mut().push(('b', n));
                    yield_now().await;
                }
            });
            for _ in 0..5 {
                yield_now().await;
            }
        });
        let expected: Vec<_> = (0..3).flat_map(|n| [('a', n), ('b', n)]).collect();
        assert_eq!(*log.borrow(), expected);
    }

    #[test]
    fn a_task_woken_twice_runs_once() {
        let polls = Rc::new(Cell::new(0));
        let seen = Rc::clone(&polls);
        block_on(async move {
            spawn(async move {
                std::future::poll_fn(|cx| {
                    seen.set(seen.get() + 1);
                    if seen.get() == 1 {
                        cx.waker().wake_by_ref();
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(())
                })
                .await;
            });
            sleep(Duration::from_millis(5)).await;
        });
        assert_eq!(polls.get(), 2);
    }

    #[test]
    fn dropped_tasks_free_what_they_hold() {
        let held = Rc::new(());
        let copy = Rc::clone(&held);
        block_on(async move {
            spawn(async move { drop(copy) });
            yield_now().await;
            yield_now().await;
        });
        assert_eq!(Rc::strong_count(&held), 1);
    }

    #[test]
    fn the_budget_ends_and_comes_back_next_turn() {
        let mut budget = Budget::default();
        let taken = (0..10).filter(|_| budget.take_in(1)).count();
        assert_eq!(taken, IO_BUDGET as usize);
        assert!(budget.take_in(2));
    }
}
