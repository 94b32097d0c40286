//! How many batches wait for the disk.

use super::tests::done;
use super::*;
use std::sync::mpsc::{Receiver, Sender, TrySendError, channel};

/// A disk that says when it is asked, and answers when it is told to.
struct Held {
    asked: Sender<()>,
    go_on: Receiver<()>,
}

impl Flush for Held {
    fn flush(&mut self) -> Result<(), SqlError> {
        self.asked.send(()).ok();
        self.go_on.recv().ok();
        Ok(())
    }
}

#[test]
fn so_many_batches_wait_for_the_disk_and_then_the_next_one_waits_to_be_carried_out() {
    let (asked, was_asked) = channel();
    let (tell, go_on) = channel();
    let disk = Disk::begin(Box::new(Held { asked, go_on })).unwrap();
    let mut replies = Vec::new();
    let mut batch = || {
        let (done, reply) = done();
        replies.push(reply);
        vec![done]
    };
    disk.wait(batch());
    // The disk is busy with the first from here on.
    was_asked.recv().unwrap();
    for _ in 0..BATCHES_WAITING_MAX {
        disk.wait(batch());
    }
    let full = disk.waiting.as_ref().unwrap().try_send(batch());
    let Err(TrySendError::Full(next)) = full else {
        panic!("one more has room");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| disk.wait(next));
        // One flush for the first, one for all that wait, and perhaps one for the last.
        (0..3).for_each(|_| tell.send(()).unwrap());
    });
    drop(disk);
    for reply in replies {
        assert!(reply.blocking_recv().unwrap().is_ok());
    }
}
