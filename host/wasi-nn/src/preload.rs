//! Which models the command line offers under which names.
//!
//! WasmEdge's C API gives a plugin only the last of several equal options, so the repeated
//! `--nn-preload` are read from the process's own arguments.

use std::env;
use std::path::PathBuf;

use serde_json::Value;

/// The most models one process can offer.
pub(crate) const PRELOADS_MAX: usize = 64;

const OPTION: &str = "--nn-preload";

/// A model offered by `--nn-preload NAME:GGML:TARGET:FILE[:{config}]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Preload {
    pub name: String,
    pub path: PathBuf,
    pub config: Option<Value>,
}

/// All of this process's preloads. What cannot be read is logged and left out.
pub(crate) fn from_process() -> Vec<Preload> {
    let arguments = env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    from_arguments(arguments)
}

fn from_arguments(arguments: impl Iterator<Item = String>) -> Vec<Preload> {
    let mut preloads = Vec::new();
    for value in option_values(arguments).into_iter().take(PRELOADS_MAX) {
        match parse(&value) {
            Ok(preload) => preloads.push(preload),
            Err(reason) => tracing::error!("{OPTION} {value}: {reason}"),
        }
    }
    preloads
}

fn option_values(arguments: impl Iterator<Item = String>) -> Vec<String> {
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
        from_arguments(arguments.iter().map(|argument| (*argument).to_owned()))
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
        assert_eq!(from_arguments(arguments.into_iter()).len(), PRELOADS_MAX);
    }
}
