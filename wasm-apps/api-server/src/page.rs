//! The chat page: its built files are part of the program.
//!
//! What it refuses: any path that is not exactly one of those files, so no path ever reaches a file system.

/// One built file.
pub(crate) struct File {
    /// Relative to the page's root, with slashes.
    pub(crate) path: &'static str,
    /// Changes with the content.
    pub(crate) etag: &'static str,
    pub(crate) bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// Scripts and styles from here only; nothing may embed the page, and it may talk to nobody else.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NOT_BUILT: File = File {
    path: "index.html",
    etag: "\"not-built\"",
    bytes:
        b"<!doctype html><title>Gaia</title><p>This node answers, but its page was not built in.",
};

/// The file at a URL path that starts with a slash; `/` is the page itself.
pub(crate) fn find(path: &str) -> Option<&'static File> {
    let wanted = match path.strip_prefix('/')? {
        "" => "index.html",
        path => path,
    };
    let found = FILES.iter().find(|file| file.path == wanted);
    found.or((wanted == NOT_BUILT.path).then_some(&NOT_BUILT))
}

/// The content type by the file's name.
pub(crate) fn content_type(path: &str) -> &'static str {
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
pub(crate) fn cache_control(path: &str) -> &'static str {
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
    fn the_root_is_the_page() {
        assert_eq!(find("/").map(|file| file.path), Some("index.html"));
        assert_eq!(
            find("/index.html").map(|file| file.path),
            Some("index.html")
        );
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
            assert!(find(path).is_none(), "{path}");
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
}
