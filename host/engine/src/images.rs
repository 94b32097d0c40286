//! Images in prompts: what they are known by, and how they become rows for the model.
//!
//! An image is cut into tokens, which its model wants around images, and places for rows. Among tokens a place is a
//! run of one negative number, which belongs to this part of this image and to nothing else as long as the model is
//! loaded. So everything that compares prompts token by token, the prefix cache first of all, works as it does without
//! images: the same image is the same numbers, and another one never is.
//!
//! Invariant: a number is never given twice, even after what it was given for has been forgotten.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use llama_cpp_2::token::LlamaToken;
use sha2::{Digest, Sha256};

use crate::TokenId;
use crate::projector::{Piece, Pieces, Projector};

/// The longest side of an image, in pixels.
pub const IMAGE_SIDE_MAX: u32 = 4096;

/// The most pixels of an image.
pub const IMAGE_PIXELS_MAX: u64 = 8 << 20;

/// How many times as long as the other one side may be: what cuts images into tiles was not written for ribbons.
pub const IMAGE_ASPECT_MAX: u32 = 64;

/// What all images that are held at a time may take, in bytes.
pub const IMAGES_BYTES_MAX: usize = 128 << 20;

/// How many parts of images are remembered after they went, for the prefix cache.
const KNOWN_MAX: usize = 4096;

/// The first number for a part of an image. One below zero is llama.cpp's for no token.
const FIRST: TokenId = -2;

/// Why an image was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The model has no projector.
    #[error("`{model}` was loaded without a projector: it sees no images")]
    Blind {
        /// The model.
        model: String,
    },
    /// Too large, too thin or without pixels, or not as many bytes as it says.
    #[error("an image of {width} × {height} pixels in {bytes} bytes is not taken")]
    Size {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// How many bytes came.
        bytes: usize,
    },
    /// Too many images are held already.
    #[error("the images of other requests take the memory for images; try again later")]
    Full,
    /// The projector refused it.
    #[error("the projector did not take the image: {0}")]
    Projector(String),
}

/// An image, ready to stand in prompts of the model that looked at it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Image {
    tokens: Arc<[TokenId]>,
    _parts: Arc<[Arc<Part>]>,
}

impl Image {
    /// What stands for it in a prompt: tokens of the model and negative numbers.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }
}

/// The pixels of an image.
struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    hash: [u8; 32],
    /// What the pixels take that are held, of all images.
    held: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} × {})", self.width, self.height)
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        self.held.fetch_sub(self.rgb.len(), Ordering::AcqRel);
    }
}

/// The rows of a part of an image, computed or yet to be.
#[derive(Debug)]
pub(crate) struct Part {
    picture: Arc<Picture>,
    /// Its number among the pieces of the picture.
    piece: usize,
    id: TokenId,
    len: usize,
    rows: OnceLock<Vec<f32>>,
}

impl Part {
    /// Its rows, if they have been computed.
    pub fn rows(&self) -> Option<&[f32]> {
        self.rows.get().map(Vec::as_slice)
    }
}

/// A part of an image in a prompt.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// The position of its first row.
    pub start: usize,
    pub part: Arc<Part>,
}

impl Placed {
    /// The position after its last row.
    pub fn end(&self) -> usize {
        self.start + self.part.len
    }
}

/// The images of a model.
#[derive(Debug)]
pub(crate) struct Gallery {
    projector: Arc<Projector>,
    known: Mutex<Known>,
    held: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<Key, TokenId>,
    /// The oldest has the largest number.
    parts: BTreeMap<TokenId, (Key, Weak<Part>)>,
    given: TokenId,
}

/// Whose rows: the image's hash, and the piece of it.
type Key = ([u8; 32], usize);

impl Gallery {
    pub fn new(projector: Arc<Projector>) -> Self {
        Self {
            projector,
            known: Mutex::default(),
            held: Arc::default(),
        }
    }

    /// Takes an image of `width` × `height` pixels of three bytes each.
    pub fn look(&self, width: u32, height: u32, rgb: Vec<u8>) -> Result<Image, LookError> {
        check_size(width, height, rgb.len())?;
        let pieces = self
            .projector
            .cut(width, height, None)
            .map_err(LookError::Projector)?;
        let picture = Arc::new(self.hold(width, height, rgb)?);
        let mut tokens = Vec::new();
        let mut parts = Vec::new();
        for piece in pieces.list() {
            match piece {
                Piece::Tokens(ids) => tokens.extend(ids),
                Piece::Rows { index, len, .. } => {
                    let part = self.lock().part(&picture, index, len);
                    tokens.extend(std::iter::repeat_n(part.id, len));
                    parts.push(part);
                }
            }
        }
        Ok(Image {
            tokens: tokens.into(),
            _parts: parts.into(),
        })
    }

    fn hold(&self, width: u32, height: u32, rgb: Vec<u8>) -> Result<Picture, LookError> {
        let mut hash = Sha256::new();
        hash.update(width.to_le_bytes());
        hash.update(height.to_le_bytes());
        hash.update(&rgb);
        let fits = |held: usize| Some(held + rgb.len()).filter(|sum| *sum <= IMAGES_BYTES_MAX);
        let taken = self
            .held
            .try_update(Ordering::AcqRel, Ordering::Acquire, fits);
        match taken {
            Ok(_) => Ok(Picture {
                width,
                height,
                rgb,
                hash: hash.finalize().into(),
                held: Arc::clone(&self.held),
            }),
            Err(_) => Err(LookError::Full),
        }
    }

    /// The images among `tokens`. An error names a number that stands for nothing that is held, or for more or less
    /// than all of it.
    pub fn place(&self, tokens: &[LlamaToken]) -> Result<Vec<Placed>, TokenId> {
        let known = self.lock();
        let mut placed = Vec::new();
        let mut start = 0;
        while let Some(token) = tokens.get(start) {
            if token.0 >= 0 {
                start += 1;
                continue;
            }
            let entry = known.parts.get(&token.0);
            let part = entry.and_then(|(_, part)| part.upgrade()).ok_or(token.0)?;
            let run = tokens[start..].iter().take(part.len);
            if run.filter(|other| *other == token).count() != part.len {
                return Err(token.0);
            }
            let next = Placed { start, part };
            start = next.end();
            placed.push(next);
        }
        Ok(placed)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn part(&mut self, picture: &Arc<Picture>, piece: usize, len: usize) -> Arc<Part> {
        let key = (picture.hash, piece);
        let id = self.ids.get(&key).copied();
        let held = id.and_then(|id| self.parts.get(&id)?.1.upgrade());
        if let Some(part) = held {
            return part;
        }
        let id = id.unwrap_or_else(|| self.next());
        let part = Arc::new(Part {
            picture: Arc::clone(picture),
            piece,
            id,
            len,
            rows: OnceLock::new(),
        });
        self.ids.insert(key, id);
        self.parts.insert(id, (key, Arc::downgrade(&part)));
        self.forget();
        part
    }

    fn next(&mut self) -> TokenId {
        self.given = self.given.checked_sub(1).expect("no node sees 2^31 images");
        self.given + 1 + FIRST
    }

    /// Forgets the oldest that nobody holds.
    fn forget(&mut self) {
        while self.parts.len() > KNOWN_MAX {
            let mut oldest = self.parts.iter().rev();
            let gone = oldest.find(|(_, (_, part))| part.strong_count() == 0);
            let Some((id, key)) = gone.map(|(id, (key, _))| (*id, *key)) else {
                return;
            };
            self.parts.remove(&id);
            self.ids.remove(&key);
        }
    }
}

fn check_size(width: u32, height: u32, bytes: usize) -> Result<(), LookError> {
    let pixels = u64::from(width) * u64::from(height);
    let (short, long) = (width.min(height), width.max(height));
    let good = short > 0
        && long <= IMAGE_SIDE_MAX
        && long / short <= IMAGE_ASPECT_MAX
        && pixels <= IMAGE_PIXELS_MAX
        && bytes as u64 == pixels * 3;
    match good {
        true => Ok(()),
        false => Err(LookError::Size {
            width,
            height,
            bytes,
        }),
    }
}

/// Computes the rows of images, on the model's thread.
pub(crate) struct Eye {
    projector: Arc<Projector>,
    /// The pieces of the image that is being computed.
    open: Option<([u8; 32], Pieces)>,
}

impl Eye {
    pub fn new(projector: Arc<Projector>) -> Self {
        Self {
            projector,
            open: None,
        }
    }

    /// Whether all rows of a part must be read together.
    pub fn reads_whole(&self) -> bool {
        self.projector.reads_whole()
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.projector.width()
    }

    /// Computes the rows of `part`.
    ///
    /// # Errors
    /// With the reason.
    pub fn compute(&mut self, part: &Part) -> Result<(), String> {
        let picture = &part.picture;
        let pieces = match self.open.take() {
            Some((hash, pieces)) if hash == picture.hash => pieces,
            _ => {
                let (width, height) = (picture.width, picture.height);
                self.projector.cut(width, height, Some(&picture.rgb))?
            }
        };
        let rows = self.projector.encode(&pieces, part.piece)?;
        if rows.len() != part.len * self.width() {
            return Err("the projector made another number of rows than it said".to_owned());
        }
        // Whoever was first has computed the same.
        let _ = part.rows.set(rows);
        let is_last = pieces.images().last() == Some(part.piece);
        self.open = (!is_last).then_some((picture.hash, pieces));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_limits() {
        let check = |width: u32, height: u32, good: bool| {
            let bytes = width as usize * height as usize * 3;
            assert_eq!(
                check_size(width, height, bytes).is_ok(),
                good,
                "{width} × {height}"
            );
        };
        check(1, 1, true);
        check(0, 1, false);
        check(IMAGE_SIDE_MAX, 2048, true);
        check(IMAGE_SIDE_MAX, 2049, false);
        check(IMAGE_SIDE_MAX + 1, 64, false);
        check(64, 1, true);
        check(65, 1, false);
        assert!(check_size(2, 2, 11).is_err());
    }

    fn picture(fill: u8) -> Arc<Picture> {
        Arc::new(Picture {
            width: 1,
            height: 1,
            rgb: vec![fill; 3],
            hash: [fill; 32],
            held: Arc::new(AtomicUsize::new(3)),
        })
    }

    #[test]
    fn the_same_image_keeps_its_number_and_another_has_its_own() {
        let mut known = Known::default();
        let first = known.part(&picture(1), 0, 4);
        assert_eq!(first.id, FIRST);
        assert!(Arc::ptr_eq(&first, &known.part(&picture(1), 0, 4)));
        assert_eq!(known.part(&picture(1), 1, 4).id, FIRST - 1);
        assert_eq!(known.part(&picture(2), 0, 4).id, FIRST - 2);
        drop(first);
        assert_eq!(known.part(&picture(1), 0, 4).id, FIRST);
    }

    #[test]
    fn what_nobody_holds_is_forgotten_and_its_number_is_not_given_again() {
        let mut known = Known::default();
        let held = known.part(&picture(1), 0, 1);
        for piece in 1..=KNOWN_MAX + 10 {
            known.part(&picture(1), piece, 1);
        }
        assert!(known.parts.len() <= KNOWN_MAX && known.ids.len() <= KNOWN_MAX);
        assert!(Arc::ptr_eq(&held, &known.part(&picture(1), 0, 1)));
        let lowest = *known.parts.keys().next().unwrap();
        assert!(known.part(&picture(1), 1, 1).id < lowest);
    }
}
