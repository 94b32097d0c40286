//! The text of a prompt as a Jinja template, under the limits that chat templates have.

use std::collections::BTreeMap;

use minijinja::{Environment, ErrorKind, Value};

use super::Problem;
use crate::strftime::strftime;
use crate::template::{
    Bounded, OUTPUT_BASE_BYTES_MAX, OUTPUT_REPEAT_MAX, STEPS_BASE_MAX, environment,
};

pub(super) use crate::rag::CONTEXT;

const NAME: &str = "prompt";

/// What a body may use besides its variables.
pub(super) const RESERVED: [&str; 4] = ["context", "model", "prompt", "strftime_now"];

/// Why a prompt has no text for a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderPromptError {
    /// A caller's value is too long.
    #[error(
        "the variable `{name}` has more than {} bytes",
        super::VARIABLE_BYTES_MAX
    )]
    VariableTooLong {
        /// The variable.
        name: String,
    },
    /// It took more steps than a template may take.
    #[error("it takes too many steps")]
    TooManySteps,
    /// It wrote more than a template may write.
    #[error("it writes too much")]
    TooMuchOutput,
    /// It does something wrong.
    #[error("it fails: {message}")]
    Failed {
        /// The line of the body, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// A body, ready to render.
#[derive(Clone)]
pub(super) struct Body {
    environment: Environment<'static>,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

impl Body {
    /// Reads a body that uses `variables`. Errors come with the line of the body, from 1.
    pub(super) fn new(
        source: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, (usize, Problem)> {
        let mut environment = environment();
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| {
                (
                    error.line().unwrap_or(1),
                    Problem::Template(explain(&error)),
                )
            })?;
        let body = Self { environment };
        body.check_names(source, variables)?;
        let trial = body.render(variables.clone(), "model", 0);
        match trial {
            Ok(_) => Ok(body),
            Err(RenderPromptError::Failed { line, message }) => {
                Err((line, Problem::Template(message)))
            }
            Err(error) => Err((1, Problem::Template(error.to_string()))),
        }
    }

    fn check_names(
        &self,
        source: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), (usize, Problem)> {
        let Ok(template) = self.environment.get_template(NAME) else {
            return Ok(());
        };
        let used = template.undeclared_variables(false);
        let is_known = |name: &str| {
            variables.contains_key(name)
                || RESERVED.contains(&name)
                || self.environment.globals().any(|(global, _)| global == name)
        };
        match used.iter().filter(|name| !is_known(name)).min() {
            None => Ok(()),
            Some(name) => {
                let line = source.lines().position(|line| line.contains(name.as_str()));
                let line = line.unwrap_or_default() + 1;
                Err((line, Problem::Undeclared(name.clone())))
            }
        }
    }

    pub(super) fn render(
        &self,
        values: BTreeMap<String, String>,
        model: &str,
        now_unix_seconds: i64,
    ) -> Result<String, RenderPromptError> {
        let bytes: usize = values.values().map(String::len).sum();
        let mut output = Bounded::new(OUTPUT_BASE_BYTES_MAX + OUTPUT_REPEAT_MAX * bytes);
        let mut context: BTreeMap<&str, Value> = values
            .iter()
            .map(|(name, value)| (name.as_str(), Value::from(value.as_str())))
            .collect();
        let date = move |format: &str| strftime(format, now_unix_seconds);
        context.insert("strftime_now", Value::from_function(date));
        context.insert("context", Value::from(CONTEXT));
        context.insert("model", Value::from(model));
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(STEPS_BASE_MAX));
        let template = environment.get_template(NAME).map_err(failed)?;
        let rendered = template.render_captured_to(Value::from_pairs(context), &mut output);
        match rendered {
            _ if output.is_full() => Err(RenderPromptError::TooMuchOutput),
            Err(error) => Err(failed(error)),
            Ok(_) => Ok(output.text().trim().to_owned()),
        }
    }
}

fn failed(error: minijinja::Error) -> RenderPromptError {
    match error.kind() {
        ErrorKind::OutOfFuel => RenderPromptError::TooManySteps,
        _ => RenderPromptError::Failed {
            line: error.line().unwrap_or(1),
            message: explain(&error),
        },
    }
}

/// What is wrong, without the place, which is told in lines of the file.
fn explain(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        list.iter().map(owned).collect()
    }

    #[track_caller]
    fn check(source: &str, values: &[(&str, &str)], expected: &str) {
        let body = Body::new(source, &variables(values)).unwrap();
        assert_eq!(body.render(variables(values), "m", 0).unwrap(), expected);
    }

    #[test]
    fn bodies_render() {
        check("\n Hello.\n\n", &[], "Hello.");
        check(
            "{{ a }}{% if b %} and {{ b }}{% endif %}",
            &[("a", "x"), ("b", "")],
            "x",
        );
        check("{{ model }} {{ strftime_now('%Y') }}", &[], "m 1970");
        check("Read:\n{{ context }}\nNow.", &[], "Read:\n{context}\nNow.");
        check(
            "{% for c in a %}{{ c|upper }}{% endfor %}",
            &[("a", "ab")],
            "AB",
        );
    }

    #[track_caller]
    fn check_refused(source: &str, line: usize, part: &str) {
        let (at, problem) = Body::new(source, &variables(&[("a", "x")])).unwrap_err();
        assert!(problem.to_string().contains(part), "{problem}");
        assert_eq!(at, line, "{problem}");
    }

    #[test]
    fn bad_bodies_are_refused_with_their_line() {
        check_refused("fine\n{% if a %}", 2, "syntax error");
        check_refused("fine\n\n{{ b }} {{ a }}", 3, "`b`");
        check_refused("fine\n{{ a.split(1, 2, 3, 4) }}", 2, "");
        check_refused("{{ raise_exception('no') }}", 1, "no");
    }

    #[test]
    fn steps_and_output_are_bounded() {
        let many = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
        check_refused(many, 1, "too many steps");
        let long = "{% for i in range(9000) %}12345678{% endfor %}";
        check_refused(long, 1, "writes too much");
    }
}
