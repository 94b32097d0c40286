//! The functions of the module: arguments out of registers and memory, an errno back.

use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use crate::environment::Environment;
use crate::errno::{self, Errno};
use crate::ffi;
use crate::guest::Guest;

/// A function of the module. All parameters and the result are 32-bit integers.
pub(crate) struct Function {
    pub name: &'static CStr,
    pub parameters: u32,
    pub run: ffi::WasmEdge_HostFunc_t,
}

macro_rules! functions {
    ($($name:ident($($argument:ident),*) => $body:expr;)*) => {
        /// Everything the module exports, in the stock plugin's signatures.
        pub(crate) static FUNCTIONS: [Function; count!($($name)*)] = [$(
            Function {
                name: {
                    // SAFETY: the macro adds the closing zero, and identifiers hold none.
                    unsafe { CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) }
                },
                parameters: count!($($argument)*),
                run: $name,
            },
        )*];

        $(unsafe extern "C" fn $name(
            data: *mut c_void,
            frame: *const ffi::WasmEdge_CallingFrameContext,
            parameters: *const ffi::WasmEdge_Value,
            returns: *mut ffi::WasmEdge_Value,
        ) -> ffi::WasmEdge_Result {
            const COUNT: usize = count!($($argument)*);
            let body: fn(&Environment, &Guest, [u32; COUNT]) -> Result<(), Errno> =
                |environment, guest, [$($argument),*]| {
                    let call: fn(&Environment, &Guest, $(count!(@type $argument)),*) -> Result<(), Errno> = $body;
                    call(environment, guest, $($argument),*)
                };
            // SAFETY: WasmEdge passes the data that the module was made with, the live frame, as
            // many parameters as the function's type has, and room for one result.
            unsafe { run(stringify!($name), data, frame, parameters, returns, body) }
        })*
    };
}

macro_rules! count {
    (@type $argument:ident) => { u32 };
    () => { 0 };
    ($head:ident $($tail:ident)*) => { 1 + count!($($tail)*) };
}

functions! {
    load(builders, count, encoding, target, out) => |environment, guest, builders, count, encoding, target, out| {
        guest.answer(out, || environment.load(guest, builders, count, encoding, target))
    };
    load_by_name(name, len, out) => |environment, guest, name, len, out| {
        let name = guest.read_text(name, len)?;
        guest.answer(out, || environment.load_by_name(&name, None))
    };
    load_by_name_with_config(name, len, config, config_len, out) => |environment, guest, name, len, config, config_len, out| {
        let name = guest.read_text(name, len)?;
        let config = guest.read_text(config, config_len)?;
        guest.answer(out, || environment.load_by_name(&name, Some(&config)))
    };
    init_execution_context(graph, out) => |environment, guest, graph, out| {
        guest.answer(out, || environment.init_execution_context(graph))
    };
    set_input(context, index, tensor) => |environment, guest, context, index, tensor| {
        environment.with(context, |execution| execution.set_input(index, guest.read_tensor(tensor)?))
    };
    compute(context) => |environment, _, context| {
        environment.with(context, |execution| execution.compute())
    };
    compute_single(context) => |environment, _, context| {
        environment.with(context, |execution| execution.compute_single())
    };
    get_output(context, index, buffer, len, out) => |environment, guest, context, index, buffer, len, out| {
        environment.with(context, |execution| execution.get_output(index, false, &mut |bytes| put(guest, bytes, buffer, len, out)))
    };
    get_output_single(context, index, buffer, len, out) => |environment, guest, context, index, buffer, len, out| {
        environment.with(context, |execution| execution.get_output(index, true, &mut |bytes| put(guest, bytes, buffer, len, out)))
    };
    fini_single(context) => |environment, _, context| {
        environment.with(context, |execution| { execution.finish_use(); Ok(()) })
    };
    finalize_execution_context(context) => |environment, _, context| {
        environment.finalize_execution_context(context)
    };
    unload(graph) => |environment, _, graph| {
        environment.unload(graph)
    };
}

/// Copies `bytes` into the guest's buffer and their number to `out`. What does not fit is not copied,
/// but its size is told.
fn put(guest: &Guest, bytes: &[u8], buffer: u32, len: u32, out: u32) -> Result<(), Errno> {
    let needed = u32::try_from(bytes.len()).map_err(|_| Errno::TooLarge)?;
    guest.write_u32(out, needed)?;
    match needed > len {
        true => Err(Errno::TooLarge),
        false => guest.write(buffer, bytes),
    }
}

/// Runs `action`; gives `otherwise` if it panics, which the panic hook has reported then.
pub(crate) fn contain<T>(otherwise: T, action: impl FnOnce() -> T) -> T {
    // What may be left half-done belongs to one execution context, whose lock is poisoned by it.
    catch_unwind(AssertUnwindSafe(action)).unwrap_or(otherwise)
}

unsafe fn run<const N: usize>(
    name: &str,
    data: *mut c_void,
    frame: *const ffi::WasmEdge_CallingFrameContext,
    parameters: *const ffi::WasmEdge_Value,
    returns: *mut ffi::WasmEdge_Value,
    body: fn(&Environment, &Guest, [u32; N]) -> Result<(), Errno>,
) -> ffi::WasmEdge_Result {
    let outcome = contain(Err(Errno::RuntimeError), || {
        // SAFETY: see the macro.
        unsafe {
            let environment = &*data.cast::<Environment>();
            let mut arguments = [0; N];
            let values = slice::from_raw_parts(parameters, N);
            for (argument, value) in arguments.iter_mut().zip(values) {
                *argument = ffi::WasmEdge_ValueGetI32(*value).cast_unsigned();
            }
            body(environment, &Guest::new(frame)?, arguments)
        }
    });
    tracing::trace!(name, ?outcome, "call");
    // SAFETY: there is room for one result.
    unsafe { returns.write(ffi::WasmEdge_ValueGenI32(errno::number(outcome))) };
    ffi::WasmEdge_Result { Code: 0 }
}
