//! Writes what becomes part of the program: the list of the chat page's built files, and the description of the API.
//!
//! Takes every file under `web/dist`; where there is none, a page that says so. The description is written by hand as
//! YAML, `docs/openapi.yaml`, and served as JSON.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
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
    page(&root.join("web/dist"), out)?;
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

fn page(root: &Path, out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    if root.is_dir() {
        collect(root, &mut files)?;
        files.sort();
    }
    let mut list = String::from("pub(crate) const FILES: &[File] = &[\n");
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(root).map_err(io::Error::other)?;
        // A copy: what is compiled in is what was hashed, also while the page is being built anew.
        let bytes = fs::read(file)?;
        let copy = out.join(format!("page-{number}"));
        fs::write(&copy, &bytes)?;
        list.push_str(&entry(&name.to_string_lossy(), &bytes, &copy)?);
    }
    list.push_str("];\n");
    fs::write(out.join("page_files.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}

fn entry(name: &str, bytes: &[u8], copy: &Path) -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let mut line = String::new();
    writeln!(
        line,
        "    File {{ path: {:?}, etag: \"\\\"{:016x}\\\"\", bytes: include_bytes!({:?}) }},",
        name.replace('\\', "/"),
        hasher.finish(),
        copy
    )
    .map_err(io::Error::other)?;
    Ok(line)
}
