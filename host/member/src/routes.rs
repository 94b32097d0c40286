//! What of a node can be reached through a tunnel: a list, and nothing else.
//!
//! Answers and nothing that is kept: no files, no vector stores, no stored responses, no tools of other people, no
//! keys, no metrics. Whose they are the domain's gateway could not say.

use hyper::Method;

/// Method and path of what is forwarded. No patterns: what is not here to the letter is not forwarded.
const FORWARDED: &[(Method, &str)] = &[
    (Method::GET, "/v1/models"),
    (Method::GET, "/v1/info"),
    (Method::POST, "/v1/chat/completions"),
    (Method::POST, "/v1/completions"),
    (Method::POST, "/v1/responses"),
    (Method::POST, "/v1/embeddings"),
    (Method::POST, "/v1/rerank"),
    (Method::POST, "/v1/retrieve"),
];

/// Whether a request goes on to the node.
#[must_use]
pub fn is_forwarded(method: &Method, path: &str) -> bool {
    FORWARDED
        .iter()
        .any(|(allowed, at)| allowed == method && *at == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forwarded() {
        for (method, path) in [
            (Method::POST, "/v1/chat/completions"),
            (Method::POST, "/v1/embeddings"),
            (Method::GET, "/v1/models"),
        ] {
            assert!(is_forwarded(&method, path), "{method} {path}");
        }
    }

    #[test]
    fn nothing_private_is() {
        for path in [
            "/v1/files",
            "/v1/files/file-1/content",
            "/v1/vector_stores",
            "/v1/responses/resp_1",
            "/v1/prompts",
            "/v1/create/rag",
            "/metrics",
            "/mcp",
            "/admin",
            "/config_pub.json",
            "/gaia/usage/1",
            "/v1/chat/completions/",
            "/v1/chat/completions/../../metrics",
            "//v1/chat/completions",
            "/V1/models",
            "/v1/models/m",
            "",
        ] {
            for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT] {
                assert!(!is_forwarded(&method, path), "{method} {path}");
            }
        }
        assert!(!is_forwarded(&Method::GET, "/v1/chat/completions"));
        assert!(!is_forwarded(&Method::DELETE, "/v1/models"));
    }
}
