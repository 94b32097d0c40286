//! Programs that end with this one, however it ends: a measurement that is killed must not leave a server behind
//! that slows the next one down.

use std::io;
use std::process::{Child, Command};

/// A program that is ended when this is dropped, or when this process dies.
pub struct Held(Child);

impl Held {
    /// Starts `command`. To be called on the main thread: the kernel counts the death of the *thread* that started
    /// a program.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        end_with_this_process(command);
        command.spawn().map(Self)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has the kernel kill what `command` starts when this process dies.
pub fn end_with_this_process(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
    let parent = getpid();
    let hook = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match getppid() {
            Some(pid) if pid == parent => Ok(()),
            // This process died before the request above counted.
            _ => Err(io::Error::other("the measuring program is gone")),
        }
    };
    #[expect(
        unsafe_code,
        reason = "only system calls between fork and exec; nothing allocates"
    )]
    // SAFETY: the closure makes system calls and touches no lock and no heap.
    unsafe {
        command.pre_exec(hook);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::Stdio;

    use super::*;

    /// The kernel counts threads: when the one that started the program ends, the program does too.
    #[test]
    fn what_was_started_ends_with_its_starter() {
        let starter = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            end_with_this_process(&mut command);
            command.arg("60").stdout(Stdio::piped()).spawn().unwrap()
        });
        let mut child = starter.join().unwrap();
        let mut nothing = Vec::new();
        // Ends when the program has let go of its output.
        child
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut nothing)
            .unwrap();
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn what_is_dropped_has_ended() {
        let held = Held::start(Command::new("sleep").arg("60")).unwrap();
        let pid = held.pid();
        drop(held);
        assert!(!e2e::process::is_alive(pid));
    }
}
