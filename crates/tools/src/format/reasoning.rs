//! What a model thinks before an answer that is held to a form, as rules.

use gaia_grammar::schema::{self, Limits, SchemaError};
use gaia_grammar::{Builder, Expression, Grammar};
use serde_json::Value;

use super::automaton::Text;
use super::{Family, Format, harmony};
use crate::marker::Mark;

/// The most white space between thinking and a form.
const SPACES_MAX: u32 = 4;

impl Format {
    /// Whether something may come before an answer in JSON, so that [`Format::structured`] says more than
    /// the schema does. `reasoning_open` as in [`Calls`](crate::Calls).
    pub fn comes_before(&self, reasoning_open: bool) -> bool {
        reasoning_open || self.thinks() || self.family() == Family::GptOss
    }

    /// The grammar of an answer that is JSON valid against `schema`, behind what the model thinks.
    /// gpt-oss writes it into its last channel. `reasoning_open` as in [`Calls`](crate::Calls).
    ///
    /// # Errors
    /// What of the schema cannot be enforced.
    pub fn structured(
        &self,
        schema: &Value,
        limits: &Limits,
        reasoning_open: bool,
    ) -> Result<Grammar, SchemaError> {
        let mut builder = Builder::new();
        let json = schema::add(&mut builder, schema, limits)?;
        let refused = |reason: String| SchemaError {
            at: "#".to_owned(),
            reason,
        };
        let root = match self.family() {
            Family::GptOss => harmony::structured(&mut builder, json)
                .map_err(|error| refused(error.to_string()))?,
            _ => may_think(&mut builder, *self, reasoning_open, json),
        };
        builder
            .finish(root)
            .map_err(|error| refused(error.to_string()))
    }
}

/// `then`, behind what the model thinks if it does.
pub(super) fn may_think(
    builder: &mut Builder,
    format: Format,
    reasoning_open: bool,
    then: Expression,
) -> Expression {
    if !reasoning_open && !format.thinks() {
        return then;
    }
    let then = builder.rule("answer", then);
    let spaces = Expression::repeat(Expression::one_of(" \t\r\n"), 0, Some(SPACES_MAX));
    let spaced = Expression::sequence([spaces, then.clone()]);
    let thought = thought(builder, format, spaced);
    match reasoning_open {
        true => thought,
        false => {
            let open = Expression::literal(format.family().thinking().open.text);
            Expression::choice([then, Expression::sequence([open, thought])])
        }
    }
}

/// What the model thinks, from behind the opening mark, and `then`.
pub(super) fn thought(builder: &mut Builder, format: Format, then: Expression) -> Expression {
    let close = Mark::anywhere(format.family().thinking().close);
    let then = builder.rule("answer", then);
    let text = Text {
        marks: &[(close, then)],
        may_end: false,
    };
    text.rules(builder)
}
