//! Writes what becomes part of the program: the description of the API, written by hand as YAML,
//! `docs/openapi.yaml`, and served as JSON.

use std::path::Path;
use std::{env, fs, io};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

fn main() -> io::Result<()> {
    // Asked when it runs: a build folder that is shared may hold this program as compiled for another clone.
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .ok_or_else(|| io::Error::other("no CARGO_MANIFEST_DIR"))?;
    let root = Path::new(&here).join("../..");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    let out = Path::new(&out);
    println!("cargo::rerun-if-changed=build.rs");
    description(&root.join("docs/openapi.yaml"), out)
}

fn description(file: &Path, out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", file.display());
    let text = fs::read_to_string(file)
        .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
    let documents = Yaml::load_from_str(&text).map_err(io::Error::other)?;
    let [document] = documents.as_slice() else {
        return Err(io::Error::other("openapi.yaml is one document"));
    };
    let json = serde_json::to_vec(&to_json(document)?)?;
    fs::write(out.join("openapi.json"), json)
}

fn to_json(yaml: &Yaml<'_>) -> io::Result<Value> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(flag)) => Value::from(*flag),
        Yaml::Value(Scalar::Integer(number)) => Value::from(*number),
        Yaml::Value(Scalar::FloatingPoint(number)) => Value::from(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => Value::from(text.as_ref()),
        Yaml::Sequence(list) => Value::Array(list.iter().map(to_json).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let key = match to_json(key)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                if map.insert(key.clone(), to_json(value)?).is_some() {
                    return Err(io::Error::other(format!("openapi.yaml: `{key}` twice")));
                }
            }
            Value::Object(map)
        }
        other => {
            return Err(io::Error::other(format!(
                "openapi.yaml: {other:?} has no place in JSON"
            )));
        }
    })
}
