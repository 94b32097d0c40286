//! Whether a model file is of the kind that a key needs, by its header.
//!
//! The engine would find out too, but only once it loads the file, and then the node is down.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use gaia_gguf::Header;
use gaia_manifest::Kind;
use gaia_prompt::{ChatTemplate, SpecialTokens};

use super::ChooseModelError;

/// The header of the file at `path`, which `key` names, if it is a model of `kind`.
pub fn check(key: &'static str, kind: Kind, path: &Path) -> Result<Header, ChooseModelError> {
    let header = read(key, path)?;
    let found = found(&header);
    let misfit = header.reranking_misfit();
    match (kind, found, misfit) {
        // Also one that would give vectors as it is, and has what scores.
        (Kind::Reranking, _, None) => Ok(header),
        (Kind::Reranking, Kind::Reranking, Some(misfit)) => Err(ChooseModelError::Reranking {
            path: path.to_owned(),
            misfit,
        }),
        _ if found == kind => Ok(header),
        _ => Err(ChooseModelError::OtherKind {
            key,
            name: path.display().to_string(),
            kind: found.name(),
        }),
    }
}

fn found(header: &Header) -> Kind {
    let facts = header.facts();
    match (facts.is_embedding(), facts.is_reranking()) {
        (true, _) => Kind::Embedding,
        (_, true) => Kind::Reranking,
        (false, false) => Kind::Chat,
    }
}

/// Whether the model at `path` can guess for the one of the header `chat`.
pub fn check_draft(path: &Path, chat: &Header) -> Result<(), ChooseModelError> {
    let header = check("draft_model", Kind::Chat, path)?;
    match header.draft_misfit(chat) {
        None => Ok(()),
        Some(misfit) => Err(ChooseModelError::Draft {
            path: path.to_owned(),
            misfit,
        }),
    }
}

/// Whether a model can see with the file at `path`.
pub fn check_projector(path: &Path) -> Result<(), ChooseModelError> {
    let header = read("projector", path)?;
    let is_one = header.text("general.architecture") == Ok("clip")
        && header.flag("clip.has_vision_encoder") == Ok(true);
    match is_one {
        true => Ok(()),
        false => Err(ChooseModelError::NoProjector {
            path: path.to_owned(),
        }),
    }
}

/// Whether the template in the header of the model at `path` can be used. One without any is given one.
pub fn check_template(path: &Path, header: &Header) -> Result<(), ChooseModelError> {
    let Some(template) = header.facts().chat_template else {
        return Ok(());
    };
    match ChatTemplate::new(&template, SpecialTokens::default()) {
        Ok(_) => Ok(()),
        Err(source) => Err(ChooseModelError::Template {
            path: path.to_owned(),
            source,
        }),
    }
}

fn read(key: &'static str, path: &Path) -> Result<Header, ChooseModelError> {
    let path = path.to_owned();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(source) => return Err(ChooseModelError::Open { key, path, source }),
    };
    Header::read(&mut BufReader::new(file)).map_err(|source| ChooseModelError::NotAModel {
        key,
        path,
        source,
    })
}
