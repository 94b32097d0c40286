//! What a plan takes, tried on threads: the kernel takes from a thread what it takes from a process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use gaia_confine::{Files, Grants, Plan, grants};
use tempfile::TempDir;

fn is_granted(part: fn(&Grants) -> bool) -> bool {
    let granted = part(&grants());
    if !granted {
        println!("skipped: this kernel does not grant it");
    }
    granted
}

/// Does `deeds` under `plan`.
fn under<T: Send>(plan: &Plan, deeds: impl FnOnce() -> T + Send) -> T {
    let confined = || {
        let problems = plan.apply();
        assert!(problems.is_empty(), "{problems:?}");
        deeds()
    };
    thread::scope(|scope| scope.spawn(confined).join().unwrap())
}

#[track_caller]
fn refused<T>(outcome: io::Result<T>) {
    let kind = outcome.map(drop).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::PermissionDenied));
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["read", "write", "own", "secret"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), name).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self) -> Plan {
        Plan {
            files: Some(Files {
                read: vec![self.path("read"), "/nonexistent".into()],
                write: vec![self.path("write")],
                own: vec![self.path("own")],
                devices: vec!["/dev/null".into()],
                run: Vec::new(),
            }),
            ..Plan::default()
        }
    }
}

#[test]
fn files_that_are_not_on_the_list_stay_closed() {
    if !is_granted(|grants| grants.files) {
        return;
    }
    let place = Place::new();
    under(&place.plan(), || {
        assert_eq!(fs::read(place.path("read/file")).unwrap(), b"read");
        refused(fs::read(place.path("secret/file")));
        refused(fs::read_dir(place.path("secret")));
        refused(fs::read("/etc/passwd"));
        refused(fs::write(place.path("read/file"), ""));
        refused(fs::write(place.path("new"), ""));
        refused(fs::remove_file(place.path("secret/file")));
        let (new, last) = (place.path("write/new"), place.path("write/file"));
        fs::write(&new, "new").unwrap();
        fs::rename(&new, &last).unwrap();
        assert_eq!(fs::read(&last).unwrap(), b"new");
        refused(fs::rename(&last, place.path("elsewhere")));
        refused(fs::create_dir(place.path("write/folder")));
        let (one, two) = (place.path("own/one"), place.path("own/two"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        fs::rename(place.path("own/file"), one.join("file")).unwrap();
        fs::rename(one.join("file"), two.join("file")).unwrap();
        fs::remove_dir(&one).unwrap();
        refused(fs::create_dir(place.path("secret/folder")));
        File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap();
    });
    assert!(place.path("secret/file").exists());
    fs::write(
        place.path("secret/file"),
        "the other threads keep what they had",
    )
    .unwrap();
}

#[test]
fn programs_that_are_not_on_the_list_do_not_start() {
    if !is_granted(|grants| grants.files) {
        return;
    }
    let place = Place::new();
    let own = std::env::current_exe().unwrap();
    fs::copy("/bin/true", place.path("write/program")).unwrap();
    let mut plan = place.plan();
    if let Some(files) = &mut plan.files {
        files.read.push("/".into());
        files.run = ["/lib", "/lib64", "/usr/lib"].map(PathBuf::from).into();
        files.run.push(own.clone());
    }
    under(&plan, || {
        refused(Command::new(place.path("write/program")).output());
        refused(Command::new("/bin/true").output());
        Command::new(own).arg("--list").output().unwrap();
    });
}

#[test]
fn connections_go_to_the_ports_on_the_list_only() {
    if !is_granted(|grants| grants.connections) {
        return;
    }
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (listed, other) = (listen(), listen());
    let (at_listed, at_other) = (listed.local_addr().unwrap(), other.local_addr().unwrap());
    let plan = Plan {
        connect: vec![at_listed.port()],
        ..Plan::default()
    };
    under(&plan, || {
        TcpStream::connect(at_listed).unwrap();
        refused(TcpStream::connect(at_other));
        assert_ne!(listen().local_addr().unwrap().port(), 0);
    });
}

#[test]
fn only_tcp_can_be_spoken() {
    if !is_granted(|grants| grants.system_calls) {
        return;
    }
    under(&Plan::default(), || {
        refused(UdpSocket::bind("127.0.0.1:0"));
        refused(UdpSocket::bind("[::1]:0"));
        refused(UnixDatagram::unbound());
        TcpListener::bind("127.0.0.1:0").unwrap();
    });
    let gpu = Plan {
        gpu: true,
        ..Plan::default()
    };
    under(&gpu, || {
        UnixDatagram::unbound().unwrap();
        refused(UdpSocket::bind("127.0.0.1:0"));
    });
}

#[test]
fn threads_and_programs_start_although_calls_are_refused() {
    if !is_granted(|grants| grants.system_calls) {
        return;
    }
    under(&Plan::default(), || {
        assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
        assert!(Command::new("/bin/true").status().unwrap().success());
        let unshare = Command::new("unshare").args(["--user", "true"]).status();
        assert!(!unshare.is_ok_and(|status| status.success()));
    });
}

#[test]
fn a_plan_survives_the_way_through_a_file() {
    let plan = Place::new().plan();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert!(serde_json::from_str::<Plan>("{\"connect\": []}").is_err());
    assert!(serde_json::from_str::<Plan>(&text.replace("gpu", "cpu")).is_err());
}
