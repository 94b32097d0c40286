//! Writes the list of the page's built files, which become part of the program.
//!
//! Takes every file under `web/dist`; where there is none, the list is empty.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked when it runs: a build folder that is shared may hold this program as compiled for another clone.
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .ok_or_else(|| io::Error::other("no CARGO_MANIFEST_DIR"))?;
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    println!("cargo::rerun-if-changed=build.rs");
    page(&Path::new(&here).join("../../web/dist"), Path::new(&out))
}

fn page(root: &Path, out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    if root.is_dir() {
        collect(root, &mut files)?;
        files.sort();
    }
    let mut list = String::from("const FILES: &[File] = &[\n");
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
