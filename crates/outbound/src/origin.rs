//! Scheme, host and port of a place, and what is asked for there.
//!
//! Read strictly, not as browsers do: what two readers could take for two places is refused. So no
//! addresses in decimal, octal or hexadecimal disguise, no users, no backslashes, no dots at the end.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 8 << 10;
/// The longest host name, in bytes, as DNS has it.
const NAME_BYTES_MAX: usize = 253;
/// The longest part of a host name between two dots, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Why a text is no URL that is followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadUrlError {
    /// It is longer than any URL here.
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Another scheme, or none.
    #[error("the URL must begin with https:// (or http://, where that origin is listed)")]
    Scheme,
    /// A user or password before the host.
    #[error("the URL names a user: credentials belong into a header, as {{secret:NAME}}")]
    User,
    /// Not a host name.
    #[error("`{0}` is no host name in small letters (and xn-- for others than a to z)")]
    Host(String),
    /// An address, but in disguise.
    #[error("`{0}` is a number in disguise; addresses are written as 203.0.113.7 or [2001:db8::7]")]
    Disguised(String),
    /// Not a port.
    #[error("`{0}` is no port")]
    Port(String),
    /// A character that has no place in a URL.
    #[error("the character {0:?} must be percent-encoded in a URL")]
    Character(char),
    /// What comes after `#` is never sent.
    #[error("the URL has a fragment (#…), which is never sent")]
    Fragment,
    /// An origin ends after the port.
    #[error("an origin ends after host and port: https://api.example.org")]
    NotOnlyOrigin,
}

/// How the place is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TLS.
    Https,
    /// Everybody on the way reads along.
    Http,
}

impl Scheme {
    fn prefix(self) -> &'static str {
        match self {
            Self::Https => "https://",
            Self::Http => "http://",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// Who is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name that DNS knows, in small letters.
    Name(String),
    /// An address in its usual notation.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Scheme, host and port: what must stay the same for a place to be the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Who it is.
    pub host: Host,
    /// Behind which port.
    pub port: u16,
}

impl Origin {
    /// What the `Host` header says: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        match self.port == self.scheme.port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme.prefix(), self.authority())
    }
}

impl FromStr for Origin {
    type Err = ReadUrlError;

    /// Reads `https://host`, with a port if need be and at most one slash at its end.
    fn from_str(text: &str) -> Result<Self, ReadUrlError> {
        let target = Target::from_str(text)?;
        match target.path_and_query.as_str() {
            "/" if !text.ends_with("//") => Ok(target.origin),
            _ => Err(ReadUrlError::NotOnlyOrigin),
        }
    }
}

/// An origin, and what is asked for there.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    origin: Origin,
    path_and_query: String,
}

/// Without path and query: they hold what somebody asked for.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}/…)", self.origin)
    }
}

impl Target {
    /// Where it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is asked for: begins with `/`.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// The place that a redirection from here names: a whole URL, or what changes of this one.
    pub fn redirected(&self, location: &str) -> Result<Self, ReadUrlError> {
        let location = location.split('#').next().unwrap_or_default();
        let path = self
            .path_and_query
            .split('?')
            .next()
            .unwrap_or(&self.path_and_query);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let origin = &self.origin;
        let url = if location.contains("://") && !location.starts_with(['/', '?']) {
            location.to_owned()
        } else if let Some(rest) = location.strip_prefix("//") {
            format!("{}{rest}", origin.scheme.prefix())
        } else if location.starts_with('/') {
            format!("{origin}{location}")
        } else if location.starts_with('?') {
            format!("{origin}{path}{location}")
        } else {
            format!("{origin}{folder}/{location}")
        };
        url.parse()
    }
}

impl FromStr for Target {
    type Err = ReadUrlError;

    fn from_str(text: &str) -> Result<Self, ReadUrlError> {
        if text.len() > URL_BYTES_MAX {
            return Err(ReadUrlError::TooLong);
        }
        let (scheme, rest) = [Scheme::Https, Scheme::Http]
            .into_iter()
            .find_map(|scheme| Some((scheme, text.strip_prefix(scheme.prefix())?)))
            .ok_or(ReadUrlError::Scheme)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        let origin = read_authority(scheme, authority)?;
        if path_and_query.contains('#') {
            return Err(ReadUrlError::Fragment);
        }
        if let Some(character) = path_and_query.chars().find(|c| !is_allowed(*c)) {
            return Err(ReadUrlError::Character(character));
        }
        let slash = if path_and_query.starts_with('/') {
            ""
        } else {
            "/"
        };
        Ok(Self {
            origin,
            path_and_query: format!("{slash}{path_and_query}"),
        })
    }
}

/// What may stand in a path or query (RFC 3986), percent signs included.
fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?@!$&'()*+,;=%[]".contains(c)
}

fn read_authority(scheme: Scheme, text: &str) -> Result<Origin, ReadUrlError> {
    if text.contains('@') {
        return Err(ReadUrlError::User);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    Ok(Origin {
        scheme,
        host: read_host(host)?,
        port: port.map_or(Ok(scheme.port()), read_port)?,
    })
}

fn read_port(text: &str) -> Result<u16, ReadUrlError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if is_number { text.parse().ok() } else { None };
    port.filter(|port| *port != 0)
        .ok_or_else(|| ReadUrlError::Port(text.to_owned()))
}

fn read_host(text: &str) -> Result<Host, ReadUrlError> {
    if let Some(inside) = text.strip_prefix('[') {
        let address = inside.strip_suffix(']').unwrap_or(inside);
        let address: Result<Ipv6Addr, _> = address.parse();
        return address
            .map(|address| Host::Address(address.into()))
            .map_err(|_| ReadUrlError::Disguised(text.to_owned()));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        return Err(ReadUrlError::Disguised(text.to_owned()));
    }
    let is_name = text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label);
    match is_name {
        true => Ok(Host::Name(text.to_owned())),
        false => Err(ReadUrlError::Host(text.to_owned())),
    }
}

/// Whether some reader takes a host that ends so for an address: `1`, `0x7f`, `0x`.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, ReadUrlError>) {
        let shown = text
            .parse::<Target>()
            .map(|target| format!("{}{}", target.origin(), target.path_and_query()));
        assert_eq!(shown, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn urls_are_read() {
        check("https://api.example.org", Ok("https://api.example.org/"));
        check("https://a.example:443/x?y=1", Ok("https://a.example/x?y=1"));
        check("https://a.example:8443?y", Ok("https://a.example:8443/?y"));
        check("http://127.0.0.1:8080/", Ok("http://127.0.0.1:8080/"));
        check("https://[2001:db8::7]:1/", Ok("https://[2001:db8::7]:1/"));
        check(
            "https://xn--bcher-kva.example/%C3%A4",
            Ok("https://xn--bcher-kva.example/%C3%A4"),
        );
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        use ReadUrlError::*;
        for scheme in [
            "ftp://a",
            "a.example",
            "HTTPS://a",
            "https:/a",
            "//a",
            "file:///etc",
        ] {
            check(scheme, Err(Scheme));
        }
        check("https://good.example@evil.example/", Err(User));
        check("https://a.example\\@evil.example/", Err(User));
        for host in [
            "",
            "a..b",
            "a.example.",
            "A.example",
            "b\u{fc}cher.example",
            "-a.example",
            "a b",
            "a%2eb",
            "a\\b",
        ] {
            check(&format!("https://{host}/"), Err(Host(host.to_owned())));
        }
        for port in ["", "0", "65536", "+80", "80a"] {
            check(&format!("https://a:{port}/"), Err(Port(port.to_owned())));
        }
        check("https://a/x#y", Err(Fragment));
        for character in [' ', '\\', '\t', '\n', '"', '{', '\u{e4}'] {
            check(&format!("https://a/{character}"), Err(Character(character)));
        }
    }

    #[test]
    fn numbers_in_disguise_are_refused_as_written() {
        for host in [
            "2130706433",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "017700000001",
            "127.0.0.0x1",
            "1.2.3.4.5",
            "256.0.0.1",
            "00.0.0.0",
            "a.0x",
            "[::1%25lo]",
            "[127.0.0.1]",
            "[::g]",
        ] {
            check(
                &format!("https://{host}/"),
                Err(ReadUrlError::Disguised(host.to_owned())),
            );
        }
    }

    #[test]
    fn limits_are_reached() {
        let url = |len: usize| format!("https://a/{}", "x".repeat(len - "https://a/".len()));
        assert!(url(URL_BYTES_MAX).parse::<Target>().is_ok());
        check(&url(URL_BYTES_MAX + 1), Err(ReadUrlError::TooLong));
        let label = "a".repeat(LABEL_BYTES_MAX);
        assert!(format!("https://{label}").parse::<Target>().is_ok());
        check(
            &format!("https://{label}a"),
            Err(ReadUrlError::Host(format!("{label}a"))),
        );
        let name = [label.as_str(); 4].join(".");
        assert!(name.len() > NAME_BYTES_MAX);
        check(&format!("https://{name}"), Err(ReadUrlError::Host(name)));
    }

    fn check_redirect(location: &str, expected: &str) {
        let from: Target = "https://a.example/v1/x?q=1".parse().unwrap();
        let to = from.redirected(location);
        let shown = to.map(|to| format!("{}{}", to.origin(), to.path_and_query()));
        assert_eq!(shown.as_deref(), Ok(expected), "{location}");
    }

    #[test]
    fn redirections_are_followed_from_where_they_stand() {
        check_redirect("/y", "https://a.example/y");
        check_redirect("y?z=1", "https://a.example/v1/y?z=1");
        check_redirect("?z=2", "https://a.example/v1/x?z=2");
        check_redirect("//b.example/y", "https://b.example/y");
        check_redirect("http://a.example/y", "http://a.example/y");
        check_redirect("/y#part", "https://a.example/y");
        check_redirect(
            "/y?next=https://b.example/",
            "https://a.example/y?next=https://b.example/",
        );
        let from: Target = "https://a.example/".parse().unwrap();
        assert_eq!(
            from.redirected("javascript://b/x"),
            Err(ReadUrlError::Scheme)
        );
    }

    #[test]
    fn origins_end_after_the_port() {
        let read = |text: &str| text.parse::<Origin>().map(|origin| origin.to_string());
        assert_eq!(
            read("https://a.example/"),
            Ok("https://a.example".to_owned())
        );
        assert_eq!(
            read("https://a.example/x"),
            Err(ReadUrlError::NotOnlyOrigin)
        );
        assert_eq!(
            read("https://a.example//"),
            Err(ReadUrlError::NotOnlyOrigin)
        );
        assert_eq!(
            read("https://a.example?x"),
            Err(ReadUrlError::NotOnlyOrigin)
        );
    }

    #[test]
    fn debug_hides_what_was_asked_for() {
        let target: Target = "https://a.example/of?a=person".parse().unwrap();
        assert_eq!(format!("{target:?}"), "Target(https://a.example/…)");
    }
}
