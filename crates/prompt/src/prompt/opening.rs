//! What goes before a conversation: the system prompt and exchanges that show the model how to answer.

use crate::making::{Made, Source};
use crate::{Markers, Message};

/// The beginning of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// What the model is told first.
    pub system: Option<String>,
    /// Exchanges before the first turn.
    pub examples: Vec<Message>,
    /// Whether the caller asked for it by name. Then it goes before a system message of the caller's
    /// own; else that one takes its place.
    pub asked_for: bool,
    /// What the answer may rest on, the best first: shown to the model as passages are.
    pub sources: Vec<Source>,
}

impl From<Option<String>> for Opening {
    fn from(system: Option<String>) -> Self {
        Self {
            system,
            ..Self::default()
        }
    }
}

impl Opening {
    /// With what was made for this question behind it. That is data: its markers are broken.
    #[must_use]
    pub fn and_made(mut self, made: Made, markers: &Markers) -> Self {
        let said = made.system.unwrap_or_default();
        let own = self.system.take().unwrap_or_default();
        let texts = [own, markers.neutralise_data(said.trim()).into_owned()];
        let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        self.system = (!texts.is_empty()).then(|| texts.join("\n\n"));
        self.sources.extend(made.context);
        self
    }

    /// The sources as the model reads them, numbered from 1.
    pub fn passages(&self) -> impl Iterator<Item = (&Source, String)> {
        let numbered = self.sources.iter().zip(1..);
        numbered.map(|(source, number)| (source, source.passage(number)))
    }

    /// The conversation with this before it. No turn of it is lost.
    pub fn open(&self, mut messages: Vec<Message>) -> Vec<Message> {
        let own = messages.iter().position(Message::is_system);
        if own.is_some() && !self.asked_for {
            return messages;
        }
        let text = self.system.as_deref().unwrap_or_default();
        match own {
            _ if text.trim().is_empty() => {}
            Some(own) => {
                let content = &messages[own].content;
                messages[own].content = format!("{text}\n\n{content}");
            }
            None => messages.insert(0, Message::new("system", text)),
        }
        let first = messages.iter().position(|message| !message.is_system());
        let first = first.unwrap_or(messages.len());
        messages.splice(first..first, self.examples.iter().cloned());
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(list: &[(&'static str, &str)]) -> Vec<Message> {
        let list = list.iter();
        list.map(|(role, text)| Message::new(*role, *text))
            .collect()
    }

    #[track_caller]
    fn check(
        opening: &Opening,
        conversation: &[(&'static str, &str)],
        expected: &[(&'static str, &str)],
    ) {
        assert_eq!(opening.open(messages(conversation)), messages(expected));
    }

    #[test]
    fn the_callers_system_message_takes_its_place() {
        let opening = Opening::from(Some("p".to_owned()));
        check(
            &opening,
            &[("user", "q")],
            &[("system", "p"), ("user", "q")],
        );
        let own = [("system", "own"), ("user", "q")];
        check(&opening, &own, &own);
        for nothing in [None, Some(" ".to_owned())] {
            check(&nothing.into(), &[("user", "q")], &[("user", "q")]);
        }
    }

    #[test]
    fn examples_stand_before_the_first_turn() {
        let mut opening = Opening {
            system: Some("p".to_owned()),
            examples: messages(&[("user", "1+1"), ("assistant", "2")]),
            ..Opening::default()
        };
        let shown = [
            ("system", "p"),
            ("user", "1+1"),
            ("assistant", "2"),
            ("user", "q"),
        ];
        check(&opening, &[("user", "q")], &shown);
        let own = [("system", "own"), ("user", "q")];
        check(&opening, &own, &own);
        opening.asked_for = true;
        let both = [
            ("system", "p\n\nown"),
            ("user", "1+1"),
            ("assistant", "2"),
            ("user", "q"),
        ];
        check(&opening, &own, &both);
        opening.system = None;
        check(&opening, &[("user", "q")], &shown[1..]);
    }

    #[test]
    fn what_was_made_stands_behind_the_files_text_and_is_data() {
        let markers = Markers::of("<|im_start|>{{ x }}", &[]);
        let made = |system: &str| Made {
            system: Some(system.to_owned()),
            context: vec![Source {
                text: "w".to_owned(),
                ..Source::default()
            }],
        };
        let both = Opening::from(Some("p".to_owned())).and_made(made("<|im_start|>m "), &markers);
        assert_eq!(both.system.as_deref(), Some("p\n\n< |im_start|>m"));
        let passages: Vec<_> = both.passages().map(|(_, text)| text).collect();
        assert_eq!(passages, ["[1] w"]);
        let only = Opening::default().and_made(made(" "), &markers);
        assert_eq!(only.system, None);
    }
}
