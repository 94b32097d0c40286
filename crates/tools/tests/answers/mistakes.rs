//! What no grammar held: what is no call is text, and nothing is lost.

use gaia_tools::{Format, Part};

use crate::samples::{SAMPLES, parts, read, short, tool, tools};

const HERMES: &str = "<tool_call>";
const QWEN: &str = "<tool_call><function=<parameter=";

#[test]
fn what_is_no_call_is_text() {
    let check = |template: &str, answer: &str| assert_eq!(read(template, answer), answer);
    check(HERMES, "<tool_call>");
    check(HERMES, "a <tool_call> is a mark");
    check(
        HERMES,
        "<tool_call>\n{\"name\": \"unknown\", \"arguments\": {}}\n</tool_call>",
    );
    check(HERMES, "<tool_call>{\"arguments\": {}}</tool_call>");
    check(HERMES, "<tool_call>{\"name\": 3}");
    check(HERMES, "<tool_call>[1]</tool_call> \n");
    check(QWEN, "#include <functional> <function=other>x</function>");
    check("[TOOL_CALLS][ARGS]", "[TOOL_CALLS]weather{}");
    check("[TOOL_CALLS]", "[TOOL_CALLS] none");
    check("<|tool_call>", "<|tool_call>weather{}");
    check("", "{\"tool_call\": {\"nam\": 1}}");
    check("", "{\"tool\": \"weather\"}");
    check(
        "<|start_header_id|>ipython\"parameters\"",
        "{\"name\": \"Ada\", \"age\": 36}",
    );
    check("<|tool|>", "Use functools[cache] here.");
}

#[test]
fn a_call_after_a_mistake_is_a_call() {
    let check = |template: &str, answer: &str, short: &str| {
        assert_eq!(read(template, answer), short);
    };
    check(
        HERMES,
        "<tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
        "<tool_call>|now({})|",
    );
    check(
        HERMES,
        "<tool_call>{\"name\": \"now\", \"arguments\": {}\n</tool_call> ok",
        "|now({})|ok",
    );
    check(
        HERMES,
        "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": b}}",
        "|now({\"a\": )|b}}",
    );
}

#[test]
fn members_come_in_any_order_and_others_are_skipped() {
    let check = |answer: &str| {
        assert_eq!(read(HERMES, answer), "|weather({\"city\": \"{\"})|");
    };
    check(r#"<tool_call>{"arguments": {"city": "{"}, "name": "weather"}</tool_call>"#);
    check(
        r#"<tool_call>{"id": 1.5, "name":"weather","type":[{}] ,"arguments":{"city": "{"} } </tool_call>"#,
    );
    assert_eq!(
        read(HERMES, r#"<tool_call>{"name": "now"}</tool_call>"#),
        "|now({})|"
    );
}

#[test]
fn brackets_may_be_there_or_not() {
    let call = r#"{"name": "now", "arguments": {}}"#;
    let check = |template: &str, answer: String, short: &str| {
        assert_eq!(read(template, &answer), short);
    };
    let listed = format!("<tool_call>[{call}, {call}]</tool_call>");
    check(HERMES, listed, "|now({})||now({})|");
    check("[TOOL_CALLS]", format!("[TOOL_CALLS]{call}"), "|now({})|");
    check(
        "[TOOL_CALLS]",
        format!("[TOOL_CALLS][{call}] ok"),
        "|now({})|ok",
    );
}

#[test]
fn other_spellings_of_llama_are_calls() {
    let template = "<|start_header_id|>ipython\"parameters\"";
    let check = |answer: &str, short: &str| assert_eq!(read(template, answer), short);
    check(
        r#"{"type": "function", "name": "now", "parameters": {}}"#,
        "|now({})|",
    );
    check(
        r#"<|python_tag|>{"name": "now", "parameters": {}}"#,
        "|now({})|",
    );
    check(
        r#"{"name": "now", "parameters": {}}; {"name": "now", "parameters": {}}"#,
        "|now({})||now({})|",
    );
    check("Call {\"name\": \"now\"}", "Call {\"name\": \"now\"}");
}

#[test]
fn other_spellings_of_phi_are_calls() {
    let call = r#"{"name": "now", "arguments": {}}"#;
    for answer in [
        format!("<|tool_call|>[{call}]<|/tool_call|>"),
        format!("<|tool_call|>{call}<|/tool_call|>"),
        format!("<|tool_call|>functools[{call}]"),
    ] {
        assert_eq!(read("<|tool|>", &answer), "|now({})|");
    }
}

#[test]
fn a_fence_around_generic_calls_is_no_text() {
    let call = r#"{"tool_call": {"name": "now", "arguments": {}}}"#;
    assert_eq!(
        read("", &format!("Well:\n```json\n{call}\n```\n")),
        "Well:|now({})|"
    );
}

#[test]
fn an_answer_that_breaks_off_loses_nothing() {
    let check = |template: &str, answer: &str, expected: &str| {
        assert_eq!(read(template, answer), expected);
    };
    check(HERMES, "Yes <tool_c", "Yes <tool_c");
    check(
        HERMES,
        "<tool_call>{\"name\": \"wea",
        "<tool_call>{\"name\": \"wea",
    );
    check(HERMES, "<tool_call>{\"name\": \"now\", \"arg", "|now()|");
    check(
        HERMES,
        "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Pa",
        "|weather({\"city\": \"Pa)|",
    );
    check(
        QWEN,
        "<tool_call>\n<function=weather>\n<parameter=city>\nPa",
        "|weather({\"city\": \"Pa)|",
    );
    check(
        "<|channel|><|message|>",
        "<|channel|>final<|message|>Hi <|en",
        "Hi <|en",
    );
    check("<|channel|><|message|>", "<|channel|>fin", "");
}

#[test]
fn values_in_tags_are_what_their_schemas_say() {
    let schema = serde_json::json!({"type": "object", "properties": {
        "text": {"type": "string"}, "count": {"type": "integer"}, "on": {"type": "boolean"},
        "list": {"type": "array"}, "maybe": {"type": ["string", "null"]}}});
    let tools = [tool("f", Some(schema))];
    let check = |name: &str, value: &str, json: &str| {
        let answer = format!(
            "<tool_call>\n<function=f>\n<parameter={name}>\n{value}\n</parameter>\n</function>\n</tool_call>"
        );
        let found = parts(Format::of(QWEN), &tools, false, [answer.as_str()]);
        assert_eq!(short(&found), format!("|f({{\"{name}\": {json}}})|"));
    };
    check("text", "3", "\"3\"");
    check("text", "a\n\"b\" </parm>\n", "\"a\\n\\\"b\\\" </parm>\\n\"");
    check("count", "3", "3");
    check("count", "many", "\"many\"");
    check("on", "True", "true");
    check("list", "[1, \"a\"]", "[1,\"a\"]");
    check("maybe", "null", "null");
    check("maybe", "nothing", "\"nothing\"");
    check("other", "1.5", "1.5");
    check("text", "", "\"\"");
}

#[test]
fn gemmas_values_become_json() {
    let check = |written: &str, json: &str| {
        let answer = format!("<|tool_call>call:now{{{written}}}<tool_call|>");
        assert_eq!(read("<|tool_call>", &answer), format!("|now({{{json}}})|"));
    };
    check("a:<|\"|>x\"{<|\"|>", r#""a": "x\"{""#);
    check("a:-1.5,b:true,c:null", r#""a": -1.5, "b": true, "c": null"#);
    check(
        "a:[1,[ ],{b:[<|\"|><|\"|>]}]",
        r#""a": [1, [], {"b": [""]}]"#,
    );
    check("<|\"|>a b<|\"|>:word", r#""a b": "word""#);
}

#[test]
fn without_tools_there_are_no_calls() {
    for sample in SAMPLES {
        let found = parts(Format::of(sample.template), &[], false, [sample.calls]);
        assert!(
            !found
                .iter()
                .any(|part| matches!(part, Part::CallBegins { .. })),
            "{found:?}"
        );
        assert!(!found.is_empty());
    }
    let found = parts(Format::of(HERMES), &tools()[1..], false, [SAMPLES[0].calls]);
    assert!(short(&found).ends_with("|now({})|"));
}
