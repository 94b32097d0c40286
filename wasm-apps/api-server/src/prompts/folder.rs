//! The folder with the prompts, as it is now.
//!
//! Invariants: an edited file counts for the next request; a file that cannot be used is told about once, with its
//! line, and what was good before stays in use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use gaia_prompt::prompt::{PROMPT_BYTES_MAX, PROMPTS_MAX, PromptFile, PromptSet};

/// Entries of the folder that are looked at.
const ENTRIES_MAX: usize = 1024;

/// How a prompt's file ends.
const EXTENSION: &str = "md";

/// The prompts of a folder, read again when they change.
pub(crate) struct Prompts {
    folder: Option<PathBuf>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The folder as it was read last.
    seen: Vec<Seen>,
    set: Arc<PromptSet>,
    /// The vectors of the questions that rules compare with.
    vectors: BTreeMap<String, Vec<f32>>,
    /// What was warned of last.
    warned: String,
}

/// A file as it looked when it was read. Who edits it changes one of these.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    name: String,
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Prompts {
    /// Those of a folder; none without one.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            held: Mutex::default(),
        }
    }

    /// The prompts as the folder holds them now.
    pub(crate) fn current(&self) -> Arc<PromptSet> {
        let mut held = self.held();
        if let Some(folder) = &self.folder {
            let seen = look(folder);
            if seen != held.seen {
                read(folder, &seen, Arc::make_mut(&mut held.set));
                held.seen = seen;
            }
        }
        Arc::clone(&held.set)
    }

    /// Which of the texts have no vector yet.
    pub(crate) fn without_vector(&self, texts: &BTreeSet<&str>) -> Vec<String> {
        let held = self.held();
        let missing = texts
            .iter()
            .filter(|text| !held.vectors.contains_key(**text));
        missing.map(|text| (*text).to_owned()).collect()
    }

    /// Keeps vectors for as long as a rule asks for them.
    pub(crate) fn keep_vectors(
        &self,
        wanted: &BTreeSet<&str>,
        texts: Vec<String>,
        vectors: Vec<Vec<f32>>,
    ) {
        let mut held = self.held();
        held.vectors
            .retain(|text, _| wanted.contains(text.as_str()));
        held.vectors.extend(texts.into_iter().zip(vectors));
    }

    /// The cosine of the angle between an example and a question.
    pub(crate) fn similarity(&self, example: &str, question: &[f32]) -> Option<f32> {
        let held = self.held();
        cosine(held.vectors.get(example)?, question)
    }

    /// Writes a line to the log, unless it was the last one already.
    pub(crate) fn warn(&self, line: &str) {
        let mut held = self.held();
        if held.warned != line {
            crate::log::warn(line);
            line.clone_into(&mut held.warned);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in here is left half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cosine(a: &[f32], b: &[f32]) -> Option<f32> {
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    (a.len() == b.len() && cosine.is_finite()).then_some(cosine)
}

/// The prompts in the folder as they look from outside.
fn look(folder: &Path) -> Vec<Seen> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(ENTRIES_MAX);
    let mut seen: Vec<Seen> = entries.flatten().filter_map(|entry| see(&entry)).collect();
    seen.sort();
    seen
}

fn see(entry: &DirEntry) -> Option<Seen> {
    let name = entry.file_name().into_string().ok()?;
    let is_prompt = Path::new(&name)
        .extension()
        .is_some_and(|extension| extension == EXTENSION);
    if !is_prompt || name.starts_with('.') {
        return None;
    }
    let facts = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(Seen {
        name,
        bytes: facts.len(),
        changed: facts.modified().ok(),
    })
}

/// Reads the files into `set`, and tells what came of it.
fn read(folder: &Path, seen: &[Seen], set: &mut PromptSet) {
    let mut files = Vec::with_capacity(seen.len());
    // One more than can be used shows that there are too many.
    for Seen { name, .. } in seen.iter().take(PROMPTS_MAX + 1) {
        match read_file(&folder.join(name)) {
            Ok(bytes) => files.push(PromptFile {
                name: name.clone(),
                bytes,
            }),
            Err(error) => crate::log::warn(format_args!("prompts/{name} cannot be read: {error}")),
        }
    }
    let before = versions(set);
    for error in set.update(files) {
        crate::log::warn(format_args!(
            "prompts/{error}; until it is mended its last good version counts"
        ));
    }
    for version in versions(set).difference(&before) {
        crate::log::info(format_args!("prompt {version}"));
    }
}

fn versions(set: &PromptSet) -> BTreeSet<String> {
    let all = set.all();
    all.map(|(file, prompt)| format!("{} from {file}", prompt.version()))
        .collect()
}

/// One byte more than a prompt may have shows that it is too long.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(PROMPT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_compared() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), Some(1.0));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), Some(0.0));
        assert_eq!(cosine(&[1.0], &[1.0, 0.0]), None);
        assert_eq!(cosine(&[0.0], &[1.0]), None);
    }

    fn names(prompts: &Prompts) -> Vec<String> {
        let set = prompts.current();
        set.all()
            .map(|(_, prompt)| prompt.version().to_owned())
            .collect()
    }

    #[test]
    fn the_folder_is_seen_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
        let prompts = Prompts::new(Some(folder.path().to_owned()));
        assert!(names(&prompts).is_empty());
        write("a.md", b"one");
        write("note.txt", b"no prompt");
        write(".a.md.swp.md", b"no prompt either");
        fs::create_dir(folder.path().join("b.md")).unwrap();
        let first = names(&prompts);
        assert!(first.len() == 1 && first[0].starts_with("a@"), "{first:?}");
        write("a.md", b"another text");
        let second = names(&prompts);
        assert_ne!(first, second);
        write("a.md", b"{% if");
        assert_eq!(names(&prompts), second, "the good version stays");
        write("a.md", &vec![b'x'; PROMPT_BYTES_MAX + 1]);
        assert_eq!(
            names(&prompts),
            second,
            "and behind a file that is too long"
        );
        fs::remove_file(folder.path().join("a.md")).unwrap();
        assert!(names(&prompts).is_empty());
        assert!(names(&Prompts::new(None)).is_empty());
    }

    #[test]
    fn so_many_entries_are_looked_at_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..ENTRIES_MAX {
            fs::write(folder.path().join(format!("p{number}.md")), "x").unwrap();
        }
        assert_eq!(look(folder.path()).len(), ENTRIES_MAX);
        fs::write(folder.path().join("one-more.md"), "x").unwrap();
        assert_eq!(look(folder.path()).len(), ENTRIES_MAX);
        let prompts = Prompts::new(Some(folder.path().to_owned()));
        assert_eq!(names(&prompts).len(), PROMPTS_MAX);
    }

    #[test]
    fn vectors_are_kept_while_they_are_wanted() {
        let prompts = Prompts::new(None);
        let texts = BTreeSet::from(["a", "b"]);
        assert_eq!(prompts.without_vector(&texts), ["a", "b"]);
        prompts.keep_vectors(&texts, vec!["a".to_owned()], vec![vec![1.0]]);
        assert_eq!(prompts.without_vector(&texts), ["b"]);
        assert_eq!(prompts.similarity("a", &[2.0]), Some(1.0));
        assert_eq!(prompts.similarity("b", &[2.0]), None);
        prompts.keep_vectors(
            &BTreeSet::from(["b"]),
            vec!["b".to_owned()],
            vec![vec![1.0]],
        );
        assert_eq!(prompts.without_vector(&texts), ["a"]);
    }
}
