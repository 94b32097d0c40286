//! A plugin: the model writes Python, and it runs in the sandbox.
//!
//! The interpreter is Monty, which knows a subset of Python and nothing of the world. The node holds
//! the time, memory and instructions of the whole program.

use std::process::ExitCode;

use monty::MontyRun;
use monty_types::{CompileOptions, PrintWriter, ResourceTracker};
use serde::Deserialize;

/// The most that a program may print, in bytes.
const PRINTED_BYTES_MAX: usize = 64 << 10;
/// What tracebacks call the program.
const FILE: &str = "main.py";

#[derive(Deserialize)]
struct Call {
    code: String,
}

fn main() -> ExitCode {
    gaia_plugin::run(answer)
}

/// What the program prints, and its last value if that is not `None`; or what it prints and its traceback.
fn answer(call: Call) -> Result<String, String> {
    let mut program = MontyRun::new(call.code, FILE, Vec::new(), CompileOptions::default())
        .map_err(|error| error.to_string())?;
    let mut printed = String::new();
    let writer = PrintWriter::CollectString(&mut printed, Some(PRINTED_BYTES_MAX));
    match program.run(Vec::new(), ResourceTracker::default(), writer) {
        Ok(value) => {
            let value = value.py_repr();
            if value != "None" {
                printed.push_str(&value);
            }
            Ok(printed)
        }
        Err(error) => Err(format!("{printed}{error}")),
    }
}
