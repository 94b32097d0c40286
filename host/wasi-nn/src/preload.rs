//! Which models the operator offers under which names: by the command line, or by the environment.
//!
//! WasmEdge's C API gives a plugin only the last of several equal options, so the repeated
//! `--nn-preload` are read from the process's own arguments. Where there are none, as under a shim of
//! containerd, which has no options, variables say it: `WASMEDGE_WASINN_PRELOAD`, which such shims know
//! and which names one model, and any whose name goes on from there with `_`, for more of them.

use std::env;
use std::path::PathBuf;

use serde_json::Value;

/// The most models one process can offer.
pub(crate) const PRELOADS_MAX: usize = 64;

const OPTION: &str = "--nn-preload";

/// The variable, and with `_` behind it the beginning of the names of more.
const VARIABLE: &str = "WASMEDGE_WASINN_PRELOAD";

/// A model offered as `NAME:GGML:TARGET:FILE[:{config}]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Preload {
    pub name: String,
    pub path: PathBuf,
    pub config: Option<Value>,
}

/// All of this process's preloads. What cannot be read is logged and left out.
pub(crate) fn from_process() -> Vec<Preload> {
    from(arguments(), variables())
}

/// Whether the environment speaks of preloads, and the command line does not.
pub(crate) fn is_by_environment() -> bool {
    option_values(arguments()).is_empty() && !variable_values(variables()).is_empty()
}

fn arguments() -> impl Iterator<Item = String> {
    env::args_os().map(|argument| argument.to_string_lossy().into_owned())
}

fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// Those of the arguments; where these have none, those of the variables.
fn from(
    arguments: impl Iterator<Item = String>,
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<Preload> {
    let mut values = option_values(arguments);
    if values.is_empty() {
        values = variable_values(variables);
    }
    let mut preloads = Vec::new();
    for (source, value) in values.into_iter().take(PRELOADS_MAX) {
        match parse(&value) {
            Ok(preload) => preloads.push(preload),
            Err(reason) => tracing::error!("{source} {value}: {reason}"),
        }
    }
    preloads
}

/// Preloads among `variables`, each with its variable's name, in the order of the names.
fn variable_values(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let is_one = |name: &str| {
        let rest = name.strip_prefix(VARIABLE);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let mut values: Vec<_> = variables
        .filter(|(name, value)| is_one(name) && !value.is_empty())
        .collect();
    values.sort();
    values
}

fn option_values(arguments: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        if argument == OPTION {
            values.extend(arguments.next());
        } else if let Some(value) = argument.strip_prefix("--nn-preload=") {
            values.push(value.to_owned());
        }
    }
    values
        .into_iter()
        .map(|value| (OPTION.to_owned(), value))
        .collect()
}

fn parse(value: &str) -> Result<Preload, String> {
    let mut parts = value.splitn(4, ':');
    let mut part = |what: &str| {
        let part = parts.next().filter(|part| !part.is_empty());
        part.ok_or_else(|| format!("has no {what}; expected NAME:GGML:AUTO:FILE"))
    };
    let name = part("name")?;
    let encoding = part("encoding")?;
    let _target = part("target")?;
    let rest = part("file")?;
    if !encoding.eq_ignore_ascii_case("ggml") {
        return Err(format!(
            "has the encoding {encoding}; this plugin runs GGML only"
        ));
    }
    let (path, config) = match rest.split_once(":{") {
        Some((path, config)) => (path, Some(format!("{{{config}"))),
        None => (rest, None),
    };
    let config = config
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| format!("has a configuration that is not JSON: {error}"))?;
    Ok(Preload {
        name: name.to_owned(),
        path: PathBuf::from(path),
        config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Vec<(String, String)> {
        names_with(arguments, &[])
    }

    fn names_with(arguments: &[&str], variables: &[(&str, &str)]) -> Vec<(String, String)> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        from(arguments, variables)
            .into_iter()
            .map(|preload| (preload.name, preload.path.display().to_string()))
            .collect()
    }

    fn pair(name: &str, path: &str) -> (String, String) {
        (name.to_owned(), path.to_owned())
    }

    #[test]
    fn repeated_options_are_all_read() {
        let found = names(&[
            "wasmedge",
            "--nn-preload",
            "default:GGML:AUTO:chat.gguf",
            "--nn-preload=embedding:GGML:CPU:/models/embed.gguf",
            "app.wasm",
        ]);
        assert_eq!(
            found,
            [
                pair("default", "chat.gguf"),
                pair("embedding", "/models/embed.gguf")
            ]
        );
    }

    #[test]
    fn variables_are_read_where_there_are_no_options() {
        let variables = [
            ("WASMEDGE_WASINN_PRELOAD_RANK", "reranking:GGML:AUTO:r.gguf"),
            ("WASMEDGE_WASINN_PRELOAD", "default:GGML:AUTO:c.gguf"),
            (
                "WASMEDGE_WASINN_PRELOAD_2",
                r#"embedding:GGML:AUTO:e.gguf:{"threads":1}"#,
            ),
            ("WASMEDGE_WASINN_PRELOAD_3", ""),
            ("WASMEDGE_WASINN_PRELOADED", "x:GGML:AUTO:x.gguf"),
            ("OTHER", "y:GGML:AUTO:y.gguf"),
        ];
        assert_eq!(
            names_with(&["shim", "app.wasm"], &variables),
            [
                pair("default", "c.gguf"),
                pair("embedding", "e.gguf"),
                pair("reranking", "r.gguf"),
            ]
        );
        let spoken = ["wasmedge", "--nn-preload", "default:GGML:AUTO:o.gguf"];
        assert_eq!(
            names_with(&spoken, &variables),
            [pair("default", "o.gguf")],
            "the command line has the last word"
        );
    }

    #[test]
    fn a_configuration_may_follow_the_file() {
        let preload = parse(r#"d:ggml:AUTO:m.gguf:{"ctx-size":512,"a":{"b":1}}"#).unwrap();
        assert_eq!(preload.path, PathBuf::from("m.gguf"));
        assert_eq!(preload.config.unwrap()["ctx-size"], 512);
        assert_eq!(
            parse("d:GGML:AUTO:C:\\m.gguf").unwrap().path,
            PathBuf::from("C:\\m.gguf")
        );
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        for bad in [
            "d",
            "d:GGML:AUTO",
            "d:GGML:AUTO:",
            "d:PyTorch:AUTO:m.pt",
            "d:GGML:AUTO:m:{x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(names(&["wasmedge", "--nn-preload"]).is_empty());
    }

    #[test]
    fn there_is_a_maximum() {
        let arguments: Vec<String> = std::iter::once("wasmedge".to_owned())
            .chain((0..100).map(|n| format!("--nn-preload=m{n}:GGML:AUTO:m.gguf")))
            .collect();
        let none = std::iter::empty();
        assert_eq!(from(arguments.into_iter(), none).len(), PRELOADS_MAX);
        let variables = (0..100).map(|n| {
            let name = format!("WASMEDGE_WASINN_PRELOAD_{n}");
            (name, format!("m{n}:GGML:AUTO:m.gguf"))
        });
        assert_eq!(from(std::iter::empty(), variables).len(), PRELOADS_MAX);
    }
}
