//! Which model files the node runs on: chosen, fetched where they are not here, and remembered.
//!
//! A choice made by `auto` stays until `chat_model` is set again, so that a node keeps its model
//! and needs no network at the next start.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use gaia_manifest::{Choice, Kind, Manifest, Source};
use gaia_models::{Catalogue, Library, PullError, Settings, report, usable_memory_bytes};
use sha2::{Digest, Sha256};

use super::state::ModelInUse;
use crate::config::Config;
use crate::environment::Environment;
use crate::home::{Home, write_private};

/// `chat_model` with this value leaves the choice to us.
pub const AUTO: &str = "auto";
/// What a model may use where the system does not say how much memory there is.
const MEMORY_BYTES_UNKNOWN: u64 = 1_000_000_000;

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
    #[error(
        "{key} is `{name}`, which is no model known here{}",
        suggestion(nearest)
    )]
    Unknown {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
        /// A known name like it.
        nearest: Option<String>,
    },
    /// A model of the other kind.
    #[error("{key} is `{name}`, which is a model for {kind}")]
    OtherKind {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
        /// What it is for.
        kind: &'static str,
    },
    /// The URL names no GGUF file.
    #[error("{key} is `{url}`, which does not end in the name of a .gguf file")]
    NoFileName {
        /// The key.
        key: &'static str,
        /// The URL.
        url: String,
    },
    /// Nothing fits and can be had.
    #[error("no model can be had now: {0}")]
    Nothing(String),
    /// It could not be fetched.
    #[error(transparent)]
    Pull(#[from] PullError),
}

fn suggestion(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; `gaia model list` shows them".to_owned(),
    }
}

/// The files to run on.
#[derive(Debug, Clone)]
pub struct Models {
    /// Answers.
    pub chat: ModelInUse,
    /// Finds passages; none: no knowledge.
    pub embedding: Option<ModelInUse>,
    /// Guesses what the first will say, if it is wanted.
    pub draft: Option<PathBuf>,
}

/// Known models and the files that are here.
#[derive(Debug)]
pub struct Shelf {
    /// What is known.
    pub catalogue: Catalogue,
    /// What is here.
    pub library: Library,
}

impl Shelf {
    /// The models of this machine and this home.
    pub fn open(home: &Home, environment: &Environment) -> Self {
        let mut settings = Settings::new(environment.cache.join("models"));
        settings.hub = environment.hub.clone();
        let folder = environment
            .manifests
            .clone()
            .unwrap_or_else(|| home.root().join("models"));
        Self {
            catalogue: Catalogue::with_folder(&folder),
            library: Library::new(settings),
        }
    }

    /// Fetches `manifest` if it is not here; shows a bar and gives the file.
    pub fn pull(&self, manifest: &Manifest, say: &dyn Fn(&str)) -> Result<PathBuf, PullError> {
        let mut on = report(&manifest.name, say);
        Ok(self.library.pull(manifest, &mut on)?.path)
    }

    /// The known model called `name`; the error suggests one like it.
    pub fn find(&self, key: &'static str, name: &str) -> Result<&Manifest, ChooseModelError> {
        self.catalogue
            .find(name)
            .ok_or_else(|| ChooseModelError::Unknown {
                key,
                name: name.to_owned(),
                nearest: self.nearest(name),
            })
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let names = self
            .catalogue
            .manifests
            .iter()
            .map(|manifest| &manifest.name);
        names
            .map(|known| (strsim::jaro_winkler(known, &name.to_lowercase()), known))
            .filter(|(similarity, _)| *similarity > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known.clone())
    }
}

/// Where an automatic choice is remembered.
pub fn choice_file(home: &Home) -> PathBuf {
    home.root().join("run/chat-model")
}

/// Chooses and, where needed, fetches the models that `config` names. `say` gets a line for each
/// thing worth telling.
pub fn ensure(
    config: &Config,
    home: &Home,
    environment: &Environment,
    say: &dyn Fn(&str),
) -> Result<Models, ChooseModelError> {
    let shelf = Shelf::open(home, environment);
    for problem in &shelf.catalogue.problems {
        say(&format!("left out: {problem}"));
    }
    let mut chat = match config.chat_model.as_str() {
        AUTO => automatic(&shelf, home, say)?,
        wanted => named(&shelf, "chat_model", wanted, Kind::Chat, say)?,
    };
    rename(&mut chat, &config.chat_name);
    let embedding = match config.embedding_model.as_str() {
        "" => None,
        wanted => {
            let mut model = named(&shelf, "embedding_model", wanted, Kind::Embedding, say)?;
            rename(&mut model, &config.embedding_name);
            Some(model)
        }
    };
    let draft = match config.draft_model.as_str() {
        "" => None,
        wanted => Some(named(&shelf, "draft_model", wanted, Kind::Chat, say)?.file),
    };
    Ok(Models {
        chat,
        embedding,
        draft,
    })
}

fn rename(model: &mut ModelInUse, name: &str) {
    if !name.is_empty() {
        model.name = name.to_owned();
    }
}

/// A model by name, path or URL.
fn named(
    shelf: &Shelf,
    key: &'static str,
    wanted: &str,
    kind: Kind,
    say: &dyn Fn(&str),
) -> Result<ModelInUse, ChooseModelError> {
    let reason = "as configured";
    if is_url(wanted) {
        let manifest = manifest_of_url(key, wanted, kind)?;
        return Ok(in_use(&manifest, reason, shelf.pull(&manifest, say)?));
    }
    if is_path(wanted) {
        let path = PathBuf::from(wanted);
        if !path.is_file() {
            return Err(ChooseModelError::NoSuchFile { key, path });
        }
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        return Ok(ModelInUse {
            name,
            reason: reason.to_owned(),
            file: path,
        });
    }
    let manifest = shelf.find(key, wanted)?;
    if manifest.kind != kind {
        let (name, kind) = (wanted.to_owned(), manifest.kind.name());
        return Err(ChooseModelError::OtherKind { key, name, kind });
    }
    Ok(in_use(manifest, reason, shelf.pull(manifest, say)?))
}

fn in_use(manifest: &Manifest, reason: &str, file: PathBuf) -> ModelInUse {
    ModelInUse {
        name: manifest.name.clone(),
        reason: reason.to_owned(),
        file,
    }
}

fn is_url(wanted: &str) -> bool {
    wanted.starts_with("https://") || wanted.starts_with("http://")
}

fn is_path(wanted: &str) -> bool {
    wanted.contains('/')
        || Path::new(wanted)
            .extension()
            .is_some_and(|end| end == "gguf")
}

/// A manifest for a file that only its address describes. The address is part of the file's name
/// here, so that two files of one name do not take each other's place.
fn manifest_of_url(key: &'static str, url: &str, kind: Kind) -> Result<Manifest, ChooseModelError> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let file = path.rsplit('/').next().unwrap_or_default();
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let Some(stem) = file
        .strip_suffix(".gguf")
        .filter(|stem| !stem.is_empty() && !stem.starts_with('.') && stem.chars().all(is_safe))
    else {
        return Err(ChooseModelError::NoFileName {
            key,
            url: url.to_owned(),
        });
    };
    let digest: String = Sha256::digest(url)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Manifest {
        name: stem.to_owned(),
        kind,
        description: String::new(),
        licence: String::new(),
        file: format!("{stem}-{digest}.gguf"),
        sha256: None,
        size_bytes: 0,
        context: 0,
        dimensions: None,
        parameters: 0,
        quantisation: String::new(),
        memory_bytes: 0,
        auto: false,
        sources: vec![Source::Url {
            url: url.to_owned(),
        }],
    })
}

/// The remembered choice if its file is here, else a new one.
fn automatic(
    shelf: &Shelf,
    home: &Home,
    say: &dyn Fn(&str),
) -> Result<ModelInUse, ChooseModelError> {
    let file = choice_file(home);
    let remembered = fs::read_to_string(&file).unwrap_or_default();
    if let Some(manifest) = shelf.catalogue.find(remembered.trim())
        && shelf.library.is_present(manifest)
    {
        let reason = "chosen automatically at an earlier start";
        return Ok(in_use(manifest, reason, shelf.library.path(manifest)));
    }
    let chosen = choose_new(shelf, say)?;
    if let Err(error) = write_private(&file, chosen.name.as_bytes()) {
        say(&format!("the choice is not remembered: {error}"));
    }
    Ok(chosen)
}

/// The best model that fits and can be had. One that turns out not to be fetchable is left out
/// and the next one taken.
fn choose_new(shelf: &Shelf, say: &dyn Fn(&str)) -> Result<ModelInUse, ChooseModelError> {
    say("Choosing a chat model:");
    let available = usable_memory_bytes().unwrap_or(MEMORY_BYTES_UNKNOWN);
    let cores = available_parallelism().map_or(1, NonZero::get);
    let memory = memory_answering_quickly(available, cores);
    if memory < available {
        let gigabytes = memory as f64 / 1e9;
        say(&format!(
            "  on {cores} cores a model of more than {gigabytes:.1} GB answers too slowly; name one to have it anyway"
        ));
    }
    let mut manifests = shelf.catalogue.manifests.clone();
    loop {
        let choice = shelf.library.choose(&manifests, Kind::Chat, memory);
        for line in choice.reasons() {
            say(&format!("  {line}"));
        }
        let Some((manifest, _)) = choice.chosen else {
            return Err(ChooseModelError::Nothing(choice.reasons().join("; ")));
        };
        match shelf.pull(manifest, say) {
            Ok(path) => return Ok(in_use(manifest, &reason(&choice), path)),
            Err(error) => say(&format!("  {}: {error}", manifest.name)),
        }
        let failed = manifest.name.clone();
        manifests.retain(|manifest| manifest.name != failed);
    }
}

/// How much of the memory a model may take without being asked for: a core reads a gigabyte and a
/// half of weights often enough in a second to write as fast as people read.
fn memory_answering_quickly(available: u64, cores: usize) -> u64 {
    const BYTES_PER_CORE: u64 = 1_500_000_000;
    let cores = u64::try_from(cores).unwrap_or(u64::MAX);
    available.min(BYTES_PER_CORE.saturating_mul(cores))
}

/// Why this one, in a few words.
fn reason(choice: &Choice) -> String {
    match choice.passed.len() {
        0 => "chosen automatically: the best one known".to_owned(),
        1 => "chosen automatically: the one better model does not fit or cannot be had".to_owned(),
        count => {
            format!("chosen automatically: {count} better models do not fit or cannot be had now")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_urls() {
        let check = |wanted, path, url| {
            assert_eq!((is_path(wanted), is_url(wanted)), (path, url), "{wanted}");
        };
        check("qwen3-1.7b", false, false);
        check("model.gguf", true, false);
        check("./model", true, false);
        check("https://a/b.gguf", true, true);
    }

    #[test]
    fn a_small_machine_is_not_given_a_model_it_can_only_crawl_with() {
        let check = |gigabytes: u64, cores, expected: u64| {
            let memory = memory_answering_quickly(gigabytes * 1_000_000_000, cores);
            assert_eq!(memory, expected * 100_000_000);
        };
        check(16, 2, 30);
        check(2, 2, 20);
        check(64, 8, 120);
    }

    fn check_url(url: &str, expected: Option<&str>) {
        let got = manifest_of_url("chat_model", url, Kind::Chat).ok();
        assert_eq!(
            got.as_ref().map(|manifest| manifest.name.as_str()),
            expected,
            "{url}"
        );
        if let Some(manifest) = got {
            assert!(manifest.file.starts_with(&manifest.name) && manifest.file.ends_with(".gguf"));
        }
    }

    #[test]
    fn a_url_names_its_file() {
        check_url("https://h/a/m-Q4_K.gguf", Some("m-Q4_K"));
        check_url("https://h/a/m.gguf?download=true", Some("m"));
        check_url("https://h/a/", None);
        check_url("https://h/..gguf", None);
        check_url("https://h/a%2f..%2fb.gguf", None);
        check_url("https://h/m.bin", None);
    }

    fn shelf(folder: &Path) -> (Shelf, Home) {
        let home = Home::new(folder).unwrap();
        home.make_folders().unwrap();
        let environment = Environment {
            cache: folder.to_owned(),
            ..Environment::default()
        };
        (Shelf::open(&home, &environment), home)
    }

    #[test]
    fn wrong_names_are_explained() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, _) = shelf(folder.path());
        let check = |wanted, expected: &str| {
            let error = named(&shelf, "chat_model", wanted, Kind::Chat, &|_| {}).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(
            "quen3-1.7b",
            "chat_model is `quen3-1.7b`, which is no model known here; did you mean `qwen3-1.7b`?",
        );
        check(
            "xyzzy",
            "chat_model is `xyzzy`, which is no model known here; `gaia model list` shows them",
        );
        check(
            "all-minilm-l6-v2",
            "chat_model is `all-minilm-l6-v2`, which is a model for embedding",
        );
        check(
            "/nonexistent/m.gguf",
            "chat_model is `/nonexistent/m.gguf`, and there is no such file",
        );
    }

    #[test]
    fn a_remembered_choice_asks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, home) = shelf(folder.path());
        let manifest = shelf.catalogue.find("smollm2-135m-instruct").unwrap();
        let path = shelf.library.path(manifest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path)
            .unwrap()
            .set_len(manifest.size_bytes)
            .unwrap();
        write_private(&choice_file(&home), b"smollm2-135m-instruct\n").unwrap();
        let said = std::cell::Cell::new(false);
        let chosen = automatic(&shelf, &home, &|_| said.set(true)).unwrap();
        assert_eq!(chosen.file, path);
        assert!(!said.get());
    }
}
