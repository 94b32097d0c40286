//! Fetches a built-in model into a folder: `pull NAME FOLDER`.

use std::env;

use gaia_models::{Catalogue, Library, Settings, report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        return Err("usage: pull NAME FOLDER".into());
    };
    let catalogue = Catalogue::built_in();
    let manifest = catalogue.find(name).ok_or("there is no such model")?;
    let library = Library::new(Settings {
        hub: env::var("GAIA_HUB").ok(),
        ..Settings::new(folder)
    });
    let pulled = library.pull(manifest, &mut report(name, |line| eprintln!("{line}")))?;
    println!("{}", pulled.path.display());
    Ok(())
}
