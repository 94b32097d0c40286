//! Reads and writes the guest's memory.
//!
//! Every access goes through WasmEdge's own bounds-checked copies; no pointer into the memory is kept.

use crate::errno::Errno;
use crate::ffi;

/// The most that one argument may hold, in bytes.
pub(crate) const ARGUMENT_BYTES_MAX: u32 = 64 << 20;

/// So many dimensions of a tensor are looked at; no input has more.
const DIMENSIONS_MAX: u32 = 8;

const PAGE_BYTES: u64 = 64 << 10;

/// The memory of the module that called.
pub(crate) struct Guest {
    memory: *mut ffi::WasmEdge_MemoryInstanceContext,
}

/// A tensor as `set_input` gets it.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub dimensions: Vec<u32>,
    pub kind: u8,
    pub data: Vec<u8>,
}

impl Guest {
    /// # Safety
    /// `frame` must be the live calling frame that WasmEdge passed to a host function, and the value
    /// must not outlive the call.
    pub unsafe fn new(frame: *const ffi::WasmEdge_CallingFrameContext) -> Result<Self, Errno> {
        // SAFETY: the caller's promise.
        let memory = unsafe { ffi::WasmEdge_CallingFrameGetMemoryInstance(frame, 0) };
        match memory.is_null() {
            true => Err(Errno::MissingMemory),
            false => Ok(Self { memory }),
        }
    }

    /// A copy of `len` bytes at `address`.
    pub fn read(&self, address: u32, len: u32) -> Result<Vec<u8>, Errno> {
        if len > ARGUMENT_BYTES_MAX {
            return Err(Errno::TooLarge);
        }
        self.read_unbounded(address, len)
    }

    /// As [`Self::read`] for what may be as large as the memory itself, such as a whole model.
    pub fn read_unbounded(&self, address: u32, len: u32) -> Result<Vec<u8>, Errno> {
        self.check(address, len)?;
        let mut bytes = vec![0; len as usize];
        if len > 0 {
            // SAFETY: `bytes` has room for `len`; WasmEdge checks the guest's side.
            let result = unsafe {
                ffi::WasmEdge_MemoryInstanceGetData(
                    self.memory,
                    bytes.as_mut_ptr(),
                    u64::from(address),
                    u64::from(len),
                )
            };
            check_result(result)?;
        }
        Ok(bytes)
    }

    /// The UTF-8 text of `len` bytes at `address`.
    pub fn read_text(&self, address: u32, len: u32) -> Result<String, Errno> {
        String::from_utf8(self.read(address, len)?).map_err(|_| Errno::InvalidEncoding)
    }

    pub fn read_u32s<const N: usize>(&self, address: u32) -> Result<[u32; N], Errno> {
        let len = u32::try_from(N * 4).map_err(|_| Errno::TooLarge)?;
        let bytes = self.read(address, len)?;
        let mut numbers = [0; N];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
            *number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Ok(numbers)
    }

    /// The tensor whose description is at `address`: a list of dimensions (pointer, length), an
    /// element type, the data (pointer, length in bytes).
    pub fn read_tensor(&self, address: u32) -> Result<Tensor, Errno> {
        let [shape, count, kind, data, len] = self.read_u32s::<5>(address)?;
        let shape = self.read(shape, count.min(DIMENSIONS_MAX) * 4)?;
        let (dimensions, _) = shape.as_chunks::<4>();
        Ok(Tensor {
            dimensions: dimensions.iter().copied().map(u32::from_le_bytes).collect(),
            kind: kind.to_le_bytes()[0],
            data: self.read(data, len)?,
        })
    }

    pub fn write(&self, address: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::TooLarge)?;
        self.check(address, len)?;
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: `bytes` has `len` bytes; WasmEdge checks the guest's side.
        let result = unsafe {
            ffi::WasmEdge_MemoryInstanceSetData(
                self.memory,
                bytes.as_ptr(),
                u64::from(address),
                u64::from(len),
            )
        };
        check_result(result)
    }

    pub fn write_u32(&self, address: u32, number: u32) -> Result<(), Errno> {
        self.write(address, &number.to_le_bytes())
    }

    /// Writes what `action` gives to `address`, which is tried before anything is opened for nothing.
    pub fn answer(
        &self,
        address: u32,
        action: impl FnOnce() -> Result<u32, Errno>,
    ) -> Result<(), Errno> {
        self.check(address, 4)?;
        self.write_u32(address, action()?)
    }

    /// Refuses what is outside before anything of that length is allocated here.
    fn check(&self, address: u32, len: u32) -> Result<(), Errno> {
        // SAFETY: the memory is live during the call. In 0.14 the answer has 32 bits, so the upper
        // half of what is read may be anything there.
        let pages = unsafe { ffi::WasmEdge_MemoryInstanceGetPageSize(self.memory) };
        let bytes = (pages & u64::from(u32::MAX)) * PAGE_BYTES;
        match u64::from(address) + u64::from(len) <= bytes {
            true => Ok(()),
            false => Err(Errno::InvalidArgument),
        }
    }
}

fn check_result(result: ffi::WasmEdge_Result) -> Result<(), Errno> {
    // The low 24 bits are the code; 0 is success.
    match result.Code & 0x00ff_ffff {
        0 => Ok(()),
        _ => Err(Errno::InvalidArgument),
    }
}
