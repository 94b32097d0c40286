//! `gaia prompt show`: what a prompt says with its defaults.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use gaia_prompt::Markers;
use gaia_prompt::prompt::{ModelFacts, Prompt};
use serde_json::{Value, json};

use super::{Context, OwnModel, SOME_MODEL, find};
use crate::exit::{Exit, failure};
use crate::prompts::Folder;
use crate::terminal::{Terminal, Tint};

pub fn run(context: &Context, name: &str) -> anyhow::Result<()> {
    let folder = Folder::read(&context.home)?;
    let model = OwnModel::running(context);
    let prompts = find(&folder.set, model.as_ref(), name)?;
    let facts = model.as_ref().map_or(SOME_MODEL, OwnModel::facts);
    let texts = prompts
        .iter()
        .map(|prompt| Ok((*prompt, text(prompt, &BTreeMap::new(), &facts)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    context.terminal.answer(
        || {
            texts
                .iter()
                .map(|(prompt, text)| to_json(prompt, text))
                .collect()
        },
        |terminal| {
            let shown = texts
                .iter()
                .map(|(prompt, text)| to_text(terminal, prompt, text));
            shown.collect::<Vec<_>>().join("\n\n")
        },
    );
    Ok(())
}

/// What it says with these variables.
pub fn text(
    prompt: &Prompt,
    variables: &BTreeMap<String, String>,
    model: &ModelFacts<'_>,
) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
    let rendered = prompt.render(variables, model, &Markers::default(), now);
    rendered.map_err(|error| failure(Exit::Usage, format!("`{}`: {error}", prompt.name())))
}

/// All there is to say of it.
pub fn to_json(prompt: &Prompt, text: &str) -> Value {
    let examples = prompt.examples();
    let examples = examples
        .iter()
        .map(|turn| json!({"role": turn.role, "content": turn.content}));
    json!({
        "name": prompt.name(),
        "kind": prompt.kind().as_str(),
        "version": prompt.version(),
        "for": prompt.models(),
        "variables": prompt.variables(),
        "made_by": prompt.made_by(),
        "text": text,
        "examples": examples.collect::<Vec<_>>(),
    })
}

/// The same for people.
pub fn to_text(terminal: &Terminal, prompt: &Prompt, text: &str) -> String {
    let mut head = format!("{} ({})", prompt.version(), prompt.kind().as_str());
    if !prompt.models().is_empty() {
        head.push_str(&format!(", for {}", prompt.models().join(", ")));
    }
    let mut lines = vec![terminal.out(Tint::Bold, &head)];
    if let Some(plugin) = prompt.made_by() {
        let line = format!("made by {plugin} for each question, behind this:");
        lines.push(terminal.out(Tint::Dim, &line));
    }
    for (name, value) in prompt.variables() {
        lines.push(terminal.out(Tint::Dim, &format!("{name} = {value:?}")));
    }
    lines.push(String::new());
    lines.push(text.to_owned());
    for turn in prompt.examples() {
        lines.push(format!(
            "\n{}",
            terminal.out(Tint::Dim, &format!("{}:", turn.role))
        ));
        lines.push(turn.content);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use gaia_prompt::prompt::{PromptFile, PromptSet};

    use super::*;

    #[test]
    fn a_prompt_for_people() {
        let source = "+++\nfor = ['m*']\n[variables]\ntone = 'kind'\n[[examples]]\nuser = '1+1'\nassistant = '2'\n+++\nBe {{ tone }}.";
        let mut set = PromptSet::default();
        let file = PromptFile {
            name: "a.md".to_owned(),
            bytes: source.into(),
        };
        assert_eq!(set.update(vec![file]), []);
        let (_, prompt) = set.all().next().unwrap();
        let text = text(prompt, &BTreeMap::new(), &SOME_MODEL).unwrap();
        let shown = to_text(&Terminal::new(false, true), prompt, &text);
        let expected = format!(
            "{} (system), for m*\ntone = \"kind\"\n\nBe kind.\n\nuser:\n1+1\n\nassistant:\n2",
            prompt.version()
        );
        assert_eq!(shown, expected);
    }
}
