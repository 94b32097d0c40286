//! Why the process ends, as a line that `gaia domain start` shows, and a status.

use std::error::Error;
use std::process::ExitCode;

/// The statuses of `gaia --help` that a gateway can end with.
#[derive(Debug, Clone, Copy)]
enum Status {
    Failure = 1,
    Usage = 2,
    AlreadyRunning = 4,
    Config = 5,
    PortTaken = 7,
}

/// Why the process ends.
#[derive(Debug)]
pub struct End {
    status: Status,
    message: String,
}

impl End {
    /// The command line is wrong.
    pub fn usage(message: &str) -> Self {
        Self {
            status: Status::Usage,
            message: message.to_owned(),
        }
    }

    /// What the operator wrote down is wrong.
    pub fn config(error: &dyn Error) -> Self {
        Self::new(Status::Config, error)
    }

    /// Another gateway has the folder.
    pub fn running(message: String) -> Self {
        Self {
            status: Status::AlreadyRunning,
            message,
        }
    }

    /// Another program has the port.
    pub fn port(error: &dyn Error) -> Self {
        Self::new(Status::PortTaken, error)
    }

    /// Anything else.
    pub fn failure(error: &dyn Error) -> Self {
        Self::new(Status::Failure, error)
    }

    fn new(status: Status, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self { status, message }
    }

    /// The last words.
    pub fn tell(self) -> ExitCode {
        eprintln!("gaia: {}", self.message);
        // The discriminants above are the statuses.
        ExitCode::from(self.status as u8)
    }
}
