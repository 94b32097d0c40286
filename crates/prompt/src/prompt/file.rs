//! One file: TOML front matter between two lines `+++`, then the body. Every mistake has its line.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::body::{Body, RESERVED};
use super::model::ModelRule;
use super::version::hash;
use super::when::When;
use super::{
    DESCRIPTION_BYTES_MAX, EXAMPLES_MAX, Example, Kind, PROMPT_BYTES_MAX, PROMPT_NAME_BYTES_MAX,
    PROMPTS_MAX, Prompt, REGEX_BYTES_MAX, VARIABLES_MAX,
};

const FENCE: &str = "+++";
/// How YAML's begins and ends.
const YAML_FENCE: &str = "---";

/// A file that is no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct PromptError {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is too long.
    #[error("the file has more than {PROMPT_BYTES_MAX} bytes; shorten it")]
    TooLarge,
    /// It is no text.
    #[error("the file is not UTF-8 text; save it as such")]
    NotText,
    /// The front matter does not end.
    #[error("the front matter has no end; put a line `+++` behind it")]
    NoEnd,
    /// It is written in another language.
    #[error("front matter is TOML between two lines `+++`, not YAML between `---`")]
    Yaml,
    /// The front matter is wrong.
    #[error("{0}")]
    FrontMatter(String),
    /// It cannot be called so.
    #[error(
        "`{0}` is no name for a prompt; use up to {PROMPT_NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`"
    )]
    Name(String),
    /// The description is too long.
    #[error("the description has more than {DESCRIPTION_BYTES_MAX} bytes; shorten it")]
    Description,
    /// Not a condition on a model.
    #[error("`{0}` is no condition on a model; write a name such as `qwen*`, or `params<3b`")]
    Condition(String),
    /// Too many of something.
    #[error("there are more than {1} {0}")]
    TooMany(&'static str, usize),
    /// A variable cannot be called so.
    #[error("`{0}` is no name for a variable; use letters, digits and `_`, not {RESERVED:?}")]
    VariableName(String),
    /// The body uses something that is not there.
    #[error("`{0}` is not known; give it a default under [variables]")]
    Undeclared(String),
    /// The body is wrong.
    #[error("the text is no template that works: {0}")]
    Template(String),
    /// The body is empty.
    #[error("there is no text; write what the model is to be told below the front matter")]
    Empty,
    /// Only what goes before a conversation is made.
    #[error("`made_by` belongs to a prompt of kind \"system\"")]
    MadeRag,
    /// Not the name of a plugin.
    #[error("`{0}` is no name of a plugin")]
    MadeBy(String),
    /// A rag prompt cannot show exchanges.
    #[error("examples belong to a prompt of kind \"system\"; move them there")]
    ExamplesOfRag,
    /// The expression is wrong.
    #[error("`matches` is no regular expression: {0}")]
    Regex(String),
    /// The expression is too large.
    #[error("`matches` takes more than {REGEX_BYTES_MAX} bytes; make its repetitions smaller")]
    RegexTooLarge,
    /// Not a similarity.
    #[error("`threshold` must be between -1 and 1")]
    Threshold,
    /// The folder is full.
    #[error("the folder holds more than {PROMPTS_MAX} prompts; this one is left out")]
    TooManyFiles,
}

/// The front matter as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Head {
    name: Option<Spanned<String>>,
    description: Option<Spanned<String>>,
    #[serde(default)]
    kind: Kind,
    made_by: Option<Spanned<String>>,
    #[serde(default, rename = "for")]
    models: Vec<Spanned<String>>,
    #[serde(default)]
    variables: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    examples: Vec<Spanned<Example>>,
    when: Option<Spanned<WhenHead>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WhenHead {
    matches: Option<String>,
    #[serde(default)]
    similar: Vec<String>,
    threshold: Option<f32>,
}

/// A mistake and where: in bytes of the front matter, or in lines of the body.
enum Mistake {
    Head(usize, Problem),
    Body(usize, Problem),
}

/// Reads the file called `file`.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Prompt, PromptError> {
    let at = |line: usize, problem: Problem| PromptError {
        file: file.to_owned(),
        line,
        problem,
    };
    if bytes.len() > PROMPT_BYTES_MAX {
        return Err(at(1, Problem::TooLarge));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        at(line_of(before), Problem::NotText)
    })?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    if is_yaml(&text) {
        return Err(at(1, Problem::Yaml));
    }
    let (head, body) = split(&text).ok_or_else(|| at(1, Problem::NoEnd))?;
    // The front matter begins on the second line, the body behind the line that ends it.
    let body_line = line_of(&text.as_bytes()[..text.len() - body.len()]);
    prompt(file, bytes, head, body).map_err(|mistake| match mistake {
        Mistake::Head(byte, problem) => {
            let before = head.as_bytes().get(..byte).unwrap_or(head.as_bytes());
            at(1 + line_of(before), problem)
        }
        Mistake::Body(line, problem) => at(body_line + line - 1, problem),
    })
}

/// The line, from 1, that begins or goes on after these bytes.
fn line_of(before: &[u8]) -> usize {
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// Front matter and body; `None` where the front matter has no end. A file may have none.
fn split(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if first.trim_end() != FENCE {
        return Some(("", text));
    }
    let mut start = 0;
    for line in rest.split_inclusive('\n') {
        let end = start + line.len();
        if line.trim_end() == FENCE {
            return Some((&rest[..start], &rest[end..]));
        }
        start = end;
    }
    None
}

/// Whether a text begins with front matter as others write it. A single line of dashes is one.
fn is_yaml(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end);
    lines.next() == Some(YAML_FENCE) && lines.any(|line| line == YAML_FENCE)
}

fn prompt(file: &str, bytes: &[u8], head: &str, body: &str) -> Result<Prompt, Mistake> {
    let head: Head = toml::from_str(head).map_err(|error| {
        let byte = error.span().map_or(0, |span| span.start);
        Mistake::Head(byte, Problem::FrontMatter(error.message().to_owned()))
    })?;
    let name = name(file, head.name.as_ref())?;
    let description = description(head.description.as_ref())?;
    let models = models(&head.models)?;
    let variables = variables(&head.variables)?;
    let examples = examples(head.kind, head.examples)?;
    let when = when(head.when)?;
    let made_by = made_by(head.kind, head.made_by)?;
    let body = self::body(body, &variables, made_by.is_some())?;
    Ok(Prompt {
        version: format!("{name}@{}", hash(bytes)),
        name,
        description,
        kind: head.kind,
        models,
        variables,
        examples,
        when,
        made_by,
        body,
    })
}

/// As written, else the file's own name up to its first dot.
fn name(file: &str, written: Option<&Spanned<String>>) -> Result<String, Mistake> {
    let stem = file.split('.').next().unwrap_or_default();
    let (name, byte) = match written {
        Some(name) => (name.get_ref().as_str(), name.span().start),
        None => (stem, 0),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.len() <= PROMPT_NAME_BYTES_MAX && name.chars().all(plain) {
        true => Ok(name.to_owned()),
        false => Err(Mistake::Head(byte, Problem::Name(name.to_owned()))),
    }
}

fn description(written: Option<&Spanned<String>>) -> Result<String, Mistake> {
    match written {
        Some(text) if text.get_ref().len() > DESCRIPTION_BYTES_MAX => {
            Err(Mistake::Head(text.span().start, Problem::Description))
        }
        Some(text) => Ok(text.get_ref().clone()),
        None => Ok(String::new()),
    }
}

fn models(written: &[Spanned<String>]) -> Result<ModelRule, Mistake> {
    let conditions: Vec<&str> = written.iter().map(|text| text.get_ref().as_str()).collect();
    ModelRule::parse(&conditions).map_err(|(index, problem)| {
        let byte = written.get(index).map_or(0, |text| text.span().start);
        Mistake::Head(byte, problem)
    })
}

fn variables(
    written: &BTreeMap<Spanned<String>, String>,
) -> Result<BTreeMap<String, String>, Mistake> {
    let mut variables = BTreeMap::new();
    for (name, value) in written {
        let byte = name.span().start;
        let name = name.get_ref();
        let is_name = !name.is_empty()
            && name.len() <= PROMPT_NAME_BYTES_MAX
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || RESERVED.contains(&name.as_str()) {
            return Err(Mistake::Head(byte, Problem::VariableName(name.clone())));
        }
        if variables.len() == VARIABLES_MAX {
            return Err(Mistake::Head(
                byte,
                Problem::TooMany("variables", VARIABLES_MAX),
            ));
        }
        variables.insert(name.clone(), value.clone());
    }
    Ok(variables)
}

fn examples(kind: Kind, written: Vec<Spanned<Example>>) -> Result<Vec<Example>, Mistake> {
    match (kind, written.first(), written.get(EXAMPLES_MAX)) {
        (Kind::Rag, Some(first), _) => {
            Err(Mistake::Head(first.span().start, Problem::ExamplesOfRag))
        }
        (_, _, Some(over)) => {
            let problem = Problem::TooMany("examples", EXAMPLES_MAX);
            Err(Mistake::Head(over.span().start, problem))
        }
        _ => Ok(written.into_iter().map(Spanned::into_inner).collect()),
    }
}

fn when(written: Option<Spanned<WhenHead>>) -> Result<When, Mistake> {
    let byte = written.as_ref().map_or(0, |when| when.span().start);
    let head = written.map(Spanned::into_inner).unwrap_or_default();
    When::new(head.matches.as_deref(), head.similar, head.threshold)
        .map_err(|problem| Mistake::Head(byte, problem))
}

fn made_by(kind: Kind, written: Option<Spanned<String>>) -> Result<Option<String>, Mistake> {
    let Some(written) = written else {
        return Ok(None);
    };
    let (byte, name) = (written.span().start, written.into_inner());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let is_name =
        !name.is_empty() && name.len() <= PROMPT_NAME_BYTES_MAX && name.chars().all(plain);
    match (kind, is_name) {
        (Kind::Rag, _) => Err(Mistake::Head(byte, Problem::MadeRag)),
        (_, false) => Err(Mistake::Head(byte, Problem::MadeBy(name))),
        (_, true) => Ok(Some(name)),
    }
}

/// A prompt that is made may say nothing by itself.
fn body(
    source: &str,
    variables: &BTreeMap<String, String>,
    may_be_empty: bool,
) -> Result<Body, Mistake> {
    if source.trim().is_empty() && !may_be_empty {
        return Err(Mistake::Body(1, Problem::Empty));
    }
    Body::new(source, variables).map_err(|(line, problem)| Mistake::Body(line, problem))
}
