//! A projector: the second file of a model that sees, which turns an image into rows of numbers that stand where tokens
//! stand otherwise.
//!
//! Drives llama.cpp's `mtmd` through the sys crate. It is given pixels and nothing else: what reads image files there
//! is not linked.
//!
//! Invariant: what a projector would put into a prompt has been looked at. Tokens are in the vocabulary, and an image
//! takes as many positions as rows; a projector that wants it otherwise is refused when it is loaded.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use gaia_gguf::Header;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;

use crate::TokenId;
use crate::backend;
use crate::context::model_pointer;
use crate::load::{LoadError, read_header};
use crate::request;
use crate::turn::{self, TURNS_PAY};

/// What a projector takes beside its file while it computes, as seen with encoders of 0.1 to 0.4 B.
const COMPUTE_BYTES: u64 = 192 << 20;

/// The side of the image with which a projector is tried.
const SAMPLE_SIDE: u32 = 64;

/// A file that may be a projector.
#[derive(Debug, Clone)]
pub(crate) struct ProjectorFile {
    pub path: PathBuf,
    pub file_bytes: u64,
}

impl ProjectorFile {
    /// Reads the header of the file at `path`.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let header = read_header(path)?;
        match sees(&header) {
            true => Ok(Self {
                path: path.to_owned(),
                file_bytes: header.file_bytes(),
            }),
            false => Err(refused(path, "is no projector for images")),
        }
    }

    /// What it takes of the memory.
    pub fn memory_bytes(&self) -> u64 {
        self.file_bytes.saturating_add(COMPUTE_BYTES)
    }
}

fn sees(header: &Header) -> bool {
    header.text("general.architecture") == Ok("clip")
        && header.flag("clip.has_vision_encoder") == Ok(true)
}

fn refused(path: &Path, reason: impl Into<String>) -> LoadError {
    LoadError::Projector {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// How a projector computes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProjectorOptions {
    pub threads: i32,
    pub gpu: bool,
    /// The most rows that the model's context takes at once.
    pub rows_max: usize,
}

/// A projector with its weights.
#[derive(Debug)]
pub(crate) struct Projector {
    raw: NonNull<sys::mtmd_context>,
    /// Numbers in a row.
    width: usize,
    vocabulary: u32,
    rows_max: usize,
    whole: bool,
    // Freed after the projector, which points into its vocabulary.
    _weights: Arc<LlamaModel>,
}

// SAFETY: mtmd binds a context to no thread. Cutting only reads it; encoding is the engine thread's (see `Eye`).
unsafe impl Send for Projector {}
// SAFETY: as above.
unsafe impl Sync for Projector {}

impl Projector {
    /// Loads `file` for the model of `weights`, and tries it with an image of one colour.
    pub fn load(
        file: &ProjectorFile,
        weights: &Arc<LlamaModel>,
        options: ProjectorOptions,
    ) -> Result<Self, LoadError> {
        let text = file.path.to_str().and_then(|path| CString::new(path).ok());
        let path = text.ok_or_else(|| refused(&file.path, "has a name that is no text"))?;
        backend::clear_reason();
        // SAFETY: the path ends in zero, the model lives as long as `weights`, and the parameters point to nothing that
        // does not live for ever.
        let raw = unsafe {
            let mut parameters = sys::mtmd_context_params_default();
            parameters.use_gpu = options.gpu;
            parameters.print_timings = false;
            parameters.n_threads = options.threads;
            sys::mtmd_init_from_file(path.as_ptr(), model_pointer(weights), parameters)
        };
        let raw = NonNull::new(raw).ok_or_else(|| refused(&file.path, backend::reason()))?;
        // SAFETY: the model and the projector are alive.
        let (width, whole) = unsafe {
            let width = sys::llama_model_n_embd_inp(model_pointer(weights));
            let whole = sys::mtmd_decode_use_non_causal(raw.as_ptr(), std::ptr::null());
            (usize::try_from(width).unwrap_or(0), whole)
        };
        let projector = Self {
            raw,
            width,
            vocabulary: weights.n_vocab().cast_unsigned(),
            rows_max: options.rows_max,
            whole,
            _weights: Arc::clone(weights),
        };
        let tried = projector.try_out();
        tried.map_err(|reason| refused(&file.path, reason))?;
        Ok(projector)
    }

    fn try_out(&self) -> Result<(), String> {
        // SAFETY: the projector is alive.
        let (vision, turns) = unsafe {
            let raw = self.raw.as_ptr();
            (
                sys::mtmd_support_vision(raw),
                sys::mtmd_decode_use_mrope(raw),
            )
        };
        if !vision {
            return Err("takes no images".to_owned());
        }
        if turns {
            return Err(
                "is for a model that counts the places of an image in two directions (M-RoPE, as Qwen-VL does), \
                 which this engine does not do yet"
                    .to_owned(),
            );
        }
        let grey = vec![127; (SAMPLE_SIDE * SAMPLE_SIDE * 3) as usize];
        let pieces = self.cut(SAMPLE_SIDE, SAMPLE_SIDE, Some(&grey))?;
        for index in pieces.images() {
            self.encode(&pieces, index)?;
        }
        Ok(())
    }

    /// Whether the rows of one image look at each other, and so must be read together.
    pub fn reads_whole(&self) -> bool {
        self.whole
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What stands for an image of this size; without its pixels, all but the pixels.
    ///
    /// # Errors
    /// With the reason, in mtmd's words or ours.
    pub fn cut(&self, width: u32, height: u32, rgb: Option<&[u8]>) -> Result<Pieces, String> {
        let bytes = u64::from(width) * u64::from(height) * 3;
        if bytes == 0 || rgb.is_some_and(|rgb| rgb.len() as u64 != bytes) {
            return Err("the image's size is not that of its pixels".to_owned());
        }
        backend::clear_reason();
        let pixels = rgb.map_or(std::ptr::null(), <[u8]>::as_ptr);
        // SAFETY: there are as many pixels as mtmd is told, which it copies; what is made here is freed here, but for
        // the pieces, which `Pieces` frees.
        let raw = unsafe {
            let bitmap = sys::mtmd_bitmap_init(width, height, pixels);
            let part = sys::mtmd_input_part {
                text: std::ptr::null(),
                bitmap,
            };
            let parts = [&raw const part];
            let raw = sys::mtmd_input_chunks_init();
            let code = sys::mtmd_tokenize_from_parts(
                self.raw.as_ptr(),
                raw,
                parts.as_ptr().cast_mut(),
                1,
                false,
            );
            sys::mtmd_bitmap_free(bitmap);
            if code != 0 {
                sys::mtmd_input_chunks_free(raw);
                return Err(backend::reason());
            }
            raw
        };
        let raw = NonNull::new(raw).ok_or("mtmd made nothing of the image")?;
        let pieces = Pieces { raw };
        self.check(&pieces)?;
        Ok(pieces)
    }

    fn check(&self, pieces: &Pieces) -> Result<(), String> {
        for piece in pieces.list() {
            match piece {
                Piece::Tokens(tokens) => {
                    let unknown =
                        |token: &&TokenId| request::check_token(**token, self.vocabulary).is_err();
                    if tokens.iter().any(|token| unknown(&token)) {
                        return Err("needs tokens around an image that the model has not: they do not belong together".to_owned());
                    }
                }
                Piece::Rows { len, positions, .. } if len == 0 || len != positions => {
                    return Err("counts the places of an image in a way of its own".to_owned());
                }
                Piece::Rows { len, .. } if self.whole && len > self.rows_max => {
                    let max = self.rows_max;
                    return Err(format!(
                        "makes {len} rows of an image, which must be read together, and the context reads {max} at once: \
                         batch-size and ubatch-size must be larger"
                    ));
                }
                Piece::Rows { .. } => {}
            }
        }
        match pieces.images().next() {
            Some(_) => Ok(()),
            None => Err("makes nothing of an image".to_owned()),
        }
    }

    /// The rows of the image piece `index`. Never on two threads at a time.
    ///
    /// # Errors
    /// With the reason, in mtmd's words.
    pub fn encode(&self, pieces: &Pieces, index: usize) -> Result<Vec<f32>, String> {
        let Some(Piece::Rows { len, .. }) = pieces.list().nth(index) else {
            return Err("there is no such piece of the image".to_owned());
        };
        let _turn = TURNS_PAY.then(turn::take);
        backend::clear_reason();
        // SAFETY: the piece belongs to the living list. After success the output has a row of `width` for each of its
        // tokens and lives until the next encoding.
        unsafe {
            let piece = sys::mtmd_input_chunks_get(pieces.raw.as_ptr(), index);
            if sys::mtmd_encode_chunk(self.raw.as_ptr(), piece) != 0 {
                return Err(backend::reason());
            }
            let rows = sys::mtmd_get_output_embd(self.raw.as_ptr());
            match rows.is_null() {
                true => Err("the projector computed nothing".to_owned()),
                false => Ok(slice::from_raw_parts(rows, len * self.width).to_vec()),
            }
        }
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        // SAFETY: made in `load`, freed once, before the weights.
        unsafe { sys::mtmd_free(self.raw.as_ptr()) }
    }
}

/// What stands for one image, in order.
#[derive(Debug)]
pub(crate) struct Pieces {
    raw: NonNull<sys::mtmd_input_chunks>,
}

// SAFETY: a list that nobody changes after it was made.
unsafe impl Send for Pieces {}

/// A part of what stands for an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Tokens around images or parts of them.
    Tokens(&'a [TokenId]),
    /// Rows of numbers: the piece of this index has so many, at so many positions.
    Rows {
        index: usize,
        len: usize,
        positions: usize,
    },
}

impl Pieces {
    pub fn list(&self) -> impl Iterator<Item = Piece<'_>> {
        // SAFETY: the list is alive and is not changed; so are its pieces and their tokens.
        let count = unsafe { sys::mtmd_input_chunks_size(self.raw.as_ptr()) };
        (0..count).map(|index| unsafe {
            let piece = sys::mtmd_input_chunks_get(self.raw.as_ptr(), index);
            if sys::mtmd_input_chunk_get_type(piece) == sys::MTMD_INPUT_CHUNK_TYPE_TEXT {
                let mut len = 0;
                let tokens = sys::mtmd_input_chunk_get_tokens_text(piece, &raw mut len);
                return match tokens.is_null() {
                    true => Piece::Tokens(&[]),
                    false => Piece::Tokens(slice::from_raw_parts(tokens, len)),
                };
            }
            Piece::Rows {
                index,
                len: sys::mtmd_input_chunk_get_n_tokens(piece),
                positions: usize::try_from(sys::mtmd_input_chunk_get_n_pos(piece)).unwrap_or(0),
            }
        })
    }

    /// The numbers of the pieces that have rows.
    pub fn images(&self) -> impl Iterator<Item = usize> {
        self.list().filter_map(|piece| match piece {
            Piece::Rows { index, .. } => Some(index),
            Piece::Tokens(_) => None,
        })
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        // SAFETY: made in `cut`, freed once.
        unsafe { sys::mtmd_input_chunks_free(self.raw.as_ptr()) }
    }
}
