//! The numbers that calls answer with, as WasmEdge's own plugin uses them.

/// Why a call did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Errno {
    InvalidArgument = 1,
    InvalidEncoding = 2,
    MissingMemory = 3,
    Busy = 4,
    RuntimeError = 5,
    UnsupportedOperation = 6,
    TooLarge = 7,
    NotFound = 8,
    EndOfSequence = 100,
    ContextFull = 101,
    PromptTooLong = 102,
    ModelNotFound = 103,
}

/// The number of a call's outcome; success is 0.
pub(crate) fn number(outcome: Result<(), Errno>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(errno) => errno as i32,
    }
}
