//! Addresses of model files: the hub's two spellings, and another machine in its place.

/// The hub that manifests name.
const HUB: &str = "https://huggingface.co";

/// Turns the address of a hub's page about a file into that of the file, and puts `hub` (such as
/// `http://127.0.0.1:8080`) in the place of the public one.
pub(crate) fn resolve(url: &str, hub: Option<&str>) -> String {
    let Some(path) = url.strip_prefix(HUB).filter(|rest| rest.starts_with('/')) else {
        return url.to_owned();
    };
    let path = path.replacen("/blob/", "/resolve/", 1);
    let base = hub.unwrap_or(HUB).trim_end_matches('/');
    format!("{base}{path}")
}

/// Scheme, host and port: what can be down as a whole.
pub(crate) fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find('/').map_or(url, |at| &url[..start + at])
}

/// Where a redirect leads; none if it leads from `https` to something else.
pub(crate) fn follow(from: &str, location: &str) -> Option<String> {
    let to = match location {
        _ if location.starts_with("https://") || location.starts_with("http://") => {
            location.to_owned()
        }
        _ if location.starts_with("//") => format!("{}:{location}", from.split(':').next()?),
        _ if location.starts_with('/') => format!("{}{location}", origin(from)),
        _ => format!("{}/{location}", from.rsplit_once('/')?.0),
    };
    let downgrade = from.starts_with("https://") && !to.starts_with("https://");
    (!downgrade).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves() {
        let check =
            |url: &str, hub: Option<&str>, expected: &str| assert_eq!(resolve(url, hub), expected);
        let page = "https://huggingface.co/a/b/blob/main/c.gguf";
        check(page, None, "https://huggingface.co/a/b/resolve/main/c.gguf");
        check(
            page,
            Some("http://localhost:1/"),
            "http://localhost:1/a/b/resolve/main/c.gguf",
        );
        let other = "https://example.org/a/blob/b";
        check(other, Some("http://localhost:1"), other);
        let lookalike = "https://huggingface.co.example.org/a/blob/b";
        check(lookalike, Some("http://localhost:1"), lookalike);
    }

    #[test]
    fn follows() {
        let check = |to: &str, expected: Option<&str>| {
            assert_eq!(follow("https://a.org:1/b/c", to).as_deref(), expected);
        };
        check("https://b.org/x", Some("https://b.org/x"));
        check("/x", Some("https://a.org:1/x"));
        check("//b.org/x", Some("https://b.org/x"));
        check("x", Some("https://a.org:1/b/x"));
        check("http://a.org/x", None);
        assert_eq!(
            follow("http://a/b", "http://c/d").as_deref(),
            Some("http://c/d")
        );
    }
}
