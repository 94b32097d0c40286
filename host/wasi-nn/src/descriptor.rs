//! What WasmEdge asks a plugin for: its names, its option, its module.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::OnceLock;

use crate::call::{self, FUNCTIONS, Function};
use crate::environment::Environment;
use crate::ffi;
use crate::logging;
use crate::preload;

const MODULE_NAME: &CStr = c"wasi_ephemeral_nn";
const DESCRIPTION: &CStr = c"Gaia's WASI-NN plugin over llama.cpp";

/// WasmEdge 0.14 asks for version 4 of its plugin interface, 0.15 and later for 5; it ignores a
/// plugin that answers with another than its own. What this plugin uses is the same in both.
fn interface_version() -> u32 {
    // SAFETY: both only return numbers.
    let version = unsafe {
        (
            ffi::WasmEdge_VersionGetMajor(),
            ffi::WasmEdge_VersionGetMinor(),
        )
    };
    if version <= (0, 14) { 4 } else { 5 }
}

/// The structs that WasmEdge keeps pointers to for the life of the process.
struct Descriptor(ffi::WasmEdge_PluginDescriptor);

// SAFETY: WasmEdge writes the option's storage while it parses the command line, before any module
// exists; nothing else changes.
unsafe impl Sync for Descriptor {}
// SAFETY: as above.
unsafe impl Send for Descriptor {}

/// The plugin's description, asked for once when WasmEdge loads it.
#[unsafe(no_mangle)]
pub extern "C" fn WasmEdge_Plugin_GetDescriptor() -> *const c_void {
    static DESCRIPTOR: OnceLock<Descriptor> = OnceLock::new();
    ptr::from_ref(&DESCRIPTOR.get_or_init(descriptor).0).cast()
}

fn descriptor() -> Descriptor {
    let part = |text: &str| text.parse().unwrap_or(0);
    Descriptor(ffi::WasmEdge_PluginDescriptor {
        Name: c"wasi_nn".as_ptr(),
        Description: DESCRIPTION.as_ptr(),
        APIVersion: interface_version(),
        Version: ffi::WasmEdge_PluginVersionData {
            Major: part(env!("CARGO_PKG_VERSION_MAJOR")),
            Minor: part(env!("CARGO_PKG_VERSION_MINOR")),
            Patch: part(env!("CARGO_PKG_VERSION_PATCH")),
            Build: 0,
        },
        ModuleCount: 1,
        // A shim that was told of a model by a variable hands it to the plugin's option as a list, which
        // overwrites the text that is there, and the process ends. So there is no option then.
        ProgramOptionCount: u32::from(!preload::is_by_environment()),
        ModuleDescriptions: Box::leak(Box::new(ffi::WasmEdge_ModuleDescriptor {
            Name: c"wasi_nn".as_ptr(),
            Description: DESCRIPTION.as_ptr(),
            Create: create_module,
        })),
        ProgramOptions: Box::leak(Box::new(preload_option())),
    })
}

/// Declared so that WasmEdge accepts and documents it; its values are read in `preload`.
fn preload_option() -> ffi::WasmEdge_ProgramOption {
    let empty = || {
        Box::leak(Box::new(ffi::WasmEdge_String {
            Length: 0,
            Buf: c"".as_ptr(),
        }))
    };
    ffi::WasmEdge_ProgramOption {
        Name: c"nn-preload".as_ptr(),
        Description: c"Offer a model to WASI-NN as NAME:GGML:TARGET:FILE; may be repeated."
            .as_ptr(),
        Type: ffi::OPTION_STRING,
        Storage: ptr::from_mut(empty()).cast(),
        DefaultValue: ptr::from_mut(empty()).cast_const().cast(),
    }
}

unsafe extern "C" fn create_module(
    _: *const ffi::WasmEdge_ModuleDescriptor,
) -> *mut ffi::WasmEdge_ModuleInstanceContext {
    call::contain(ptr::null_mut(), || {
        logging::start();
        let environment = Box::into_raw(Box::new(Environment::from_process()));
        // SAFETY: WasmEdge copies the name, calls the finaliser once with the data, and calls no
        // function of the module after that.
        unsafe {
            let name = new_string(MODULE_NAME);
            let module = ffi::WasmEdge_ModuleInstanceCreateWithData(
                name,
                environment.cast(),
                delete_environment,
            );
            ffi::WasmEdge_StringDelete(name);
            for function in &FUNCTIONS {
                add_function(module, function, environment.cast());
            }
            module
        }
    })
}

unsafe extern "C" fn delete_environment(environment: *mut c_void) {
    call::contain((), || {
        // SAFETY: the pointer `create_module` made, given back once.
        drop(unsafe { Box::from_raw(environment.cast::<Environment>()) });
    });
}

unsafe fn add_function(
    module: *mut ffi::WasmEdge_ModuleInstanceContext,
    function: &Function,
    environment: *mut c_void,
) {
    // SAFETY: types and names are copied; the function instance is handed over to the module.
    unsafe {
        let number = ffi::WasmEdge_ValTypeGenI32();
        let parameters = vec![number; function.parameters as usize];
        let kind = ffi::WasmEdge_FunctionTypeCreate(
            parameters.as_ptr(),
            function.parameters,
            &raw const number,
            1,
        );
        let instance = ffi::WasmEdge_FunctionInstanceCreate(kind, function.run, environment, 0);
        ffi::WasmEdge_FunctionTypeDelete(kind);
        let name = new_string(function.name);
        ffi::WasmEdge_ModuleInstanceAddFunction(module, name, instance);
        ffi::WasmEdge_StringDelete(name);
    }
}

unsafe fn new_string(text: &CStr) -> ffi::WasmEdge_String {
    let len = u32::try_from(text.count_bytes()).unwrap_or(0);
    let start: *const c_char = text.as_ptr();
    // SAFETY: `start` points to `len` bytes.
    unsafe { ffi::WasmEdge_StringCreateByBuffer(start, len) }
}
