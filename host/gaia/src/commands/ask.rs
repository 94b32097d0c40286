//! `gaia ask "…"`: one question, its answer as it comes, then what it rests on.

use std::io::{self, IsTerminal, Read, Write};

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::knowledge::place;
use crate::client::{AskError, Called, Citation, Client, Event};
use crate::exit::{Exit, failure};
use crate::supervisor::state;
use crate::terminal::{Terminal, Tint, bytes};

/// The longest question that is read from standard input, in bytes.
const QUESTION_BYTES_MAX: u64 = 1024 * 1024;
/// How much of a passage is shown, in characters.
const PASSAGE_CHARS_MAX: usize = 240;

/// Arguments of `gaia ask`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gaia ask \"How do I add documents?\"\n  gaia ask -s \"Answer in French.\" \"What is a node?\"\n  cat letter.txt | gaia ask \"Summarise this:\" -"
)]
pub struct Arguments {
    /// The question; `-` stands for standard input
    #[arg(required = true)]
    question: Vec<String>,
    /// Tell the model this first
    #[arg(short, long, value_name = "TEXT")]
    system: Option<String>,
    /// Answer by this prompt of the node (`gaia prompt list`)
    #[arg(short, long, value_name = "NAME")]
    prompt: Option<String>,
}

/// Runs `gaia ask`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let client = client(context)?;
    let mut messages = Vec::new();
    if let Some(system) = &arguments.system {
        messages.push(json!({"role": "system", "content": system}));
    }
    messages.push(json!({"role": "user", "content": question(&arguments.question)?}));
    let request = request(&messages, arguments.prompt.as_deref());
    if context.terminal.json {
        println!("{:#}", client.reply(request).map_err(ask_failure)?);
        return Ok(());
    }
    show_answer(&context.terminal, &client, request).map_err(ask_failure)?;
    Ok(())
}

/// A chat request that names a prompt of the node, if it should.
pub fn request(messages: &[Value], prompt: Option<&str>) -> Value {
    match prompt {
        Some(name) => json!({"messages": messages, "metadata": {"prompt": name}}),
        None => json!({"messages": messages}),
    }
}

/// A way to this home's running node.
pub fn client(context: &Context) -> anyhow::Result<Client> {
    let Some(state) = state::running(&context.home) else {
        return Err(failure(
            Exit::NotRunning,
            "no node is running in this home; `gaia start` starts it",
        ));
    };
    let has_named_keys = context.home.api_keys().exists();
    Ok(Client::new(&state, &context.config()?, has_named_keys))
}

fn question(words: &[String]) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    for word in words {
        if word != "-" {
            parts.push(word.clone());
            continue;
        }
        let mut text = String::new();
        io::stdin()
            .take(QUESTION_BYTES_MAX)
            .read_to_string(&mut text)?;
        parts.push(text);
    }
    let separator = if words.iter().any(|word| word == "-") {
        "\n\n"
    } else {
        " "
    };
    let question = parts.join(separator).trim().to_owned();
    if question.is_empty() {
        return Err(failure(Exit::Usage, "the question is empty"));
    }
    Ok(question)
}

/// Prints the answer to a chat request as it comes, then its sources; gives the answer's text.
pub fn show_answer(
    terminal: &Terminal,
    client: &Client,
    request: Value,
) -> Result<String, AskError> {
    let mut answer = String::new();
    let mut citations = Vec::new();
    let outcome = client.stream(request, &mut |event| match event {
        Event::Text(text) => {
            print!("{text}");
            let _shown_later = io::stdout().flush();
            answer.push_str(&text);
        }
        Event::Citations(list) => citations = list,
        Event::Called(called) => {
            // Two turns are two paragraphs anyway.
            if !answer.is_empty() && !answer.ends_with('\n') {
                println!();
                answer.push('\n');
            }
            terminal.note(&terminal.err(Tint::Dim, &call(&called)));
        }
        Event::Warning(text) => {
            terminal.note(&terminal.err(Tint::Yellow, &format!("Without knowledge: {text}")));
        }
    });
    if !answer.is_empty() && !answer.ends_with('\n') {
        println!();
    }
    outcome?;
    if !citations.is_empty() {
        println!("\n{}", sources(terminal, &citations));
    }
    Ok(answer)
}

fn call(called: &Called) -> String {
    let Called { name, ms, .. } = called;
    match called.status.as_str() {
        "failed" => format!("called {name}, which failed ({ms} ms)"),
        _ => format!("called {name} ({ms} ms, {})", bytes(called.bytes)),
    }
}

fn sources(terminal: &Terminal, citations: &[Citation]) -> String {
    let mut lines = vec![terminal.out(Tint::Bold, "Sources")];
    for (number, citation) in (1..).zip(citations) {
        let place = place(&citation.document, &citation.heading);
        let score = citation.score.map(|score| format!(" ({score:.2})"));
        lines.push(format!("[{number}] {place}{}", score.unwrap_or_default()));
        lines.push(terminal.out(Tint::Dim, &format!("    {}", excerpt(&citation.text))));
    }
    lines.join("\n")
}

/// The beginning of a passage in one line.
fn excerpt(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(PASSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{} …", words[..end].trim_end()),
        None => words,
    }
}

/// The exit status for a failed question.
pub fn ask_failure(error: AskError) -> anyhow::Error {
    let exit = match &error {
        AskError::Reach { .. } | AskError::Refused { status: 503, .. } => Exit::Unhealthy,
        _ => Exit::Failure,
    };
    let message = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    failure(exit, message)
}

/// True if a person sits at both ends.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_one_short_line() {
        assert_eq!(excerpt("a\n  b\tc"), "a b c");
        let long = "ä".repeat(PASSAGE_CHARS_MAX + 1);
        assert_eq!(
            excerpt(&long),
            format!("{} …", "ä".repeat(PASSAGE_CHARS_MAX))
        );
    }

    #[test]
    fn calls_are_told_with_time_and_size() {
        let called = |status: &str| Called {
            name: "weather".into(),
            status: status.into(),
            ms: 42,
            bytes: 4210,
        };
        assert_eq!(call(&called("completed")), "called weather (42 ms, 4.2 kB)");
        assert_eq!(
            call(&called("failed")),
            "called weather, which failed (42 ms)"
        );
    }

    #[test]
    fn sources_name_the_place() {
        let citation = Citation {
            document: "handbook/models.md".into(),
            heading: vec!["Models".into(), "Larger ones".into()],
            score: Some(0.714),
            text: "Pull one.".into(),
        };
        let page = Citation {
            document: "https://zoo".into(),
            heading: Vec::new(),
            score: None,
            text: "A zoo.".into(),
        };
        let shown = sources(&Terminal::new(false, true), &[citation, page]);
        assert_eq!(
            shown,
            "Sources\n[1] handbook/models.md › Models › Larger ones (0.71)\n    Pull one.\n\
             [2] https://zoo\n    A zoo."
        );
    }
}
