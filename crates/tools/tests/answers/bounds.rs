//! Every bound is reached once.

use gaia_tools::{CALL_ARGUMENTS_BYTES_MAX, CALLS_MAX, Format, NAME_BYTES_MAX, Part};

use crate::samples::{SAMPLES, parts, tool, tools};

fn count(parts: &[Part]) -> usize {
    let begins = |part: &&Part| matches!(part, Part::CallBegins { .. });
    parts.iter().filter(begins).count()
}

#[test]
fn calls_beyond_the_maximum_are_text() {
    let call = "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>";
    let found = parts(
        Format::of("<tool_call>"),
        &tools(),
        false,
        vec![call; CALLS_MAX + 1],
    );
    assert_eq!(count(&found), CALLS_MAX);
    assert_eq!(found.last(), Some(&Part::Text(call.to_owned())));

    let object = "{\"name\": \"now\", \"arguments\": {}}, ";
    let list = format!("[TOOL_CALLS][{}", object.repeat(CALLS_MAX + 1));
    let found = parts(Format::of("[TOOL_CALLS]"), &tools(), false, [list.as_str()]);
    assert_eq!(count(&found), CALLS_MAX);
    assert!(matches!(found.last(), Some(Part::Text(_))));
}

#[test]
fn arguments_beyond_the_maximum_are_text() {
    for (template, before, after) in [
        (
            "<tool_call>",
            "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"",
            "\"}}",
        ),
        (
            "<tool_call>",
            "<tool_call>{\"arguments\": {\"city\": \"",
            "\"}, \"name\": \"weather\"}",
        ),
        (
            "<tool_call><function=<parameter=",
            "<function=weather>\n<parameter=city>\n",
            "\n</parameter>\n</function>",
        ),
        (
            "<tool_call><function=<parameter=",
            "<function=weather>\n<parameter=other>\n",
            "\n</parameter>\n</function>",
        ),
        (
            "<|tool_call>",
            "<|tool_call>call:weather{city:<|\"|>",
            "<|\"|>}<tool_call|>",
        ),
    ] {
        let answer = |len: usize| format!("{before}{}{after}", "x".repeat(len));
        let read = |len| {
            parts(
                Format::of(template),
                &tools(),
                false,
                [answer(len).as_str()],
            )
        };
        let short = read(CALL_ARGUMENTS_BYTES_MAX - 64);
        assert_eq!(count(&short), 1);
        assert!(!short.iter().any(|part| matches!(part, Part::Text(_))));
        let long = read(CALL_ARGUMENTS_BYTES_MAX + 64);
        let said: usize = long
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.matches('x').count(),
                Part::Arguments { piece, .. } => {
                    assert!(piece.len() <= CALL_ARGUMENTS_BYTES_MAX);
                    piece.matches('x').count()
                }
                _ => 0,
            })
            .sum();
        assert_eq!(said, CALL_ARGUMENTS_BYTES_MAX + 64, "{before}");
    }
}

#[test]
fn names_beyond_the_maximum_are_text() {
    let calls = |name: &str| {
        let tools = [tool(name, None)];
        SAMPLES.iter().all(|sample| {
            let answer = sample.calls.replace("weather", name);
            count(&parts(
                Format::of(sample.template),
                &tools,
                false,
                [answer.as_str()],
            )) > 0
        })
    };
    assert!(calls(&"n".repeat(NAME_BYTES_MAX)));
    let long = "n".repeat(2 * NAME_BYTES_MAX + 32);
    let tools = [tool(&long, None)];
    let answer = SAMPLES[0].calls.replace("weather", &long);
    let found = parts(Format::of("<tool_call>"), &tools, false, [answer.as_str()]);
    assert_eq!(count(&found), 0);
}

#[test]
fn depth_beyond_the_maximum_is_text() {
    let answer = format!(
        "<tool_call>{{\"name\": \"now\", \"arguments\": {{\"a\": {}",
        "[".repeat(100)
    );
    let found = parts(
        Format::of("<tool_call>"),
        &tools(),
        false,
        [answer.as_str()],
    );
    assert!(matches!(found.last(), Some(Part::Text(text)) if text.starts_with("[[")));
}
