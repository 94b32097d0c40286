//! Converts a folder of sentence-transformers files: `convert-folder FOLDER NAME OUT [q8_0]`.

use std::path::Path;
use std::{env, fs, io};

use gaia_convert::bert::{Precision, Source, convert};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, name, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: convert-folder FOLDER NAME OUT [q8_0]".into());
    };
    let read = |file: &str| fs::read(Path::new(folder).join(file));
    let source = Source {
        name,
        licence: "apache-2.0",
        weights: &read("model.safetensors")?,
        config: &read("config.json")?,
        tokenizer_config: &read("tokenizer_config.json")?,
        pooling_config: &read("1_Pooling/config.json")?,
        vocabulary: &read("vocab.txt")?,
    };
    let precision = if rest.is_empty() {
        Precision::F16
    } else {
        Precision::Q8_0
    };
    convert(
        &source,
        precision,
        &mut io::BufWriter::new(fs::File::create(out)?),
    )?;
    Ok(())
}
