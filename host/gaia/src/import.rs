//! Takes over a GaiaNet node's `config.json`: flat, every value a text.
//!
//! Pure apart from reading the file. Every key gets a line that says what became of it: none is
//! dropped without a word.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::config::{find_key, one_line};

/// The longest `config.json`, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why the file could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is longer than any configuration.
    #[error("`{path}` is longer than {FILE_BYTES_MAX} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not JSON.
    #[error("`{path}` is not JSON")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The file is JSON, but no object.
    #[error("`{path}` is not a GaiaNet configuration: no JSON object")]
    NoObject {
        /// The file.
        path: PathBuf,
    },
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Ours is set.
    Set {
        /// Our key.
        key: &'static str,
        /// Its new value.
        value: String,
    },
    /// Empty there, so ours stays.
    Same {
        /// Our key.
        key: &'static str,
    },
    /// Gaia needs no such setting.
    NotNeeded {
        /// Why.
        why: String,
    },
    /// Something is left for the person to do.
    ToDo {
        /// What.
        what: String,
    },
}

/// One key of the file and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// GaiaNet's key.
    pub from: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.from)?;
        match &self.outcome {
            Outcome::Set { key, value } => write!(f, "{key} = {}", one_line(value)),
            Outcome::Same { key } => write!(f, "empty, {key} stays as it is"),
            Outcome::NotNeeded { why } => write!(f, "not needed: {why}"),
            Outcome::ToDo { what } => write!(f, "left to do: {what}"),
        }
    }
}

/// The whole file.
#[derive(Debug, Clone)]
pub struct Import {
    /// One line a key, in the file's order.
    pub lines: Vec<Line>,
}

impl Import {
    /// Our keys and their new values.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| match &line.outcome {
            Outcome::Set { key, value } => Some((*key, value.as_str())),
            _ => None,
        })
    }
}

/// Reads the file at `path` and decides about every key.
pub fn read_gaianet(path: &Path) -> Result<Import, ImportError> {
    let read = |source| ImportError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(read)?.len() > FILE_BYTES_MAX {
        return Err(ImportError::TooLong {
            path: path.to_owned(),
        });
    }
    let text = fs::read_to_string(path).map_err(read)?;
    let json: Value = serde_json::from_str(&text).map_err(|source| ImportError::Parse {
        path: path.to_owned(),
        source,
    })?;
    let Value::Object(entries) = json else {
        return Err(ImportError::NoObject {
            path: path.to_owned(),
        });
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let lines = entries.iter().map(|(name, value)| Line {
        from: name.clone(),
        outcome: decide(name, &text_of(value), folder),
    });
    Ok(Import {
        lines: lines.collect(),
    })
}

/// GaiaNet writes every value as a text; numbers are taken as well.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn decide(name: &str, text: &str, folder: &Path) -> Outcome {
    match name {
        "llamaedge_port" => take("port", text),
        "chat" => model("chat_model", text, folder),
        "chat_name" => take("chat_name", text),
        "chat_ctx_size" => take("ctx_size", text),
        "chat_batch_size" => take("batch_size", text),
        "system_prompt" => take("system_prompt", text),
        "rag_prompt" => take("rag_prompt", text),
        "rag_policy" => take("rag_policy", text),
        "context_window" => take("context_window", text),
        "embedding" => model("embedding_model", text, folder),
        "embedding_name" => take("embedding_name", text),
        "embedding_collection_name" => take("collection", text),
        "qdrant_limit" => take("retrieval_limit", text),
        "qdrant_score_threshold" => take("retrieval_threshold", text),
        "snapshot" => snapshot(text, folder),
        _ => left_out(name, text),
    }
}

/// Sets our `key`, unless the text is empty or no value for it.
fn take(key: &'static str, text: &str) -> Outcome {
    if text.is_empty() {
        return Outcome::Same { key };
    }
    match find_key(key).ok().and_then(|key| (key.parse)(text)) {
        Some(_) => Outcome::Set {
            key,
            value: text.to_owned(),
        },
        None => Outcome::ToDo {
            what: format!("`{text}` is no value for {key}; set it yourself"),
        },
    }
}

/// A model is a URL or a file beside `config.json`.
fn model(key: &'static str, text: &str, folder: &Path) -> Outcome {
    if text.is_empty() {
        return Outcome::Same { key };
    }
    if is_url(text) {
        // What HuggingFace shows under /blob/ is a page; the file is under /resolve/.
        return Outcome::Set {
            key,
            value: text.replacen("/blob/", "/resolve/", 1),
        };
    }
    let file = beside(text, folder);
    if file.is_file() {
        return Outcome::Set {
            key,
            value: file.display().to_string(),
        };
    }
    let what = format!(
        "`{}` is not there; put it there and set {key}",
        file.display()
    );
    Outcome::ToDo { what }
}

/// A snapshot is a URL or a file beside `config.json`. Restoring needs the running node, so it
/// stays a command to type.
fn snapshot(text: &str, folder: &Path) -> Outcome {
    if text.is_empty() {
        let why = "empty there, so there is no knowledge to take over".to_owned();
        return Outcome::NotNeeded { why };
    }
    let file = beside(text, folder);
    let what = if is_url(text) {
        restore_command(text)
    } else if file.is_file() {
        restore_command(&file.display().to_string())
    } else {
        format!(
            "`{}` is not there; put it there, and when the node runs, type: \
             gaia knowledge restore {}",
            file.display(),
            shell_word(&file.display().to_string())
        )
    };
    Outcome::ToDo { what }
}

fn restore_command(from: &str) -> String {
    let word = shell_word(from);
    format!("when the node runs, type: gaia knowledge restore {word}")
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn beside(name: &str, folder: &Path) -> PathBuf {
    std::path::absolute(folder.join(name)).unwrap_or_else(|_| folder.join(name))
}

/// `text` as one word of a shell's command line.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/:._-+@%=,".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The keys that have no counterpart.
fn left_out(name: &str, text: &str) -> Outcome {
    let not_needed = |why: &str| Outcome::NotNeeded {
        why: why.to_owned(),
    };
    match name {
        "address" => not_needed("the node has a key of its own, see `gaia key show`"),
        "description" => not_needed("a node describes itself by its name; see node_name"),
        "domain" => Outcome::ToDo {
            what: format!("a node does not join a domain ({text}) by its configuration file"),
        },
        "llamaedge_chat_port" | "llamaedge_embedding_port" | "assistant_port" => {
            not_needed("the parts inside find free ports by themselves")
        }
        "chat_ubatch_size"
        | "embedding_ctx_size"
        | "embedding_batch_size"
        | "embedding_ubatch_size" => not_needed("the engine takes it from the model"),
        "prompt_template" => {
            not_needed("the template comes with the model; chat_template overrides it")
        }
        "reverse_prompt" => {
            not_needed("the model's own end marks are used; clients can send `stop`")
        }
        "server_health_url" | "server_info_url" | "public_url" | "check_node_url" => {
            not_needed("a node reports to nobody")
        }
        _ => Outcome::ToDo {
            what: "not a key of GaiaNet's that is known here".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, expected: &str) {
        let line = Line {
            from: name.to_owned(),
            outcome: decide(name, text, Path::new("/g")),
        };
        assert_eq!(line.to_string(), expected);
    }

    #[test]
    fn keys_with_a_counterpart() {
        check("llamaedge_port", "8081", "llamaedge_port: port = 8081");
        check(
            "rag_prompt",
            "Use:\n---",
            "rag_prompt: rag_prompt = Use:\\n---",
        );
        check("chat_ctx_size", "16384", "chat_ctx_size: ctx_size = 16384");
        check(
            "chat_name",
            "",
            "chat_name: empty, chat_name stays as it is",
        );
        check(
            "rag_policy",
            "last-user-message",
            "rag_policy: rag_policy = last-user-message",
        );
        check("qdrant_limit", "1", "qdrant_limit: retrieval_limit = 1");
        check(
            "qdrant_score_threshold",
            "0.5",
            "qdrant_score_threshold: retrieval_threshold = 0.5",
        );
        check(
            "embedding_collection_name",
            "default",
            "embedding_collection_name: collection = default",
        );
        check(
            "llamaedge_port",
            "many",
            "llamaedge_port: left to do: `many` is no value for port; set it yourself",
        );
    }

    #[test]
    fn models() {
        check(
            "chat",
            "https://huggingface.co/a/b/blob/main/m.gguf",
            "chat: chat_model = https://huggingface.co/a/b/resolve/main/m.gguf",
        );
        check(
            "embedding",
            "e.gguf",
            "embedding: left to do: `/g/e.gguf` is not there; put it there and set embedding_model",
        );
    }

    #[test]
    fn a_snapshot_becomes_a_command_to_type() {
        let check = |text: &str, expected: &str| {
            check(
                "snapshot",
                text,
                &format!("snapshot: left to do: {expected}"),
            );
        };
        check(
            "https://huggingface.co/datasets/a/b/resolve/main/k.snapshot.tar.gz",
            "when the node runs, type: gaia knowledge restore \
             https://huggingface.co/datasets/a/b/resolve/main/k.snapshot.tar.gz",
        );
        check(
            "https://example.org/k?a=1&b='x'",
            r"when the node runs, type: gaia knowledge restore 'https://example.org/k?a=1&b='\''x'\'''",
        );
        check(
            "my k.snapshot",
            "`/g/my k.snapshot` is not there; put it there, and when the node runs, type: \
             gaia knowledge restore '/g/my k.snapshot'",
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.snapshot");
        fs::write(&path, "").unwrap();
        let found = decide("snapshot", "k.snapshot", folder.path());
        let what = restore_command(&path.display().to_string());
        assert_eq!(found, Outcome::ToDo { what });
    }

    /// Every key of GaiaNet 0.6.0 and of the older public configurations.
    const KNOWN: &[&str] = &[
        "address",
        "description",
        "domain",
        "llamaedge_port",
        "llamaedge_chat_port",
        "llamaedge_embedding_port",
        "chat",
        "chat_name",
        "chat_ctx_size",
        "chat_batch_size",
        "chat_ubatch_size",
        "prompt_template",
        "reverse_prompt",
        "system_prompt",
        "embedding",
        "embedding_name",
        "embedding_ctx_size",
        "embedding_batch_size",
        "embedding_ubatch_size",
        "snapshot",
        "embedding_collection_name",
        "qdrant_limit",
        "qdrant_score_threshold",
        "rag_prompt",
        "rag_policy",
        "context_window",
        "server_health_url",
        "server_info_url",
        "public_url",
        "assistant_port",
        "check_node_url",
    ];

    #[test]
    fn every_known_key_is_known() {
        for name in KNOWN {
            let shown = format!("{:?}", decide(name, "", Path::new("/g")));
            assert!(!shown.contains("not a key"), "{name}: {shown}");
        }
        check(
            "xyz",
            "1",
            "xyz: left to do: not a key of GaiaNet's that is known here",
        );
    }

    #[test]
    fn a_file_that_is_no_configuration_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, "[1]").unwrap();
        assert!(matches!(
            read_gaianet(&path),
            Err(ImportError::NoObject { .. })
        ));
        fs::write(&path, "{").unwrap();
        assert!(matches!(
            read_gaianet(&path),
            Err(ImportError::Parse { .. })
        ));
        fs::write(&path, " ".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
        assert!(matches!(
            read_gaianet(&path),
            Err(ImportError::TooLong { .. })
        ));
    }
}
