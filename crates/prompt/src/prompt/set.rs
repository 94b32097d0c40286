//! All prompts of a node, and which of them a request gets.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{Problem, PromptError, parse};
use super::model::Rank;
use super::version::hash;
use super::{Kind, ModelFacts, PROMPTS_MAX, Prompt};

/// A file as it lies in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptFile {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The prompts of a folder.
#[derive(Debug, Clone, Default)]
pub struct PromptSet {
    /// By their file: what read well last.
    prompts: BTreeMap<String, Prompt>,
    /// The hash of what was refused last, by file, so that it is told once.
    refused: BTreeMap<String, String>,
}

/// What a request says that matters for the choice.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The prompt that the request names.
    pub name: Option<&'a str>,
    /// The last turn of the one who asks.
    pub question: &'a str,
    /// How similar the question is to an example; `None` where that is not known.
    pub similarity: &'a dyn Fn(&str) -> Option<f32>,
    /// The prompt that the configuration names.
    pub configured: Option<&'a str>,
}

/// What chose a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChosenBy {
    /// The request names it.
    Request,
    /// The question fits its rule.
    Rule,
    /// The configuration names it.
    Config,
}

/// A prompt and why this one.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// What chose it.
    pub by: ChosenBy,
}

/// A request names a prompt that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", whose(name, *is_mistaken), those(known))]
pub struct UnknownPrompt {
    /// What it names.
    pub name: String,
    /// The names that there are for this model.
    pub known: Vec<String>,
    /// Whether there is a file of that name, with a mistake in it.
    pub is_mistaken: bool,
}

fn whose(name: &str, is_mistaken: bool) -> String {
    match is_mistaken {
        true => format!(
            "the file of the prompt `{name}` has a mistake, which `gaia prompt list` shows; "
        ),
        false => format!("no prompt for this model is called `{name}`; "),
    }
}

fn those(known: &[String]) -> String {
    match known {
        [] => "there are none".to_owned(),
        known => format!("there are `{}`", known.join("`, `")),
    }
}

impl PromptSet {
    /// Takes over what the folder holds now. A file that is no prompt keeps its last good version,
    /// and is told about once.
    pub fn update(&mut self, mut files: Vec<PromptFile>) -> Vec<PromptError> {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        self.prompts.retain(|file, _| names.contains(file.as_str()));
        self.refused.retain(|file, _| names.contains(file.as_str()));
        let mut errors = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let read = match index < PROMPTS_MAX {
                true => self.read(file),
                false => self.leave_out(file),
            };
            errors.extend(read.err());
        }
        errors
    }

    fn read(&mut self, file: &PromptFile) -> Result<(), PromptError> {
        let hash = hash(&file.bytes);
        let held = self.prompts.get(&file.name);
        if held.is_some_and(|prompt| prompt.version.ends_with(&hash)) {
            self.refused.remove(&file.name);
            return Ok(());
        }
        if self.refused.get(&file.name) == Some(&hash) {
            return Ok(());
        }
        match parse(&file.name, &file.bytes) {
            Ok(prompt) => {
                self.refused.remove(&file.name);
                self.prompts.insert(file.name.clone(), prompt);
                Ok(())
            }
            Err(error) => {
                self.refused.insert(file.name.clone(), hash);
                Err(error)
            }
        }
    }

    fn leave_out(&mut self, file: &PromptFile) -> Result<(), PromptError> {
        self.prompts.remove(&file.name);
        match self.refused.insert(file.name.clone(), String::new()) {
            Some(_) => Ok(()),
            None => Err(PromptError {
                file: file.name.clone(),
                line: 1,
                problem: Problem::TooManyFiles,
            }),
        }
    }

    /// All of them with their files, in the files' order.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Prompt)> {
        let all = self.prompts.iter();
        all.map(|(file, prompt)| (file.as_str(), prompt))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.prompts.is_empty()
    }

    /// Those that this model gets: of each name and kind the variant that says most about it, in the
    /// order of their names.
    pub fn for_model(&self, model: &ModelFacts<'_>) -> Vec<&Prompt> {
        let mut best: BTreeMap<(&str, Kind), (Rank, &Prompt)> = BTreeMap::new();
        for prompt in self.prompts.values() {
            let Some(rank) = prompt.models.rank(model) else {
                continue;
            };
            let place = (prompt.name.as_str(), prompt.kind);
            // Among equals the first file wins.
            if best.get(&place).is_none_or(|(held, _)| *held < rank) {
                best.insert(place, (rank, prompt));
            }
        }
        best.into_values().map(|(_, prompt)| prompt).collect()
    }

    /// The variant of a prompt for this model; among equals that of the first file.
    pub fn variant(&self, kind: Kind, name: &str, model: &ModelFacts<'_>) -> Option<&Prompt> {
        self.prompts
            .values()
            .rev()
            .filter(|prompt| prompt.kind == kind && prompt.name == name)
            .filter_map(|prompt| Some((prompt.models.rank(model)?, prompt)))
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, prompt)| prompt)
    }

    /// Whether a file that would be called so has a mistake and never was a prompt.
    pub fn is_mistaken(&self, name: &str) -> bool {
        let mut files = self.refused.keys();
        files.any(|file| {
            file.split('.').next() == Some(name) && !self.prompts.contains_key(file.as_str())
        })
    }

    /// Refuses a name that no prompt for this model has.
    ///
    /// # Errors
    /// With the names that there are.
    pub fn check_name(&self, name: &str, model: &ModelFacts<'_>) -> Result<(), UnknownPrompt> {
        let is_there = |kind| self.variant(kind, name, model).is_some();
        if Kind::ALL.into_iter().any(is_there) {
            return Ok(());
        }
        let mut known: Vec<String> = self
            .for_model(model)
            .into_iter()
            .map(|prompt| prompt.name.clone())
            .collect();
        known.dedup();
        Err(UnknownPrompt {
            name: name.to_owned(),
            known,
            is_mistaken: self.is_mistaken(name),
        })
    }

    /// The questions whose embeddings the rules of this model's prompts need.
    pub fn similar(&self, model: &ModelFacts<'_>) -> BTreeSet<&str> {
        let prompts = self.for_model(model).into_iter();
        prompts
            .flat_map(|prompt| prompt.when.similar())
            .map(String::as_str)
            .collect()
    }

    /// The prompt of a kind for a request: what it names; else the first, by name, whose expression
    /// matches; else the one with the most similar example; else what the configuration names. Where
    /// the request names one, nothing else is looked at.
    pub fn choose(
        &self,
        kind: Kind,
        model: &ModelFacts<'_>,
        asked: &Asked<'_>,
    ) -> Option<Choice<'_>> {
        let named = |name, by| {
            let prompt = self.variant(kind, name, model)?;
            Some(Choice { prompt, by })
        };
        if let Some(name) = asked.name {
            return named(name, ChosenBy::Request);
        }
        let ruled = self.by_rule(kind, model, asked).map(|prompt| Choice {
            prompt,
            by: ChosenBy::Rule,
        });
        ruled.or_else(|| named(asked.configured?, ChosenBy::Config))
    }

    fn by_rule(&self, kind: Kind, model: &ModelFacts<'_>, asked: &Asked<'_>) -> Option<&Prompt> {
        let mut prompts = self.for_model(model);
        prompts.retain(|prompt| prompt.kind == kind && prompt.has_rule());
        let matched = prompts
            .iter()
            .find(|prompt| prompt.when.matches(asked.question));
        let near = |prompt: &&Prompt| prompt.when.nearness(asked.similarity);
        let nearest = || {
            let near = prompts
                .iter()
                .filter_map(|prompt| Some((near(prompt)?, prompt)));
            near.max_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, prompt)| prompt)
        };
        matched.or_else(nearest).copied()
    }
}
