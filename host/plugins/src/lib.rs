//! Tools as sandboxed programs: what a plugin is, and how one is run.
//!
//! A plugin is a folder with `plugin.toml`, which says what the model may know of it and what it may
//! use, and `plugin.wasm`, a WASI program: a call's arguments are its standard input (JSON), its
//! standard output is the answer, a status other than zero means failure. Each call is a process of
//! its own, so nothing of one call is left for the next. What has `[prompt]` in its manifest is no tool:
//! it makes prompts, in steps whose input and output `gaia_prompt::making` describes.
//!
//! Invariant: a plugin sees its arguments, a clock, random numbers and an empty folder that goes away
//! after the call. No network, no other file, no variable, and memory, time, instructions, bytes
//! written and bytes answered have an end.

mod folder;
mod manifest;
mod module;
mod run;
mod stamp;

pub use folder::{
    Accepted, AddPluginError, Found, Look, PLUGINS_MAX, add, find_again, find_all, read,
};
pub use manifest::{
    INSTRUCTIONS_DEFAULT, INSTRUCTIONS_MAX, MANIFEST_BYTES_MAX, MEMORY_MIB_DEFAULT, MEMORY_MIB_MAX,
    Manifest, ReadManifestError, Role, SCRATCH_MIB_DEFAULT, SCRATCH_MIB_MAX, TIME_MS_DEFAULT,
    TIME_MS_MAX, TOOLS_MAX,
};
pub use module::{MODULE_BYTES_MAX, ModuleError, check as check_module};
pub use run::{ANSWER_BYTES_MAX, Failure, RUNNING_MAX, Runtime, Sandbox, Start};
pub use stamp::Stamp;

use std::path::PathBuf;

/// The name of the file that says what a plugin is.
pub const MANIFEST_FILE: &str = "plugin.toml";
/// The name of the program.
pub const MODULE_FILE: &str = "plugin.wasm";

/// A plugin that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// What it says of itself, and what it may use.
    pub manifest: Manifest,
    /// The program as it was built.
    pub module: PathBuf,
    /// Its name, `@` and twelve hexadecimal digits that change with the program and the manifest.
    pub version: String,
}
