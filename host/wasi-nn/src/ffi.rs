//! WasmEdge's C API, the part that a plugin needs. Names and layouts are WasmEdge's; they are the same
//! in 0.14 and 0.17 but for memory offsets, which grew from 32 to 64 bits. Every value passed there
//! fits 32 bits, and both calling conventions in use read the low half of the same register.

#![expect(non_camel_case_types, reason = "these are WasmEdge's names")]
#![expect(non_snake_case, reason = "these are WasmEdge's names")]

use std::ffi::{c_char, c_void};

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WasmEdge_String {
    pub Length: u32,
    pub Buf: *const c_char,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WasmEdge_Result {
    pub Code: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WasmEdge_ValType {
    pub Data: [u8; 8],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WasmEdge_Value {
    pub Value: u128,
    pub Type: WasmEdge_ValType,
}

#[repr(C)]
pub struct WasmEdge_ModuleInstanceContext {
    _private: [u8; 0],
}

#[repr(C)]
pub struct WasmEdge_FunctionTypeContext {
    _private: [u8; 0],
}

#[repr(C)]
pub struct WasmEdge_FunctionInstanceContext {
    _private: [u8; 0],
}

#[repr(C)]
pub struct WasmEdge_CallingFrameContext {
    _private: [u8; 0],
}

#[repr(C)]
pub struct WasmEdge_MemoryInstanceContext {
    _private: [u8; 0],
}

/// `WasmEdge_ProgramOptionType_String`.
pub const OPTION_STRING: u32 = 12;

#[repr(C)]
pub struct WasmEdge_ProgramOption {
    pub Name: *const c_char,
    pub Description: *const c_char,
    pub Type: u32,
    pub Storage: *mut c_void,
    pub DefaultValue: *const c_void,
}

#[repr(C)]
pub struct WasmEdge_ModuleDescriptor {
    pub Name: *const c_char,
    pub Description: *const c_char,
    pub Create: unsafe extern "C" fn(
        *const WasmEdge_ModuleDescriptor,
    ) -> *mut WasmEdge_ModuleInstanceContext,
}

#[repr(C)]
pub struct WasmEdge_PluginVersionData {
    pub Major: u32,
    pub Minor: u32,
    pub Patch: u32,
    pub Build: u32,
}

#[repr(C)]
pub struct WasmEdge_PluginDescriptor {
    pub Name: *const c_char,
    pub Description: *const c_char,
    pub APIVersion: u32,
    pub Version: WasmEdge_PluginVersionData,
    pub ModuleCount: u32,
    pub ProgramOptionCount: u32,
    pub ModuleDescriptions: *mut WasmEdge_ModuleDescriptor,
    pub ProgramOptions: *mut WasmEdge_ProgramOption,
}

pub type WasmEdge_HostFunc_t = unsafe extern "C" fn(
    *mut c_void,
    *const WasmEdge_CallingFrameContext,
    *const WasmEdge_Value,
    *mut WasmEdge_Value,
) -> WasmEdge_Result;

unsafe extern "C" {
    pub fn WasmEdge_VersionGetMajor() -> u32;
    pub fn WasmEdge_VersionGetMinor() -> u32;
    pub fn WasmEdge_StringCreateByBuffer(Buf: *const c_char, Len: u32) -> WasmEdge_String;
    pub fn WasmEdge_StringDelete(Str: WasmEdge_String);
    pub fn WasmEdge_ValTypeGenI32() -> WasmEdge_ValType;
    pub fn WasmEdge_ValueGenI32(Val: i32) -> WasmEdge_Value;
    pub fn WasmEdge_ValueGetI32(Val: WasmEdge_Value) -> i32;
    pub fn WasmEdge_FunctionTypeCreate(
        ParamList: *const WasmEdge_ValType,
        ParamLen: u32,
        ReturnList: *const WasmEdge_ValType,
        ReturnLen: u32,
    ) -> *mut WasmEdge_FunctionTypeContext;
    pub fn WasmEdge_FunctionTypeDelete(Cxt: *mut WasmEdge_FunctionTypeContext);
    pub fn WasmEdge_FunctionInstanceCreate(
        Type: *const WasmEdge_FunctionTypeContext,
        HostFunc: WasmEdge_HostFunc_t,
        Data: *mut c_void,
        Cost: u64,
    ) -> *mut WasmEdge_FunctionInstanceContext;
    pub fn WasmEdge_ModuleInstanceCreateWithData(
        ModuleName: WasmEdge_String,
        HostData: *mut c_void,
        Finalizer: unsafe extern "C" fn(*mut c_void),
    ) -> *mut WasmEdge_ModuleInstanceContext;
    pub fn WasmEdge_ModuleInstanceAddFunction(
        Cxt: *mut WasmEdge_ModuleInstanceContext,
        Name: WasmEdge_String,
        FuncCxt: *mut WasmEdge_FunctionInstanceContext,
    );
    pub fn WasmEdge_CallingFrameGetMemoryInstance(
        Cxt: *const WasmEdge_CallingFrameContext,
        Idx: u32,
    ) -> *mut WasmEdge_MemoryInstanceContext;
    pub fn WasmEdge_MemoryInstanceGetData(
        Cxt: *const WasmEdge_MemoryInstanceContext,
        Data: *mut u8,
        Offset: u64,
        Length: u64,
    ) -> WasmEdge_Result;
    pub fn WasmEdge_MemoryInstanceSetData(
        Cxt: *mut WasmEdge_MemoryInstanceContext,
        Data: *const u8,
        Offset: u64,
        Length: u64,
    ) -> WasmEdge_Result;
    pub fn WasmEdge_MemoryInstanceGetPageSize(Cxt: *const WasmEdge_MemoryInstanceContext) -> u64;
}
