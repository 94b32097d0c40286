//! Tables that are read, and all the ways in which they are not.

use super::*;

const WEATHER: &str = r#"
# The weather of the litepaper.
[[tool]]
name = "weather"
description = "The weather in a city, now"
url = "https://api.example/v1/current?city={city}"
parameters = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
pointer = "/current/condition/text"
time_ms = 5000
[tool.headers]
Authorization = "Bearer {secret:weather}"

[[tool]]
name = "joke"
url = "https://jokes.example/random"
"#;

/// What is said of a table with a first good tool and then one of these lines.
fn check(lines: &str, expected: &str) {
    let text =
        format!("[[tool]]\nname = \"good\"\nurl = \"https://a.example/\"\n\n[[tool]]\n{lines}\n");
    let table = Table::parse(&text).unwrap();
    let said: Vec<_> = table
        .problems
        .iter()
        .map(|problem| match std::error::Error::source(&problem.error) {
            Some(cause) => format!("{problem}: {}: {cause}", problem.error),
            None => format!("{problem}: {}", problem.error),
        })
        .collect();
    match expected.is_empty() {
        true => assert_eq!(said, Vec::<String>::new(), "{lines}"),
        false => {
            assert_eq!(said.len(), 1, "{lines}");
            assert!(said[0].contains(expected), "{lines}\n  gives {}", said[0]);
        }
    }
    assert!(table.find("good").is_some(), "one bad tool harms no other");
}

#[test]
fn a_table_is_read() {
    let table = Table::parse(WEATHER).unwrap();
    assert_eq!(table.problems, []);
    let weather = table.find("weather").unwrap();
    assert_eq!(weather.method, Method::Get);
    assert_eq!(
        (weather.time_ms, weather.reply_bytes),
        (5000, REPLY_BYTES_DEFAULT)
    );
    assert_eq!(weather.headers[0].name(), "authorization");
    let joke = table.find("joke").unwrap();
    assert_eq!(
        (joke.time_ms, joke.pointer.as_deref()),
        (TIME_MS_DEFAULT, None)
    );
    let origins: Vec<_> = table.origins().iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["https://api.example", "https://jokes.example"]);
    assert_eq!(Table::parse("").unwrap(), Table::default());
}

#[test]
fn a_tool_that_is_wrong_is_left_out_by_name_and_line() {
    let url = "url = 'https://a.example/{x}'";
    check(
        "name = 'x'\nurl = 'https://{host}/'",
        "line 5: tool `x`: url: a placeholder stands in",
    );
    check(
        "name = 'x'\nurl = 'https://0x7f.1/'",
        "url: `0x7f.1` is a number in disguise",
    );
    check("name = 'x'", "tool `x`: missing field `url`");
    check(
        &format!("name = 'x'\n{url}\nurls = ''"),
        "line 8: tool `x`: unknown field `urls`",
    );
    check(
        &format!("name = 'x'\n{url}\ntime_ms = 'long'"),
        "line 8: tool `x`: invalid type",
    );
    check(&format!("name = 1\n{url}"), "tool `?`: invalid type");
    check(
        &format!("name = 'a b'\n{url}"),
        "tool `a b`: a name has 1 to 64",
    );
    check(
        &format!("name = 'good'\n{url}"),
        "there is a tool of that name above",
    );
    check(
        &format!("name = 'x'\n{url}\nmethod = 'get'"),
        "method `get` is none of GET",
    );
    check(
        &format!("name = 'x'\n{url}\nparameters = '{{'"),
        "parameters: the schema is not JSON",
    );
    check(
        &format!("name = 'x'\n{url}\nheaders = {{ Host = 'b' }}"),
        "headers: the node sets `Host` itself",
    );
    check(
        &format!("name = 'x'\n{url}\npointer = 'current'"),
        "`current` is no JSON pointer",
    );
    check(
        &format!("name = 'x'\n{url}\npointer = '/~2'"),
        "`/~2` is no JSON pointer",
    );
    check(&format!("name = 'x'\n{url}"), "");
}

#[test]
fn every_place_has_a_parameter_and_every_parameter_a_place() {
    let schema = |properties: &str, required: &str| {
        format!(
            "parameters = '{{\"type\": \"object\", \"properties\": {{{properties}}}, \"required\": [{required}]}}'"
        )
    };
    let x = "name = 'x'\nurl = 'https://a.example/{x}'";
    check(
        &format!("{x}\n{}", schema("", "")),
        "a place for `x`, which is no parameter",
    );
    check(
        &format!("{x}\n{}", schema("\"x\": {}", "")),
        "`x` stands in the path, so it must be required",
    );
    let with_y = schema("\"x\": {}, \"y\": {}", "\"x\"");
    check(
        &format!("{x}\n{with_y}"),
        "parameter `y` has no place in the URL, and GET has no body",
    );
    check(&format!("{x}\nmethod = 'POST'\n{with_y}"), "");
}

#[test]
fn limits_are_reached() {
    let x = "name = 'x'\nurl = 'https://a.example/'";
    check(&format!("{x}\ntime_ms = {TIME_MS_MAX}"), "");
    check(
        &format!("{x}\ntime_ms = {}", TIME_MS_MAX + 1),
        "time_ms must be 1 to 20000",
    );
    check(&format!("{x}\ntime_ms = 0"), "time_ms must be 1 to 20000");
    check(&format!("{x}\nreply_bytes = {REPLY_BYTES_MAX}"), "");
    check(
        &format!("{x}\nreply_bytes = {}", REPLY_BYTES_MAX + 1),
        "reply_bytes must be 1 to",
    );
    let text = |len: usize| "d".repeat(len);
    check(
        &format!("{x}\ndescription = '{}'", text(DESCRIPTION_BYTES_MAX)),
        "",
    );
    check(
        &format!("{x}\ndescription = '{}'", text(DESCRIPTION_BYTES_MAX + 1)),
        "description is longer",
    );
    check(
        &format!("{x}\npointer = '/{}'", text(POINTER_BYTES_MAX - 1)),
        "",
    );
    check(
        &format!("{x}\npointer = '/{}'", text(POINTER_BYTES_MAX)),
        "is no JSON pointer",
    );
    let headers = |count: usize| {
        (0..count)
            .map(|n| format!("h{n} = ''\n"))
            .collect::<String>()
    };
    check(
        &format!("{x}\n[tool.headers]\n{}", headers(HEADERS_MAX)),
        "",
    );
    check(
        &format!("{x}\n[tool.headers]\n{}", headers(HEADERS_MAX + 1)),
        "at most 16 headers",
    );
    let name = text(NAME_BYTES_MAX + 1);
    check(
        &format!("name = '{name}'\nurl = 'https://a.example/'"),
        "a name has 1 to 64",
    );
}

#[test]
fn a_table_has_an_end() {
    let tools = |count: usize| {
        let tool = |n| format!("[[tool]]\nname = 't{n}'\nurl = 'https://a.example/'\n");
        (0..count).map(tool).collect::<String>()
    };
    assert_eq!(Table::parse(&tools(TOOLS_MAX)).unwrap().problems, []);
    let table = Table::parse(&tools(TOOLS_MAX + 2)).unwrap();
    assert_eq!(table.tools.len(), TOOLS_MAX);
    assert!(
        table
            .problems
            .iter()
            .all(|problem| problem.error == ToolError::TooMany)
    );
    assert!(Table::parse(&" ".repeat(TABLE_BYTES_MAX)).is_ok());
    assert_eq!(
        Table::parse(&" ".repeat(TABLE_BYTES_MAX + 1)),
        Err(ReadTableError::TooLong)
    );
}

#[test]
fn what_is_no_table_says_where() {
    let said = |text: &str| Table::parse(text).unwrap_err().to_string();
    assert!(
        said("\n\n[[tool]\n").starts_with("line 3: "),
        "{}",
        said("\n\n[[tool]\n")
    );
    assert!(said("\nallow = ['*']\n").starts_with("line 2: `allow` is nothing"));
    assert!(said("[tool]\nname = 'x'\n").starts_with("line 1: `tool` is nothing"));
}
