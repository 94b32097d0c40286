//! Which model is measured: the small chat model that the bars are about, one of random numbers, or a file.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use e2e::random_model::{self, LARGE, Shape, TINY};

use crate::contender::llama_server::{BOTH, Cache};

/// A model by its name on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ModelChoice {
    /// What the bars are about.
    #[default]
    Small,
    /// Of random numbers.
    Random(Shape),
    /// A file.
    File(PathBuf),
}

impl FromStr for ModelChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "tiny" => Self::Random(TINY),
            "large" => Self::Random(LARGE),
            path => Self::File(PathBuf::from(path)),
        })
    }
}

impl ModelChoice {
    /// The file. One of random numbers is written if it is not there.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Small => e2e::model(e2e::CHAT_MODEL),
            Self::Random(shape) => random_model::path(*shape),
            Self::File(path) => path.clone(),
        }
    }

    /// What is put behind the names of what is found with it; nothing for the model of the bars.
    pub fn label(&self) -> Option<String> {
        match self {
            Self::Small => None,
            Self::Random(shape) => Some(shape.name.to_owned()),
            Self::File(path) => path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        }
    }

    /// Streams at a time where their number is varied: fewer for what takes minutes.
    pub fn streams(&self) -> &'static [usize] {
        match self {
            Self::Random(shape) if *shape == LARGE => &[1, 8],
            _ => &[1, 2, 4, 8, 16],
        }
    }

    /// So many times as many questions: what takes milliseconds must be asked often.
    pub fn turns_factor(&self) -> usize {
        match self {
            Self::Random(shape) if *shape == TINY => 10,
            _ => 1,
        }
    }

    /// The ways of llama-server that are compared.
    pub fn ways(&self) -> &'static [Cache] {
        match self {
            Self::Random(shape) if *shape == LARGE => &[Cache::Unified],
            _ => BOTH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_files_are_told_apart() {
        let label = |text: &str| text.parse::<ModelChoice>().unwrap().label();
        assert_eq!(label("tiny").as_deref(), Some("tiny"));
        assert_eq!(label("a/b.gguf").as_deref(), Some("b"));
        assert_eq!(ModelChoice::default().label(), None);
    }
}
