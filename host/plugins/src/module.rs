//! The program of a plugin: what it may ask of the world.
//!
//! The runtime hands sockets to every WASI module. So the list of what a plugin may import is kept
//! here, and a module that imports anything else is refused before it ever runs.

use wasmparser::{Encoding, Parser, Payload, TypeRef};

/// The largest program, in bytes.
pub const MODULE_BYTES_MAX: u64 = 64 << 20;

/// The one module that may be imported from.
const WASI: &str = "wasi_snapshot_preview1";

/// What of WASI a plugin may import: its input and output, its folder, clocks, random numbers. No sockets.
const ALLOWED: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// Why a program cannot be a plugin.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Longer than the limit.
    #[error("the program is longer than {MODULE_BYTES_MAX} bytes")]
    TooLong,
    /// Not a module.
    #[error("the program is no WebAssembly module: {0}")]
    NoModule(String),
    /// A component, which the runtime does not run.
    #[error("the program is a component; build it for wasm32-wasip1")]
    Component,
    /// It asks for something that plugins do not get.
    #[error(
        "the program imports `{module}::{name}`, which plugins do not get: they have their input, \
         their output and a folder of their own, and no network"
    )]
    Import {
        /// The module it imports from.
        module: String,
        /// What it imports.
        name: String,
    },
    /// Nothing to start.
    #[error("the program exports no `_start`: it must be a command, not a library")]
    NoStart,
}

/// Whether `bytes` are a program that may run as a plugin.
///
/// # Errors
/// It may not, and the error says what it asks for.
pub fn check(bytes: &[u8]) -> Result<(), ModuleError> {
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(ModuleError::TooLong);
    }
    let bad = |error: wasmparser::BinaryReaderError| ModuleError::NoModule(error.to_string());
    let mut starts = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(bad)? {
            Payload::Version { encoding, .. } if encoding != Encoding::Module => {
                return Err(ModuleError::Component);
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(bad)?;
                    let function = matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                    if !function || import.module != WASI || !ALLOWED.contains(&import.name) {
                        return Err(ModuleError::Import {
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                        });
                    }
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    starts |= export.map_err(bad)?.name == "_start";
                }
            }
            _ => {}
        }
    }
    match starts {
        true => Ok(()),
        false => Err(ModuleError::NoStart),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        match check(&wat::parse_str(text).unwrap()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_program_with_its_input_and_output_is_taken() {
        let text = r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (func (export "_start")))"#;
        assert_eq!(said(text), "");
    }

    #[test]
    fn a_plugin_has_no_network_and_no_model() {
        let imports = [
            ("wasi_snapshot_preview1", "sock_open"),
            ("wasi_snapshot_preview1", "sock_send_to"),
            ("wasi_snapshot_preview1", "proc_raise"),
            ("wasi_ephemeral_nn", "load"),
            ("env", "anything"),
        ];
        for (module, name) in imports {
            let text =
                format!(r#"(module (import "{module}" "{name}" (func)) (func (export "_start")))"#);
            assert!(
                said(&text).contains(&format!("`{module}::{name}`")),
                "{name}"
            );
        }
        let memory = r#"(module (import "wasi_snapshot_preview1" "fd_read" (memory 1)) (func (export "_start")))"#;
        assert!(said(memory).contains("fd_read"), "only functions");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(said("(module)").contains("no `_start`"));
        let component = check(b"\0asm\x0d\0\x01\0").unwrap_err().to_string();
        assert!(component.contains("is a component"), "{component}");
        let error = check(b"#!/bin/sh\n").unwrap_err().to_string();
        assert!(error.contains("no WebAssembly module"), "{error}");
        let whole = wat::parse_str("(module (func (export \"_start\")))").unwrap();
        for cut in 9..whole.len() - 1 {
            assert!(check(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let long = vec![0; usize::try_from(MODULE_BYTES_MAX).unwrap() + 1];
        assert!(
            check(&long)
                .unwrap_err()
                .to_string()
                .contains("longer than")
        );
    }
}
