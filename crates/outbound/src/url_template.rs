//! A tool's URL with places in it that arguments fill.
//!
//! Invariant: whatever the arguments are, what comes out has the template's origin, as many path
//! segments and no other names in its query. An argument chooses a value, never a place.

use serde_json::{Map, Value};

use crate::origin::{Origin, ReadUrlError, Target};

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadTemplateError {
    /// Without its placeholders it would be no URL.
    #[error(transparent)]
    Url(#[from] ReadUrlError),
    /// A placeholder before the path.
    #[error("a placeholder stands in scheme, host or port: an argument cannot choose the origin")]
    Origin,
    /// A brace without its other.
    #[error("a brace is not closed, or not opened; write %7B and %7D for braces themselves")]
    Brace,
    /// A placeholder that is no parameter's name.
    #[error("`{{{0}}}` is no parameter's name: letters, digits, - and _")]
    Placeholder(String),
    /// A secret in the URL.
    #[error("`{{{0}}}`: URLs are written into logs everywhere; a secret goes into a header")]
    Secret(String),
    /// A placeholder in the name of a query's part.
    #[error("`{0}`: in the query, a placeholder stands after `=`")]
    QueryName(String),
    /// A segment that leads elsewhere.
    #[error("the path has a segment `{0}`: write where it leads")]
    Dots(String),
}

/// Why arguments do not fill a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The path needs it.
    #[error("argument `{0}` is missing")]
    Missing(String),
    /// Objects and lists have no form in a URL.
    #[error("argument `{0}` must be a text, a number, true or false")]
    NotScalar(String),
    /// It would lead to another place.
    #[error(
        "argument `{0}` must not be empty, `.` or `..`, nor hold slashes or control characters"
    )]
    Leads(String),
    /// The URL would be too long.
    #[error("the arguments make the URL longer than a URL may be")]
    Url(#[source] ReadUrlError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Argument(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct QueryPart {
    /// With its `=`, where it has one.
    name: String,
    value: Vec<Part>,
}

/// A URL with places for arguments in its path and query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    text: String,
    origin: Origin,
    segments: Vec<Vec<Part>>,
    query: Vec<QueryPart>,
}

impl UrlTemplate {
    /// Reads `https://host/path/{argument}?name={argument}`.
    pub fn parse(text: &str) -> Result<Self, ReadTemplateError> {
        let (before, rest) = split_origin(text);
        if before.contains(['{', '}']) {
            return Err(ReadTemplateError::Origin);
        }
        let target: Target = probe(text)?.parse()?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        let query = query.map(|query| query.split('&').map(read_query_part).collect());
        Ok(Self {
            text: text.to_owned(),
            origin: target.origin().clone(),
            segments: path
                .split('/')
                .map(read_segment)
                .collect::<Result<_, _>>()?,
            query: query.transpose()?.unwrap_or_default(),
        })
    }

    /// Where it leads.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The arguments without which there is no path.
    pub fn needed(&self) -> impl Iterator<Item = &str> {
        names(self.segments.iter().flatten())
    }

    /// All arguments that it has a place for.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let query = self.query.iter().flat_map(|part| &part.value);
        self.needed().chain(names(query))
    }

    /// The URL for `arguments`. A part of the query whose argument is not there is left out.
    pub fn fill(&self, arguments: &Map<String, Value>) -> Result<Target, FillError> {
        let mut url = self.origin.to_string();
        for segment in &self.segments {
            url.push('/');
            url.push_str(&fill_segment(segment, arguments)?);
        }
        let mut before = '?';
        for part in &self.query {
            if let Some(value) = fill_value(&part.value, arguments)? {
                url.push(before);
                url.push_str(&part.name);
                url.push_str(&value);
                before = '&';
            }
        }
        url.parse().map_err(FillError::Url)
    }
}

/// Splits before path and query.
fn split_origin(text: &str) -> (&str, &str) {
    let host = text.find("://").map_or(0, |at| at + "://".len());
    let end = text[host..].find(['/', '?', '#']);
    text.split_at(end.map_or(text.len(), |at| host + at))
}

/// `text` with letters where its placeholders are.
fn probe(text: &str) -> Result<String, ReadTemplateError> {
    let parts = read_parts(text)?;
    Ok(parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Argument(_) => "x",
        })
        .collect())
}

fn read_segment(text: &str) -> Result<Vec<Part>, ReadTemplateError> {
    match is_dots(text) {
        true => Err(ReadTemplateError::Dots(text.to_owned())),
        false => read_parts(text),
    }
}

/// Whether a segment means the folder, or the one above, to somebody: also percent-encoded.
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

fn read_query_part(text: &str) -> Result<QueryPart, ReadTemplateError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (format!("{name}="), value),
        None => (text.to_owned(), ""),
    };
    if name.contains(['{', '}']) {
        return Err(ReadTemplateError::QueryName(text.to_owned()));
    }
    Ok(QueryPart {
        name,
        value: read_parts(value)?,
    })
}

fn read_parts(mut text: &str) -> Result<Vec<Part>, ReadTemplateError> {
    let mut parts = Vec::new();
    while let Some(open) = text.find(['{', '}']) {
        let (before, rest) = text.split_at(open);
        let inside = rest.strip_prefix('{').ok_or(ReadTemplateError::Brace)?;
        let (name, after) = inside.split_once('}').ok_or(ReadTemplateError::Brace)?;
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        if name.starts_with("secret:") {
            return Err(ReadTemplateError::Secret(name.to_owned()));
        }
        if !crate::is_name(name) {
            return Err(ReadTemplateError::Placeholder(name.to_owned()));
        }
        parts.push(Part::Argument(name.to_owned()));
        text = after;
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(parts)
}

fn names<'a>(parts: impl Iterator<Item = &'a Part>) -> impl Iterator<Item = &'a str> {
    parts.filter_map(|part| match part {
        Part::Argument(name) => Some(name.as_str()),
        Part::Text(_) => None,
    })
}

fn fill_segment(parts: &[Part], arguments: &Map<String, Value>) -> Result<String, FillError> {
    let mut segment = String::new();
    for part in parts {
        match part {
            Part::Text(text) => segment.push_str(text),
            Part::Argument(name) => {
                let value =
                    scalar(name, arguments)?.ok_or_else(|| FillError::Missing(name.clone()))?;
                let leads = |c: char| c.is_control() || c == '/' || c == '\\';
                if value.is_empty() || value.contains(leads) {
                    return Err(FillError::Leads(name.clone()));
                }
                encode(&value, &mut segment);
                if is_dots(&segment) {
                    return Err(FillError::Leads(name.clone()));
                }
            }
        }
    }
    match names(parts.iter()).next() {
        Some(name) if is_dots(&segment) => Err(FillError::Leads(name.to_owned())),
        _ => Ok(segment),
    }
}

/// `None` where an argument is not there.
fn fill_value(parts: &[Part], arguments: &Map<String, Value>) -> Result<Option<String>, FillError> {
    let mut filled = String::new();
    for part in parts {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Argument(name) => match scalar(name, arguments)? {
                Some(value) => encode(&value, &mut filled),
                None => return Ok(None),
            },
        }
    }
    Ok(Some(filled))
}

fn scalar(name: &str, arguments: &Map<String, Value>) -> Result<Option<String>, FillError> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::Bool(is)) => Ok(Some(is.to_string())),
        Some(Value::Array(_) | Value::Object(_)) => Err(FillError::NotScalar(name.to_owned())),
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                into.push(char::from(byte));
            }
            _ => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const WEATHER: &str = "https://api.example/v1/{country}/now?city={city}&units={units}&key";

    fn fill(template: &str, arguments: &Value) -> Result<String, FillError> {
        let target = UrlTemplate::parse(template)
            .unwrap()
            .fill(arguments.as_object().unwrap())?;
        Ok(format!("{}{}", target.origin(), target.path_and_query()))
    }

    fn check(template: &str, arguments: Value, expected: Result<&str, FillError>) {
        assert_eq!(
            fill(template, &arguments),
            expected.map(str::to_owned),
            "{template} {arguments}"
        );
    }

    #[test]
    fn arguments_are_filled_in() {
        let all = json!({"country": "de", "city": "K\u{f6}ln & Bonn", "units": 1});
        check(
            WEATHER,
            all,
            Ok("https://api.example/v1/de/now?city=K%C3%B6ln%20%26%20Bonn&units=1&key"),
        );
        let some = json!({"country": "de", "city": true, "units": null, "other": []});
        check(
            WEATHER,
            some,
            Ok("https://api.example/v1/de/now?city=true&key"),
        );
        check("https://a.example", json!({}), Ok("https://a.example/"));
        check(
            "https://a.example?q={q}",
            json!({}),
            Ok("https://a.example/"),
        );
        check(
            "https://a.example/x{y}.json",
            json!({"y": "../z"}),
            Err(FillError::Leads("y".into())),
        );
    }

    #[test]
    fn arguments_that_lead_elsewhere_are_refused() {
        for value in ["", ".", "..", "a/b", "a\\b", "a\nb", "\u{0}"] {
            let arguments = json!({"country": value});
            check(WEATHER, arguments, Err(FillError::Leads("country".into())));
        }
        check(
            WEATHER,
            json!({}),
            Err(FillError::Missing("country".into())),
        );
        check(
            WEATHER,
            json!({"country": ["de"]}),
            Err(FillError::NotScalar("country".into())),
        );
        check(
            "https://a/{x}{y}",
            json!({"x": ".", "y": "a"}),
            Err(FillError::Leads("x".into())),
        );
        check(
            "https://a/.{x}",
            json!({"x": "."}),
            Err(FillError::Leads("x".into())),
        );
        check(
            "https://a/{x}%2E",
            json!({"x": "."}),
            Err(FillError::Leads("x".into())),
        );
        check(
            "https://a/{x}",
            json!({"x": "%2e%2e"}),
            Ok("https://a/%252e%252e"),
        );
        let long = json!({"x": "y".repeat(crate::URL_BYTES_MAX)});
        check(
            "https://a/?x={x}",
            long,
            Err(FillError::Url(ReadUrlError::TooLong)),
        );
    }

    #[test]
    fn templates_that_are_none_are_refused() {
        use ReadTemplateError::*;
        let check = |text: &str, expected| {
            assert_eq!(UrlTemplate::parse(text).unwrap_err(), expected, "{text}")
        };
        check("https://{host}/x", Origin);
        check("https://api.example:{port}/x", Origin);
        check("{scheme}://api.example/x", Origin);
        check("{url}", Origin);
        check("https://api.example{x}", Origin);
        check("https://api.example/{x", Brace);
        check("https://api.example/x}", Brace);
        check("https://api.example/{}", Placeholder(String::new()));
        check("https://api.example/{a b}", Placeholder("a b".into()));
        check(
            "https://api.example/?key={secret:k}",
            Secret("secret:k".into()),
        );
        check(
            "https://api.example/?{name}=1",
            QueryName("{name}=1".into()),
        );
        check("https://api.example/?{name}", QueryName("{name}".into()));
        check("https://api.example/a/../b", Dots("..".into()));
        check("https://api.example/%2E%2e/b", Dots("%2E%2e".into()));
        check("https://api.example/x#{y}", Url(ReadUrlError::Fragment));
        check("ftp://api.example/", Url(ReadUrlError::Scheme));
    }

    proptest! {
        /// The safety list: a request can never choose the target.
        #[test]
        fn a_request_cannot_choose_the_target(country in ".*", city in ".*", units in ".*") {
            let template = UrlTemplate::parse(WEATHER).unwrap();
            let arguments = json!({"country": country, "city": city, "units": units});
            if let Ok(target) = template.fill(arguments.as_object().unwrap()) {
                prop_assert_eq!(target.origin(), template.origin());
                let (path, query) = target.path_and_query().split_once('?').unwrap();
                let segments: Vec<_> = path.split('/').collect();
                prop_assert_eq!(segments.len(), 4);
                prop_assert_eq!((segments[1], segments[3]), ("v1", "now"));
                prop_assert!(!is_dots(segments[2]));
                let names: Vec<_> = query.split('&').map(|part| part.split('=').next().unwrap()).collect();
                prop_assert_eq!(names, ["city", "units", "key"]);
            }
        }
    }
}
