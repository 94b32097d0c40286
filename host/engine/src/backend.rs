//! The process-wide part of llama.cpp: start-up, its log, what it was built from.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_sys_2 as sys;

/// How many of llama.cpp's last error lines go into one of our errors.
const REASON_LINES_MAX: usize = 4;

thread_local! {
    static ERRORS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// llama.cpp, started on first use. Hidden because only tests that compare the engine with
/// llama.cpp itself have a use for it.
#[doc(hidden)]
pub fn llama_backend() -> &'static LlamaBackend {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        // SAFETY: `on_log` has the signature llama.cpp asks for and reads no user data.
        unsafe {
            sys::llama_log_set(Some(on_log), std::ptr::null_mut());
            sys::mtmd_log_set(Some(on_log), std::ptr::null_mut());
            sys::ggml_log_set(Some(on_log), std::ptr::null_mut());
        }
        LlamaBackend::init().expect("only this function starts the backend")
    })
}

/// Which llama.cpp this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineBuild {
    /// Its build number; 0 because sources from a package registry do not carry it.
    pub number: u32,
    /// Its commit, or its version where the build did not know the commit.
    pub commit: String,
}

/// Which llama.cpp this engine was built with.
pub fn engine_build() -> EngineBuild {
    // SAFETY: both return pointers to constant strings.
    let (version, commit) = unsafe { (text(sys::llama_version()), text(sys::ggml_commit())) };
    let known = !commit.is_empty() && commit != "unknown";
    EngineBuild {
        number: 0,
        commit: if known { commit } else { version },
    }
}

/// Forgets this thread's error lines, so that [`reason`] speaks of what comes next.
pub(crate) fn clear_reason() {
    ERRORS.with_borrow_mut(Vec::clear);
}

/// What llama.cpp said on this thread since [`clear_reason`], for an error message.
pub(crate) fn reason() -> String {
    let lines = ERRORS.with_borrow(Clone::clone);
    match lines.is_empty() {
        true => "llama.cpp gave no reason".to_owned(),
        false => lines.join("; "),
    }
}

/// The CPU features that the compiled code needs and this machine lacks.
pub(crate) fn missing_cpu_features() -> Vec<&'static str> {
    let mut missing = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let present = [
            ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
            ("FMA", std::arch::is_x86_feature_detected!("fma")),
            ("F16C", std::arch::is_x86_feature_detected!("f16c")),
            ("BMI2", std::arch::is_x86_feature_detected!("bmi2")),
        ];
        missing.extend(
            present
                .iter()
                .filter(|(_, has)| !has)
                .map(|(name, _)| *name),
        );
    }
    missing
}

unsafe extern "C" fn on_log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a zero-terminated string that lives during the call.
    let line = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let line = line.trim_end();
    if line.is_empty() {
        return;
    }
    match level {
        sys::GGML_LOG_LEVEL_ERROR => {
            remember(line);
            tracing::error!(target: "llama", "{line}");
        }
        // It compares the cache for all requests with the context of one.
        sys::GGML_LOG_LEVEL_WARN if line.contains("possible training context overflow") => {
            tracing::debug!(target: "llama", "{line}");
        }
        sys::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama", "{line}"),
        sys::GGML_LOG_LEVEL_INFO => tracing::debug!(target: "llama", "{line}"),
        _ => tracing::trace!(target: "llama", "{line}"),
    }
}

fn remember(line: &str) {
    ERRORS.with_borrow_mut(|lines| {
        if lines.len() == REASON_LINES_MAX {
            lines.remove(0);
        }
        lines.push(line.to_owned());
    });
}

unsafe fn text(pointer: *const c_char) -> String {
    match pointer.is_null() {
        true => String::new(),
        // SAFETY: the caller passes a zero-terminated constant.
        false => unsafe { CStr::from_ptr(pointer) }
            .to_string_lossy()
            .into_owned(),
    }
}
