//! The items that conversations of responses are made of: what is sent, answered, kept and listed.
//!
//! Invariant: an item that was parsed has text and calls only, and images where the user speaks; files and other
//! people's tools are refused by the name of the field.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat::too_many_images;
use crate::chat::{TokenLogProb, function_arguments, function_name};
use crate::fields::{self, Fields};
use crate::image::{Detail, ImageFile};
use crate::{ApiError, Limits};

/// One item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    /// Somebody says something.
    Message(MessageItem),
    /// What the model thought.
    Reasoning(ReasoningItem),
    /// The model calls a function.
    FunctionCall(CallItem),
    /// What came of a call.
    FunctionCallOutput(OutputItem),
    /// The node called one of its own tools. OpenAI's name for calls that are not the caller's to make.
    McpCall(NodeCallItem),
}

/// How far an item has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemStatus {
    /// More of it comes.
    InProgress,
    /// It is whole.
    Completed,
    /// It was cut off.
    Incomplete,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The one who asks.
    User,
    /// The model.
    Assistant,
    /// The one who sets the rules.
    System,
    /// The same, by its newer name.
    Developer,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageItem {
    /// Its identifier.
    pub id: String,
    /// How far it has come.
    pub status: ItemStatus,
    /// Who speaks.
    pub role: Speaker,
    /// What is said.
    pub content: Vec<Content>,
}

/// What the model thought before it answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReasoningItem {
    /// Its identifier.
    pub id: String,
    /// How far it has come.
    pub status: ItemStatus,
    /// What others made of it; nothing here does.
    pub summary: Vec<Content>,
    /// The thoughts themselves.
    #[serde(default)]
    pub content: Vec<Content>,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallItem {
    /// Its identifier.
    pub id: String,
    /// How far it has come.
    pub status: ItemStatus,
    /// What the result refers to.
    pub call_id: String,
    /// The function.
    pub name: String,
    /// The text of a JSON object.
    pub arguments: String,
}

/// A call of one of the node's own tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeCallItem {
    /// Its identifier.
    pub id: String,
    /// `in_progress`, `completed` or `failed`.
    pub status: CallProgress,
    /// Always `node`.
    pub server_label: Cow<'static, str>,
    /// The tool.
    pub name: String,
    /// The text of a JSON object.
    pub arguments: String,
    /// Always `null`: what the model was told is between the node and the model.
    pub output: Option<String>,
    /// What went wrong, in short.
    pub error: Option<Cow<'static, str>>,
    /// An addition: how long it took.
    pub ms: u64,
    /// An addition: how long the tool's reply was.
    pub bytes: u64,
}

/// How far a call of the node's has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallProgress {
    /// Nobody has answered yet.
    InProgress,
    /// The model was told an answer.
    Completed,
    /// The model was told why there is none.
    Failed,
}

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputItem {
    /// Its identifier.
    pub id: String,
    /// How far it has come.
    pub status: ItemStatus,
    /// Of which call.
    pub call_id: String,
    /// The result, for the model to read.
    pub output: String,
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// What somebody says to the model.
    InputText {
        /// The text.
        text: String,
    },
    /// What somebody shows to the model.
    InputImage {
        /// The image itself, as a `data:` URL.
        image_url: String,
        /// How closely it is looked at.
        #[serde(default)]
        detail: Detail,
    },
    /// What the model says.
    OutputText {
        /// The text.
        text: String,
        /// Always empty: what was looked up stands in `citations` of the response.
        #[serde(default)]
        annotations: Vec<Value>,
        /// Log-probabilities, where asked for.
        #[serde(default)]
        logprobs: Vec<TokenLogProb>,
    },
    /// A model's refusal, from elsewhere.
    Refusal {
        /// The text.
        refusal: String,
    },
    /// What the model thinks.
    ReasoningText {
        /// The text.
        text: String,
    },
    /// What somebody made of what a model thought.
    SummaryText {
        /// The text.
        text: String,
    },
}

impl NodeCallItem {
    /// A call that nobody has answered yet.
    pub(super) fn begun(name: String, arguments: String) -> Self {
        Self {
            id: String::new(),
            status: CallProgress::InProgress,
            server_label: Cow::Borrowed("node"),
            name,
            arguments,
            output: None,
            error: None,
            ms: 0,
            bytes: 0,
        }
    }
}

impl Content {
    fn is_image(&self) -> bool {
        matches!(self, Self::InputImage { .. })
    }

    /// An answer's text, empty yet.
    pub(super) fn answer() -> Self {
        Self::OutputText {
            text: String::new(),
            annotations: Vec::new(),
            logprobs: Vec::new(),
        }
    }

    /// Its text, or the URL of an image.
    pub fn text(&self) -> &str {
        match self {
            Self::InputImage { image_url, .. } => image_url,
            Self::InputText { text }
            | Self::OutputText { text, .. }
            | Self::Refusal { refusal: text }
            | Self::ReasoningText { text }
            | Self::SummaryText { text } => text,
        }
    }
}

impl Item {
    /// Its identifier; empty where the one who sent it gave none.
    pub fn id(&self) -> &str {
        match self {
            Self::Message(item) => &item.id,
            Self::Reasoning(item) => &item.id,
            Self::FunctionCall(item) => &item.id,
            Self::FunctionCallOutput(item) => &item.id,
            Self::McpCall(item) => &item.id,
        }
    }

    /// Gives it an identifier that ends in `tail`, if it has none.
    pub(super) fn name(&mut self, tail: &str) {
        let (id, prefix) = match self {
            Self::Message(item) => (&mut item.id, "msg"),
            Self::Reasoning(item) => (&mut item.id, "rs"),
            Self::FunctionCall(item) => (&mut item.id, "fc"),
            Self::FunctionCallOutput(item) => (&mut item.id, "fco"),
            Self::McpCall(item) => (&mut item.id, "mcp"),
        };
        if id.is_empty() {
            *id = format!("{prefix}_{tail}");
        }
    }

    fn images(&self) -> usize {
        match self {
            Self::Message(item) => item.content.iter().filter(|part| part.is_image()).count(),
            _ => 0,
        }
    }

    /// Its text in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of = |contents: &[Content]| contents.iter().map(|part| part.text().len()).sum();
        match self {
            Self::Message(item) => of(&item.content),
            Self::Reasoning(item) => of(&item.content),
            Self::FunctionCall(item) => item.name.len() + item.arguments.len(),
            Self::FunctionCallOutput(item) => item.output.len(),
            Self::McpCall(item) => item.name.len() + item.arguments.len(),
        }
    }

    /// The field `input`: one text, or items.
    pub(super) fn parse_input(root: &Fields<'_>, limits: &Limits) -> Result<Vec<Self>, ApiError> {
        const PARAM: &str = "input";
        let items = match root.require(PARAM)? {
            Value::String(text) => vec![said(Speaker::User, text.clone())],
            Value::Array(list) => several(list, limits)?,
            _ => {
                return Err(ApiError::invalid_type(PARAM, "a string or a list of items"));
            }
        };
        if items.is_empty() {
            let message = "`input` must not be empty.";
            return Err(ApiError::invalid_value(PARAM, message));
        }
        Ok(items)
    }

    fn parse(fields: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        let kind = fields.text("type")?;
        match kind {
            Some("message") => message(fields, limits),
            None if fields.get("role").is_some() => message(fields, limits),
            Some("function_call") => Ok(Self::FunctionCall(CallItem {
                id: id(fields, "id", limits)?,
                status: ItemStatus::Completed,
                call_id: required_id(fields, "call_id", limits)?,
                name: function_name(fields, limits)?,
                arguments: function_arguments(fields)?,
            })),
            Some("function_call_output") => Ok(Self::FunctionCallOutput(OutputItem {
                id: id(fields, "id", limits)?,
                status: ItemStatus::Completed,
                call_id: required_id(fields, "call_id", limits)?,
                output: output(fields, limits)?,
            })),
            Some("reasoning") => reasoning(fields, limits),
            Some("mcp_call") => Ok(Self::McpCall(NodeCallItem {
                id: id(fields, "id", limits)?,
                name: function_name(fields, limits)?,
                arguments: function_arguments(fields)?,
                ..NodeCallItem::begun(String::new(), String::new())
            })),
            Some(kind) => {
                let shown: String = kind.chars().take(64).collect();
                let message = format!("Items of type `{shown}` are not supported by this node.");
                Err(ApiError::unsupported(fields.param("type"), message))
            }
            None => Err(ApiError::missing(fields.param("type"))),
        }
    }
}

/// A message of one text.
fn said(role: Speaker, text: String) -> Item {
    let content = match role {
        Speaker::Assistant => Content::OutputText {
            text,
            annotations: Vec::new(),
            logprobs: Vec::new(),
        },
        _ => Content::InputText { text },
    };
    Item::Message(MessageItem {
        id: String::new(),
        status: ItemStatus::Completed,
        role,
        content: vec![content],
    })
}

fn several(list: &[Value], limits: &Limits) -> Result<Vec<Item>, ApiError> {
    fields::too_long("input", list.len(), limits.messages_max)?;
    let mut items = Vec::with_capacity(list.len());
    let (mut bytes, mut images) = (0, 0);
    for (index, value) in list.iter().enumerate() {
        let item = Item::parse(&Fields::of(value, format!("input[{index}]"))?, limits)?;
        bytes += item.bytes();
        fields::too_large("input", bytes, limits.text_bytes_max)?;
        images += item.images();
        too_many_images("input", images, limits)?;
        items.push(item);
    }
    Ok(items)
}

fn id(fields: &Fields<'_>, key: &str, limits: &Limits) -> Result<String, ApiError> {
    Ok(fields.name(key, limits)?.unwrap_or_default())
}

fn required_id(fields: &Fields<'_>, key: &str, limits: &Limits) -> Result<String, ApiError> {
    fields.require(key)?;
    id(fields, key, limits)
}

fn message(fields: &Fields<'_>, limits: &Limits) -> Result<Item, ApiError> {
    fields.require("role")?;
    let role = match fields.text("role")?.unwrap_or_default() {
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        "system" => Speaker::System,
        "developer" => Speaker::Developer,
        _ => {
            let message = "`role` must be `user`, `assistant`, `system` or `developer`.";
            return Err(ApiError::invalid_value(fields.param("role"), message));
        }
    };
    let id = id(fields, "id", limits)?;
    let mut item = match fields.require("content")? {
        Value::String(text) => said(role, text.clone()),
        Value::Array(parts) => Item::Message(MessageItem {
            id: String::new(),
            status: ItemStatus::Completed,
            role,
            content: contents(parts, &fields.param("content"), limits)?,
        }),
        _ => {
            let expected = "a string or a list of parts";
            return Err(ApiError::invalid_type(fields.param("content"), expected));
        }
    };
    if let Item::Message(message) = &mut item {
        if message.role != Speaker::User {
            no_images(&message.content, &fields.param("content"))?;
        }
        message.id = id;
    }
    Ok(item)
}

fn contents(parts: &[Value], at: &str, limits: &Limits) -> Result<Vec<Content>, ApiError> {
    fields::too_long(at, parts.len(), limits.parts_max)?;
    let parts = parts.iter().enumerate();
    parts
        .map(|(index, part)| content(&Fields::of(part, format!("{at}[{index}]"))?, limits))
        .collect()
}

fn no_images(contents: &[Content], param: &str) -> Result<(), ApiError> {
    match contents.iter().any(Content::is_image) {
        true => {
            let message = "Images may stand in messages of role `user` only.";
            Err(ApiError::unsupported(param, message))
        }
        false => Ok(()),
    }
}

fn content(part: &Fields<'_>, limits: &Limits) -> Result<Content, ApiError> {
    part.require("type")?;
    let kind = part.text("type")?.unwrap_or_default();
    let text = |key| -> Result<String, ApiError> {
        part.require(key)?;
        Ok(part.text(key)?.unwrap_or_default().to_owned())
    };
    match kind {
        "input_text" | "text" => Ok(Content::InputText {
            text: text("text")?,
        }),
        "output_text" => Ok(Content::OutputText {
            text: text("text")?,
            annotations: Vec::new(),
            logprobs: Vec::new(),
        }),
        "refusal" => Ok(Content::Refusal {
            refusal: text("refusal")?,
        }),
        "reasoning_text" => Ok(Content::ReasoningText {
            text: text("text")?,
        }),
        "summary_text" => Ok(Content::SummaryText {
            text: text("text")?,
        }),
        "input_image" => {
            part.refuse("file_id", &[])?;
            let detail = Detail::parse(part)?;
            let image_url = text("image_url")?;
            ImageFile::of_url(&image_url, detail, &part.param("image_url"), limits)?;
            Ok(Content::InputImage { image_url, detail })
        }
        "input_file" | "input_audio" => {
            let message = format!("Content of type `{kind}` is not supported by this node yet.");
            Err(ApiError::unsupported(part.param("type"), message))
        }
        _ => {
            let message =
                "The type of a content part must be `input_text`, `output_text` or `refusal`.";
            Err(ApiError::invalid_value(part.param("type"), message))
        }
    }
}

/// A result as one text, however it was given.
fn output(fields: &Fields<'_>, limits: &Limits) -> Result<String, ApiError> {
    match fields.require("output")? {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let parts = contents(parts, &fields.param("output"), limits)?;
            no_images(&parts, &fields.param("output"))?;
            let texts: Vec<&str> = parts.iter().map(Content::text).collect();
            Ok(texts.join("\n"))
        }
        _ => {
            let expected = "a string or a list of parts";
            Err(ApiError::invalid_type(fields.param("output"), expected))
        }
    }
}

fn reasoning(fields: &Fields<'_>, limits: &Limits) -> Result<Item, ApiError> {
    let list = |key| -> Result<Vec<Content>, ApiError> {
        let parts = fields.list(key, limits.parts_max)?.unwrap_or_default();
        let parts = contents(parts, &fields.param(key), limits)?;
        no_images(&parts, &fields.param(key))?;
        Ok(parts)
    };
    Ok(Item::Reasoning(ReasoningItem {
        id: id(fields, "id", limits)?,
        status: ItemStatus::Completed,
        summary: list("summary")?,
        content: list("content")?,
    }))
}
