//! Chat templates from strangers' files, rendered with strangers' messages.
//!
//! The template stands before the first zero byte, each message after one more: its first byte chooses the role.

#![no_main]

use gaia_prompt::{ChatTemplate, Message, RenderOptions, SpecialTokens, Tool};
use libfuzzer_sys::fuzz_target;

const ROLES: [&str; 4] = ["user", "assistant", "system", "tool"];
const MESSAGES_MAX: usize = 8;

/// More than a template may ever write about inputs of the size that are tried here.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == 0);
    let source = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let tokens = SpecialTokens {
        bos: "<s>".to_owned(),
        eos: "</s>".to_owned(),
    };
    let Ok(template) = ChatTemplate::new(&source, tokens) else {
        return;
    };
    let messages: Vec<Message> = parts
        .filter_map(<[u8]>::split_first)
        .take(MESSAGES_MAX)
        .map(|(role, content)| {
            let role = ROLES[usize::from(*role) % ROLES.len()];
            Message::new(role, String::from_utf8_lossy(content))
        })
        .collect();
    let tools = [Tool {
        name: "f".to_owned(),
        description: None,
        parameters: serde_json::json!({"type": "object"}),
    }];
    for tools in [&[][..], &tools] {
        let options = RenderOptions {
            tools,
            ..RenderOptions::default()
        };
        if let Ok(prompt) = template.render_with(&messages, &options, 0) {
            assert!(prompt.len() <= OUTPUT_BYTES_MAX, "{} bytes", prompt.len());
        }
    }
});
