//! Checks the model files that the node would run on, sum included.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gaia_manifest::Manifest;
use sha2::{Digest, Sha256};

use super::Finding;
use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;
use crate::supervisor::models::{AUTO, Shelf, remembered};
use crate::terminal::bytes;

/// One finding for each model that the configuration names.
pub fn examine(config: &Config, home: &Home, environment: &Environment) -> Vec<Finding> {
    let shelf = Shelf::open(home, environment);
    let mut findings = vec![
        one(
            "chat model",
            &chat_model(config, home),
            "chosen and fetched at the next start",
            &shelf,
        ),
        one(
            "embedding",
            &config.embedding_model,
            "none, so no knowledge",
            &shelf,
        ),
    ];
    if !config.reranking_model.is_empty() {
        findings.push(one("reranking", &config.reranking_model, "none", &shelf));
    }
    if !config.draft_model.is_empty() {
        findings.push(one("draft model", &config.draft_model, "none", &shelf));
    }
    if !config.projector.is_empty() {
        findings.push(one("projector", &config.projector, "none", &shelf));
    }
    findings
}

/// The files that are here.
#[derive(Debug, Default)]
pub struct Files {
    /// The chat model's.
    pub chat: Option<PathBuf>,
    /// Of the model that guesses for it.
    pub draft: Option<PathBuf>,
    /// The embedding model's.
    pub embedding: Option<PathBuf>,
    /// The ranking model's.
    pub reranking: Option<PathBuf>,
}

/// The files of the models that the configuration names, as far as they are here.
pub fn files(config: &Config, home: &Home, environment: &Environment) -> Files {
    let shelf = Shelf::open(home, environment);
    Files {
        chat: shelf.file_here(&chat_model(config, home)),
        draft: shelf.file_here(&config.draft_model),
        embedding: shelf.file_here(&config.embedding_model),
        reranking: shelf.file_here(&config.reranking_model),
    }
}

/// The model that is named, or that was chosen; empty if none was yet.
fn chat_model(config: &Config, home: &Home) -> String {
    match config.chat_model.as_str() {
        AUTO => remembered(home).map_or(String::new(), |choice| choice.name),
        name => name.to_owned(),
    }
}

fn one(check: &'static str, wanted: &str, if_none: &str, shelf: &Shelf) -> Finding {
    if wanted.is_empty() {
        return Finding::ok(check, if_none);
    }
    if let Some(manifest) = shelf.catalogue.find(wanted) {
        return known(check, manifest, shelf);
    }
    let path = PathBuf::from(wanted);
    if path.is_file() {
        return Finding::ok(check, format!("{} (no sum known)", path.display()));
    }
    if wanted.starts_with("http") {
        return Finding::ok(
            check,
            format!("{wanted}, fetched at the next start if not here"),
        );
    }
    let mend = "`gaia model list` shows names; `gaia config set chat_model NAME`";
    Finding::fail(
        check,
        format!("`{wanted}` is neither a known model nor a file"),
        mend,
    )
}

fn known(check: &'static str, manifest: &Manifest, shelf: &Shelf) -> Finding {
    let name = &manifest.name;
    if !shelf.library.is_present(manifest) {
        let mend = format!("`gaia model pull {name}`, or the next start does it");
        return Finding::warn(check, format!("{name} is not here"), mend);
    }
    let path = shelf.library.path(manifest);
    let expected = manifest
        .sha256
        .or_else(|| shelf.library.recorded_sum(manifest));
    let again = format!("gaia model remove {name} && gaia model pull {name}");
    match (sum(&path), expected) {
        (Ok((found, length)), Some(expected)) if found == expected.to_string() => Finding::ok(
            check,
            format!("{name}, {}, its sum is right", bytes(length)),
        ),
        (Ok(_), Some(_)) => Finding::fail(check, format!("{name}: the file is corrupt"), again),
        (Ok((_, length)), None) => {
            Finding::ok(check, format!("{name}, {} (no sum known)", bytes(length)))
        }
        (Err(error), _) => Finding::fail(check, format!("{}: {error}", path.display()), again),
    }
}

/// The SHA-256 of a file in hex, and its length.
fn sum(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        length += count as u64;
    }
    let hex = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((hex, length))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn corrupt_missing_and_unknown_models() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path()).unwrap();
        let environment = Environment {
            cache: folder.path().to_owned(),
            ..Environment::default()
        };
        let check = |chat: &str, verdict, part: &str| {
            let config = Config {
                chat_model: chat.to_owned(),
                ..Config::default()
            };
            let finding = &examine(&config, &home, &environment)[0];
            assert_eq!(finding.verdict, verdict, "{chat}");
            assert!(finding.found.contains(part), "{}", finding.found);
        };
        check("auto", Verdict::Ok, "at the next start");
        check("xyzzy", Verdict::Fail, "neither");
        check("smollm2-135m-instruct", Verdict::Warn, "not here");

        let shelf = Shelf::open(&home, &environment);
        let manifest = shelf.catalogue.find("smollm2-135m-instruct").unwrap();
        let path = shelf.library.path(manifest);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(&path)
            .unwrap()
            .set_len(manifest.size_bytes)
            .unwrap();
        check("smollm2-135m-instruct", Verdict::Fail, "corrupt");
        check(path.to_str().unwrap(), Verdict::Ok, "no sum known");
    }
}
