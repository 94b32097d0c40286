//! What each route asks of a key. One table.
//!
//! Invariant: a route that nobody listed asks for the scope `admin`. Forgetting one closes it.

use hyper::Method;

use crate::keys::Scope;

/// What a key must open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// No key: the page, and whether the node is alive.
    Nothing,
    /// Any key.
    AnyKey,
    /// A key with this scope.
    Scope(Scope),
}

/// What a request may take of a key's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// None worth counting.
    Nothing,
    /// Its own text is read.
    Prompt,
    /// Its own text is read, and an answer is written.
    Answer,
}

/// What a route asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) need: Need,
    pub(crate) cost: Cost,
}

const PUBLIC: Rule = rule(Need::Nothing, Cost::Nothing);
const ANY_KEY: Rule = rule(Need::AnyKey, Cost::Nothing);
const INFERENCE: Rule = rule(Need::Scope(Scope::Inference), Cost::Nothing);
const PROMPT: Rule = rule(Need::Scope(Scope::Inference), Cost::Prompt);
const ANSWER: Rule = rule(Need::Scope(Scope::Inference), Cost::Answer);
const KNOWLEDGE: Rule = rule(Need::Scope(Scope::Knowledge), Cost::Nothing);
const ADMIN: Rule = rule(Need::Scope(Scope::Admin), Cost::Nothing);

const fn rule(need: Need, cost: Cost) -> Rule {
    Rule { need, cost }
}

/// What the operator looks at, also when all places are taken.
pub(crate) const METRICS: &str = "/metrics";

/// Method and path of each route, and what it asks. In a path `{}` stands for one part and `{*}` for the rest.
/// `GET` means `HEAD` too.
const ROUTES: &[(&str, &str, Rule)] = &[
    ("GET", "/", PUBLIC),
    ("GET", "/index.html", PUBLIC),
    ("GET", "/health", PUBLIC),
    ("GET", "/ready", PUBLIC),
    ("GET", "/version", PUBLIC),
    ("GET", "/openapi.json", PUBLIC),
    ("GET", METRICS, ADMIN),
    ("GET", "/config_pub.json", ANY_KEY),
    ("GET", "/v1/info", ANY_KEY),
    ("POST", "/v1/info", ANY_KEY),
    ("GET", "/v1/models", ANY_KEY),
    ("POST", "/v1/models", ANY_KEY),
    ("GET", "/v1/models/{*}", ANY_KEY),
    ("GET", "/models", ANY_KEY),
    ("GET", "/props", ANY_KEY),
    ("POST", "/v1/chat/completions", ANSWER),
    ("POST", "/v1/chat/completions/input_tokens", INFERENCE),
    ("POST", "/chat/completions/input_tokens", INFERENCE),
    ("POST", "/v1/completions", ANSWER),
    ("POST", "/chat/completions", ANSWER),
    ("POST", "/completions", ANSWER),
    ("POST", "/completion", ANSWER),
    ("POST", "/v1/embeddings", PROMPT),
    ("POST", "/embeddings", PROMPT),
    ("POST", "/v1/rerank", PROMPT),
    ("POST", "/rerank", PROMPT),
    ("POST", "/v1/retrieve", PROMPT),
    ("GET", "/v1/prompts", INFERENCE),
    ("POST", "/tokenize", INFERENCE),
    ("POST", "/detokenize", INFERENCE),
    ("POST", "/apply-template", INFERENCE),
    ("POST", "/v1/responses", ANSWER),
    ("POST", "/v1/responses/input_tokens", INFERENCE),
    ("GET", "/v1/responses/{}", INFERENCE),
    ("DELETE", "/v1/responses/{}", INFERENCE),
    ("GET", "/v1/responses/{}/input_items", INFERENCE),
    ("POST", "/responses", ANSWER),
    ("POST", "/v1/responses/{}/cancel", INFERENCE),
    ("POST", "/v1/vector_stores/{}/search", PROMPT),
    ("POST", "/mcp", INFERENCE),
    ("GET", "/mcp", INFERENCE),
    ("DELETE", "/mcp", INFERENCE),
    ("POST", "/v1/chunks", KNOWLEDGE),
    ("POST", "/v1/create/rag", KNOWLEDGE),
    ("GET", "/v1/files", KNOWLEDGE),
    ("POST", "/v1/files", KNOWLEDGE),
    ("GET", "/v1/files/{*}", KNOWLEDGE),
    ("DELETE", "/v1/files/{}", KNOWLEDGE),
    ("GET", "/v1/vector_stores", KNOWLEDGE),
    ("POST", "/v1/vector_stores", KNOWLEDGE),
    ("GET", "/v1/vector_stores/{*}", KNOWLEDGE),
    ("POST", "/v1/vector_stores/{*}", KNOWLEDGE),
    ("DELETE", "/v1/vector_stores/{*}", KNOWLEDGE),
];

/// Files of the page.
const PAGE_ENDINGS: [&str; 10] = [
    ".js",
    ".mjs",
    ".css",
    ".svg",
    ".png",
    ".ico",
    ".woff2",
    ".webmanifest",
    ".html",
    ".map",
];

/// What the worker tells the ingress and nobody else.
const PRIVATE: &str = "/gaia/";

/// Whether nobody may ask for it, whatever his key.
pub(crate) fn is_private(path: &str) -> bool {
    path.starts_with(PRIVATE)
}

/// What a request to `path` asks for.
pub(crate) fn rule_of(method: &Method, path: &str) -> Rule {
    let is_read = method == Method::GET || method == Method::HEAD;
    match index_of(method, path) {
        Some(at) => ROUTES[at].2,
        None if is_read && is_page_file(path) => PUBLIC,
        None => ADMIN,
    }
}

/// Requests to what no route lists.
pub(crate) const OTHER: &str = "other";
/// Requests for the page and what it loads.
pub(crate) const PAGE: &str = "page";

/// The path without what varies: a route of the table, [`PAGE`] or [`OTHER`].
pub(crate) fn route_of(method: &Method, path: &str) -> &'static str {
    match index_of(method, path) {
        Some(at) => ROUTES[at].1,
        None if *method == Method::GET && is_page_file(path) => PAGE,
        None => OTHER,
    }
}

/// All that [`route_of`] can say.
pub(crate) fn all_routes() -> impl Iterator<Item = &'static str> {
    let listed = ROUTES.iter().map(|(_, pattern, _)| *pattern);
    listed.chain([PAGE, OTHER])
}

/// Whether a request is worth a trace: not what watches the node, and not the page.
pub(crate) fn is_traced(method: &Method, path: &str) -> bool {
    path != METRICS && rule_of(method, path).need != Need::Nothing
}

fn index_of(method: &Method, path: &str) -> Option<usize> {
    let method = match method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    ROUTES
        .iter()
        .position(|(of, pattern, _)| *of == method && matches(pattern, path))
}

fn is_page_file(path: &str) -> bool {
    !path.starts_with("/v1/") && PAGE_ENDINGS.iter().any(|ending| path.ends_with(ending))
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        match (wanted, parts.next()) {
            ("{*}", Some(part)) => return !part.is_empty(),
            ("{}", Some(part)) if !part.is_empty() => {}
            (wanted, Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Rule {
        let (method, path) = line.split_once(' ').unwrap();
        rule_of(&method.parse().unwrap(), path)
    }

    #[test]
    fn routes_ask_for_their_scope() {
        let check = |line: &str, rule: Rule| assert_eq!(of(line), rule, "{line}");
        check("GET /", PUBLIC);
        check("HEAD /health", PUBLIC);
        check("GET /assets/index-1.js", PUBLIC);
        check("GET /v1/models", ANY_KEY);
        check("POST /v1/models", ANY_KEY);
        check("POST /v1/info", ANY_KEY);
        check("GET /v1/models/a/b.js", ANY_KEY);
        check("POST /v1/chat/completions", ANSWER);
        check("POST /v1/embeddings", PROMPT);
        check("POST /v1/files", KNOWLEDGE);
        check("DELETE /v1/vector_stores/vs_1/files/file_1", KNOWLEDGE);
        check("POST /v1/vector_stores/vs_1/file_batches", KNOWLEDGE);
        check("GET /v1/vector_stores/vs_1/files/file_1/content", KNOWLEDGE);
        check("POST /v1/vector_stores/vs_1/search", PROMPT);
        check("GET /metrics", ADMIN);
        check("POST /mcp", INFERENCE);
        check("PUT /mcp", ADMIN);
    }

    #[test]
    fn what_nobody_listed_asks_for_admin() {
        for line in [
            "POST /health",
            "GET /v1/new",
            "GET /v1/new.js",
            "POST /assets/index-1.js",
            "DELETE /v1/models/x",
            "GET /v1/models/",
            "GET /v1/models//x",
            "GET //v1/models",
            "GET /%76%31/models",
            "GET /v1/responses/a/b",
            "POST /v1/chat/completions/",
            "POST /V1/chat/completions",
            "OPTIONS /v1/models",
            "GET ",
        ] {
            assert_eq!(of(line), ADMIN, "{line}");
        }
    }

    /// The worker's own list of routes, from its source: who adds one decides here who may use it.
    #[test]
    fn every_route_of_the_worker_is_in_the_table() {
        let source = include_str!("../../../wasm-apps/api-server/src/routes.rs");
        let routes = served(source);
        assert!(
            routes.len() > 12,
            "the list is not where it was: {routes:?}"
        );
        for (method, path) in routes {
            if is_private(&path) {
                continue;
            }
            let pattern = generic(&path);
            let listed = ROUTES.iter().any(|(of, listed, _)| {
                *of == method && (*listed == pattern || covers(listed, &pattern))
            });
            assert!(
                listed,
                "{method} {path} has no scope yet: give it one in host/ingress/src/routes.rs"
            );
        }
    }

    /// `{id}` and `{*id}` without their names.
    fn generic(path: &str) -> String {
        let part = |part: &str| match part {
            rest if rest.starts_with("{*") => "{*}".to_owned(),
            one if one.starts_with('{') => "{}".to_owned(),
            other => other.to_owned(),
        };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    fn covers(listed: &str, pattern: &str) -> bool {
        let start = listed.strip_suffix("{*}");
        start.is_some_and(|start| pattern.starts_with(start))
    }

    /// Method and path of each `.route("path", get(…).post(…))`.
    fn served(source: &str) -> Vec<(&'static str, String)> {
        let mut routes = Vec::new();
        for call in source.split(".route(").skip(1) {
            let path = call.split('"').nth(1).unwrap_or_default().to_owned();
            let call = call.split(".layer(").next().unwrap_or_default();
            for (word, method) in [
                ("get(", "GET"),
                ("post(", "POST"),
                ("delete(", "DELETE"),
                ("put(", "PUT"),
                ("patch(", "PATCH"),
            ] {
                if call.contains(word) {
                    routes.push((method, path.clone()));
                }
            }
        }
        routes
    }

    #[test]
    fn the_table_has_no_route_twice() {
        for (at, (method, path, _)) in ROUTES.iter().enumerate() {
            let before = &ROUTES[..at];
            assert!(
                !before
                    .iter()
                    .any(|(of, other, _)| of == method && other == path),
                "{method} {path}"
            );
        }
    }
}
