//! W3C trace context: whose trace a request belongs to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A trace. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// A span of a trace. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpanId(u64);

impl TraceId {
    /// From a number that nobody counts along with.
    pub fn from_random(number: u128) -> Self {
        Self(number.max(1))
    }

    /// Its bytes, as OTLP has them.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// From a number that nobody counts along with.
    pub fn from_random(number: u64) -> Self {
        Self(number.max(1))
    }

    /// Its bytes, as OTLP has them.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<SpanId> for String {
    fn from(id: SpanId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SpanId {
    type Error = ParseTraceParentError;

    fn try_from(text: String) -> Result<Self, ParseTraceParentError> {
        let id = digits(&text, 16).and_then(|digits| u64::try_from(digits).ok());
        id.map(Self).ok_or(ParseTraceParentError)
    }
}

/// The header `traceparent`: a trace, the span in it that asks, and whether it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span that asks.
    pub span: SpanId,
    /// Whether who asks records it.
    pub sampled: bool,
}

/// The header is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseTraceParentError;

impl fmt::Display for ParseTraceParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no trace context of the W3C")
    }
}

impl std::error::Error for ParseTraceParentError {}

const SAMPLED: u128 = 1;

impl FromStr for TraceParent {
    type Err = ParseTraceParentError;

    /// Versions that come later may say more, which is left unread; 255 is none.
    fn from_str(text: &str) -> Result<Self, ParseTraceParentError> {
        let mut parts = text.split('-');
        let mut part = |length| digits_or_zero(parts.next()?, length);
        let mut read = || Some((part(2)?, part(32)?, part(16)?, part(2)?));
        let (version, trace, span, flags) = read().ok_or(ParseTraceParentError)?;
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) || trace == 0 || span == 0 {
            return Err(ParseTraceParentError);
        }
        let span = u64::try_from(span).map_err(|_| ParseTraceParentError)?;
        Ok(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & SAMPLED != 0,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

/// Exactly `length` small hexadecimal digits.
fn digits_or_zero(text: &str, length: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let right = text.len() == length && text.bytes().all(is_digit);
    right.then(|| u128::from_str_radix(text, 16).ok())?
}

fn digits(text: &str, length: usize) -> Option<u128> {
    digits_or_zero(text, length).filter(|number| *number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn headers_are_read_and_written() {
        let check = |text: &str, sampled| {
            let parent: TraceParent = text.parse().unwrap();
            assert_eq!(parent.sampled, sampled, "{text}");
            assert_eq!(parent.trace.to_string(), TRACE);
            assert_eq!(parent.span.to_string(), "b7ad6b7169203331");
        };
        check(&format!("00-{TRACE}-b7ad6b7169203331-01"), true);
        check(&format!("00-{TRACE}-b7ad6b7169203331-00"), false);
        check(&format!("00-{TRACE}-b7ad6b7169203331-03"), true);
        check(&format!("cc-{TRACE}-b7ad6b7169203331-01-later"), true);
        let text = format!("00-{TRACE}-b7ad6b7169203331-01");
        let parent: TraceParent = text.parse().unwrap();
        assert_eq!(parent.to_string(), text);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let zero = "0".repeat(32);
        for text in [
            "",
            "00",
            "00-1-2-01",
            &format!("ff-{TRACE}-b7ad6b7169203331-01"),
            &format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            &format!("00-{zero}-b7ad6b7169203331-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-b7ad6b7169203331-0x"),
            &format!("00-{TRACE}-+7ad6b7169203331-01"),
        ] {
            assert_eq!(
                text.parse::<TraceParent>(),
                Err(ParseTraceParentError),
                "{text}"
            );
        }
    }

    #[test]
    fn ids_are_never_zero() {
        assert_eq!(TraceId::from_random(0).to_bytes()[15], 1);
        assert_eq!(SpanId::from_random(0).to_bytes()[7], 1);
        let check = |text: &str, right| {
            let read: Result<SpanId, _> = serde_json::from_str(&format!("\"{text}\""));
            assert_eq!(read.is_ok(), right, "{text}");
        };
        check("b7ad6b7169203331", true);
        check("0000000000000000", false);
        check("b7ad", false);
    }
}
