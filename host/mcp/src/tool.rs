//! A server's tools, as far as they can be offered to a model.
//!
//! Invariant: what is offered has a name that can be called, a schema of an object, and is no larger
//! than the limits; what is not is left out by itself and harms no other.

use gaia_outbound::{DESCRIPTION_BYTES_MAX, SCHEMA_BYTES_MAX};
use serde_json::{Map, Value, json};

use crate::error::said;
use crate::{Limits, Server, name};

/// The longest name that a server may give a tool, in bytes.
const OWN_NAME_BYTES_MAX: usize = 256;

/// A tool that can be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// What the model calls it.
    pub name: String,
    /// What the server calls it.
    pub own_name: String,
    /// What it does, in the server's words.
    pub description: String,
    /// The schema of its arguments, an object's.
    pub parameters: Value,
}

/// A tool that is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What the server calls it, shortened.
    pub own_name: String,
    /// Why.
    pub why: &'static str,
}

/// What of a server's list is offered, and what is not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Judged {
    pub(crate) tools: Vec<Tool>,
    pub(crate) left_out: Vec<LeftOut>,
}

impl Judged {
    /// Looks at the whole list of `server`.
    pub(crate) fn of(server: &Server, limits: &Limits, listed: &[rmcp::model::Tool]) -> Self {
        let mut judged = Self::default();
        let mut bytes = 0;
        for tool in listed {
            let own_name = tool.name.as_ref();
            let wanted = server.only.is_empty() || server.only.iter().any(|only| only == own_name);
            if !wanted {
                continue;
            }
            let read = read(server, tool).and_then(|tool| judged.fits(tool, &mut bytes, limits));
            match read {
                Ok(tool) => judged.tools.push(tool),
                // Of the names of those that are too many, too, no more is kept than of the others.
                Err(_) if judged.left_out.len() >= limits.tools_max => break,
                Err(why) => judged.left_out.push(LeftOut {
                    own_name: said(own_name),
                    why,
                }),
            }
        }
        judged
    }

    fn fits(&self, tool: Tool, bytes: &mut usize, limits: &Limits) -> Result<Tool, &'static str> {
        let schema = tool.parameters.to_string().len();
        let with_it = *bytes + tool.name.len() + tool.description.len() + schema;
        if schema > SCHEMA_BYTES_MAX {
            return Err("its schema is too long");
        }
        if self.tools.iter().any(|other| other.name == tool.name) {
            return Err("another has its name");
        }
        if self.tools.len() >= limits.tools_max || with_it > limits.tools_bytes_max {
            return Err("the server has too many tools");
        }
        *bytes = with_it;
        Ok(tool)
    }
}

fn read(server: &Server, tool: &rmcp::model::Tool) -> Result<Tool, &'static str> {
    let own_name = tool.name.as_ref();
    if own_name.is_empty() || own_name.len() > OWN_NAME_BYTES_MAX {
        return Err("its name is empty or too long");
    }
    let description = tool.description.as_deref().or(tool.title.as_deref());
    Ok(Tool {
        name: name::joined(&server.name, own_name),
        own_name: own_name.to_owned(),
        description: beginning(description.unwrap_or_default()).to_owned(),
        parameters: schema(&tool.input_schema)?,
    })
}

/// The schema of an object; one that does not say so is taken for one.
fn schema(given: &Map<String, Value>) -> Result<Value, &'static str> {
    let mut schema = given.clone();
    let kind = schema.entry("type").or_insert_with(|| json!("object"));
    if kind != "object" {
        return Err("its arguments are no object");
    }
    match schema.get("properties") {
        None | Some(Value::Object(_)) => Ok(Value::Object(schema)),
        Some(_) => Err("its arguments are no object"),
    }
}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(DESCRIPTION_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Credentials, Transport};

    fn server(only: &[&str]) -> Server {
        Server {
            name: "news".to_owned(),
            target: "https://mcp.example/mcp".parse().unwrap(),
            transport: Transport::Http,
            credentials: Credentials::none(),
            only: only.iter().map(|&name| name.to_owned()).collect(),
            call_time_max: Duration::from_secs(1),
            answer_bytes_max: 1,
        }
    }

    fn listed(tools: Value) -> Vec<rmcp::model::Tool> {
        serde_json::from_value(tools).unwrap()
    }

    fn judged(only: &[&str], limits: &Limits, tools: Value) -> (Vec<String>, Vec<&'static str>) {
        let judged = Judged::of(&server(only), limits, &listed(tools));
        let names = judged.tools.into_iter().map(|tool| tool.name).collect();
        (
            names,
            judged.left_out.into_iter().map(|one| one.why).collect(),
        )
    }

    #[test]
    fn what_cannot_be_offered_is_left_out_alone() {
        let long = "x".repeat(SCHEMA_BYTES_MAX);
        let tools = json!([
            {"name": "good", "inputSchema": {"type": "object"}},
            {"name": "good", "inputSchema": {"type": "object"}},
            {"name": "goo.d", "inputSchema": {}},
            {"name": "goo d", "inputSchema": {}},
            {"name": "", "inputSchema": {}},
            {"name": "list", "inputSchema": {"type": "array"}},
            {"name": "odd", "inputSchema": {"properties": []}},
            {"name": "long", "inputSchema": {"description": long}},
        ]);
        let (names, left_out) = judged(&[], &Limits::default(), tools);
        assert_eq!(names, ["news__good", "news__goo_d"]);
        assert_eq!(
            left_out,
            [
                "another has its name",
                "another has its name",
                "its name is empty or too long",
                "its arguments are no object",
                "its arguments are no object",
                "its schema is too long",
            ]
        );
    }

    #[test]
    fn only_what_the_owner_named_is_offered() {
        let tools = json!([{"name": "a", "inputSchema": {}}, {"name": "b", "inputSchema": {}}]);
        let (names, left_out) = judged(&["b"], &Limits::default(), tools);
        assert_eq!((names, left_out), (vec!["news__b".to_owned()], vec![]));
    }

    #[test]
    fn limits_of_number_and_size_are_reached() {
        let many = |count: usize| {
            let tool = |number| json!({"name": format!("t{number:02}"), "inputSchema": {}});
            (0..count).map(tool).collect::<Value>()
        };
        let limits = Limits {
            tools_max: 3,
            ..Limits::default()
        };
        let (names, left_out) = judged(&[], &limits, many(99));
        assert_eq!((names.len(), left_out.len()), (3, 3));
        let limits = Limits {
            tools_bytes_max: 2 * ("news__t00".len() + "{\"type\":\"object\"}".len()),
            ..Limits::default()
        };
        let (names, left_out) = judged(&[], &limits, many(3));
        assert_eq!(
            (names.len(), left_out),
            (2, vec!["the server has too many tools"])
        );
    }

    #[test]
    fn long_descriptions_are_cut_at_a_character() {
        let text = format!("x{}", "\u{e4}".repeat(DESCRIPTION_BYTES_MAX));
        assert_eq!(beginning(&text).len(), DESCRIPTION_BYTES_MAX - 1);
    }
}
