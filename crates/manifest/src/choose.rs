//! Chooses the model to run when nobody named one.
//!
//! The largest model that may be chosen, fits the memory and can be had now; of equally large
//! ones the one whose name comes first. More weights is a crude measure of quality, but one that
//! needs no opinion about models, and manifests are few.

use std::cmp::Reverse;

use crate::{Kind, Manifest};

/// Whether a model's file can be had now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It is here already.
    Present,
    /// It can be fetched.
    Reachable,
    /// It cannot be had, and why.
    Unreachable(String),
}

/// Why a model was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Its licence has to be accepted by naming it.
    NotAutomatic,
    /// It needs more memory than there is.
    Memory {
        /// What it needs, in bytes.
        needed: u64,
        /// What there is, in bytes.
        available: u64,
    },
    /// It cannot be had now, and why.
    Unreachable(String),
}

/// A model that would have come before the chosen one, and what stood against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed<'a> {
    /// The model.
    pub manifest: &'a Manifest,
    /// What stood against it.
    pub obstacle: Obstacle,
}

/// The outcome of [`choose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The chosen model, and whether it is here; none if nothing fits and can be had.
    pub chosen: Option<(&'a Manifest, Reach)>,
    /// The models before it, largest first.
    pub passed: Vec<Passed<'a>>,
}

impl Choice<'_> {
    /// One line for each model that was looked at, for people.
    pub fn reasons(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.passed.iter().map(Passed::describe).collect();
        lines.push(match &self.chosen {
            Some((manifest, Reach::Present)) => {
                format!(
                    "{}: chosen, the largest that fits; it is here already",
                    manifest.name
                )
            }
            Some((manifest, _)) => {
                format!(
                    "{}: chosen, the largest that fits and can be had now",
                    manifest.name
                )
            }
            None => "no model fits the memory and can be had now".to_owned(),
        });
        lines
    }
}

impl Passed<'_> {
    fn describe(&self) -> String {
        let name = &self.manifest.name;
        match &self.obstacle {
            Obstacle::NotAutomatic => {
                format!(
                    "{name}: only when named, its licence ({}) asks for consent",
                    self.manifest.licence
                )
            }
            Obstacle::Memory { needed, available } => format!(
                "{name}: needs {:.1} GB of memory, {:.1} GB can be used",
                gigabytes(*needed),
                gigabytes(*available)
            ),
            Obstacle::Unreachable(why) => format!("{name}: cannot be had now ({why})"),
        }
    }
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// Chooses among the manifests of `kind`. `memory_bytes` is what the model may use. `reach` is
/// asked from the largest model that fits downwards, and no more once one can be had, so that it
/// may be slow.
pub fn choose<'a>(
    manifests: &'a [Manifest],
    kind: Kind,
    memory_bytes: u64,
    mut reach: impl FnMut(&Manifest) -> Reach,
) -> Choice<'a> {
    let mut candidates: Vec<&Manifest> = manifests
        .iter()
        .filter(|manifest| manifest.kind == kind)
        .collect();
    candidates.sort_by_key(|manifest| (Reverse(manifest.parameters), &manifest.name));

    let mut passed = Vec::new();
    for manifest in candidates {
        let obstacle = match standing_against(manifest, memory_bytes) {
            Some(obstacle) => obstacle,
            None => match reach(manifest) {
                Reach::Unreachable(why) => Obstacle::Unreachable(why),
                found => {
                    return Choice {
                        chosen: Some((manifest, found)),
                        passed,
                    };
                }
            },
        };
        passed.push(Passed { manifest, obstacle });
    }
    Choice {
        chosen: None,
        passed,
    }
}

fn standing_against(manifest: &Manifest, available: u64) -> Option<Obstacle> {
    let needed = manifest.memory_bytes;
    if !manifest.auto {
        Some(Obstacle::NotAutomatic)
    } else if needed > available {
        Some(Obstacle::Memory { needed, available })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    fn model(name: &str, parameters: u64, memory_bytes: u64) -> Manifest {
        Manifest {
            name: name.to_owned(),
            kind: Kind::Chat,
            description: String::new(),
            licence: "MIT".to_owned(),
            file: format!("{name}.gguf"),
            sha256: None,
            size_bytes: memory_bytes / 2,
            context: 4096,
            dimensions: None,
            parameters,
            quantisation: "Q4_0".to_owned(),
            memory_bytes,
            auto: true,
            sources: vec![Source::File {
                path: "x".to_owned(),
            }],
        }
    }

    fn models() -> Vec<Manifest> {
        let consent = Manifest {
            auto: false,
            ..model("consent", 9, 10)
        };
        let embedding = Manifest {
            kind: Kind::Embedding,
            ..model("embedding", 99, 1)
        };
        vec![
            model("small", 1, 10),
            consent,
            model("large", 8, 80),
            embedding,
            model("middle", 4, 40),
        ]
    }

    #[track_caller]
    fn check(memory: u64, reachable: &[&str], expected: Option<&str>) -> Vec<String> {
        let models = models();
        let choice = choose(&models, Kind::Chat, memory, |manifest| {
            match reachable.contains(&manifest.name.as_str()) {
                true => Reach::Reachable,
                false => Reach::Unreachable("no answer".to_owned()),
            }
        });
        assert_eq!(
            choice
                .chosen
                .as_ref()
                .map(|(manifest, _)| manifest.name.as_str()),
            expected
        );
        choice.reasons()
    }

    #[test]
    fn takes_the_largest_that_fits_and_can_be_had() {
        let all = ["small", "middle", "large", "consent", "embedding"];
        check(80, &all, Some("large"));
        check(79, &all, Some("middle"));
        check(39, &all, Some("small"));
        check(9, &all, None);
        check(80, &["small", "middle"], Some("middle"));
        check(80, &["small"], Some("small"));
        check(80, &[], None);
    }

    #[test]
    fn says_why() {
        let reasons = check(50, &["small"], Some("small"));
        assert_eq!(
            reasons,
            [
                "consent: only when named, its licence (MIT) asks for consent",
                "large: needs 0.0 GB of memory, 0.0 GB can be used",
                "middle: cannot be had now (no answer)",
                "small: chosen, the largest that fits and can be had now",
            ]
        );
    }

    #[test]
    fn asks_no_further_than_needed() {
        let models = models();
        let mut asked = Vec::new();
        choose(&models, Kind::Chat, 100, |manifest| {
            asked.push(manifest.name.clone());
            Reach::Present
        });
        assert_eq!(asked, ["large"]);
    }
}
