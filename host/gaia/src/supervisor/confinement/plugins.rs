//! What a plugin's process keeps: its program, the runtime and what that is made of, the folder of its call.
//!
//! The sandbox of the runtime keeps a plugin from all else already. This holds where that has a hole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gaia_confine::{Files, Plan};
use gaia_plugins::{Sandbox, Start};

use super::{NOWHERE, Program, SYSTEM, arguments, own_program};
use crate::home::Home;

/// The plan of a call, beside its folder.
const PLAN_FILE: &str = "confine.json";

/// How the runtime `wasmedge` is started for plugins: through `gaia confine`, with a plan for each call.
pub fn start_of_plugins(wasmedge: &Path, home: &Home) -> Box<Start> {
    let (program, home) = (Program::of(wasmedge), home.clone());
    Box::new(move |sandbox| {
        let file = sandbox.beside.join(PLAN_FILE);
        let plan = serde_json::to_vec(&plan(&program, sandbox)).map_err(io::Error::other)?;
        fs::write(&file, plan)?;
        let start = arguments(&home, &file, &program);
        Ok([own_program().into()].into_iter().chain(start).collect())
    })
}

/// What is kept. It connects to nothing.
fn plan(program: &Program, sandbox: &Sandbox<'_>) -> Plan {
    let system = SYSTEM.iter().map(PathBuf::from);
    let read = system.chain(program.read.iter().cloned());
    let read = read.chain([sandbox.module.to_owned()]);
    Plan {
        files: program.run.as_ref().map(|run| Files {
            read: read.collect(),
            own: vec![sandbox.scratch.to_owned()],
            devices: vec![NOWHERE.into()],
            run: run.clone(),
            ..Files::default()
        }),
        connect: Vec::new(),
        file_bytes_max: Some(sandbox.file_bytes_max),
        gpu: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox() -> Sandbox<'static> {
        Sandbox {
            module: Path::new("/home/plugins/x/plugin.wasm"),
            scratch: Path::new("/tmp/call/scratch"),
            file_bytes_max: 7,
            beside: Path::new("/tmp/call"),
        }
    }

    #[test]
    fn a_plugin_keeps_its_program_its_folder_and_no_port() {
        let program = Program {
            command: "/w/ld.so".into(),
            arguments: Vec::new(),
            read: vec!["/w".into()],
            run: Some(vec!["/w/ld.so".into()]),
        };
        let plan = plan(&program, &sandbox());
        assert_eq!((plan.connect, plan.file_bytes_max), (Vec::new(), Some(7)));
        let files = plan.files.unwrap();
        assert_eq!(files.own, [Path::new("/tmp/call/scratch")]);
        assert!(files.write.is_empty());
        let own: Vec<_> = files.read[SYSTEM.len()..].iter().collect();
        assert_eq!(own, ["/w", "/home/plugins/x/plugin.wasm"].map(Path::new));
    }

    #[test]
    fn each_call_has_its_plan_beside_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Path::new("/home")).unwrap();
        let start = start_of_plugins(Path::new("/nonexistent/wasmedge"), &home);
        let sandbox = Sandbox {
            beside: folder.path(),
            ..sandbox()
        };
        let command = start(&sandbox).unwrap();
        let plan: Plan =
            serde_json::from_slice(&fs::read(folder.path().join(PLAN_FILE)).unwrap()).unwrap();
        assert_eq!(plan.files, None, "what it is made of is not known");
        assert_eq!(command[0], "/proc/self/exe");
        assert_eq!(command.last().unwrap(), "/nonexistent/wasmedge");
    }
}
