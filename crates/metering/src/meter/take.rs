//! What was read goes to where it is kept, as far as there is room.

use gaia_statements::{Claimed, TokenCounts};

use super::Meter;
use crate::metered::{
    ANSWER_BYTES_MAX, CALLS_MAX, CHOICES_MAX, CITATIONS_MAX, Call, Cited, PROMPTS_MAX, Written,
};
use crate::wire::{
    CallPart, Choice, Citation, Error, Event, Function, Item, Message, Reply, Response, Text, Usage,
};
use crate::{Beyond, Kind};

/// How much is kept of what a node says went wrong, of a model's name and of a reason to end.
const WORDS_BYTES_MAX: usize = 256;

impl Meter {
    pub(super) fn take_reply(&mut self, reply: Reply<'_>) {
        self.took(reply.usage.as_ref());
        self.took_place(reply.created, reply.model.as_ref());
        self.prompts(reply.prompts);
        self.failed(reply.error.as_ref());
        let own = reply.gaia_tool.into_iter();
        for call in own.chain(reply.gaia_tools.unwrap_or_default()) {
            self.own_call(call.name.as_ref(), call.arguments.as_ref());
        }
        for choice in reply.choices.unwrap_or_default() {
            self.take_choice(choice);
        }
    }

    fn take_choice(&mut self, choice: Choice<'_>) {
        let Some(at) = self.place(choice.index) else {
            return;
        };
        if choice.warning.is_some() {
            self.metered.texts[at].is_mended = true;
        }
        if let Some(reason) = &choice.finish_reason {
            self.metered.texts[at].ended = Some(beginning(reason));
        }
        if let Some(text) = &choice.text {
            self.say(at, text);
        }
        if let Some(message) = choice.delta {
            self.take_message(at, message, false);
        }
        if let Some(message) = choice.message {
            self.take_message(at, message, true);
        }
    }

    fn take_message(&mut self, at: usize, message: Message<'_>, is_whole: bool) {
        for text in [&message.content, &message.refusal].into_iter().flatten() {
            self.say(at, text);
        }
        if let Some(text) = message.reasoning_content.or(message.reasoning) {
            self.think(at, &text);
        }
        for (place, call) in message.tool_calls.into_iter().flatten().enumerate() {
            self.take_call(at, call, is_whole.then_some(place));
        }
        self.cited(message.citations);
    }

    fn take_call(&mut self, at: usize, call: CallPart<'_>, place: Option<usize>) {
        let number = place.or(call.index).unwrap_or(0);
        let Some(function) = call.function else {
            return;
        };
        if number >= CALLS_MAX {
            return self.beyond(Beyond::Calls);
        }
        let missing = (number + 1).saturating_sub(self.metered.texts[at].calls.len());
        if !self.has_room(missing * size_of::<Call>()) {
            return;
        }
        if missing > 0 {
            self.metered.texts[at]
                .calls
                .resize_with(number + 1, Call::default);
        }
        self.go_on(at, number, &function);
    }

    /// A call's name, or more of its arguments.
    fn go_on(&mut self, at: usize, number: usize, function: &Function<'_>) {
        let parts = [&function.name, &function.arguments];
        let bytes = parts
            .iter()
            .filter_map(|part| part.as_ref())
            .map(|text| text.0.len())
            .sum();
        self.metered.has_begun |= bytes > 0;
        if !self.has_room(bytes) {
            return;
        }
        let call = &mut self.metered.texts[at].calls[number];
        for (text, into) in parts.into_iter().zip([&mut call.name, &mut call.arguments]) {
            into.push_str(text.as_ref().map_or("", |text| &text.0));
        }
    }

    pub(super) fn take_event(&mut self, event: Event<'_>) {
        match &*event.kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                self.more(event.delta, Self::say)
            }
            "response.reasoning_text.delta" | "response.reasoning.delta" => {
                self.more(event.delta, Self::think);
            }
            "response.function_call_arguments.delta" => {
                let arguments = event.delta;
                self.more_of_call(&Function {
                    name: None,
                    arguments,
                });
            }
            "response.output_item.added" => {
                if let Some(item) = event.item {
                    self.item_began(&item);
                }
            }
            "response.mcp_call_arguments.done" | "response.output_item.done" => {
                if let Some(item) = event.item {
                    self.item_ended(&item);
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.has_ended = &*event.kind != "response.failed";
                let response = event.response.unwrap_or_default();
                self.end_response(&response);
                self.take_response(response);
            }
            "error" => {
                let said = event.message.unwrap_or(Text("".into()));
                self.failed(Some(&Error::Said(said)));
            }
            _ => {
                if let Some(response) = event.response {
                    self.take_response(response);
                }
            }
        }
    }

    /// A whole response: what it says is in its items.
    pub(super) fn take_whole_response(&mut self, mut response: Response<'_>) {
        let status = response.status.as_ref().map_or("", |status| &status.0);
        self.has_ended = matches!(status, "completed" | "incomplete");
        for item in response.output.take().unwrap_or_default() {
            self.take_item(item);
        }
        self.end_response(&response);
        self.take_response(response);
    }

    fn take_item(&mut self, item: Item<'_>) {
        match item.kind.as_ref().map_or("", |kind| &kind.0) {
            "message" => self.contents(item, Self::say),
            "reasoning" => self.contents(item, Self::think),
            "function_call" => {
                self.begin_call();
                let Item {
                    name, arguments, ..
                } = item;
                self.more_of_call(&Function { name, arguments });
            }
            "mcp_call" => self.own_call(item.name.as_ref(), item.arguments.as_ref()),
            _ => {}
        }
    }

    fn contents(&mut self, item: Item<'_>, take: fn(&mut Self, usize, &Text<'_>)) {
        for content in item.content.unwrap_or_default() {
            self.more(content.text, take);
        }
    }

    fn more(&mut self, text: Option<Text<'_>>, take: fn(&mut Self, usize, &Text<'_>)) {
        if let (Some(text), Some(at)) = (text, self.place(0)) {
            take(self, at, &text);
        }
    }

    fn item_began(&mut self, item: &Item<'_>) {
        if item
            .kind
            .as_ref()
            .is_some_and(|kind| kind.0 == "function_call")
        {
            self.begin_call();
            let name = item.name.as_ref().map(|name| Text(name.0.as_ref().into()));
            self.more_of_call(&Function {
                name,
                arguments: None,
            });
        }
    }

    fn item_ended(&mut self, item: &Item<'_>) {
        if item.kind.as_ref().is_some_and(|kind| kind.0 == "mcp_call") {
            self.own_call(item.name.as_ref(), item.arguments.as_ref());
        }
    }

    fn begin_call(&mut self) {
        let Some(at) = self.place(0) else { return };
        match self.metered.texts[at].calls.len() < CALLS_MAX {
            true => self.metered.texts[at].calls.push(Call::default()),
            false => {
                self.is_beyond_calls = true;
                self.beyond(Beyond::Calls);
            }
        }
    }

    /// Of the call that began last.
    fn more_of_call(&mut self, function: &Function<'_>) {
        let Some(at) = self.place(0) else { return };
        let last = self.metered.texts[at].calls.len().checked_sub(1);
        if let Some(number) = last.filter(|_| !self.is_beyond_calls) {
            self.go_on(at, number, function);
        }
    }

    fn end_response(&mut self, response: &Response<'_>) {
        let Some(at) = self.place(0) else { return };
        let status = response.status.as_ref();
        self.metered.texts[at].ended = status.filter(|_| self.has_ended).map(beginning);
    }

    fn take_response(&mut self, response: Response<'_>) {
        self.took(response.usage.as_ref());
        self.took_place(response.created_at, response.model.as_ref());
        self.prompts(response.prompts);
        self.cited(response.citations);
        self.failed(response.error.as_ref());
    }

    fn say(&mut self, at: usize, text: &Text<'_>) {
        self.metered.has_begun |= !text.0.is_empty();
        if self.has_room(text.0.len()) {
            self.metered.texts[at].text.push_str(&text.0);
        }
    }

    fn think(&mut self, at: usize, text: &Text<'_>) {
        self.metered.has_begun |= !text.0.is_empty();
        if self.has_room(text.0.len()) {
            self.metered.texts[at].reasoning.push_str(&text.0);
        }
    }

    fn own_call(&mut self, name: Option<&Text<'_>>, arguments: Option<&Text<'_>>) {
        let [name, arguments] = [name, arguments].map(|text| text.map_or("", |text| &text.0));
        if self.metered.own_calls.len() >= CALLS_MAX {
            return self.beyond(Beyond::Calls);
        }
        if self.has_room(name.len() + arguments.len()) {
            let call = Call {
                name: name.to_owned(),
                arguments: arguments.to_owned(),
            };
            self.metered.own_calls.push(call);
        }
    }

    /// Said once, by the first chunk that brings any; every choice of a reply repeats it.
    fn cited(&mut self, citations: Option<Vec<Citation<'_>>>) {
        let Some(citations) = citations.filter(|_| self.metered.citations.is_none()) else {
            return;
        };
        if citations.len() > CITATIONS_MAX {
            self.beyond(Beyond::Citations);
        }
        let mut kept = Vec::new();
        for citation in citations.into_iter().take(CITATIONS_MAX) {
            let [text, document] = [citation.text, citation.document];
            let [text, document] = [text, document]
                .map(|text| text.map_or_else(String::new, |text| text.0.into_owned()));
            if self.has_room(text.len() + document.len()) {
                kept.push(Cited {
                    text,
                    document,
                    chunk: citation.chunk,
                    start: citation.start,
                    is_given: citation.score.is_none(),
                });
            }
        }
        self.metered.citations = Some(kept);
    }

    fn prompts(&mut self, prompts: Option<Vec<Text<'_>>>) {
        let Some(prompts) = prompts.filter(|_| self.metered.prompts.is_empty()) else {
            return;
        };
        if prompts.len() > PROMPTS_MAX {
            self.beyond(Beyond::Prompts);
        }
        let prompts = prompts.iter().take(PROMPTS_MAX);
        self.metered.prompts = prompts.map(beginning).collect();
    }

    fn failed(&mut self, error: Option<&Error<'_>>) {
        let Some(error) = error.filter(|_| self.metered.error.is_none()) else {
            return;
        };
        self.metered.error = Some(match error {
            Error::Told { message } | Error::Said(message) => beginning(message),
            Error::Other(_) => "an error without words".to_owned(),
        });
    }

    fn took_place(&mut self, created: Option<u64>, model: Option<&Text<'_>>) {
        self.metered.created = self.metered.created.or(created);
        if self.metered.model.is_none() {
            self.metered.model = model.map(beginning);
        }
    }

    /// What is said last counts: some servers say it with every chunk.
    fn took(&mut self, usage: Option<&Usage>) {
        let Some(usage) = usage else { return };
        let prompt = usage
            .prompt_tokens
            .or(usage.input_tokens)
            .or(usage.total_tokens);
        let output = usage.completion_tokens.or(usage.output_tokens);
        let details = usage
            .prompt_tokens_details
            .as_ref()
            .or(usage.input_tokens_details.as_ref());
        let cached = details
            .and_then(|details| details.cached_tokens)
            .unwrap_or(0);
        let prompt = prompt.unwrap_or(0);
        let cached = cached.min(prompt);
        self.metered.claimed = Some(Claimed(TokenCounts {
            input: prompt - cached,
            cached,
            output: match self.kind {
                Kind::Embeddings | Kind::Rerank => 0,
                _ => output.unwrap_or(0),
            },
        }));
    }

    /// Where the answer of this number is kept.
    fn place(&mut self, index: u32) -> Option<usize> {
        let texts = &self.metered.texts;
        if texts.last().is_some_and(|last| last.index == index) {
            return Some(texts.len() - 1);
        }
        if let Some(at) = self.places.get(&index) {
            return Some(*at);
        }
        let at = texts.len();
        if at >= CHOICES_MAX {
            self.beyond(Beyond::Choices);
            return None;
        }
        if !self.has_room(size_of::<Written>()) {
            return None;
        }
        self.places.insert(index, at);
        self.metered.texts.push(Written {
            index,
            ..Written::default()
        });
        Some(at)
    }

    /// Whether so much more is kept; from the first that is not, nothing is.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.kept = self.kept.saturating_add(bytes);
        let has_room = self.kept <= ANSWER_BYTES_MAX;
        if !has_room {
            self.beyond(Beyond::Answer);
        }
        has_room
    }
}

/// The text, or as much of it as is worth keeping.
fn beginning(text: &Text<'_>) -> String {
    let len = text.0.floor_char_boundary(WORDS_BYTES_MAX);
    text.0[..len].to_owned()
}
