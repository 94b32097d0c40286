//! `plugin.toml`: what a plugin is called, what it is for, what it may use.

use gaia_outbound::{
    DESCRIPTION_BYTES_MAX, NAME_BYTES_MAX, Parameters, ReadParametersError, is_name,
};
use serde::Deserialize;

/// The longest `plugin.toml`, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// The most memory that a plugin may ask for, in MiB.
pub const MEMORY_MIB_MAX: u32 = 1024;
/// Its memory where it does not say, in MiB.
pub const MEMORY_MIB_DEFAULT: u32 = 64;
/// The longest that a call may take, in milliseconds.
pub const TIME_MS_MAX: u32 = 60_000;
/// How long a call may take where the manifest does not say, in milliseconds.
pub const TIME_MS_DEFAULT: u32 = 5_000;
/// The most instructions of one call.
pub const INSTRUCTIONS_MAX: u32 = 2_000_000_000;
/// Its instructions where it does not say.
pub const INSTRUCTIONS_DEFAULT: u32 = 1_000_000_000;
/// The most that a call may write into its folder, in MiB.
pub const SCRATCH_MIB_MAX: u32 = 256;
/// What it may write where it does not say, in MiB.
pub const SCRATCH_MIB_DEFAULT: u32 = 16;

/// The most tools that a plugin may ask for.
pub const TOOLS_MAX: usize = 16;

/// Why a text is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ReadManifestError {
    /// Longer than the limit.
    #[error("it is longer than {MANIFEST_BYTES_MAX} bytes")]
    TooLong,
    /// A field is missing, unknown or of another type, or it is no TOML.
    #[error("{0}")]
    Toml(String),
    /// Not a name.
    #[error("name: 1 to {NAME_BYTES_MAX} letters, digits, - and _")]
    Name,
    /// Longer than the limit.
    #[error("description: longer than {DESCRIPTION_BYTES_MAX} bytes")]
    Description,
    /// Not a schema.
    #[error("parameters")]
    Parameters(#[from] ReadParametersError),
    /// It says neither what it is called with nor that it makes prompts, or both.
    #[error("a tool has [parameters], what makes prompts has [prompt]; it must have one of them")]
    Role,
    /// Not the names of tools.
    #[error("prompt.tools: up to {TOOLS_MAX} names of tools")]
    Tools,
    /// More or less than there may be.
    #[error("{field}: must be 1 to {most}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its maximum.
        most: u32,
    },
}

/// What a plugin is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// The model calls it, with arguments of this form.
    Tool(Parameters),
    /// It makes prompts, and may ask for calls of these tools of the node.
    Prompt(Vec<String>),
}

/// A plugin's manifest, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What the model calls it.
    pub name: String,
    /// What it does, in words for the model.
    pub description: String,
    /// What it is for.
    pub role: Role,
    /// The largest memory, in MiB.
    pub memory_mib: u32,
    /// The longest call, in milliseconds.
    pub time_ms: u32,
    /// The most instructions of a call.
    pub instructions: u32,
    /// The most that it may write into its folder, in MiB.
    pub scratch_mib: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    description: String,
    parameters: Option<serde_json::Value>,
    prompt: Option<WrittenPrompt>,
    memory_mib: Option<u32>,
    time_ms: Option<u32>,
    instructions: Option<u32>,
    scratch_mib: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrompt {
    #[serde(default)]
    tools: Vec<String>,
}

impl Role {
    fn of(
        parameters: Option<&serde_json::Value>,
        prompt: Option<WrittenPrompt>,
    ) -> Result<Self, ReadManifestError> {
        match (parameters, prompt) {
            (Some(parameters), None) => Ok(Self::Tool(Parameters::parse(&parameters.to_string())?)),
            (None, Some(WrittenPrompt { tools })) => {
                match tools.len() <= TOOLS_MAX && tools.iter().all(|name| is_name(name)) {
                    true => Ok(Self::Prompt(tools)),
                    false => Err(ReadManifestError::Tools),
                }
            }
            _ => Err(ReadManifestError::Role),
        }
    }
}

impl Manifest {
    /// The form of its arguments, if it is a tool.
    pub fn parameters(&self) -> Option<&Parameters> {
        match &self.role {
            Role::Tool(parameters) => Some(parameters),
            Role::Prompt(_) => None,
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The text is no manifest, and the error names the field.
    pub fn parse(text: &str) -> Result<Self, ReadManifestError> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(ReadManifestError::TooLong);
        }
        let written: Written =
            toml::from_str(text).map_err(|error| ReadManifestError::Toml(error.to_string()))?;
        if !is_name(&written.name) {
            return Err(ReadManifestError::Name);
        }
        if written.description.len() > DESCRIPTION_BYTES_MAX {
            return Err(ReadManifestError::Description);
        }
        let within = |field, value: Option<u32>, default, most: u32| match value.unwrap_or(default)
        {
            value if (1..=most).contains(&value) => Ok(value),
            _ => Err(ReadManifestError::Range { field, most }),
        };
        Ok(Self {
            role: Role::of(written.parameters.as_ref(), written.prompt)?,
            memory_mib: within(
                "memory_mib",
                written.memory_mib,
                MEMORY_MIB_DEFAULT,
                MEMORY_MIB_MAX,
            )?,
            time_ms: within("time_ms", written.time_ms, TIME_MS_DEFAULT, TIME_MS_MAX)?,
            scratch_mib: within(
                "scratch_mib",
                written.scratch_mib,
                SCRATCH_MIB_DEFAULT,
                SCRATCH_MIB_MAX,
            )?,
            instructions: within(
                "instructions",
                written.instructions,
                INSTRUCTIONS_DEFAULT,
                INSTRUCTIONS_MAX,
            )?,
            name: written.name,
            description: written.description,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: &str = "[parameters]\ntype = 'object'\n";

    fn said(lines: &str) -> String {
        match Manifest::parse(&format!("name = 'n'\n{lines}\n{PARAMETERS}")) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_manifest_is_read() {
        let text = "name = 'convert'\ndescription = 'd'\ntime_ms = 1\n\
                    [parameters]\ntype = 'object'\nrequired = ['x']\n\
                    [parameters.properties.x]\ntype = 'number'\n";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.name, "convert");
        assert_eq!(
            (manifest.time_ms, manifest.memory_mib),
            (1, MEMORY_MIB_DEFAULT)
        );
        let schema = manifest.parameters().unwrap().schema();
        assert_eq!(schema["properties"]["x"]["type"], "number");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(said("memroy_mib = 1").contains("unknown field `memroy_mib`"));
        assert!(said("time_ms = 'x'").contains("invalid type"));
        let error = Manifest::parse("name = 'a b'\n[parameters]\ntype = 'object'").unwrap_err();
        assert!(error.to_string().contains("letters, digits"));
        let error = Manifest::parse("name = 'a'\n[parameters]\ntype = 'string'").unwrap_err();
        assert_eq!(error.to_string(), "parameters");
    }

    #[test]
    fn what_makes_prompts_names_its_tools() {
        let role = |lines: &str| match Manifest::parse(&format!("name = 'n'\n{lines}")) {
            Ok(manifest) => format!("{:?}", manifest.role),
            Err(error) => error.to_string(),
        };
        let names = role("[prompt]\ntools = ['web_search', 'news__find']");
        assert_eq!(names, r#"Prompt(["web_search", "news__find"])"#);
        assert_eq!(role("[prompt]"), "Prompt([])");
        assert_eq!(
            role("[prompt]\ntools = ['a b']"),
            ReadManifestError::Tools.to_string()
        );
        let many = format!("[prompt]\ntools = {:?}", vec!["t"; TOOLS_MAX + 1]);
        assert_eq!(role(&many), ReadManifestError::Tools.to_string());
        for neither in ["", "[prompt]\n[parameters]\ntype = 'object'"] {
            assert_eq!(role(neither), ReadManifestError::Role.to_string());
        }
    }

    #[test]
    fn what_it_asks_for_has_an_end() {
        let limits = [
            ("memory_mib", MEMORY_MIB_MAX),
            ("time_ms", TIME_MS_MAX),
            ("scratch_mib", SCRATCH_MIB_MAX),
            ("instructions", INSTRUCTIONS_MAX),
        ];
        for (field, most) in limits {
            assert_eq!(said(&format!("{field} = {most}")), "");
            for wrong in [0, most + 1] {
                let expected = format!("{field}: must be 1 to {most}");
                assert_eq!(said(&format!("{field} = {wrong}")), expected);
            }
        }
        let text = |len: usize| format!("description = '{}'", "d".repeat(len));
        assert_eq!(said(&text(DESCRIPTION_BYTES_MAX)), "");
        assert!(said(&text(DESCRIPTION_BYTES_MAX + 1)).contains("description: longer"));
        assert!(said(&format!("#{}", "x".repeat(MANIFEST_BYTES_MAX))).contains("longer than"));
    }
}
