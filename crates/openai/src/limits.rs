//! The maximum of everything a caller may send.

/// Maxima that requests are held to while they are parsed. Past one of them: 400 naming the field.
///
/// The size of the whole body is not here: it is bounded before there is anything to parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Messages in a chat request.
    pub messages_max: usize,
    /// Parts in the content of one message.
    pub parts_max: usize,
    /// Tools of a request.
    pub tools_max: usize,
    /// Bytes of names, descriptions and schemas of all tools of a request.
    pub tool_schema_bytes_max: usize,
    /// Bytes of a tool's name.
    pub tool_name_bytes_max: usize,
    /// Calls in one message.
    pub tool_calls_max: usize,
    /// Entries of `chat_template_kwargs`.
    pub template_variables_max: usize,
    /// Images in a chat request.
    pub images_max: usize,
    /// Bytes of one image, as the file that it is.
    pub image_bytes_max: usize,
    /// Bytes of text in all messages, or in all prompts, of a request.
    pub text_bytes_max: usize,
    /// Answers to one request.
    pub choices_max: u32,
    /// Stop sequences of a request.
    pub stop_max: usize,
    /// Bytes of one stop sequence.
    pub stop_bytes_max: usize,
    /// Entries of `logit_bias`.
    pub logit_bias_max: usize,
    /// Most likely tokens that may be asked for at each position.
    pub top_logprobs_max: u32,
    /// `top_k`; also what bounds the engine's candidate list.
    pub top_k_max: u32,
    /// Tokens to generate that may be asked for, before the context bounds them further.
    pub tokens_max: u32,
    /// Texts, or token lists, in one embeddings or tokenize request.
    pub inputs_max: usize,
    /// Tokens in one token list.
    pub input_tokens_max: usize,
    /// Bytes of a JSON schema.
    pub schema_bytes_max: usize,
    /// Levels of nesting in a JSON schema.
    pub schema_depth_max: usize,
    /// Subschemas in a JSON schema.
    pub schema_nodes_max: usize,
    /// Values of all `enum` lists of a JSON schema together.
    pub schema_enum_max: usize,
    /// Bytes of a grammar.
    pub grammar_bytes_max: usize,
    /// Bytes of a name, identifier or key: model, user, metadata values.
    pub name_bytes_max: usize,
    /// Pairs in `metadata`.
    pub metadata_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages_max: 2048,
            parts_max: 256,
            tools_max: 128,
            tool_schema_bytes_max: 64 << 10,
            tool_name_bytes_max: 64,
            tool_calls_max: 32,
            template_variables_max: 16,
            images_max: 8,
            image_bytes_max: 6 << 20,
            text_bytes_max: 4 << 20,
            choices_max: 8,
            stop_max: 4,
            stop_bytes_max: 256,
            logit_bias_max: 1024,
            top_logprobs_max: 20,
            top_k_max: 1 << 20,
            tokens_max: 1 << 24,
            inputs_max: 2048,
            input_tokens_max: 1 << 20,
            schema_bytes_max: 64 << 10,
            schema_depth_max: 16,
            schema_nodes_max: 1000,
            schema_enum_max: 1000,
            grammar_bytes_max: 64 << 10,
            name_bytes_max: 512,
            metadata_max: 16,
        }
    }
}
