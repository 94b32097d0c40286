//! What the command's exit status means. Scripts may rely on these numbers.

use std::process::ExitCode;

/// Exit statuses, also shown by `gaia --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It worked.
    Success = 0,
    /// It did not work; the message says why.
    Failure = 1,
    /// The command line or a value in it is wrong.
    Usage = 2,
    /// There is no running node in this home.
    NotRunning = 3,
    /// A node is running in this home already.
    AlreadyRunning = 4,
    /// The configuration file is wrong.
    Config = 5,
    /// A part is missing or unusable: WasmEdge, the plugin, a model.
    Missing = 6,
    /// Another program has the port.
    PortTaken = 7,
    /// The node does not come up, or stops again and again.
    Unhealthy = 8,
}

/// The table for `gaia --help`.
pub const EXIT_HELP: &str = "\
Exit status:
  0  it worked
  1  it did not; the message says why
  2  wrong command line
  3  no node is running in this home
  4  a node is running in this home already
  5  the configuration file is wrong
  6  WasmEdge, the plugin or a model is missing or unusable
  7  another program has the port
  8  the node does not come up, or stops again and again";

impl Exit {
    /// What another `gaia` process meant by its exit `code`.
    pub fn from_status(code: Option<i32>) -> Self {
        let all = [
            Self::Usage,
            Self::NotRunning,
            Self::AlreadyRunning,
            Self::Config,
            Self::Missing,
            Self::PortTaken,
            Self::Unhealthy,
        ];
        all.into_iter()
            .find(|exit| code == Some(*exit as i32))
            .unwrap_or(Self::Failure)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // The discriminants above are the statuses.
        ExitCode::from(exit as u8)
    }
}

/// An error with an exit status of its own; travels inside `anyhow::Error`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The status to exit with.
    pub exit: Exit,
    /// One clear line.
    pub message: String,
}

/// A failure with `exit` and `message`, ready for `?`.
pub fn failure(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    let message = message.into();
    anyhow::Error::new(Failure { exit, message })
}

/// The status for `error`: its own, wherever in the chain it is, else 1.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>())
        .map_or(Exit::Failure, |failure| failure.exit)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_status_survives_added_context() {
        let plain: anyhow::Error = anyhow::anyhow!("x");
        assert_eq!(exit_of(&plain), Exit::Failure);
        let wrapped = Err::<(), _>(failure(Exit::NotRunning, "x")).context("while y");
        assert_eq!(exit_of(&wrapped.unwrap_err()), Exit::NotRunning);
    }

    #[test]
    fn statuses_come_back() {
        for code in 1..=Exit::Unhealthy as i32 {
            assert_eq!(Exit::from_status(Some(code)) as i32, code);
        }
        assert_eq!(Exit::from_status(None), Exit::Failure);
        assert_eq!(Exit::from_status(Some(101)), Exit::Failure);
    }

    #[test]
    fn the_help_lists_every_status() {
        for code in 0..=Exit::Unhealthy as u8 {
            assert!(EXIT_HELP.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
