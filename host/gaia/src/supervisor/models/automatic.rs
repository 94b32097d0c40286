//! The choice of a chat model where the configuration leaves it to us.
//!
//! It is made once and stays, with its reason, until `chat_model` is set again: a node keeps its
//! model and needs no network at the next start.

use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread::available_parallelism;

use gaia_manifest::Kind;
use gaia_models::usable_memory_bytes;

use super::{ChooseModelError, Shelf};
use crate::home::{Home, write_private};
use crate::supervisor::state::ModelInUse;

/// What a model may use where the system does not say how much memory there is.
const MEMORY_BYTES_UNKNOWN: u64 = 1_000_000_000;

/// A choice that was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The model's name.
    pub name: String,
    /// Why this one.
    pub reason: String,
}

/// The choice of an earlier time, if there was one.
pub fn remembered(home: &Home) -> Option<Remembered> {
    let text = fs::read_to_string(choice_file(home)).ok()?;
    let mut lines = text.lines().map(str::trim);
    let name = lines.next().filter(|name| !name.is_empty())?.to_owned();
    // Earlier versions did not write the reason down.
    let reason = match lines.next() {
        None | Some("") => "chosen automatically at an earlier start",
        Some(reason) => reason,
    };
    let reason = reason.to_owned();
    Some(Remembered { name, reason })
}

/// Has the next start choose anew.
pub fn forget(home: &Home) {
    let _none_was_made = fs::remove_file(choice_file(home));
}

fn choice_file(home: &Home) -> PathBuf {
    home.root().join("run/chat-model")
}

/// The remembered choice if its file is here, else a new one.
pub fn choose(
    shelf: &Shelf,
    home: &Home,
    say: &dyn Fn(&str),
) -> Result<ModelInUse, ChooseModelError> {
    if let Some(choice) = remembered(home)
        && let Some(manifest) = shelf.catalogue.find(&choice.name)
        && shelf.library.is_present(manifest)
    {
        return Ok(ModelInUse {
            name: manifest.name.clone(),
            reason: choice.reason,
            file: shelf.library.path(manifest),
        });
    }
    let chosen = choose_new(shelf, say)?;
    remember(home, &chosen, say);
    Ok(chosen)
}

fn remember(home: &Home, chosen: &ModelInUse, say: &dyn Fn(&str)) {
    let text = format!("{}\n{}\n", chosen.name, chosen.reason);
    if let Err(error) = write_private(&choice_file(home), text.as_bytes()) {
        say(&format!("the choice is not remembered: {error}"));
    }
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
            Ok(file) => {
                return Ok(ModelInUse {
                    name: manifest.name.clone(),
                    reason: reason(choice.passed.len()),
                    file,
                });
            }
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

/// Why this one, in words that stay true: they are shown at later starts too.
fn reason(passed: usize) -> String {
    match passed {
        0 => "chosen automatically: the best one known".to_owned(),
        1 => {
            "chosen automatically: the one better model did not fit or could not be had".to_owned()
        }
        count => {
            format!("chosen automatically: {count} better models did not fit or could not be had")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::environment::Environment;

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

    /// A home and a shelf with the file of a small model.
    fn shelf(folder: &std::path::Path) -> (Shelf, Home, PathBuf) {
        let home = Home::new(folder).unwrap();
        home.make_folders().unwrap();
        let environment = Environment {
            cache: folder.to_owned(),
            ..Environment::default()
        };
        let shelf = Shelf::open(&home, &environment);
        let manifest = shelf.catalogue.find("smollm2-135m-instruct").unwrap();
        let path = shelf.library.path(manifest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::File::create(&path).unwrap();
        file.set_len(manifest.size_bytes).unwrap();
        (shelf, home, path)
    }

    #[test]
    fn a_remembered_choice_asks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, home, path) = shelf(folder.path());
        let check = |text: &str, reason: &str| {
            write_private(&choice_file(&home), text.as_bytes()).unwrap();
            let said = Cell::new(false);
            let chosen = choose(&shelf, &home, &|_| said.set(true)).unwrap();
            assert_eq!((&chosen.file, chosen.reason.as_str()), (&path, reason));
            assert!(!said.get());
        };
        let earlier = "chosen automatically at an earlier start";
        check("smollm2-135m-instruct\n", earlier);
        check("smollm2-135m-instruct", earlier);
        check("smollm2-135m-instruct\nbecause\n", "because");
    }

    #[test]
    fn a_choice_is_remembered_with_its_reason_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, home, file) = shelf(folder.path());
        let chosen = ModelInUse {
            name: "smollm2-135m-instruct".to_owned(),
            reason: reason(3),
            file,
        };
        assert_eq!(remembered(&home), None);
        remember(&home, &chosen, &|_| {});
        // What the process does that the first start leaves behind.
        let again = choose(&shelf, &home, &|_| {}).unwrap();
        assert_eq!(
            again.reason,
            "chosen automatically: 3 better models did not fit or could not be had"
        );
        forget(&home);
        assert_eq!(remembered(&home), None);
    }
}
