//! A template shows its format.

use gaia_tools::{Family, Format};

#[test]
fn the_format_follows_from_the_template() {
    let check = |template: &str, family: Family| {
        assert_eq!(Format::of(template).family(), family, "{template}");
    };
    check("{{- '<tool_call>\\n{\"name\": \"' }}", Family::Hermes);
    check(
        "<tool_call>\n<function=example>\n<parameter=p>",
        Family::QwenXml,
    );
    check(
        "<|start_header_id|>ipython<|end_header_id|> \"parameters\": dictionary",
        Family::Llama,
    );
    check("<|start_header_id|>user<|end_header_id|>", Family::Generic);
    check("[TOOL_CALLS][", Family::Mistral);
    check(
        "[TOOL_CALLS]' + name + '[CALL_ID]' + id + '[ARGS]'",
        Family::MistralArgs,
    );
    check("<｜tool▁calls▁begin｜> '```json'", Family::DeepSeekR1);
    check("<｜tool▁calls▁begin｜>", Family::DeepSeekV31);
    check("'｜DSML｜' 'function_calls'", Family::DeepSeekV32);
    check("'｜DSML｜' 'tool_calls'", Family::DeepSeekV4);
    check("'<|tool_call>call:'", Family::Gemma4);
    check(
        "<|start|>assistant<|channel|>final<|message|>",
        Family::GptOss,
    );
    check("<|tool|>{{ tools }}<|/tool|>", Family::Phi4);
    check("<start_of_turn>model", Family::Generic);
    check("<|im_start|>assistant", Family::Generic);
    check("<tool_call>name\n<arg_key>k</arg_key>", Family::Generic);
    check("]<]minimax[>[<tool_call>", Family::Generic);
    check("", Family::Generic);
}

#[test]
fn few_tokens_are_shown_and_none_that_ends_a_turn() {
    for template in crate::samples::SAMPLES.iter().map(|sample| sample.template) {
        let shown = Format::of(template).shown_tokens();
        assert!(!shown.is_empty() && shown.len() <= 32);
        for end in [
            "<|im_end|>",
            "<|eot_id|>",
            "<|eom_id|>",
            "<|call|>",
            "<|return|>",
            "</s>",
        ] {
            assert!(!shown.contains(&end), "{end}");
        }
    }
}

#[test]
fn only_generic_models_need_instructions() {
    let tools = crate::samples::tools();
    for sample in crate::samples::SAMPLES {
        let format = Format::of(sample.template);
        let needs = format.family() == Family::Generic;
        assert_eq!(format.instructions(&tools).is_some(), needs);
        assert_eq!(format.instructions(&[]), None);
    }
    let text = Format::of("").instructions(&tools).unwrap();
    assert!(text.contains("\"name\":\"weather\"") && text.contains("\"tool_call\""));
}
