//! Write a tool for a Gaia node: a function in, a sandboxed program out.
//!
//! A plugin is a WASI command. What the model calls it with comes as JSON on standard input, what it
//! prints is the answer, and a status other than zero says that there is none. [`run`] does this for
//! a function; programs in other languages can do the same by hand.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Call {
//!     name: String,
//! }
//!
//! fn main() -> ExitCode {
//!     gaia_plugin::run(|call: Call| match call.name.as_str() {
//!         "" => Err("there is nobody to greet"),
//!         name => Ok(format!("Hello {name}!")),
//!     })
//! }
//! ```
//!
//! Beside the program, `plugin.toml` says what the model may know and what the program may use:
//!
//! ```toml
//! name = "greet"
//! description = "Greets somebody"
//! time_ms = 1000
//!
//! [parameters]
//! type = "object"
//! required = ["name"]
//! [parameters.properties.name]
//! type = "string"
//! ```
//!
//! A plugin can also make the prompt for each question: [`prompt`].
//!
//! Build it with `cargo build --release --target wasm32-wasip1`, put both as `plugin.wasm` and
//! `plugin.toml` into a folder, and `gaia tools add plugin FOLDER`. The program may write into `/scratch`,
//! which is empty at first and gone afterwards; it has no network and no other file.

pub mod prompt;

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest input that is read, in bytes; a node sends less.
pub const INPUT_BYTES_MAX: u64 = 4 << 20;

/// Reads the arguments of the call, gives them to `tool` and prints what comes of it: a text as it is, anything
/// else as JSON. The return value belongs into `main`'s.
pub fn run<A, R, E>(tool: impl FnOnce(A) -> Result<R, E>) -> ExitCode
where
    A: DeserializeOwned,
    R: Serialize,
    E: Display,
{
    let answer = read().and_then(|input| answer(&input, tool));
    let written = match &answer {
        Ok(text) => writeln!(std::io::stdout(), "{text}"),
        Err(text) => writeln!(std::io::stderr(), "{text}"),
    };
    match (answer, written) {
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn read() -> Result<String, String> {
    let mut input = String::new();
    let mut stdin = std::io::stdin().take(INPUT_BYTES_MAX);
    match stdin.read_to_string(&mut input) {
        Ok(_) => Ok(input),
        Err(error) => Err(format!("the arguments cannot be read: {error}")),
    }
}

fn answer<A, R, E>(input: &str, tool: impl FnOnce(A) -> Result<R, E>) -> Result<String, String>
where
    A: DeserializeOwned,
    R: Serialize,
    E: Display,
{
    let arguments =
        serde_json::from_str(input).map_err(|error| format!("the arguments are wrong: {error}"))?;
    let result = tool(arguments).map_err(|error| error.to_string())?;
    let text = serde_json::to_string(&result)
        .map_err(|error| format!("the answer is no JSON: {error}"))?;
    Ok(serde_json::from_str(&text).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::answer;

    type Call = BTreeMap<String, u32>;

    #[test]
    fn texts_are_printed_as_they_are_and_values_as_json() {
        let text = answer("{\"a\": 1}", |call: Call| {
            Ok::<_, String>(format!("{} \"x\"", call["a"]))
        });
        assert_eq!(text.unwrap(), "1 \"x\"");
        let value = answer("{\"a\": 1}", Ok::<Call, String>);
        assert_eq!(value.unwrap(), "{\"a\":1}");
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let wrong = answer("{\"a\": -1}", Ok::<Call, String>).unwrap_err();
        assert!(wrong.contains("the arguments are wrong"), "{wrong}");
        assert_eq!(
            answer("{}", |_: Call| Err::<(), _>("no")).unwrap_err(),
            "no"
        );
    }
}
