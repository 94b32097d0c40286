//! Tries a model file in a process of its own before this one touches it.
//!
//! The header has been read by then, so the file is well-formed. But well-formed is not consistent:
//! llama.cpp meets an odd head count, a token type that does not exist or a rotation wider than its
//! vector with an assertion, a division by zero or a wild read, and the process is gone, with
//! everything else it was doing. So a forked child loads the file, tokenises a line and computes one
//! token of it. If the child dies, the file is refused with the child's last words.
//!
//! The child shares the pages of the mapped file with what is loaded after it, so what is read from
//! disk is read once. It uses the CPU only.
//!
//! A forked child has every open file of its parent. A socket that the parent closes stays open as long
//! as the child holds it, and whoever waits with epoll hears of a descriptor that is gone; WasmEdge ends
//! the process then. So the child lets go of them first, and the parent goes on only when it has.

use std::path::Path;

use crate::projector::ProjectorFile;

/// Why the trial failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// There was no child or no way to hear from it.
    #[error("failed to start the trial: {0}")]
    Start(std::io::Error),
    /// llama.cpp refused the file, in its words.
    #[error("{0}")]
    Refused(String),
    /// The child crashed.
    #[error("trying it crashed llama.cpp: {0}")]
    Crashed(String),
    /// The child did not come to an end.
    #[error("trying it took longer than {seconds} s")]
    TooSlow {
        /// The limit.
        seconds: u64,
    },
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried<'a> {
    pub path: &'a Path,
    pub file_bytes: u64,
    /// How one vector is made of many; `None`: it writes text.
    pub pooling: Option<llama_cpp_sys_2::llama_pooling_type>,
    /// With which the model would see.
    pub projector: Option<&'a ProjectorFile>,
}

/// Begins to try it.
pub(crate) fn begin(tried: Tried<'_>) -> Result<Probe, ProbeError> {
    crate::backend::llama_backend();
    Probe::begin(tried)
}

#[cfg(unix)]
pub(crate) use child::Probe;

/// Without fork there is no cheap trial; a bad file ends the process there.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Probe;

#[cfg(not(unix))]
impl Probe {
    fn begin(_: Tried<'_>) -> Result<Self, ProbeError> {
        Ok(Self)
    }

    pub(crate) fn end(self) -> Result<(), ProbeError> {
        Ok(())
    }
}

#[cfg(unix)]
mod child {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::fs::File;
    use std::io::{self, ErrorKind, Read};
    use std::os::fd::{AsRawFd, FromRawFd};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI32, Ordering};
    use std::time::{Duration, Instant};

    use llama_cpp_2::model::LlamaModel;
    use llama_cpp_2::model::params::LlamaModelParams;
    use llama_cpp_2::token::LlamaToken;
    use llama_cpp_sys_2 as sys;

    use super::{ProbeError, Tried};
    use crate::backend;
    use crate::context::{Context, ContextOptions};
    use crate::projector::{Projector, ProjectorFile, ProjectorOptions};

    const SECONDS_MIN: u64 = 60;
    /// A slow disk reads this much in a second.
    const BYTES_PER_SECOND: u64 = 20 << 20;
    /// How much of the child's words is kept.
    const WORDS_BYTES_MAX: usize = 2000;
    const TOKENS: u32 = 32;
    /// Where the system cannot close a range at once, so many are closed one by one.
    const DESCRIPTORS_MAX: c_int = 1 << 16;
    const SAMPLE: &str = "Hello, wörld 🦀\n\t1 + 2 = 3";

    const FINE: c_int = 0;
    const REFUSED: c_int = 1;

    /// The child, from the other side. Dropped before its end, it is ended.
    #[derive(Debug)]
    pub(crate) struct Probe {
        pid: libc::pid_t,
        reader: File,
        seconds: u64,
        waited: bool,
    }

    impl Probe {
        /// Starts the child and returns when it has let go of this process's files.
        pub(super) fn begin(tried: Tried<'_>) -> Result<Self, ProbeError> {
            let projector = tried.projector.map_or(0, |projector| projector.file_bytes);
            let file_bytes = tried.file_bytes + projector;
            let (reader, writer) = pipe().map_err(ProbeError::Start)?;
            // SAFETY: the child runs only `run`, which ends with `_exit`: no destructor and no exit
            // handler of this process runs in it. glibc keeps its allocator usable after a fork.
            let pid = unsafe { libc::fork() };
            match pid {
                -1 => return Err(ProbeError::Start(io::Error::last_os_error())),
                0 => run(tried, writer.as_raw_fd()),
                _ => drop(writer),
            }
            let mut probe = Self {
                pid,
                reader,
                seconds: SECONDS_MIN + file_bytes / BYTES_PER_SECOND,
                waited: false,
            };
            // The mark; a child that is gone without it has no files either.
            while let Err(error) = probe.reader.read(&mut [0]) {
                if error.kind() != ErrorKind::Interrupted {
                    return Err(ProbeError::Start(error));
                }
            }
            Ok(probe)
        }

        /// Waits for the child's verdict, and ends it if it takes too long.
        pub(crate) fn end(mut self) -> Result<(), ProbeError> {
            let seconds = self.seconds;
            let words = listen(&mut self.reader, Duration::from_secs(seconds));
            if words.is_none() {
                self.kill();
            }
            self.waited = true;
            let status = wait(self.pid).map_err(ProbeError::Start)?;
            let words = words.ok_or(ProbeError::TooSlow { seconds })?;
            let text = String::from_utf8_lossy(&words).trim().replace('\n', "; ");
            match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
                (true, FINE) => Ok(()),
                (true, _) => Err(ProbeError::Refused(text)),
                (false, _) => {
                    let signal = libc::WTERMSIG(status);
                    Err(ProbeError::Crashed(format!("signal {signal}; {text}")))
                }
            }
        }

        fn kill(&self) {
            // SAFETY: the child has not been waited for, so the number is still its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            if !self.waited {
                self.kill();
                // Nobody asks for its verdict any more.
                let _ = wait(self.pid);
            }
        }
    }

    fn pipe() -> io::Result<(File, File)> {
        let mut ends = [0; 2];
        // SAFETY: there is room for two descriptors, which are owned once each.
        unsafe {
            if libc::pipe(ends.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            for end in ends {
                libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
        }
    }

    /// What the child says until it ends; `None` if it does not end in time.
    fn listen(reader: &mut File, limit: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + limit;
        let mut words = Vec::new();
        let mut buffer = [0; 512];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut descriptor = libc::pollfd {
                fd: reader.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            let milliseconds = c_int::try_from(left.as_millis()).unwrap_or(c_int::MAX);
            // SAFETY: one descriptor is passed.
            let ready = unsafe { libc::poll(&raw mut descriptor, 1, milliseconds) };
            if ready == 0 {
                return None;
            }
            match reader.read(&mut buffer) {
                Ok(0) => return Some(words),
                Ok(len) => words.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Some(words),
            }
            words.truncate(WORDS_BYTES_MAX);
        }
    }

    fn wait(pid: libc::pid_t) -> io::Result<c_int> {
        let mut status = 0;
        loop {
            // SAFETY: `status` has room for the answer.
            if unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid {
                return Ok(status);
            }
            let error = io::Error::last_os_error();
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Lets go of what belongs to the parent: everything but the standard streams and `kept`.
    fn close_all_but(kept: c_int) {
        close_range(libc::STDERR_FILENO + 1, kept - 1);
        close_range(kept + 1, c_int::MAX);
    }

    #[cfg(target_os = "linux")]
    fn close_range(first: c_int, last: c_int) {
        // SAFETY: nothing in the child uses these descriptors.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if closed != 0 && first <= last {
            close_each(first, last);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn close_range(first: c_int, last: c_int) {
        close_each(first, last);
    }

    fn close_each(first: c_int, last: c_int) {
        // SAFETY: asks for a number; and nothing in the child uses these descriptors.
        unsafe {
            let open_max = libc::sysconf(libc::_SC_OPEN_MAX);
            let open_max = c_int::try_from(open_max).unwrap_or(DESCRIPTORS_MAX);
            for descriptor in first..=last.min(open_max.clamp(0, DESCRIPTORS_MAX)) {
                libc::close(descriptor);
            }
        }
    }

    static WORDS: AtomicI32 = AtomicI32::new(-1);

    /// The whole life of the child.
    fn run(tried: Tried<'_>, writer: c_int) -> ! {
        WORDS.store(writer, Ordering::Relaxed);
        close_all_but(writer);
        say(b"\n");
        // SAFETY: only this thread exists here. The host's signal handlers must not catch what goes
        // wrong, and nothing of it belongs on the host's terminal or in a core file.
        unsafe {
            for signal in [
                libc::SIGSEGV,
                libc::SIGBUS,
                libc::SIGFPE,
                libc::SIGILL,
                libc::SIGABRT,
            ] {
                libc::signal(signal, libc::SIG_DFL);
            }
            let none = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
                libc::dup2(null, stream);
            }
            sys::llama_log_set(Some(on_log), std::ptr::null_mut());
            sys::mtmd_log_set(Some(on_log), std::ptr::null_mut());
            sys::ggml_log_set(Some(on_log), std::ptr::null_mut());
            sys::ggml_set_abort_callback(Some(on_abort));
        }
        let code = match std::panic::catch_unwind(|| try_out(tried)) {
            Ok(Some(())) => FINE,
            Ok(None) | Err(_) => REFUSED,
        };
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(code) }
    }

    fn try_out(tried: Tried<'_>) -> Option<()> {
        let Tried { path, pooling, .. } = tried;
        let parameters = LlamaModelParams::default().with_devices(&[]).ok()?;
        let model = LlamaModel::load_from_file(backend::llama_backend(), path, &parameters).ok()?;
        let model = Arc::new(model);
        if let Some(projector) = tried.projector {
            try_projector(projector, &model)?;
        }
        let token = try_vocabulary(&model)?;
        let options = ContextOptions {
            cells: 256,
            sequences: 1,
            batch: TOKENS,
            ubatch: TOKENS,
            threads: 1,
            threads_batch: 1,
            flash_attention: None,
            kv_type: sys::GGML_TYPE_F16,
            embeddings: pooling.is_some(),
            pooling: pooling.unwrap_or(sys::LLAMA_POOLING_TYPE_UNSPECIFIED),
        };
        let mut context = Context::new(model, &options).ok()?;
        let mut batch = context.batch();
        batch.push(token, 0, 0, true);
        context.decode(&mut batch).ok()?;
        let computed = match pooling {
            Some(_) => context.embedding(0),
            None => context.logits(0),
        };
        computed.map(drop)
    }

    fn try_projector(file: &ProjectorFile, model: &Arc<LlamaModel>) -> Option<()> {
        let options = ProjectorOptions {
            threads: 1,
            gpu: false,
            rows_max: usize::MAX,
        };
        let loaded = Projector::load(file, model, options);
        if let Err(error) = &loaded {
            say(error.to_string().as_bytes());
        }
        loaded.ok().map(drop)
    }

    /// There and back again; gives a token that the text has.
    fn try_vocabulary(model: &LlamaModel) -> Option<LlamaToken> {
        let vocab = model.vocab();
        let tokens = vocab.tokenize(SAMPLE.as_bytes(), true, true);
        let count = model.n_vocab();
        for token in tokens.iter().copied().chain([vocab.bos(), vocab.eos()]) {
            if (0..count).contains(&token.0) {
                vocab.token_to_piece(token, true, None);
            }
        }
        vocab.tokens().filter(|token| vocab.is_eog(*token)).count();
        let first = tokens
            .first()
            .copied()
            .filter(|token| (0..count).contains(&token.0));
        if first.is_none() {
            say(b"its vocabulary cannot express plain text");
        }
        first
    }

    unsafe extern "C" fn on_log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
        if level == sys::GGML_LOG_LEVEL_ERROR && !text.is_null() {
            // SAFETY: llama.cpp passes a zero-terminated string.
            say(unsafe { CStr::from_ptr(text) }.to_bytes());
        }
    }

    unsafe extern "C" fn on_abort(text: *const c_char) {
        if !text.is_null() {
            // SAFETY: as in `on_log`.
            say(unsafe { CStr::from_ptr(text) }.to_bytes());
        }
    }

    fn say(words: &[u8]) {
        // SAFETY: the descriptor is this process's end of the pipe. What does not get through is lost.
        unsafe {
            libc::write(
                WORDS.load(Ordering::Relaxed),
                words.as_ptr().cast(),
                words.len(),
            );
        }
    }
}
