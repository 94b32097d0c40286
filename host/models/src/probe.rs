//! Asks whether a model can be had now, without fetching it.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};

use gaia_manifest::{Manifest, Reach, Source};

use crate::Library;
use crate::address;
use crate::pull::local_path;

/// Remembers which servers did not answer, so that each is waited for once.
pub(crate) struct Probe<'a> {
    library: &'a Library,
    silent: HashMap<String, String>,
    package_client: Option<Result<(), String>>,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(library: &'a Library) -> Self {
        Self {
            library,
            silent: HashMap::new(),
            package_client: None,
        }
    }

    pub(crate) fn reach(&mut self, manifest: &Manifest) -> Reach {
        if self.library.is_present(manifest) {
            return Reach::Present;
        }
        let mut reasons = Vec::new();
        for source in &manifest.sources {
            match self.ask(source) {
                Ok(()) => return Reach::Reachable,
                Err(why) => reasons.push(why),
            }
        }
        Reach::Unreachable(reasons.join("; "))
    }

    fn ask(&mut self, source: &Source) -> Result<(), String> {
        match source {
            Source::File { path } => match fs::metadata(local_path(path)) {
                Ok(it) if it.is_file() => Ok(()),
                _ => Err(format!("there is no file {path}")),
            },
            Source::Url { url } => self.ask_server(url),
            Source::Package { .. } | Source::Requantisation { .. } | Source::Conversion { .. } => {
                self.ask_package_client()
            }
        }
    }

    fn ask_server(&mut self, url: &str) -> Result<(), String> {
        let settings = &self.library.settings;
        let url = address::resolve(url, settings.hub.as_deref());
        let origin = address::origin(&url).to_owned();
        if let Some(why) = self.silent.get(&origin) {
            return Err(why.clone());
        }
        let asked = self.library.client.exists(&url, settings.probe_timeout);
        asked.map_err(|error| {
            let why = format!("{origin}: {}", error.chain());
            if !error.is_answer() {
                self.silent.insert(origin, why.clone());
            }
            why
        })
    }

    /// Whether the package itself can be had is known only by fetching it.
    fn ask_package_client(&mut self) -> Result<(), String> {
        let python = &self.library.settings.python;
        let ask = || {
            let status = Command::new(python)
                .args(["-m", "pip", "--version"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            match status {
                Ok(status) if status.success() => Ok(()),
                _ => Err(format!("`{} -m pip` does not run", python.display())),
            }
        };
        self.package_client.get_or_insert_with(ask).clone()
    }
}
