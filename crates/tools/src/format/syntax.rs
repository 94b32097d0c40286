//! The marks of each family and what stands behind them: what a reader of answers must know.
//!
//! Readers take more than grammars permit: models that no grammar holds write what they like.

use super::Family;
use crate::marker::Mark;
use crate::parser::{Dialect, Item};

/// A mark that a call follows.
#[derive(Debug)]
pub(crate) struct Opener {
    /// The mark.
    pub mark: Mark,
    /// What of the mark is already the call's.
    pub feed: &'static str,
    /// What follows.
    pub items: &'static [Item],
}

impl Opener {
    const fn new(mark: Mark, items: &'static [Item]) -> Self {
        Self::fed(mark, "", items)
    }

    const fn fed(mark: Mark, feed: &'static str, items: &'static [Item]) -> Self {
        Self { mark, feed, items }
    }
}

/// The marks around what a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thinking {
    /// Where it may begin.
    pub open: Mark,
    /// Where it ends.
    pub close: &'static str,
}

const THINK: Thinking = Thinking {
    open: Mark::first("<think>"),
    close: "</think>",
};

const BRACKETS: Thinking = Thinking {
    open: Mark::anywhere("[THINK]"),
    close: "[/THINK]",
};

const CHANNEL: Thinking = Thinking {
    open: Mark::anywhere("<|channel>thought"),
    close: "<channel|>",
};

const ENVELOPE: &[Item] = &[Item::Envelope];
const LIST: &[Item] = &[Item::List];
const QWEN: &[Item] = &[name_until(">"), Item::Tags(Dialect::Qwen)];
const DSML: &[Item] = &[name_until("\">"), Item::Tags(Dialect::Dsml)];
const R1: &[Item] = &[name_until("```json"), Item::Arguments];
const V31: &[Item] = &[name_until("<｜tool▁sep｜>"), Item::Arguments];
const GEMMA: &[Item] = &[Item::Text("call:"), name_until("{"), Item::Gemma];
const MISTRAL_ARGS: &[Item] = &[
    Item::Name {
        until: "[ARGS]",
        cut: Some("[CALL_ID]"),
    },
    Item::Arguments,
];
/// What follows a harmony header that names a tool.
pub(crate) const HARMONY: &[Item] = &[Item::Arguments];

const fn name_until(until: &'static str) -> Item {
    Item::Name { until, cut: None }
}

impl Family {
    /// The marks that calls follow.
    pub(crate) fn openers(self) -> &'static [Opener] {
        const HERMES: &[Opener] = &[Opener::new(Mark::anywhere("<tool_call>"), LIST)];
        const QWEN_XML: &[Opener] = &[
            Opener::new(Mark::anywhere("<tool_call> <function="), QWEN),
            Opener::new(Mark::anywhere("<function="), QWEN),
        ];
        const LLAMA: &[Opener] = &[
            Opener::fed(Mark::first("{ \"name\""), "{\"name\"", ENVELOPE),
            Opener::fed(
                Mark::first("{ \"type\" : \"function\""),
                "{\"type\":\"function\"",
                ENVELOPE,
            ),
            Opener::fed(Mark::anywhere("<|python_tag|> {"), "{", ENVELOPE),
        ];
        const MISTRAL: &[Opener] = &[Opener::new(Mark::anywhere("[TOOL_CALLS]"), LIST)];
        const ARGS: &[Opener] = &[Opener::new(Mark::anywhere("[TOOL_CALLS]"), MISTRAL_ARGS)];
        const DEEPSEEK_R1: &[Opener] = &[
            Opener::new(
                Mark::anywhere(
                    "<｜tool▁calls▁begin｜> <｜tool▁call▁begin｜> function <｜tool▁sep｜>",
                ),
                R1,
            ),
            Opener::new(
                Mark::anywhere("<｜tool▁call▁begin｜> function <｜tool▁sep｜>"),
                R1,
            ),
        ];
        const DEEPSEEK_V31: &[Opener] = &[
            Opener::new(
                Mark::anywhere("<｜tool▁calls▁begin｜> <｜tool▁call▁begin｜>"),
                V31,
            ),
            Opener::new(Mark::anywhere("<｜tool▁call▁begin｜>"), V31),
        ];
        const BLOCKS: &[Opener] = &[
            Opener::new(
                Mark::anywhere("<｜DSML｜function_calls> <｜DSML｜invoke name=\""),
                DSML,
            ),
            Opener::new(
                Mark::anywhere("<｜DSML｜tool_calls> <｜DSML｜invoke name=\""),
                DSML,
            ),
            Opener::new(Mark::anywhere("<｜DSML｜invoke name=\""), DSML),
        ];
        const GEMMA4: &[Opener] = &[Opener::new(Mark::anywhere("<|tool_call>"), GEMMA)];
        const PHI4: &[Opener] = &[
            Opener::fed(Mark::first("functools ["), "[", LIST),
            Opener::fed(Mark::anywhere("<|tool_call|> functools ["), "[", LIST),
            Opener::fed(Mark::anywhere("<|tool_call|> ["), "[", LIST),
            Opener::fed(Mark::anywhere("<|tool_call|> {"), "{", ENVELOPE),
        ];
        const GENERIC: &[Opener] = &[
            Opener::fed(Mark::anywhere("{ \"tool_call\" : {"), "{", ENVELOPE),
            Opener::fed(Mark::anywhere("{ \"tool_calls\" : ["), "[", LIST),
            Opener::fed(Mark::anywhere("```json { \"tool_call\" : {"), "{", ENVELOPE),
            Opener::fed(Mark::anywhere("```json { \"tool_calls\" : ["), "[", LIST),
        ];
        match self {
            Self::Hermes => HERMES,
            Self::QwenXml => QWEN_XML,
            Self::Llama => LLAMA,
            Self::Mistral => MISTRAL,
            Self::MistralArgs => ARGS,
            Self::DeepSeekR1 => DEEPSEEK_R1,
            Self::DeepSeekV31 => DEEPSEEK_V31,
            Self::DeepSeekV32 | Self::DeepSeekV4 => BLOCKS,
            Self::Gemma4 => GEMMA4,
            Self::GptOss => &[],
            Self::Phi4 => PHI4,
            Self::Generic => GENERIC,
        }
    }

    /// What closes calls: right behind one it says nothing.
    pub(crate) fn closers(self) -> &'static [Mark] {
        const TOOL_CALL: &[Mark] = &[Mark::first("</tool_call>")];
        const DEEPSEEK: &[Mark] = &[
            Mark::first("``` <｜tool▁call▁end｜>"),
            Mark::first("<｜tool▁call▁end｜>"),
            Mark::first("<｜tool▁calls▁end｜>"),
        ];
        const BLOCKS: &[Mark] = &[
            Mark::first("</｜DSML｜function_calls>"),
            Mark::first("</｜DSML｜tool_calls>"),
        ];
        const GENERIC: &[Mark] = &[Mark::first("}"), Mark::first("```")];
        match self {
            Self::Hermes | Self::QwenXml => TOOL_CALL,
            Self::Llama => const { &[Mark::first(";")] },
            Self::DeepSeekR1 | Self::DeepSeekV31 => DEEPSEEK,
            Self::DeepSeekV32 | Self::DeepSeekV4 => BLOCKS,
            Self::Gemma4 => const { &[Mark::first("<tool_call|>")] },
            Self::Phi4 => const { &[Mark::first("<|/tool_call|>")] },
            Self::Generic => GENERIC,
            Self::Mistral | Self::MistralArgs | Self::GptOss => &[],
        }
    }

    /// The marks around reasoning. gpt-oss has channels instead.
    pub(crate) fn thinking(self) -> Thinking {
        match self {
            Self::MistralArgs => BRACKETS,
            Self::Gemma4 => CHANNEL,
            _ => THINK,
        }
    }
}
