//! What is remembered of model files that were tried in a child process and found good, so that the next
//! start need not load them twice.
//!
//! One small file for each model, in a folder that whoever starts the process names; without one nothing is
//! remembered. A verdict holds for the very file (place, size, time of change) and for this version of the
//! engine and what it computes on. Whoever can write into that folder can put a model there as well, so a verdict grants nothing new;
//! what cannot be read, or says something else, means only that the file is tried.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gaia_engine::LoadOptions;

/// What this build computes on; what is good for one may not be for the other.
const BACKEND: &str = match (
    cfg!(feature = "cuda"),
    cfg!(feature = "vulkan"),
    cfg!(feature = "metal"),
) {
    (true, _, _) => "CUDA",
    (_, true, _) => "Vulkan",
    (_, _, true) => "Metal",
    (false, false, false) => "CPU",
};

/// The variable that names the folder.
const FOLDER_VARIABLE: &str = "GAIA_TRIED_MODELS";

/// What tells a file from all others, and from itself once it was written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    place: (u64, u64),
    text: String,
}

impl Stamp {
    /// Of the file at `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::on(&fs::metadata(path)?))
    }

    fn on(file: &Metadata) -> Self {
        Self {
            place: (file.dev(), file.ino()),
            text: format!(
                "{} bytes, changed {}.{:09} and {}.{:09}",
                file.size(),
                file.mtime(),
                file.mtime_nsec(),
                file.ctime(),
                file.ctime_nsec(),
            ),
        }
    }
}

/// What a file is tried for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    AsTheFileSays,
    Embedding,
    Reranking,
}

impl Purpose {
    fn of(options: &LoadOptions) -> Self {
        match (options.embedding, options.reranking) {
            (Some(true), _) => Self::Embedding,
            (_, Some(true)) => Self::Reranking,
            _ => Self::AsTheFileSays,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AsTheFileSays => "as the file says",
            Self::Embedding => "embeddings",
            Self::Reranking => "reranking",
        }
    }
}

/// Where the verdict on one file stands, and what it says if the file is good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    path: PathBuf,
    text: String,
}

impl Verdict {
    /// For the model at `path`; `None` if nothing is to be remembered, or the file is not there.
    pub fn of(path: &Path, purpose: Purpose) -> Option<Self> {
        let folder = std::env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty())?;
        Some(Self::on(&Stamp::of(path).ok()?, purpose, &folder))
    }

    /// For the projector at `path`, which is tried with the model at `model`.
    fn with_model(path: &Path, model: &Path) -> Option<Self> {
        let verdict = Self::of(path, Purpose::AsTheFileSays)?;
        let model = Stamp::of(model).ok()?;
        let (device, number) = model.place;
        let text = format!(
            "{}with {device:x}-{number:x}, {}\n",
            verdict.text, model.text
        );
        Some(Self { text, ..verdict })
    }

    fn on(file: &Stamp, purpose: Purpose, folder: &OsString) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let build = gaia_engine::engine_build();
        let purpose = purpose.name();
        let (device, number) = file.place;
        Self {
            path: Path::new(folder).join(format!("{device:x}-{number:x}")),
            text: format!(
                "{}, for {purpose}: good for {version} on {BACKEND} with {} {}\n",
                file.text, build.commit, build.number,
            ),
        }
    }

    /// Whether the file was found good before.
    pub fn is_good(&self) -> bool {
        fs::read(&self.path).is_ok_and(|text| text == self.text.as_bytes())
    }

    /// Remembers that it is good. A folder that cannot be written costs a trial at each start, no more.
    pub fn keep(&self) {
        let new = self.path.with_extension(std::process::id().to_string());
        let written = self.path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written
            .and_then(|()| fs::write(&new, &self.text))
            .and_then(|()| fs::rename(&new, &self.path));
        if let Err(error) = written {
            let path = self.path.display();
            tracing::warn!("failed to remember in `{path}` that a model is good: {error}");
        }
    }
}

/// The verdicts on a model's file, on that of the one that guesses for it and on its projector.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    model: Option<Verdict>,
    draft: Option<Verdict>,
    projector: Option<Verdict>,
}

impl Verdicts {
    /// For the model at `path`, loaded with `options`.
    pub fn of(path: &Path, options: &LoadOptions) -> Self {
        let draft = options.draft_model.as_deref();
        Self {
            model: Verdict::of(path, Purpose::of(options)),
            draft: draft.and_then(|draft| Verdict::of(draft, Purpose::AsTheFileSays)),
            projector: options
                .projector
                .as_deref()
                .and_then(|projector| Verdict::with_model(projector, path)),
        }
    }

    /// `options`, with the word that what was found good before need not be tried.
    pub fn with(&self, options: &LoadOptions) -> LoadOptions {
        LoadOptions {
            checked: self.model.as_ref().is_some_and(Verdict::is_good),
            draft_checked: self.draft.as_ref().is_some_and(Verdict::is_good),
            projector_checked: self.projector.as_ref().is_some_and(Verdict::is_good),
            ..options.clone()
        }
    }

    /// Remembers that all are good.
    pub fn keep(&self) {
        let all = self.model.iter().chain(&self.draft).chain(&self.projector);
        for verdict in all.filter(|verdict| !verdict.is_good()) {
            verdict.keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(model: &Path, folder: &Path) -> Verdict {
        let stamp = Stamp::of(model).unwrap();
        Verdict::on(&stamp, Purpose::AsTheFileSays, &folder.into())
    }

    #[test]
    fn a_verdict_holds_for_the_very_file() {
        let folder = tempfile::tempdir().unwrap();
        let tried = folder.path().join("new").join("tried");
        let model = folder.path().join("model.gguf");
        fs::write(&model, "one").unwrap();
        assert!(!verdict(&model, &tried).is_good());
        verdict(&model, &tried).keep();
        assert!(
            verdict(&model, &tried)
                .text
                .contains(&format!(" on {BACKEND} "))
        );
        assert!(verdict(&model, &tried).is_good());
        for purpose in [Purpose::Embedding, Purpose::Reranking] {
            let stamp = Stamp::of(&model).unwrap();
            assert!(!Verdict::on(&stamp, purpose, &tried.clone().into()).is_good());
        }
        // Another model under the same name, and the same place.
        fs::write(&model, "two!").unwrap();
        assert!(!verdict(&model, &tried).is_good());
    }

    #[test]
    fn a_damaged_verdict_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.gguf");
        fs::write(&model, "one").unwrap();
        let one = verdict(&model, folder.path());
        one.keep();
        let text = fs::read(&one.path).unwrap();
        fs::write(&one.path, &text[..text.len() / 2]).unwrap();
        assert!(!one.is_good());
        // No file can be made there.
        verdict(&model, &model.join("below")).keep();
    }
}
