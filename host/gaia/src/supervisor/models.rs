//! Which model files the node runs on: chosen, fetched where they are not here, and remembered.
//!
//! Invariant: what comes out of here is a readable model file of the kind that its key needs.

mod automatic;
mod named;
mod shelf;
mod suits;

use std::io;
use std::path::PathBuf;

use gaia_gguf::{DraftMisfit, ReadHeaderError, RerankingMisfit};
use gaia_manifest::Kind;
use gaia_models::PullError;
use gaia_prompt::TemplateError;

pub use automatic::{forget, remembered};
pub use shelf::Shelf;

use self::named::{Named, name};
use super::state::ModelInUse;
use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;

/// `chat_model` with this value leaves the choice to us.
pub const AUTO: &str = "auto";

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
        /// The name, or the file.
        name: String,
        /// What it is for.
        kind: &'static str,
    },
    /// The file cannot be opened.
    #[error("{key} is `{path}`, which cannot be opened")]
    Open {
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is no model.
    #[error("{key} is `{path}`, which cannot be read as a model")]
    NotAModel {
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ReadHeaderError,
    },
    /// Nobody can talk to it.
    #[error("chat_model is `{path}`, whose own chat template cannot be used")]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TemplateError,
    },
    /// It cannot guess for the chat model.
    #[error("draft_model is `{path}`, which {misfit}")]
    Draft {
        /// Its file.
        path: PathBuf,
        /// Why not.
        misfit: DraftMisfit,
    },
    /// It gives texts no score.
    #[error("reranking_model is `{path}`, which {misfit}")]
    Reranking {
        /// Its file.
        path: PathBuf,
        /// Why not.
        misfit: RerankingMisfit,
    },
    /// It makes nothing of images.
    #[error("projector is `{path}`, which is no projector for images")]
    NoProjector {
        /// Its file.
        path: PathBuf,
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

impl ChooseModelError {
    /// The command that mends it, where one does.
    pub fn mend(&self) -> Option<&'static str> {
        let key = match self {
            Self::NoSuchFile { key, .. }
            | Self::Unknown { key, .. }
            | Self::OtherKind { key, .. }
            | Self::Open { key, .. }
            | Self::NotAModel { key, .. }
            | Self::NoFileName { key, .. } => *key,
            Self::Draft { .. } => "draft_model",
            Self::Reranking { .. } => "reranking_model",
            Self::NoProjector { .. } => "projector",
            Self::Template { .. } => "chat_template",
            Self::Nothing(_) | Self::Pull(_) => return None,
        };
        let mends = [
            (
                "chat_model",
                "`gaia config set chat_model NAME`, with a chat model of `gaia model list`, or `auto`",
            ),
            (
                "embedding_model",
                "`gaia config set embedding_model NAME`, with an embedding model of `gaia model list`",
            ),
            (
                "reranking_model",
                "`gaia config set reranking_model FILE`, with a model that was converted for ranking, or \
                 `\"\"` for none",
            ),
            (
                "chat_template",
                "`gaia config set chat_template FILE`, with one that works, or another chat_model",
            ),
            (
                "draft_model",
                "`gaia config set draft_model NAME`, with a smaller model of the chat model's family, \
                 or `\"\"` for none",
            ),
            (
                "projector",
                "`gaia config set projector FILE`, with the file that was published beside the chat model as \
                 mmproj, or `\"\"` for none",
            ),
        ];
        let mend = mends.into_iter().find(|(known, _)| *known == key);
        mend.map(|(_, mend)| mend)
    }

    /// Whether what the key names is here and can never do, whatever is fetched later.
    pub fn is_wrong_kind(&self) -> bool {
        matches!(
            self,
            Self::OtherKind { .. } | Self::NotAModel { .. } | Self::Reranking { .. }
        )
    }
}

/// The files to run on.
#[derive(Debug, Clone)]
pub struct Models {
    /// Answers.
    pub chat: ModelInUse,
    /// Finds passages; none: no knowledge.
    pub embedding: Option<ModelInUse>,
    /// Orders texts by how well they answer, if it is wanted.
    pub reranking: Option<ModelInUse>,
    /// Guesses what the first will say, if it is wanted.
    pub draft: Option<PathBuf>,
    /// With which the chat model sees images.
    pub projector: Option<PathBuf>,
}

/// Chooses and, where needed, fetches the models that `config` names, and looks whether they suit.
/// `say` gets a line for each thing worth telling.
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
        AUTO => automatic::choose(&shelf, home, say)?,
        wanted => fetch(&shelf, "chat_model", wanted, Kind::Chat, say)?,
    };
    rename(&mut chat, &config.chat_name);
    let chat_header = suits::check("chat_model", Kind::Chat, &chat.file)?;
    if config.chat_template.is_empty() {
        suits::check_template(&chat.file, &chat_header)?;
    }
    let embedding = match config.embedding_model.as_str() {
        "" => None,
        wanted => {
            let mut model = fetch(&shelf, "embedding_model", wanted, Kind::Embedding, say)?;
            rename(&mut model, &config.embedding_name);
            suits::check("embedding_model", Kind::Embedding, &model.file)?;
            Some(model)
        }
    };
    let reranking = match config.reranking_model.as_str() {
        "" => None,
        wanted => {
            let mut model = fetch(&shelf, "reranking_model", wanted, Kind::Reranking, say)?;
            rename(&mut model, &config.reranking_name);
            suits::check("reranking_model", Kind::Reranking, &model.file)?;
            Some(model)
        }
    };
    let draft = match config.draft_model.as_str() {
        "" => None,
        wanted => {
            let file = fetch(&shelf, "draft_model", wanted, Kind::Chat, say)?.file;
            suits::check_draft(&file, &chat_header)?;
            Some(file)
        }
    };
    let projector = match config.projector.as_str() {
        "" => None,
        wanted => {
            let file = fetch(&shelf, "projector", wanted, Kind::Chat, say)?.file;
            suits::check_projector(&file)?;
            Some(file)
        }
    };
    Ok(Models {
        chat,
        embedding,
        reranking,
        draft,
        projector,
    })
}

/// What is wrong with the models under `keys`, as far as it shows without fetching anything. An
/// error for each, in the order of the keys.
pub fn look(
    config: &Config,
    home: &Home,
    environment: &Environment,
    keys: &[&str],
) -> Vec<ChooseModelError> {
    let shelf = Shelf::open(home, environment);
    let wanted = [
        ("chat_model", &config.chat_model, Kind::Chat),
        ("embedding_model", &config.embedding_model, Kind::Embedding),
        ("reranking_model", &config.reranking_model, Kind::Reranking),
        ("draft_model", &config.draft_model, Kind::Chat),
    ];
    let mut wrong: Vec<_> = wanted
        .into_iter()
        .filter(|(key, wanted, _)| keys.contains(key) && !["", AUTO].contains(&wanted.as_str()))
        .filter_map(|(key, wanted, kind)| look_at(&shelf, key, wanted, kind).err())
        .collect();
    if wrong.is_empty() && (keys.contains(&"chat_model") || keys.contains(&"draft_model")) {
        wrong.extend(look_at_pair(config, home, &shelf).err());
    }
    if keys.contains(&"projector") && !config.projector.is_empty() {
        wrong.extend(look_at_projector(&shelf, &config.projector).err());
    }
    wrong
}

fn look_at(
    shelf: &Shelf,
    key: &'static str,
    wanted: &str,
    kind: Kind,
) -> Result<(), ChooseModelError> {
    match name(shelf, key, wanted, kind)?.file_here(shelf) {
        Some(file) => suits::check(key, kind, &file).map(|_| ()),
        None => Ok(()),
    }
}

fn look_at_projector(shelf: &Shelf, wanted: &str) -> Result<(), ChooseModelError> {
    match name(shelf, "projector", wanted, Kind::Chat)?.file_here(shelf) {
        Some(file) => suits::check_projector(&file),
        None => Ok(()),
    }
}

fn look_at_pair(config: &Config, home: &Home, shelf: &Shelf) -> Result<(), ChooseModelError> {
    let chat = match config.chat_model.as_str() {
        AUTO => remembered(home).map_or(String::new(), |choice| choice.name),
        name => name.to_owned(),
    };
    match (shelf.file_here(&chat), shelf.file_here(&config.draft_model)) {
        (Some(chat), Some(draft)) => {
            let chat = suits::check("chat_model", Kind::Chat, &chat)?;
            suits::check_draft(&draft, &chat)
        }
        _ => Ok(()),
    }
}

fn rename(model: &mut ModelInUse, name: &str) {
    if !name.is_empty() {
        model.name = name.to_owned();
    }
}

/// A model by name, path or URL, here when this returns.
fn fetch(
    shelf: &Shelf,
    key: &'static str,
    wanted: &str,
    kind: Kind,
    say: &dyn Fn(&str),
) -> Result<ModelInUse, ChooseModelError> {
    let named = name(shelf, key, wanted, kind)?;
    let file = match &named {
        Named::Known(manifest) | Named::Url(manifest) => shelf.pull(manifest, say)?,
        Named::File(path) => path.clone(),
    };
    Ok(ModelInUse {
        name: named.name(),
        reason: "as configured".to_owned(),
        file,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use gaia_gguf::{TensorType, Writer};

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        home: Home,
        environment: Environment,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let home = Home::new(folder.path()).unwrap();
            home.make_folders().unwrap();
            let environment = Environment {
                cache: folder.path().to_owned(),
                ..Environment::default()
            };
            Self {
                folder,
                home,
                environment,
            }
        }

        fn shelf(&self) -> Shelf {
            Shelf::open(&self.home, &self.environment)
        }

        fn file(&self, name: &str) -> String {
            let path = self.folder.path().join(name);
            path.to_str().unwrap().to_owned()
        }

        /// A header without weights, of so many tokens.
        fn model(&self, name: &str, architecture: &str, tokens: usize) -> String {
            self.model_with(name, architecture, tokens, |_| {})
        }

        fn model_with(
            &self,
            name: &str,
            architecture: &str,
            tokens: usize,
            more: impl FnOnce(&mut Writer<'_>),
        ) -> String {
            let mut writer = Writer::new();
            writer.set("general.architecture", architecture).unwrap();
            let tokens: Vec<String> = (0..tokens).map(|index| format!("t{index}")).collect();
            writer.set("tokenizer.ggml.tokens", tokens).unwrap();
            more(&mut writer);
            let path = self.file(name);
            writer.write(&mut File::create(&path).unwrap()).unwrap();
            path
        }

        fn ensure(&self, [chat, embedding, draft]: [&str; 3]) -> Result<Models, ChooseModelError> {
            let config = config([chat, embedding, draft]);
            ensure(&config, &self.home, &self.environment, &|_| {})
        }
    }

    fn config([chat, embedding, draft]: [&str; 3]) -> Config {
        Config {
            chat_model: chat.to_owned(),
            embedding_model: embedding.to_owned(),
            draft_model: draft.to_owned(),
            ..Config::default()
        }
    }

    #[test]
    fn wrong_names_are_explained() {
        let place = Place::new();
        let check = |wanted, expected: &str| {
            let shelf = place.shelf();
            let error = fetch(&shelf, "chat_model", wanted, Kind::Chat, &|_| {}).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(error.mend().unwrap().contains("`auto`"));
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
    fn a_file_of_the_wrong_kind_is_refused_for_every_key() {
        let place = Place::new();
        let chat = &place.model("chat.gguf", "llama", 300);
        let small = &place.model("small.gguf", "llama", 300);
        let other = &place.model("other.gguf", "llama", 600);
        let embedding = &place.model("embedding.gguf", "bert", 300);
        let text = &place.file("text.gguf");
        std::fs::write(text, "no model").unwrap();
        let check = |keys: [&str; 3], expected: &str| {
            let error = place.ensure(keys).unwrap_err();
            assert!(error.to_string().ends_with(expected), "{error}");
            let mend = error.mend().unwrap();
            let key = error.to_string().split(' ').next().unwrap().to_owned();
            assert!(mend.contains(&key), "{mend}");
        };
        let models = place.ensure([chat, embedding, small]).unwrap();
        assert_eq!(models.draft.as_deref(), Some(Path::new(small)));
        check([embedding, "", ""], "which is a model for embedding");
        check([text, "", ""], "which cannot be read as a model");
        check([chat, small, ""], "which is a model for chat");
        check([chat, "", embedding], "which is a model for embedding");
        check([chat, "", text], "which cannot be read as a model");
        let sizes = "which has 600 tokens, and the model has 300: they must be the same";
        check([chat, "", other], sizes);
    }

    #[test]
    fn a_ranking_model_gives_texts_a_score() {
        let place = Place::new();
        let with_classes = |name, architecture, count: u64| {
            place.model_with(name, architecture, 300, |writer| {
                let zeros = vec![0; 16 * count as usize];
                let shape = [4, count];
                let added =
                    writer.add_tensor("cls.output.weight", &shape, TensorType::F32, || zeros);
                added.unwrap();
            })
        };
        let chat = &place.model("chat.gguf", "llama", 300);
        let embedding = &place.model("embedding.gguf", "bert", 300);
        let ranking = &with_classes("ranking.gguf", "bert", 1);
        let sorting = &with_classes("sorting.gguf", "bert", 3);
        let check = |[chat, embedding, reranking]: [&str; 3], expected: &str| {
            let config = Config {
                reranking_model: reranking.to_owned(),
                reranking_name: "judge".to_owned(),
                ..config([chat, embedding, ""])
            };
            let keys = ["chat_model", "embedding_model", "reranking_model"];
            let looked = look(&config, &place.home, &place.environment, &keys);
            let ensured = ensure(&config, &place.home, &place.environment, &|_| {});
            match (ensured, expected) {
                (Ok(models), "") => {
                    assert_eq!(models.reranking.unwrap().name, "judge");
                    assert!(looked.is_empty(), "{looked:?}");
                }
                (ensured, expected) => {
                    let error = ensured.unwrap_err();
                    assert!(error.to_string().ends_with(expected), "{error}");
                    let key = error.to_string().split(' ').next().unwrap().to_owned();
                    assert!(error.mend().unwrap().contains(&key));
                    assert!(looked[0].is_wrong_kind(), "{looked:?}");
                    assert_eq!(looked[0].to_string(), error.to_string());
                }
            }
        };
        check([chat, embedding, ranking], "");
        check([chat, "", chat], "which is a model for chat");
        check([chat, "", embedding], "which is a model for embedding");
        let classes = "which sorts texts into 3 classes, where a score is needed";
        check([chat, "", sorting], classes);
        check([ranking, "", ranking], "which is a model for reranking");
        check([chat, ranking, ranking], "which is a model for reranking");
    }

    #[test]
    fn a_template_that_is_none_is_refused_unless_another_is_wanted() {
        let place = Place::new();
        let chat = place.model_with("chat.gguf", "llama", 300, |writer| {
            let broken = "{% if messages %}";
            writer.set("tokenizer.chat_template", broken).unwrap();
        });
        let error = place.ensure([&chat, "", ""]).unwrap_err();
        let expected = "whose own chat template cannot be used";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(error.mend().unwrap().contains("chat_template"));
        let config = Config {
            chat_template: "/some/template.jinja".to_owned(),
            ..config([&chat, "", ""])
        };
        ensure(&config, &place.home, &place.environment, &|_| {}).unwrap();
    }

    #[test]
    fn a_look_fetches_nothing_and_sees_what_is_here() {
        let place = Place::new();
        let chat = &place.model("chat.gguf", "llama", 300);
        let other = &place.model("other.gguf", "llama", 600);
        let embedding = &place.model("embedding.gguf", "bert", 300);
        let check = |keys: &[&str], models: [&str; 3], expected: &[(&str, bool)]| {
            let found = look(&config(models), &place.home, &place.environment, keys);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (error, (part, wrong_kind)) in found.iter().zip(expected) {
                assert!(error.to_string().contains(part), "{error}");
                assert_eq!(error.is_wrong_kind(), *wrong_kind, "{error}");
            }
        };
        let all = ["chat_model", "embedding_model", "draft_model"];
        check(&all, [chat, embedding, chat], &[]);
        check(&all, [AUTO, "", ""], &[]);
        check(&all, ["qwen3-1.7b", "", ""], &[]);
        check(&all, ["https://h/a/m.gguf", "", ""], &[]);
        let wrong = [("chat_model is", true), ("embedding_model is", true)];
        check(&all, [embedding, chat, ""], &wrong);
        check(&all[1..2], [embedding, chat, ""], &wrong[1..]);
        check(&all, ["quen3-1.7b", "", ""], &[("did you mean", false)]);
        check(&all, ["/no/m.gguf", "", ""], &[("no such file", false)]);
        check(&all[..1], [chat, "", other], &[("has 600 tokens", false)]);
        check(&all[1..2], [chat, "", other], &[]);
    }
}
