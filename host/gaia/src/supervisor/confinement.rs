//! What the worker keeps of this machine: its models, its folder, the libraries it is made of, the ports
//! of the node's own services. Everything else is taken from it before it starts, as far as the kernel
//! grants that.
//!
//! Invariant: what is taken never depends on what a model file or a request says.

mod plugins;
mod program;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use gaia_confine::{Files, Grants, Plan};

pub use self::plugins::start_of_plugins;
pub use self::program::Program;
use super::child::ChildPlan;
use super::state::Service;
use super::worker::WorkerPlan;
use crate::home::Home;

/// Libraries of the system, what finds them, and what the C library looks at.
const SYSTEM: &[&str] = &[
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    // Memory, processors, limits. What is private about other processes stays closed with the rest of them.
    "/proc",
    "/sys",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
];

/// What drivers of GPUs bring along.
const OF_GPUS: &[&str] = &["/opt", "/usr/local", "/usr/share", "/etc/vulkan"];

/// Where nothing comes from and everything may go.
const NOWHERE: &str = "/dev/null";

/// Folders of devices, and how the names of GPUs begin in them.
const GPUS: &[(&str, &str)] = &[("/dev", "nvidia"), ("/dev", "kfd"), ("/dev/dri", "render")];

/// Variables of the worker that name more places to read, separated by colons.
const PLACES: &[&str] = &["LD_LIBRARY_PATH", "VK_ICD_FILENAMES"];

/// What is known beside the worker's own plan.
#[derive(Debug)]
pub struct Needs<'a> {
    /// Where it remembers which models it tried.
    pub tried: &'a Path,
    /// What it may connect to.
    pub services: &'a [&'a Service],
    /// Ports on which it talks to itself.
    pub own_ports: &'a [u16],
    /// Whether it may compute on a GPU.
    pub gpu: bool,
}

/// What the worker keeps.
pub fn plan(worker: &WorkerPlan, program: &Program, needs: &Needs) -> Plan {
    let gpus = match needs.gpu {
        true => gpus(),
        false => Vec::new(),
    };
    let ports = needs.services.iter().filter_map(|service| port(service));
    Plan {
        gpu: !gpus.is_empty(),
        file_bytes_max: None,
        connect: ports.chain(needs.own_ports.iter().copied()).collect(),
        files: program.run.as_ref().map(|run| Files {
            read: to_read(worker, program, !gpus.is_empty()),
            write: vec![needs.tried.to_owned()],
            own: Vec::new(),
            devices: gpus.into_iter().chain([NOWHERE.into()]).collect(),
            run: run.clone(),
        }),
    }
}

/// The worker's child, with `gaia confine` before it, which reads the plan of `home`.
pub fn confined(worker: ChildPlan, program: Program, home: &Home) -> ChildPlan {
    let mut arguments = arguments(home, &home.confinement(), &program);
    arguments.extend(worker.arguments);
    ChildPlan {
        command: own_program(),
        arguments,
        ..worker
    }
}

/// What `gaia` is called with to become `program` and to keep what the plan in `file` says.
fn arguments(home: &Home, file: &Path, program: &Program) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--home".into(), home.root().into()];
    arguments.extend(["confine", "--plan"].map(OsString::from));
    arguments.push(file.into());
    arguments.push("--".into());
    arguments.push(program.command.clone().into());
    arguments.extend(program.arguments.iter().cloned());
    arguments
}

/// This very program, also when its file was replaced by a newer one.
fn own_program() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    match running.exists() {
        true => running,
        false => std::env::current_exe().unwrap_or(running),
    }
}

fn to_read(worker: &WorkerPlan, program: &Program, gpu: bool) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    if gpu {
        places.extend(OF_GPUS.iter().map(PathBuf::from));
    }
    places.extend(program.read.iter().cloned());
    let own = [
        &worker.module,
        &worker.plugin,
        &worker.folder,
        &worker.prompts,
    ];
    places.extend(own.into_iter().cloned());
    for preload in &worker.preloads {
        places.push(preload.file.clone());
        places.extend(preload.options.draft_model.clone());
        places.extend(preload.options.projector.clone());
    }
    let variables = worker.environment.iter();
    let named = variables.filter(|(name, _)| PLACES.contains(&name.as_str()));
    places.extend(named.flat_map(|(_, value)| std::env::split_paths(value)));
    places
}

fn gpus() -> Vec<PathBuf> {
    let begins = |path: &Path, start: &str| {
        let name = path.file_name().unwrap_or(OsStr::new(""));
        name.as_encoded_bytes().starts_with(start.as_bytes())
    };
    let mut found = Vec::new();
    for (folder, start) in GPUS {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        found.extend(paths.filter(|path| begins(path, start)));
    }
    found
}

fn port(service: &Service) -> Option<u16> {
    let address = service.url.trim_end_matches('/');
    address.rsplit(':').next()?.parse().ok()
}

/// What a confined worker cannot do on this machine, and what it still can, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// What it cannot do.
    pub cannot: Vec<&'static str>,
    /// What it can, although it should not, and what would change that.
    pub can: Vec<(&'static str, &'static str)>,
}

impl Report {
    /// With what the kernel grants, for a worker that is this program.
    pub fn of(grants: Grants, program: &Program) -> Self {
        let newer = |version| match cfg!(target_os = "linux") {
            true => version,
            false => "a node on Linux",
        };
        let landlock = newer("a kernel with Landlock (Linux 5.13), switched on");
        let files = match program.run {
            Some(_) => (grants.files, landlock),
            None => (false, "a WasmEdge that is a program and not a script"),
        };
        type Row = ((bool, &'static str), &'static [&'static str]);
        let table: [Row; 4] = [
            (
                files,
                &["read other files", "write files", "start programs"],
            ),
            (
                (
                    grants.connections,
                    newer("Linux 6.7 or newer, with Landlock"),
                ),
                &["connect to other ports"],
            ),
            (
                (grants.signals, newer("Linux 6.12 or newer, with Landlock")),
                &["end other processes"],
            ),
            (
                (grants.system_calls, newer("a kernel with seccomp filters")),
                &["use other system calls than a server needs"],
            ),
        ];
        let (mut cannot, mut can) = (Vec::new(), Vec::new());
        for ((granted, mend), deeds) in table {
            match granted {
                true => cannot.extend(deeds),
                false => can.extend(deeds.iter().map(|deed| (*deed, mend))),
            }
        }
        Self { cannot, can }
    }

    /// In one line.
    pub fn line(&self) -> String {
        let can: Vec<_> = self.can.iter().map(|(deed, _)| *deed).collect();
        let (cannot, can) = (self.cannot.join(", "), can.join(", "));
        match (cannot.is_empty(), can.is_empty()) {
            (_, true) => format!("the worker cannot {cannot}"),
            (true, _) => format!("the worker may {can}: this system does not grant otherwise"),
            _ => format!("the worker cannot {cannot}; it may {can}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::worker::{GraphOptions, Preload};

    fn worker() -> WorkerPlan {
        WorkerPlan {
            command: "/w/wasmedge".into(),
            options: Vec::new(),
            module: "/m.wasm".into(),
            plugin: "/p.so".into(),
            folder: "/home/run/worker".into(),
            prompts: "/home/prompts".into(),
            preloads: vec![Preload {
                graph: "default",
                file: "/c.gguf".into(),
                options: GraphOptions {
                    draft_model: Some("/d.gguf".into()),
                    ..GraphOptions::default()
                },
            }],
            environment: vec![
                ("LD_LIBRARY_PATH".into(), "/x:/y".into()),
                ("LANG".into(), "/z".into()),
            ],
        }
    }

    fn program(run: Option<Vec<PathBuf>>) -> Program {
        Program {
            command: "/w/ld.so".into(),
            arguments: vec!["/w/wasmedge".into()],
            read: vec!["/w".into()],
            run,
        }
    }

    #[test]
    fn it_keeps_what_it_is_made_of_and_nothing_of_the_home() {
        let service = Service {
            url: "http://127.0.0.1:6333/".into(),
            key: String::new(),
        };
        let needs = Needs {
            tried: Path::new("/cache/tried"),
            services: &[&service],
            own_ports: &[7],
            gpu: false,
        };
        let run = vec![PathBuf::from("/w/ld.so")];
        let plan = plan(&worker(), &program(Some(run.clone())), &needs);
        assert_eq!((plan.connect, plan.gpu), (vec![6333, 7], false));
        let files = plan.files.unwrap();
        assert_eq!(files.run, run);
        assert_eq!(files.write, [Path::new("/cache/tried")]);
        assert_eq!(files.devices, [Path::new("/dev/null")]);
        let own = &files.read[SYSTEM.len()..];
        let own: Vec<_> = own.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            own.join(" "),
            "/w /m.wasm /p.so /home/run/worker /home/prompts /c.gguf /d.gguf /x /y"
        );
    }

    #[test]
    fn the_worker_comes_after_what_confines_it() {
        let worker = worker().child();
        let expected = worker.arguments.join(OsStr::new(" "));
        let home = Home::new(Path::new("/home")).unwrap();
        let child = confined(worker, program(None), &home);
        assert_eq!(child.command, Path::new("/proc/self/exe"));
        let line = child.arguments.join(OsStr::new(" "));
        let start = "--home /home confine --plan /home/run/confine.json -- /w/ld.so /w/wasmedge ";
        assert_eq!(
            line.to_str().unwrap(),
            format!("{start}{}", expected.display())
        );
    }

    #[test]
    fn what_it_cannot_do_is_said_and_what_it_can_as_well() {
        let all = Grants {
            files: true,
            connections: true,
            signals: true,
            system_calls: true,
        };
        let line = |grants, program: &Program| Report::of(grants, program).line();
        let known = program(Some(Vec::new()));
        let text = line(all, &known);
        assert!(
            text.starts_with("the worker cannot read other files, write"),
            "{text}"
        );
        assert!(!text.contains("may"), "{text}");
        let text = line(all, &program(None));
        assert!(
            text.ends_with("it may read other files, write files, start programs"),
            "{text}"
        );
        let text = line(Grants::default(), &known);
        assert!(
            text.ends_with("this system does not grant otherwise"),
            "{text}"
        );
        let report = Report::of(all, &program(None));
        assert!(report.can[0].1.contains("script"), "{report:?}");
    }
}
