//! What the worker writes down: a line each on standard error, `LEVEL api-server: message request_id=…`.
//!
//! Its host reads the lines and writes them into the node's log, in the form that is configured.
//!
//! Invariant: one call is one line, whatever is in the message.

use std::fmt::Display;

use crate::meter::Meter;

/// Something is broken, and somebody has to mend it.
pub(crate) fn error(message: impl Display) {
    write("ERROR", &message.to_string());
}

/// Something went wrong.
pub(crate) fn warn(message: impl Display) {
    write("WARN", &message.to_string());
}

/// Something that happens.
pub(crate) fn info(message: impl Display) {
    write("INFO", &message.to_string());
}

fn write(level: &str, message: &str) {
    let request = Meter::current_request();
    let request = request.as_ref().and_then(|id| id.to_str().ok());
    eprintln!("{}", line(level, message, request));
}

fn line(level: &str, message: &str, request: Option<&str>) -> String {
    let message = message.replace(['\n', '\r'], " ");
    match request {
        Some(id) => format!("{level} api-server: {message} request_id={id}"),
        None => format!("{level} api-server: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(
            line("WARN", "it broke:\nso", Some("req-1")),
            "WARN api-server: it broke: so request_id=req-1"
        );
        assert_eq!(line("INFO", "ready", None), "INFO api-server: ready");
    }
}
