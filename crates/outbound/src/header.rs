//! A tool's headers, with places in them for secrets.

/// The longest header, name and value together, in bytes.
pub const HEADER_BYTES_MAX: usize = 4 << 10;

/// Headers that say how a request travels; they are the node's own business.
const OWN: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadHeaderError {
    /// Not a name.
    #[error("`{0}` is no header's name")]
    Name(String),
    /// One of the node's own.
    #[error("the node sets `{0}` itself")]
    Own(String),
    /// Control characters or others than ASCII.
    #[error("the value of `{0}` may hold visible ASCII characters and spaces only")]
    Value(String),
    /// Longer than the limit.
    #[error("header `{0}` is longer than {HEADER_BYTES_MAX} bytes")]
    TooLong(String),
    /// Braces that are no secret's place.
    #[error("in the value of `{0}`, braces are for secrets: {{secret:NAME}}")]
    Braces(String),
}

/// A piece of a header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderPart {
    /// As it is.
    Text(String),
    /// The secret of that name.
    Secret(String),
}

/// A header whose value may need secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTemplate {
    name: String,
    value: Vec<HeaderPart>,
}

impl HeaderTemplate {
    /// Reads a name and a value such as `Bearer {secret:weather}`.
    pub fn parse(name: &str, value: &str) -> Result<Self, ReadHeaderError> {
        let named = || name.to_owned();
        if name.len() + value.len() > HEADER_BYTES_MAX {
            return Err(ReadHeaderError::TooLong(name.chars().take(64).collect()));
        }
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(ReadHeaderError::Name(named()));
        }
        let lower = name.to_ascii_lowercase();
        if OWN.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            return Err(ReadHeaderError::Own(named()));
        }
        if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return Err(ReadHeaderError::Value(named()));
        }
        let value = read_parts(value.trim()).ok_or_else(|| ReadHeaderError::Braces(named()))?;
        Ok(Self { name: lower, value })
    }

    /// In small letters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, piece by piece.
    pub fn value(&self) -> &[HeaderPart] {
        &self.value
    }

    /// The secrets that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.value.iter().filter_map(|part| match part {
            HeaderPart::Secret(name) => Some(name.as_str()),
            HeaderPart::Text(_) => None,
        })
    }
}

fn read_parts(mut text: &str) -> Option<Vec<HeaderPart>> {
    let mut parts = Vec::new();
    while let Some(open) = text.find(['{', '}']) {
        let (before, rest) = text.split_at(open);
        let (name, after) = rest.strip_prefix("{secret:")?.split_once('}')?;
        if !before.is_empty() {
            parts.push(HeaderPart::Text(before.to_owned()));
        }
        if !crate::is_name(name) {
            return None;
        }
        parts.push(HeaderPart::Secret(name.to_owned()));
        text = after;
    }
    if !text.is_empty() {
        parts.push(HeaderPart::Text(text.to_owned()));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_places() {
        let header = HeaderTemplate::parse("X-Key", " a {secret:one}-{secret:two} ").unwrap();
        assert_eq!(header.name(), "x-key");
        assert_eq!(header.secrets().collect::<Vec<_>>(), ["one", "two"]);
        let text = |text: &str| HeaderPart::Text(text.to_owned());
        let secret = |name: &str| HeaderPart::Secret(name.to_owned());
        assert_eq!(
            header.value(),
            [text("a "), secret("one"), text("-"), secret("two")]
        );
    }

    fn check(name: &str, value: &str, expected: ReadHeaderError) {
        assert_eq!(HeaderTemplate::parse(name, value), Err(expected));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        use ReadHeaderError::*;
        check("", "x", Name(String::new()));
        check("a b", "x", Name("a b".into()));
        check("a\r\nb", "x", Name("a\r\nb".into()));
        check("Host", "evil.example", Own("Host".into()));
        check(
            "Transfer-Encoding",
            "chunked",
            Own("Transfer-Encoding".into()),
        );
        check(
            "Proxy-Authorization",
            "x",
            Own("Proxy-Authorization".into()),
        );
        check("x", "a\r\nhost: evil", Value("x".into()));
        check("x", "\u{e4}", Value("x".into()));
        for braces in [
            "{key}",
            "{secret:}",
            "{secret:a b}",
            "{secret:a",
            "a}",
            "{secret:{a}}",
        ] {
            check("x", braces, Braces("x".into()));
        }
    }

    #[test]
    fn limits_are_reached() {
        let value = |len: usize| "v".repeat(len);
        assert!(HeaderTemplate::parse("x", &value(HEADER_BYTES_MAX - 1)).is_ok());
        check(
            "x",
            &value(HEADER_BYTES_MAX),
            ReadHeaderError::TooLong("x".into()),
        );
    }
}
