//! `gaia prompt list`.

use gaia_prompt::prompt::{Kind, Prompt};
use serde_json::{Value, json};

use super::{Context, OwnModel};
use crate::prompts::Folder;
use crate::terminal::{Terminal, Tint};

/// A row of the listing.
struct Row<'a> {
    file: &'a str,
    prompt: &'a Prompt,
    /// Whether the model gets this one under its name; `None` where the model is not known.
    in_use: Option<bool>,
    is_default: bool,
}

pub fn run(context: &Context) -> anyhow::Result<()> {
    let folder = Folder::read(&context.home)?;
    let configured = context.config()?.prompt;
    let model = OwnModel::running(context);
    let rows: Vec<Row> = folder
        .set
        .all()
        .map(|(file, prompt)| Row {
            file,
            prompt,
            in_use: model.as_ref().map(|model| {
                let variant = folder
                    .set
                    .variant(prompt.kind(), prompt.name(), &model.facts());
                variant.is_some_and(|variant| std::ptr::eq(variant, prompt))
            }),
            is_default: prompt.name() == configured,
        })
        .collect();
    let mut problems: Vec<String> = folder
        .problems
        .iter()
        .map(|problem| format!("prompts/{problem}"))
        .collect();
    if !configured.is_empty() && !rows.iter().any(|row| row.is_default) {
        problems.push(format!(
            "the configuration names the prompt `{configured}`, which there is not; \
             system_prompt and rag_prompt count instead"
        ));
    }
    let place = context.home.prompts().display().to_string();
    context.terminal.answer(
        || {
            json!({
                "folder": place,
                "model": model.as_ref().map(|model| &model.name),
                "prompts": rows.iter().map(to_json).collect::<Vec<_>>(),
                "problems": problems,
            })
        },
        |terminal| {
            let listing = match rows[..] {
                [] => format!("No prompts yet: put files NAME.md into {place}"),
                _ => table(terminal, &rows, model.as_ref()),
            };
            let problems = problems.iter();
            let problems = problems.map(|line| format!("\n{}", terminal.out(Tint::Yellow, line)));
            listing + &problems.collect::<String>()
        },
    );
    Ok(())
}

fn to_json(row: &Row) -> Value {
    let prompt = row.prompt;
    json!({
        "name": prompt.name(),
        "kind": prompt.kind().as_str(),
        "version": prompt.version(),
        "description": prompt.description(),
        "file": row.file,
        "for": prompt.models(),
        "variables": prompt.variables(),
        "has_rule": prompt.has_rule(),
        "made_by": prompt.made_by(),
        "in_use": row.in_use,
        "is_default": row.is_default,
    })
}

fn table(terminal: &Terminal, rows: &[Row], model: Option<&OwnModel>) -> String {
    let width = |text: fn(&Row) -> String, head: &str| {
        let widths = rows.iter().map(|row| text(row).chars().count());
        widths.max().unwrap_or(0).max(head.len())
    };
    let (version_width, for_width) = (width(version, "VERSION"), width(conditions, "FOR"));
    let head = format!(
        "{:<version_width$}  {:<6}  {:<for_width$}  FILE",
        "VERSION", "KIND", "FOR"
    );
    let mut lines = vec![terminal.out(Tint::Dim, &head)];
    for row in rows {
        let line = format!(
            "{:<version_width$}  {:<6}  {:<for_width$}  {}{}",
            version(row),
            row.prompt.kind().as_str(),
            conditions(row),
            row.file,
            remarks(row),
        );
        lines.push(match row.in_use {
            Some(false) => terminal.out(Tint::Dim, &line),
            _ => line,
        });
        if !row.prompt.description().is_empty() {
            lines.push(terminal.out(Tint::Dim, &format!("  {}", row.prompt.description())));
        }
    }
    lines.push(match model {
        Some(model) => format!(
            "\nThe model is {}; what it does not get is marked.",
            model.name
        ),
        None => "\nNo node is running, so which variants its model gets is not known.".to_owned(),
    });
    lines.join("\n")
}

fn version(row: &Row) -> String {
    row.prompt.version().to_owned()
}

fn conditions(row: &Row) -> String {
    match row.prompt.models() {
        conditions if conditions.is_empty() => "any model".to_owned(),
        conditions => conditions.join(", "),
    }
}

fn remarks(row: &Row) -> String {
    let remarks = [
        (row.in_use == Some(false), "not for this model"),
        (row.is_default, "the node's own"),
        (row.prompt.has_rule(), "has a rule"),
        (
            row.prompt.kind() == Kind::System && !row.prompt.examples().is_empty(),
            "with examples",
        ),
    ];
    let holding = remarks
        .iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, remark)| (*remark).to_owned());
    let made_by = row.prompt.made_by().map(|name| format!("made by {name}"));
    match holding.chain(made_by).collect::<Vec<_>>()[..] {
        [] => String::new(),
        ref remarks => format!("  ({})", remarks.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use gaia_prompt::prompt::{PromptFile, PromptSet};

    use super::*;

    #[test]
    fn the_table_marks_what_the_model_does_not_get() {
        let mut set = PromptSet::default();
        let file = |name: &str, text: &str| PromptFile {
            name: name.to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        let files = vec![
            file(
                "a.md",
                "+++\ndescription = 'Short.'\n[when]\nmatches = 'x'\n+++\nBe brief.",
            ),
            file(
                "a.qwen.md",
                "+++\nfor = ['qwen*']\nkind = 'rag'\n+++\nRead:",
            ),
        ];
        assert_eq!(set.update(files), []);
        let rows: Vec<Row> = set
            .all()
            .map(|(file, prompt)| Row {
                file,
                prompt,
                in_use: Some(file == "a.md"),
                is_default: true,
            })
            .collect();
        let hash = |row: &Row| row.prompt.version()[2..].to_owned();
        let expected = format!(
            "VERSION         KIND    FOR        FILE\n\
             a@{}  system  any model  a.md  (the node's own, has a rule)\n\
             \x20 Short.\n\
             a@{}  rag     qwen*      a.qwen.md  (not for this model, the node's own)\n\n\
             The model is smol; what it does not get is marked.",
            hash(&rows[0]),
            hash(&rows[1]),
        );
        let model = OwnModel {
            name: "smol".to_owned(),
            parameters: None,
        };
        assert_eq!(
            table(&Terminal::new(false, true), &rows, Some(&model)),
            expected
        );
        assert_eq!(to_json(&rows[1])["in_use"], false);
    }
}
