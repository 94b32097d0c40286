//! What a model thinks is told from what it says.

use gaia_tools::Format;

use crate::samples::{parts, read, short, tools};

#[test]
fn reasoning_stands_first() {
    let check = |template: &str, answer: &str, expected: &str| {
        assert_eq!(read(template, answer), expected);
    };
    check("", "<think>\nHm.\n</think>\n\nYes.", "[Hm.]Yes.");
    check("", "\n<think>a</think>b", "[a]b");
    check("", "<think>\n\n</think>\n\nYes.", "Yes.");
    check("", "<think>so", "[so]");
    check("", "A <think> tag.", "A <think> tag.");
    check(
        "",
        "<think>a</think>b<think>c</think>",
        "[a]b<think>c</think>",
    );
    check("", "</think>", "</think>");
    check("[TOOL_CALLS][ARGS]", "[THINK]Hm.[/THINK]Yes.", "[Hm.]Yes.");
    check(
        "<|tool_call>",
        "<|channel>thought\nHm.\n<channel|>Yes.",
        "[Hm.]Yes.",
    );
    check(
        "<tool_call>",
        "<think>\n<tool_call>?\n</think>\n<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>",
        "[<tool_call>?]|now({})|",
    );
    check(
        "<|start_header_id|>ipython\"parameters\"",
        "<think>a</think>\n{\"name\": \"now\", \"parameters\": {}}",
        "[a]|now({})|",
    );
}

#[test]
fn a_prompt_may_open_it() {
    let check = |template: &str, answer: &str, expected: &str| {
        let found = parts(Format::of(template), &tools(), true, [answer]);
        assert_eq!(short(&found), expected);
    };
    check("", "\nHm.\n</think>\n\nYes.", "[Hm.]Yes.");
    check("", "<think>\nHm.</think>Yes.", "[Hm.]Yes.");
    check("", "Hm. <thi", "[Hm. <thi]");
    check("[TOOL_CALLS][ARGS]", "Hm.[/THINK]Yes.", "[Hm.]Yes.");

    let opens = |template: &str, prompt: &str| Format::of(template).opens_reasoning(prompt);
    assert!(opens("", "<|im_start|>assistant\n<think>\n"));
    assert!(!opens("", "<|im_start|>assistant\n<think>\n\n</think>\n\n"));
    assert!(opens("[TOOL_CALLS][ARGS]", "[/INST][THINK]"));
    assert!(!opens("<|channel|><|message|>", "<|start|>assistant"));
}

#[test]
fn harmony_has_channels() {
    let check = |answer: &str, expected: &str| {
        assert_eq!(read("<|channel|><|message|>", answer), expected);
    };
    check(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
        "[Hm.]Yes.",
    );
    check(
        "<|channel|>commentary<|message|>First this.<|end|><|start|>assistant<|channel|>final<|message|>Then that.<|return|>",
        "First this.\n\nThen that.",
    );
    check(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}<|call|>",
        "[Hm.]|now({})|",
    );
    check("<|channel|>final <|constrain|>json<|message|>{}", "{}");
    check(
        "<|channel|>commentary to=assistant<|channel|>analysis<|message|>Hm.",
        "[Hm.]",
    );
    check("Plain text, and no header.", "Plain text, and no header.");
    check("to be or not to be", "to be or not to be");
    check(
        "<|channel|>commentary to=functions.other<|message|>{}<|call|>",
        "{}",
    );
}
