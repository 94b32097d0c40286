//! Renders chat templates as models bring them, in the Jinja dialect of Hugging Face.
//!
//! A template is a program from a file somebody else wrote. It gets a number of steps and a number
//! of bytes to write, sees nothing but the messages and the time, and any mistake of its is an
//! error. What steps cannot bound is the memory of one value (a text joined to itself again and
//! again); the sandbox bounds that.

mod ability;
mod dialect;
mod json;
mod output;
mod plain;
mod view;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value, context};
use serde_json::Map;

use self::ability::Abilities;
use self::dialect::Raised;
pub(crate) use self::dialect::environment;
pub(crate) use self::output::Bounded;
use crate::strftime::strftime;
use crate::{Markers, Message, Tool};

/// Bytes of a template.
pub const TEMPLATE_BYTES_MAX: usize = 256 << 10;

/// Steps a template may take for itself.
pub const STEPS_BASE_MAX: u64 = 100_000;

/// Further steps for each message.
pub const STEPS_PER_MESSAGE_MAX: u64 = 5_000;

/// Further steps for each byte of the tools' schemas, which templates walk through.
pub const STEPS_PER_TOOL_BYTE_MAX: u64 = 20;

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

/// What a conversation's template is told besides its messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenderOptions<'a> {
    /// The tools the model may call; none are shown to a template that does not list tools.
    pub tools: &'a [Tool],
    /// The request's own variables, such as `enable_thinking`. They cannot replace the template's own.
    pub variables: Option<&'a Map<String, serde_json::Value>>,
    /// Shows the template neither tools nor calls: calls and results go in as text, even where it takes
    /// them.
    pub calls_as_text: bool,
    /// Ends with the conversation instead of opening the assistant's answer.
    pub closed: bool,
}

/// What a template is given.
struct Given<'a> {
    messages: Vec<Message>,
    tools: &'a [Tool],
    variables: serde_json::Value,
    closed: bool,
    now_unix_seconds: i64,
}

/// A model's chat template, ready to render.
#[derive(Clone)]
pub struct ChatTemplate {
    source: String,
    environment: Environment<'static>,
    tokens: SpecialTokens,
    markers: Markers,
    /// Whether it wants the tools as a text called `functions`, as Firefunction's does.
    asks_for_functions: bool,
    abilities: Abilities,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("tokens", &self.tokens)
            .field("abilities", &self.abilities)
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
            .add_template_owned(NAME, dialect::without_generation_tags(source))
            .map_err(TemplateError::Syntax)?;
        let asked_for = environment
            .get_template(NAME)
            .map_err(TemplateError::Syntax)?
            .undeclared_variables(false);
        let mut template = Self {
            asks_for_functions: asked_for.contains("functions") && !asked_for.contains("tools"),
            source: source.to_owned(),
            environment,
            markers: Markers::of(source, &[&tokens.bos, &tokens.eos]),
            tokens,
            abilities: Abilities::default(),
        };
        template.abilities = Abilities::of(&template);
        Ok(template)
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The markers that must not appear in data.
    pub fn markers(&self) -> &Markers {
        &self.markers
    }

    /// Whether it lists the tools it is given. If not, the system message has to.
    pub fn lists_tools(&self) -> bool {
        self.abilities.tools
    }

    /// Whether it takes calls and their results in the model's own format. If not, they are written as
    /// text: calls as JSON, results as the user's words.
    pub fn takes_calls(&self) -> bool {
        self.abilities.calls.is_some()
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
        self.render_with(messages, &RenderOptions::default(), now_unix_seconds)
    }

    /// Writes the prompt as these options say.
    ///
    /// # Errors
    /// The template refuses the messages, fails, or goes over a limit.
    pub fn render_with(
        &self,
        messages: &[Message],
        options: &RenderOptions<'_>,
        now_unix_seconds: i64,
    ) -> Result<String, TemplateError> {
        let messages = messages.iter().map(|message| self.safe(message)).collect();
        let mut abilities = self.abilities;
        if options.calls_as_text {
            abilities.tools = false;
            abilities.calls = None;
        }
        let tools: Vec<Tool> = match abilities.tools {
            true => options
                .tools
                .iter()
                .map(|tool| self.safe_tool(tool))
                .collect(),
            false => Vec::new(),
        };
        let variables = options.variables.cloned().unwrap_or_default();
        let given = Given {
            messages,
            tools: &tools,
            variables: self.markers.neutralise_json(&variables.into()),
            closed: options.closed,
            now_unix_seconds,
        };
        self.run(&abilities, given)
    }

    /// What users say is data, and so are the passages in a system message; what tools say is even
    /// more so. The model's own words may carry markers the template looks for, its calls may not.
    fn safe(&self, message: &Message) -> Message {
        let mut message = message.clone();
        match message.role.as_ref() {
            "assistant" => {}
            "tool" => message.content = self.markers.neutralise_data(&message.content).into_owned(),
            _ => message.content = self.markers.neutralise(&message.content).into_owned(),
        }
        for call in &mut message.calls {
            call.id = self.markers.neutralise_data(&call.id).into_owned();
            call.arguments = self.markers.neutralise_json(&call.arguments);
        }
        let answers = message.answers.take();
        message.answers = answers.map(|id| self.markers.neutralise_data(&id).into_owned());
        message
    }

    fn safe_tool(&self, tool: &Tool) -> Tool {
        let safe = |text: &String| self.markers.neutralise_data(text).into_owned();
        Tool {
            name: tool.name.clone(),
            description: tool.description.as_ref().map(safe),
            parameters: self.markers.neutralise_json(&tool.parameters),
        }
    }

    /// What it writes when it is believed to have these abilities.
    fn try_with(
        &self,
        abilities: &Abilities,
        messages: &[Message],
        tools: &[Tool],
    ) -> Option<String> {
        let given = Given {
            messages: messages.to_vec(),
            tools,
            variables: Map::new().into(),
            closed: false,
            now_unix_seconds: 0,
        };
        self.run(abilities, given).ok()
    }

    fn run(&self, abilities: &Abilities, given: Given<'_>) -> Result<String, TemplateError> {
        let shape = abilities.calls.unwrap_or_default();
        let mut messages = match abilities.calls {
            None => plain::as_text(given.messages),
            Some(shape) if shape.one_by_one => plain::one_by_one(given.messages),
            Some(_) => given.messages,
        };
        if !abilities.system {
            messages = plain::merge_system(messages);
        }
        let messages = view::messages(&messages, shape);
        let tools = view::tools(given.tools);
        let work = Work::of(&messages, &tools);
        let now = given.now_unix_seconds;
        let context = context! {
            messages => Value::from(Serde(messages)),
            functions => self.functions(&tools),
            tools => listed(tools),
            add_generation_prompt => !given.closed,
            bos_token => self.tokens.bos.as_str(),
            eos_token => self.tokens.eos.as_str(),
            strftime_now => Value::from_function(move |format: &str| strftime(format, now)),
            ..context! { ..Value::from(Serde(given.variables)), ..dates(now) }
        };
        self.write(context, work)
    }

    fn functions(&self, tools: &serde_json::Value) -> Value {
        let text = match tools.as_array().is_some_and(Vec::is_empty) {
            true => String::new(),
            false => format!("{tools:#}"),
        };
        match self.asks_for_functions {
            true => Value::from(text),
            false => Value::UNDEFINED,
        }
    }

    fn write(&self, context: Value, work: Work) -> Result<String, TemplateError> {
        let mut output = Bounded::new(work.bytes_max);
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(work.steps_max));
        let template = environment
            .get_template(NAME)
            .map_err(TemplateError::Failed)?;
        let rendered = template.render_captured_to(context, &mut output);
        match rendered {
            _ if output.is_full() => Err(TemplateError::TooMuchOutput),
            Err(error) => Err(explain(error)),
            Ok(_) => Ok(output.text()),
        }
    }
}

/// What older templates ask for the date; many say a day of 2024 where nobody tells them.
fn dates(now: i64) -> Value {
    context! {
        date_string => strftime("%d %b %Y", now),
        datetime => strftime("%b %d %Y", now),
    }
}

/// Templates ask whether there are tools by asking whether they are defined.
fn listed(tools: serde_json::Value) -> Value {
    match tools.as_array().is_some_and(Vec::is_empty) {
        true => Value::UNDEFINED,
        false => Value::from(Serde(tools)),
    }
}

/// How much a template may do for a conversation.
struct Work {
    steps_max: u64,
    bytes_max: usize,
}

impl Work {
    fn of(messages: &serde_json::Value, tools: &serde_json::Value) -> Self {
        let count = messages.as_array().map_or(0, Vec::len) as u64;
        let tool_bytes = tools.to_string().len();
        let bytes = text_bytes(messages) + tool_bytes;
        Self {
            steps_max: STEPS_BASE_MAX
                + STEPS_PER_MESSAGE_MAX * count
                + STEPS_PER_TOOL_BYTE_MAX * tool_bytes as u64,
            bytes_max: OUTPUT_BASE_BYTES_MAX + OUTPUT_REPEAT_MAX * bytes,
        }
    }
}

/// The bytes of all texts in a value.
fn text_bytes(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(list) => list.iter().map(text_bytes).sum(),
        serde_json::Value::Object(map) => {
            let entries = map.iter();
            entries
                .map(|(key, value)| key.len() + text_bytes(value))
                .sum()
        }
        _ => 1,
    }
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
