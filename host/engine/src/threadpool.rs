//! The threads that compute, kept between steps. Left alone, ggml makes new ones for every step.

use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

/// How long idle threads spin before they sleep, in ggml's unit of about a millisecond. The pause
/// between two steps is shorter; spinning longer would take the cores from others.
const POLL: u32 = 1;

/// A set of ggml's threads.
#[derive(Debug)]
pub(crate) struct ThreadPool(NonNull<sys::ggml_threadpool>);

// SAFETY: ggml binds a pool to no thread.
unsafe impl Send for ThreadPool {}

impl ThreadPool {
    /// `threads` threads, the caller's included. `None` if the system has no room for them; ggml
    /// makes do without.
    pub fn new(threads: i32) -> Option<Self> {
        // SAFETY: plain structs; the parameters outlive the call.
        let raw = unsafe {
            let mut parameters = sys::ggml_threadpool_params_default(threads);
            parameters.poll = POLL;
            sys::ggml_threadpool_new(&raw mut parameters)
        };
        NonNull::new(raw).map(Self)
    }

    pub fn as_ptr(&self) -> *mut sys::ggml_threadpool {
        self.0.as_ptr()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // SAFETY: made in `new`; whoever uses it is dropped before.
        unsafe { sys::ggml_threadpool_free(self.as_ptr()) }
    }
}
