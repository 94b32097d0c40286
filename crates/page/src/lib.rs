//! The page in `web/` as built files, and the headers that they are served with.
//!
//! A node and a domain's gateway serve the same files; each has a document of its own, which tells the script where
//! it is.
//!
//! What it refuses: any path that is not exactly one of those files, so no path ever reaches a file system.

/// One built file.
#[derive(Debug)]
pub struct File {
    /// Relative to the page's root, with slashes.
    pub path: &'static str,
    /// Changes with the content.
    pub etag: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// Who serves the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// A node, to its owner and whom he lets in.
    Node,
    /// A domain's gateway, to everybody.
    Domain,
}

/// Scripts and styles from here only; nothing may embed the page, and it may talk to nobody else.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NOT_BUILT: File = File {
    path: "index.html",
    etag: "\"not-built\"",
    bytes: b"<!doctype html><title>Gaia</title><p>This answers, but its page was not built in.",
};

/// The document of a site.
#[must_use]
pub fn document(site: Site) -> &'static File {
    let wanted = match site {
        Site::Node => "index.html",
        Site::Domain => "domain.html",
    };
    let mut files = FILES.iter();
    files.find(|file| file.path == wanted).unwrap_or(&NOT_BUILT)
}

/// The file at a URL path that starts with a slash; `/` is the site's document. Documents have no other path.
#[must_use]
pub fn find(site: Site, path: &str) -> Option<&'static File> {
    let wanted = match path.strip_prefix('/')? {
        "" => return Some(document(site)),
        "index.html" if site == Site::Node => return Some(document(site)),
        path => path,
    };
    let mut files = FILES.iter();
    files.find(|file| file.path == wanted && !file.path.ends_with(".html"))
}

/// The content type by the file's name.
#[must_use]
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// How long a browser may keep the file: names under `assets/` carry a hash of their content.
#[must_use]
pub fn cache_control(path: &str) -> &'static str {
    if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_has_its_document() {
        let check = |site, path, expected| {
            let found = find(site, path).map(|file| file.path);
            assert_eq!(found, expected, "{site:?} {path}");
        };
        check(Site::Node, "/", Some("index.html"));
        check(Site::Node, "/index.html", Some("index.html"));
        check(Site::Node, "/domain.html", None);
        check(Site::Domain, "/", Some("domain.html"));
        check(Site::Domain, "/index.html", None);
        check(Site::Domain, "/licences.txt", Some("licences.txt"));
    }

    #[test]
    fn a_domains_document_says_so() {
        let text = |site| std::str::from_utf8(document(site).bytes).unwrap();
        let mark = "data-place=\"domain\"";
        assert!(text(Site::Domain).contains(mark));
        assert!(!text(Site::Node).contains(mark));
    }

    #[test]
    fn nothing_else_is_reachable() {
        for path in [
            "",
            "x",
            "/../Cargo.toml",
            "//index.html",
            "/index.html/",
            "/%69ndex.html",
        ] {
            for site in [Site::Node, Site::Domain] {
                assert!(find(site, path).is_none(), "{path}");
            }
        }
    }

    #[test]
    fn types_by_extension() {
        let check = |path, expected| assert_eq!(content_type(path), expected, "{path}");
        check("index.html", "text/html; charset=utf-8");
        check("assets/a-1.js", "text/javascript; charset=utf-8");
        check("assets/a-1.css", "text/css; charset=utf-8");
        check("icon.svg", "image/svg+xml");
        check("LICENSE", "application/octet-stream");
    }

    #[test]
    fn what_has_a_hash_in_its_name_is_kept() {
        assert!(cache_control("assets/page-1.js").contains("immutable"));
        assert_eq!(cache_control("index.html"), "no-cache");
    }
}
