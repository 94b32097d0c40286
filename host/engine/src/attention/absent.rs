//! In the place of the kernel on processors that it is not written for: nothing suits, nothing is called.

/// Rows of numbers.
#[expect(dead_code, reason = "nothing reads them where nothing suits")]
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub data: *const u16,
    pub stride: usize,
    pub row_len: usize,
}

/// Heads of one row.
#[expect(dead_code, reason = "nothing reads them where nothing suits")]
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub queries: *const f32,
    pub query_stride: usize,
    pub result: *mut f32,
    pub result_stride: usize,
    pub count: usize,
}

/// What one row may look at.
#[derive(Debug, Default)]
pub(super) struct Visible;

impl Visible {
    pub unsafe fn read(&mut self, _mask: &[u16]) {}
}

pub(super) fn is_there() -> bool {
    false
}

pub(super) fn suits(_head_len: usize) -> bool {
    false
}

pub(super) unsafe fn count_visible(_mask: &[u16]) -> usize {
    0
}

pub(super) unsafe fn attend(_: Heads, _: Rows, _: Rows, _: &Visible, _scale: f32) {}
