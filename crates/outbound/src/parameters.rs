//! What a tool may be called with: a JSON schema, and the first look at arguments.
//!
//! The schema is for the model. Here only this is held: the arguments are an object, none is unknown,
//! none that is required is missing, and those at the top have their type. What nests deeper is for
//! the tool's own server to judge.

use serde_json::{Map, Value, json};

use crate::url_template::UrlTemplate;

/// The longest schema of one tool, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 16 << 10;
/// The longest arguments of one call, in bytes.
pub const ARGUMENTS_BYTES_MAX: usize = 64 << 10;

/// Why a text is no schema for a tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadParametersError {
    /// Longer than the limit.
    #[error("the schema is longer than {SCHEMA_BYTES_MAX} bytes")]
    TooLong,
    /// Not JSON.
    #[error("the schema is not JSON: {0}")]
    Json(String),
    /// A call's arguments are an object.
    #[error("the schema must describe an object: {{\"type\": \"object\", \"properties\": …}}")]
    NotObject,
    /// A name nobody could fill in.
    #[error("`{0}` is no parameter's name: letters, digits, - and _")]
    Name(String),
    /// Not a schema.
    #[error("the schema of parameter `{0}` must be an object")]
    Property(String),
    /// Not a list of known names.
    #[error("`required` must be a list of names that stand in `properties`")]
    Required,
}

/// Why arguments are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsError {
    /// Longer than the limit.
    #[error("the arguments are longer than {ARGUMENTS_BYTES_MAX} bytes")]
    TooLong,
    /// Not an object.
    #[error("the arguments must be a JSON object")]
    NotObject,
    /// No such parameter.
    #[error("there is no parameter `{0}`")]
    Unknown(String),
    /// Required, and not there.
    #[error("argument `{0}` is missing")]
    Missing(String),
    /// Of another type than the schema says.
    #[error("argument `{name}` must be of type {expected}")]
    Type {
        /// The argument.
        name: String,
        /// As the schema has it.
        expected: String,
    },
    /// Not one of those that the schema lists.
    #[error("argument `{name}` must be one of {allowed}")]
    NotListed {
        /// The argument.
        name: String,
        /// As JSON.
        allowed: String,
    },
}

/// A tool's parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    schema: Value,
}

impl Parameters {
    /// Reads a JSON schema of an object.
    pub fn parse(text: &str) -> Result<Self, ReadParametersError> {
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(ReadParametersError::TooLong);
        }
        let schema: Value = serde_json::from_str(text)
            .map_err(|error| ReadParametersError::Json(error.to_string()))?;
        if schema.get("type") != Some(&json!("object")) {
            return Err(ReadParametersError::NotObject);
        }
        check_properties(schema.get("properties"))?;
        let parameters = Self { schema };
        match parameters.schema.get("required") {
            None => Ok(parameters),
            Some(Value::Array(names)) if names.iter().all(|name| parameters.knows(name)) => {
                Ok(parameters)
            }
            Some(_) => Err(ReadParametersError::Required),
        }
    }

    /// What a URL has places for: all of them texts, and required.
    pub fn of_url(url: &UrlTemplate) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for name in url.arguments() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let properties: Map<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"type": "string"})))
            .collect();
        let schema = json!({"type": "object", "properties": properties, "required": names});
        Self { schema }
    }

    /// The schema, for the model.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let properties = self.properties();
        properties
            .into_iter()
            .flat_map(|properties| properties.keys().map(String::as_str))
    }

    /// Whether a call without `name` is refused.
    pub fn requires(&self, name: &str) -> bool {
        self.required().any(|required| required == name)
    }

    /// Looks at the arguments of a call.
    pub fn check<'a>(
        &self,
        arguments: &'a Value,
    ) -> Result<&'a Map<String, Value>, ArgumentsError> {
        let object = arguments.as_object().ok_or(ArgumentsError::NotObject)?;
        if arguments.to_string().len() > ARGUMENTS_BYTES_MAX {
            return Err(ArgumentsError::TooLong);
        }
        if let Some(name) = self.required().find(|name| !object.contains_key(*name)) {
            return Err(ArgumentsError::Missing(name.to_owned()));
        }
        for (name, value) in object {
            let schema = self
                .properties()
                .and_then(|properties| properties.get(name));
            let schema = schema.ok_or_else(|| ArgumentsError::Unknown(name.clone()))?;
            check_value(name, value, schema)?;
        }
        Ok(object)
    }

    fn properties(&self) -> Option<&Map<String, Value>> {
        self.schema.get("properties").and_then(Value::as_object)
    }

    fn required(&self) -> impl Iterator<Item = &str> {
        let names = self.schema.get("required").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str)
    }

    fn knows(&self, name: &Value) -> bool {
        name.as_str()
            .is_some_and(|name| self.names().any(|known| known == name))
    }
}

fn check_properties(properties: Option<&Value>) -> Result<(), ReadParametersError> {
    let properties = match properties {
        None => return Ok(()),
        Some(Value::Object(properties)) => properties,
        Some(_) => return Err(ReadParametersError::NotObject),
    };
    for (name, schema) in properties {
        if !crate::is_name(name) {
            return Err(ReadParametersError::Name(name.clone()));
        }
        if !schema.is_object() {
            return Err(ReadParametersError::Property(name.clone()));
        }
    }
    Ok(())
}

fn check_value(name: &str, value: &Value, schema: &Value) -> Result<(), ArgumentsError> {
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|expected| is_of_type(value, expected)) {
        return Err(ArgumentsError::Type {
            name: name.to_owned(),
            expected: types.join(" or "),
        });
    }
    match schema.get("enum") {
        Some(Value::Array(allowed)) if !allowed.contains(value) => Err(ArgumentsError::NotListed {
            name: name.to_owned(),
            allowed: Value::Array(allowed.clone()).to_string(),
        }),
        _ => Ok(()),
    }
}

/// A type that nobody knows fits everything: the server will say.
fn is_of_type(value: &Value, expected: &str) -> bool {
    match expected {
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": ["integer", "null"]},
                "units": {"enum": ["metric", "imperial"]},
                "near": {"type": "object"},
            },
            "required": ["city"],
        });
        Parameters::parse(&schema.to_string()).unwrap()
    }

    fn check(arguments: Value, expected: Result<(), &str>) {
        let said = parameters()
            .check(&arguments)
            .map(drop)
            .map_err(|error| error.to_string());
        assert_eq!(said, expected.map_err(str::to_owned), "{arguments}");
    }

    #[test]
    fn arguments_are_looked_at() {
        check(json!({"city": "Bonn"}), Ok(()));
        check(
            json!({"city": "Bonn", "days": 2.0, "units": "metric", "near": {"x": []}}),
            Ok(()),
        );
        check(json!({"city": "Bonn", "days": null}), Ok(()));
        check(json!([]), Err("the arguments must be a JSON object"));
        check(json!({}), Err("argument `city` is missing"));
        check(
            json!({"city": 1}),
            Err("argument `city` must be of type string"),
        );
        check(
            json!({"city": "", "days": 1.5}),
            Err("argument `days` must be of type integer or null"),
        );
        check(
            json!({"city": "", "units": "K"}),
            Err("argument `units` must be one of [\"metric\",\"imperial\"]"),
        );
        check(
            json!({"city": "", "url": "https://evil.example"}),
            Err("there is no parameter `url`"),
        );
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        use ReadParametersError::*;
        let check = |schema: Value, expected| {
            assert_eq!(
                Parameters::parse(&schema.to_string()),
                Err(expected),
                "{schema}"
            );
        };
        check(json!(true), NotObject);
        check(json!({"type": "array"}), NotObject);
        check(json!({"type": "object", "properties": []}), NotObject);
        check(
            json!({"type": "object", "properties": {"a b": {}}}),
            Name("a b".into()),
        );
        check(
            json!({"type": "object", "properties": {"a": true}}),
            Property("a".into()),
        );
        check(json!({"type": "object", "required": ["a"]}), Required);
        check(json!({"type": "object", "required": "a"}), Required);
        assert!(matches!(Parameters::parse("{"), Err(Json(_))));
        assert!(Parameters::parse("{\"type\": \"object\"}").is_ok());
    }

    #[test]
    fn limits_are_reached() {
        let schema = |len: usize| {
            let text = json!({"type": "object", "description": ""}).to_string();
            text.replace("\"\"", &format!("\"{}\"", "x".repeat(len - text.len())))
        };
        assert!(Parameters::parse(&schema(SCHEMA_BYTES_MAX)).is_ok());
        assert_eq!(
            Parameters::parse(&schema(SCHEMA_BYTES_MAX + 1)),
            Err(ReadParametersError::TooLong)
        );
        let city = |len: usize| json!({"city": "x".repeat(len - "{\"city\":\"\"}".len())});
        assert!(parameters().check(&city(ARGUMENTS_BYTES_MAX)).is_ok());
        assert_eq!(
            parameters().check(&city(ARGUMENTS_BYTES_MAX + 1)),
            Err(ArgumentsError::TooLong)
        );
    }

    #[test]
    fn a_url_says_what_it_needs() {
        let url = UrlTemplate::parse("https://a.example/{x}?x={x}&y={y}").unwrap();
        let parameters = Parameters::of_url(&url);
        assert_eq!(parameters.names().collect::<Vec<_>>(), ["x", "y"]);
        assert!(parameters.requires("y") && !parameters.requires("z"));
    }
}
