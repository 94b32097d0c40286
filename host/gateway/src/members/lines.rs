//! The lines that a node sends without end, cut out of the pieces that they come in.

use gaia_tunnel::messages::{REPORT_LINE_BYTES_MAX, ReportLine};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("the node ended its report")]
    Ended,
    #[error("the node's report broke")]
    Broken(#[source] hyper::Error),
    #[error("a line of the node's report is longer than {REPORT_LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("a line of the node's report makes no sense")]
    Form(#[source] serde_json::Error),
}

/// A report as it comes.
pub(crate) struct Lines {
    body: Incoming,
    begun: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            begun: Vec::new(),
        }
    }

    /// Waits for the next line. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Result<ReportLine, LineError> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(LineError::Form);
            }
            if self.begun.len() > REPORT_LINE_BYTES_MAX {
                return Err(LineError::TooLong);
            }
            let frame = self.body.frame().await.ok_or(LineError::Ended)?;
            let frame = frame.map_err(LineError::Broken)?;
            if let Ok(bytes) = frame.into_data() {
                self.begun.extend_from_slice(&bytes);
            }
        }
    }
}
