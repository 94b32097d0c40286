//! How a query and a document become one input of a model that ranks: as llama.cpp's server puts them together.
//!
//! What callers send is data: names of control tokens in it are read as the letters that they are. In that this
//! differs from that server where a model brings a template.

use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;

/// Where a template has the query, and where the document.
const QUERY: &str = "{query}";
const DOCUMENT: &str = "{document}";

/// The form of an input.
#[derive(Debug)]
pub(crate) enum Pairing {
    /// Tokens of the model's own stand around both.
    Separated {
        before: Vec<LlamaToken>,
        between: Vec<LlamaToken>,
        after: Vec<LlamaToken>,
    },
    /// The model brings a text with places for both.
    Template(Vec<Part>),
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Control(LlamaToken),
    /// With names of places in it.
    Text(String),
}

/// A query, ready to be put together with documents.
pub(crate) struct Pairs<'a> {
    vocab: LlamaVocab<'a>,
    pairing: &'a Pairing,
    query: &'a str,
    /// Its tokens, where they do not depend on what stands around it.
    query_tokens: Vec<LlamaToken>,
}

impl Pairing {
    /// For a model with this vocabulary, and with a template where it brings one.
    ///
    /// # Errors
    /// What is missing.
    pub fn of(vocab: &LlamaVocab<'_>, template: Option<&str>) -> Result<Self, &'static str> {
        match template {
            Some(text) if !text.contains(QUERY) || !text.contains(DOCUMENT) => {
                Err("has a template without a place for the query or for the document")
            }
            Some(text) => Ok(Self::Template(parts(text, &controls(vocab, text)))),
            None => Self::separated(vocab),
        }
    }

    fn separated(vocab: &LlamaVocab<'_>) -> Result<Self, &'static str> {
        let known = |token: LlamaToken| (token.0 >= 0).then_some(token);
        let start = known(vocab.bos()).filter(|_| vocab.should_add_bos());
        let end = known(vocab.eos()).or_else(|| known(vocab.sep()));
        let end = end.filter(|_| vocab.should_add_eos());
        let separator = known(vocab.sep()).filter(|_| vocab.should_add_sep());
        let between: Vec<_> = end.into_iter().chain(separator).collect();
        match between.is_empty() {
            true => Err("puts no token of its vocabulary between a query and a document"),
            false => Ok(Self::Separated {
                before: start.into_iter().collect(),
                between,
                after: end.into_iter().collect(),
            }),
        }
    }

    /// For several documents of one query.
    pub fn pairs<'a>(&'a self, vocab: LlamaVocab<'a>, query: &'a str) -> Pairs<'a> {
        let query_tokens = match self {
            Self::Separated { .. } => plain(&vocab, query),
            Self::Template(_) => Vec::new(),
        };
        Pairs {
            vocab,
            pairing: self,
            query,
            query_tokens,
        }
    }
}

impl Pairs<'_> {
    /// The input for `document`.
    pub fn tokens(&self, document: &str) -> Vec<LlamaToken> {
        match self.pairing {
            Pairing::Separated {
                before,
                between,
                after,
            } => {
                let document = plain(&self.vocab, document);
                [before, &self.query_tokens, between, &document, after]
                    .into_iter()
                    .flatten()
                    .copied()
                    .collect()
            }
            Pairing::Template(parts) => {
                let tokens = parts.iter().flat_map(|part| match part {
                    Part::Control(token) => vec![*token],
                    Part::Text(text) => plain(&self.vocab, &filled(text, self.query, document)),
                });
                tokens.collect()
            }
        }
    }
}

fn plain(vocab: &LlamaVocab<'_>, text: &str) -> Vec<LlamaToken> {
    vocab.tokenize(text.as_bytes(), false, false)
}

/// The control tokens that `template` names.
fn controls(vocab: &LlamaVocab<'_>, template: &str) -> Vec<(String, LlamaToken)> {
    let tokens = vocab.tokenize(template.as_bytes(), false, true);
    let controls = tokens.into_iter().filter(|token| vocab.is_control(*token));
    let named = controls.filter_map(|token| {
        let name = String::from_utf8(vocab.token_to_piece(token, true, None)).ok()?;
        (!name.is_empty()).then_some((name, token))
    });
    let mut named: Vec<_> = named.collect();
    // Of names that begin alike the longer one is meant.
    named.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    named.dedup();
    named
}

/// `template` cut at the names of control tokens.
fn parts(template: &str, controls: &[(String, LlamaToken)]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        let control = controls.iter().find(|(name, _)| rest.starts_with(name));
        match control {
            Some((name, token)) => {
                push_text(&mut parts, &mut text);
                parts.push(Part::Control(*token));
                rest = &rest[name.len()..];
            }
            None => {
                text.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    push_text(&mut parts, &mut text);
    parts
}

fn push_text(parts: &mut Vec<Part>, text: &mut String) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

/// `text` with both in their places. A place that is named in what is put there is none.
fn filled(text: &str, query: &str, document: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let (name, put) = match rest {
            rest if rest.starts_with(QUERY) => (QUERY, query),
            rest if rest.starts_with(DOCUMENT) => (DOCUMENT, document),
            _ => ("{", "{"),
        };
        filled.push_str(put);
        rest = &rest[name.len()..];
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_place_has_no_places() {
        let check = |text, expected| assert_eq!(filled(text, "{document}", "d{query}"), expected);
        check("Q: {query}\nD: {document}", "Q: {document}\nD: d{query}");
        check("{{query}} {x} {", "{{document}} {x} {");
        check("nothing", "nothing");
    }

    #[test]
    fn a_template_is_cut_at_its_control_tokens() {
        let token = LlamaToken::new;
        let controls = [
            ("<|a|>b".to_owned(), token(2)),
            ("<|a|>".to_owned(), token(1)),
        ];
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            parts("<|a|>sä {query}<|a|>b<|a|>{document}", &controls),
            [
                Part::Control(token(1)),
                text("sä {query}"),
                Part::Control(token(2)),
                Part::Control(token(1)),
                text("{document}"),
            ]
        );
    }
}
