//! Who may talk to the server: the `Host` and `Origin` headers.
//!
//! A page somewhere in the internet can make a browser send requests to loopback, also under a name of its own that
//! resolves to 127.0.0.1 (DNS rebinding). So a request must be addressed to loopback, and if it comes from a page,
//! that page must be ours or listed. Behind the ingress the worker key says that the ingress has checked already.

/// Whether `host`, as the header has it, means this machine's loopback.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || is_port(port) => name,
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, _)) if is_port(&host[name.len()..]) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Lists every origin.
const ANY: &str = "*";

/// An origin in the form headers have it: scheme, host, port, lower case; or `*`. `None` for anything else.
pub(crate) fn normal(origin: &str) -> Option<String> {
    if origin == ANY {
        return Some(origin.to_owned());
    }
    let (scheme, host) = origin.split_once("://")?;
    let known = matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https");
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ',' | '"' | '@' | '?' | '#');
    (known && !host.is_empty() && host.chars().all(plain)).then(|| origin.to_ascii_lowercase())
}

/// What to do with a request from a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// From our own page, or from no page: no CORS headers needed.
    Own,
    /// From a listed page: answer with CORS headers.
    Listed,
    /// From anywhere else.
    Foreign,
}

/// Judges `origin` on a server reached as `host`; `listed` holds [`normal`] origins.
pub(crate) fn judge(origin: Option<&str>, host: &str, listed: &[String]) -> Verdict {
    let Some(origin) = origin else {
        return Verdict::Own;
    };
    let origin = origin.to_ascii_lowercase();
    let ours = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
        .is_some_and(|from| from.eq_ignore_ascii_case(host));
    if ours {
        Verdict::Own
    } else if listed
        .iter()
        .any(|listed| *listed == origin || listed == ANY)
    {
        Verdict::Listed
    } else {
        Verdict::Foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names() {
        let check = |host, expected| assert_eq!(is_loopback_host(host), expected, "{host}");
        check("localhost", true);
        check("LocalHost:8080", true);
        check("127.0.0.1", true);
        check("127.0.0.1:1", true);
        check("127.9.9.9:80", true);
        check("[::1]:80", true);
        check("[::1]", true);
        check("", false);
        check("evil.example", false);
        check("127.0.0.1.evil.example", false);
        check("localhost.evil.example:8080", false);
        check("localhost:", false);
        check("localhost:http", false);
        check("10.0.0.1", false);
        check("[::1", false);
        check("::1", false);
    }

    #[test]
    fn origins() {
        let listed = vec!["https://a.org".to_owned()];
        let check = |origin, expected| {
            assert_eq!(
                judge(origin, "localhost:8080", &listed),
                expected,
                "{origin:?}"
            );
        };
        check(None, Verdict::Own);
        check(Some("http://localhost:8080"), Verdict::Own);
        check(Some("https://A.org"), Verdict::Listed);
        check(Some("http://a.org"), Verdict::Foreign);
        check(Some("http://localhost:8081"), Verdict::Foreign);
        check(Some("null"), Verdict::Foreign);
        check(Some(""), Verdict::Foreign);
        let any = [ANY.to_owned()];
        assert_eq!(judge(Some("null"), "localhost", &any), Verdict::Listed);
    }

    #[test]
    fn what_can_be_listed() {
        let check = |origin, expected: Option<&str>| {
            assert_eq!(normal(origin).as_deref(), expected, "{origin}");
        };
        check("*", Some("*"));
        check("HTTPS://A.example:1", Some("https://a.example:1"));
        for bad in [
            "",
            "a.example",
            "ftp://a",
            "http://",
            "http://a/",
            "http://a@b",
            "http://a,b",
        ] {
            check(bad, None);
        }
    }
}
