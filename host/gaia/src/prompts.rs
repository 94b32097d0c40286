//! The folder of named prompts as the command sees it. The worker looks at it with eyes of its own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use gaia_prompt::prompt::{PROMPT_BYTES_MAX, PromptError, PromptFile, PromptSet};

use crate::home::Home;

/// What lies in the folder.
#[derive(Debug, Default)]
pub struct Folder {
    /// The prompts that can be used.
    pub set: PromptSet,
    /// What cannot, and why.
    pub problems: Vec<PromptError>,
}

impl Folder {
    /// Reads it; a folder that is not there holds nothing.
    pub fn read(home: &Home) -> anyhow::Result<Self> {
        let folder = home.prompts();
        let files = read_all(&folder);
        let files = files.with_context(|| format!("cannot read `{}`", folder.display()))?;
        let mut set = PromptSet::default();
        let problems = set.update(files);
        Ok(Self { set, problems })
    }

    /// Where no prompt is called `wanted`: those that there are, in words. The empty name is nobody's.
    pub fn missing(&self, wanted: &str) -> Option<String> {
        let names: BTreeSet<&str> = self.set.all().map(|(_, prompt)| prompt.name()).collect();
        if wanted.is_empty() || names.contains(wanted) {
            return None;
        }
        let names: Vec<_> = names.into_iter().collect();
        Some(match names.is_empty() {
            true => "there are none".to_owned(),
            false => format!("there are {}", names.join(", ")),
        })
    }
}

fn read_all(folder: &Path) -> io::Result<Vec<PromptFile>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_prompt = path.extension().is_some_and(|extension| extension == "md");
        if !is_prompt || name.starts_with('.') || !path.is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        // One byte more than a prompt may have shows that it is too long.
        File::open(&path)?
            .take(PROMPT_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)?;
        files.push(PromptFile { name, bytes });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_and_what_is_wrong_with_the_others() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path()).unwrap();
        assert!(Folder::read(&home).unwrap().set.is_empty(), "no folder yet");
        fs::create_dir(home.prompts()).unwrap();
        let write = |name: &str, text: &[u8]| fs::write(home.prompts().join(name), text).unwrap();
        write("good.md", b"text");
        write("bad.md", b"+++\nfor = ['<']\n+++\ntext");
        write("long.md", &vec![b'x'; PROMPT_BYTES_MAX + 2]);
        write("note.txt", b"text");
        let folder = Folder::read(&home).unwrap();
        assert_eq!(folder.set.all().count(), 1);
        assert_eq!(folder.missing("good"), None);
        assert_eq!(folder.missing(""), None);
        assert_eq!(folder.missing("goot").as_deref(), Some("there are good"));
        let problems: Vec<_> = folder.problems.iter().map(ToString::to_string).collect();
        assert!(
            problems[0].starts_with("bad.md:2: `<` is no condition"),
            "{problems:?}"
        );
        assert!(
            problems[1].starts_with("long.md:1: the file has more"),
            "{problems:?}"
        );
    }
}
