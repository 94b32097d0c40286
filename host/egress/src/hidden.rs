//! Header values with secrets in them, and replies without.

use std::fmt;

use hyper::header::{HeaderValue, InvalidHeaderValue};
use zeroize::Zeroizing;

/// What stands where a secret stood.
const STARS: &[u8] = b"****";

/// A header's value, part of which is secret. Shows stars for that part.
#[derive(Clone, Default)]
pub struct HeaderText {
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    Plain(String),
    Hidden(Zeroizing<String>),
}

impl HeaderText {
    /// A value that begins with `text`, for everybody to see.
    pub fn plain(text: &str) -> Self {
        Self::default().and_plain(text)
    }

    /// Goes on with `text`, for everybody to see.
    #[must_use]
    pub fn and_plain(mut self, text: &str) -> Self {
        self.parts.push(Part::Plain(text.to_owned()));
        self
    }

    /// Goes on with `secret`, for the server only.
    #[must_use]
    pub fn and_hidden(mut self, secret: &str) -> Self {
        self.parts
            .push(Part::Hidden(Zeroizing::new(secret.to_owned())));
        self
    }

    /// What the server gets. The only place where secrets are put into something else.
    pub(crate) fn reveal(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut text = Zeroizing::new(String::new());
        for part in &self.parts {
            match part {
                Part::Plain(plain) => text.push_str(plain),
                Part::Hidden(secret) => text.push_str(secret),
            }
        }
        let mut value = HeaderValue::from_str(&text)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The secrets in it.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hidden(secret) if !secret.is_empty() => Some(secret.as_str()),
            _ => None,
        })
    }
}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Plain(plain) => f.write_str(plain)?,
                Part::Hidden(_) => f.write_str("****")?,
            }
        }
        Ok(())
    }
}

/// What is looked for in a reply: each secret as it is, in a JSON string, and percent-encoded.
#[derive(Default)]
pub(crate) struct Redaction {
    needles: Vec<Zeroizing<Vec<u8>>>,
}

impl Redaction {
    pub(crate) fn of<'a>(secrets: impl Iterator<Item = &'a str>) -> Self {
        let mut needles: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for secret in secrets {
            let all = [
                secret.to_owned(),
                in_json(secret),
                in_json(secret).replace('/', "\\/"),
                in_url(secret),
            ];
            for form in all {
                let form = Zeroizing::new(form.into_bytes());
                if !needles.contains(&form) {
                    needles.push(form);
                }
            }
        }
        // The longest first, so that no part of one is left over.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        Self { needles }
    }

    /// `bytes` with stars where a secret stood.
    pub(crate) fn apply(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.needles.is_empty() {
            true => bytes,
            false => self.clean(&bytes, true).0,
        }
    }

    /// The beginning of `bytes`, cleaned, and how many of them that was: all, but for an end that may
    /// be the beginning of a secret, unless they have `ended`.
    pub(crate) fn clean(&self, bytes: &[u8], ended: bool) -> (Vec<u8>, usize) {
        let mut cleaned = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let is_cut =
                |needle: &Zeroizing<Vec<u8>>| needle.len() > rest.len() && needle.starts_with(rest);
            if !ended && self.needles.iter().any(is_cut) {
                break;
            }
            match self.needles.iter().find(|needle| rest.starts_with(needle)) {
                Some(needle) => {
                    cleaned.extend_from_slice(STARS);
                    at += needle.len();
                }
                None => {
                    cleaned.push(rest[0]);
                    at += 1;
                }
            }
        }
        (cleaned, at)
    }

    /// As [`Redaction::apply`], for text.
    pub(crate) fn apply_to_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.apply(text.as_bytes().to_vec())).into_owned()
    }
}

fn in_json(secret: &str) -> String {
    secret.replace('\\', "\\\\").replace('"', "\\\"")
}

fn in_url(secret: &str) -> String {
    let encoded = secret.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_show_as_stars_and_are_sent() {
        let text = HeaderText::plain("Bearer ")
            .and_hidden("k-1")
            .and_plain("!");
        assert_eq!(format!("{text:?}"), "Bearer ****!");
        let value = text.reveal().unwrap();
        assert_eq!(value.as_bytes(), b"Bearer k-1!");
        assert!(!format!("{value:?}").contains("k-1"));
        assert!(
            HeaderText::default()
                .and_hidden("a\r\nhost: evil")
                .reveal()
                .is_err()
        );
    }

    fn check(secrets: &[&str], reply: &str, expected: &str) {
        let redaction = Redaction::of(secrets.iter().copied());
        assert_eq!(redaction.apply_to_text(reply), expected);
    }

    #[test]
    fn an_echo_is_covered_in_every_usual_form() {
        check(&["k-123"], "k-123 and k-123k-123.", "**** and ********.");
        check(&["k-123"], "k-12 3", "k-12 3");
        check(
            &["a\"b\\c/d="],
            r#"{"key": "a\"b\\c/d="}"#,
            r#"{"key": "****"}"#,
        );
        check(
            &["a\"b\\c/d="],
            r#"{"key": "a\"b\\c\/d="}"#,
            r#"{"key": "****"}"#,
        );
        check(&["a\"b\\c/d="], "?key=a%22b%5Cc%2Fd%3D", "?key=****");
        check(&["abc", "abcdef"], "abcdef abc", "**** ****");
        check(&[], "x", "x");
    }

    #[test]
    fn a_secret_is_covered_wherever_it_is_cut() {
        let redaction = Redaction::of(["abc", "abcdef", "xyx"].into_iter());
        let reply = b"ab abc abcdef abcde xyxyx abcdeabcdef ab";
        let expected = redaction.apply(reply.to_vec());
        for cut in 0..=reply.len() {
            let mut held = reply[..cut].to_vec();
            let (mut cleaned, used) = redaction.clean(&held, false);
            held.drain(..used);
            held.extend_from_slice(&reply[cut..]);
            cleaned.extend(redaction.clean(&held, true).0);
            assert_eq!(cleaned, expected, "cut at {cut}");
        }
    }

    #[test]
    fn nothing_waits_that_cannot_be_a_secret() {
        let redaction = Redaction::of(["k-123"].into_iter());
        assert_eq!(redaction.clean(b"data: x\n\n", false).1, 9);
        assert_eq!(redaction.clean(b"data: k-1", false).1, 6);
    }
}
