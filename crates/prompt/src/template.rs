//! Renders chat templates as models bring them, in the Jinja dialect of Hugging Face.
//!
//! A template is a program from a file somebody else wrote. It gets a number of steps and a number
//! of bytes to write, sees nothing but the messages and the time, and any mistake of its is an
//! error. What steps cannot bound is the memory of one value (a text joined to itself again and
//! again); the sandbox bounds that.

mod json;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};

use crate::strftime::strftime;
use crate::{Markers, Message};

/// Bytes of a template.
pub const TEMPLATE_BYTES_MAX: usize = 256 << 10;

/// Steps a template may take for itself.
pub const STEPS_BASE_MAX: u64 = 100_000;

/// Further steps for each message.
pub const STEPS_PER_MESSAGE_MAX: u64 = 5_000;

/// Bytes a template may write for itself.
pub const OUTPUT_BASE_BYTES_MAX: usize = 64 << 10;

/// How often a template may write each byte of the conversation.
pub const OUTPUT_REPEAT_MAX: usize = 4;

const NAME: &str = "chat_template";

/// The texts of the tokens at the start and the end of text; empty where a model has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpecialTokens {
    /// Start of text.
    pub bos: String,
    /// End of text.
    pub eos: String,
}

/// Why a template cannot be used, or not for these messages.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is too long to be a chat template.
    #[error("the chat template has {bytes} bytes; the limit is {TEMPLATE_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It is not valid Jinja.
    #[error("the chat template is not valid")]
    Syntax(#[source] minijinja::Error),
    /// It refuses these messages, in its own words.
    #[error("the model's chat template refuses these messages: {message}")]
    Refused {
        /// What it says.
        message: String,
    },
    /// It took more steps than a template may take.
    #[error("the chat template takes too many steps")]
    TooManySteps,
    /// It wrote more than a template may write.
    #[error("the chat template writes too much")]
    TooMuchOutput,
    /// It does something wrong.
    #[error("the chat template failed")]
    Failed(#[source] minijinja::Error),
}

/// What `raise_exception` was called with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// A model's chat template, ready to render.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    tokens: SpecialTokens,
    markers: Markers,
    /// Whether a system message comes through; if not, it goes into the first user message.
    system: bool,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("tokens", &self.tokens)
            .field("system", &self.system)
            .finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// It is too long, or not valid Jinja.
    pub fn new(source: &str, tokens: SpecialTokens) -> Result<Self, TemplateError> {
        if source.len() > TEMPLATE_BYTES_MAX {
            let bytes = source.len();
            return Err(TemplateError::TooLarge { bytes });
        }
        let mut environment = environment();
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .map_err(TemplateError::Syntax)?;
        let mut template = Self {
            environment,
            markers: Markers::of(source, &[&tokens.bos, &tokens.eos]),
            tokens,
            system: true,
        };
        template.system = template.takes_system();
        Ok(template)
    }

    /// The markers that must not appear in data.
    pub fn markers(&self) -> &Markers {
        &self.markers
    }

    /// Writes the prompt, open for the assistant's answer.
    ///
    /// `now_unix_seconds` is what a template is told when it asks for the date.
    ///
    /// # Errors
    /// The template refuses the messages, fails, or goes over a limit.
    pub fn render(
        &self,
        messages: &[Message],
        now_unix_seconds: i64,
    ) -> Result<String, TemplateError> {
        let safe = messages.iter().map(|message| self.safe(message)).collect();
        match self.system {
            true => self.run(safe, now_unix_seconds),
            false => self.run(merge_system(safe), now_unix_seconds),
        }
    }

    /// What users say is data, and so are the passages in a system message. The model's own answers
    /// may carry markers the template looks for.
    fn safe(&self, message: &Message) -> Message {
        let mut message = message.clone();
        if message.role != "assistant" {
            message.content = self.markers.neutralise(&message.content).into_owned();
        }
        message
    }

    fn takes_system(&self) -> bool {
        const PROBE: &str = "a rule to follow";
        let messages = vec![
            Message::new("system", PROBE),
            Message::new("user", "a question"),
        ];
        self.run(messages, 0).is_ok_and(|text| text.contains(PROBE))
    }

    fn run(&self, messages: Vec<Message>, now: i64) -> Result<String, TemplateError> {
        let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        let mut output = Bounded::new(OUTPUT_BASE_BYTES_MAX + OUTPUT_REPEAT_MAX * bytes);
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(
            STEPS_BASE_MAX + STEPS_PER_MESSAGE_MAX * messages.len() as u64,
        ));
        let template = environment
            .get_template(NAME)
            .map_err(TemplateError::Failed)?;
        let rendered = template.render_captured_to(self.context(messages, now), &mut output);
        match rendered {
            _ if output.is_full() => Err(TemplateError::TooMuchOutput),
            Err(error) => Err(explain(error)),
            Ok(_) => Ok(output.text()),
        }
    }

    fn context(&self, messages: Vec<Message>, now: i64) -> Value {
        let messages: Vec<Value> = messages
            .into_iter()
            .map(|message| context! { role => message.role.as_ref(), content => message.content })
            .collect();
        context! {
            messages => messages,
            add_generation_prompt => true,
            bos_token => self.tokens.bos.as_str(),
            eos_token => self.tokens.eos.as_str(),
            strftime_now => Value::from_function(move |format: &str| strftime(format, now)),
        }
    }
}

pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build().expect("the delimiters are the usual ones"));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", json::tojson);
    environment.add_function("raise_exception", raise_exception);
    environment
}

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    let error = minijinja::Error::new(ErrorKind::InvalidOperation, message.clone());
    Err(error.with_source(Raised(message)))
}

fn explain(error: minijinja::Error) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(Raised(message)) = current.downcast_ref() {
            let message = message.clone();
            return TemplateError::Refused { message };
        }
        cause = current.source();
    }
    match error.kind() {
        ErrorKind::OutOfFuel => TemplateError::TooManySteps,
        _ => TemplateError::Failed(error),
    }
}

/// Templates written for training mark the assistant's text with a tag of their own, which means
/// nothing here: `{% generation %}` becomes a condition that always holds.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(end) = rest[start..].find("%}").map(|end| start + end + 2) else {
            break;
        };
        let tag = &rest[start..end];
        out.push_str(&rest[..start]);
        match tag.trim_matches(|c: char| "{}%-+".contains(c) || c.is_whitespace()) {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// For templates without a system role: its text goes in front of the first user message.
fn merge_system(messages: Vec<Message>) -> Vec<Message> {
    let (system, mut rest): (Vec<Message>, Vec<Message>) =
        messages.into_iter().partition(Message::is_system);
    let texts: Vec<&str> = system
        .iter()
        .map(|message| message.content.as_str())
        .collect();
    let text = texts.join("\n\n");
    match rest.iter_mut().find(|message| message.is_user()) {
        _ if text.is_empty() => {}
        Some(user) => user.content = format!("{text}\n\n{}", user.content),
        None => rest.insert(0, Message::new("user", text)),
    }
    rest
}

/// Takes at most so many bytes.
pub(crate) struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    full: bool,
}

impl Bounded {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            bytes_max,
            full: false,
        }
    }

    /// Whether there was more than that.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// What was written.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            self.full = true;
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
