//! Image files of callers as pixels.
//!
//! They are decoded here, inside the sandbox, by decoders without C: what reaches the engine is rows of red, green and
//! blue bytes. An image is as the caller's viewer shows it: turned as its file says, its first frame if it moves.
//!
//! Invariant: nothing is decoded before its size was read and found within the limits.

use std::io::Cursor;

use gaia_openai::{ApiError, ImageFile};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage, imageops};

/// The longest side of a file's image, in pixels.
const SIDE_MAX: u32 = 8192;

/// The most pixels of a file's image: what phones take.
const PIXELS_MAX: u64 = 12_582_912;

/// What a decoder may hold of one image, in bytes.
const DECODED_BYTES_MAX: u64 = 64 << 20;

/// How many times as long as the other one side may be.
const ASPECT_MAX: u32 = 64;

/// The longest side of what the model is shown; larger images are scaled down. Models scale further.
const SHOWN_SIDE_MAX: u32 = 2048;

/// The longest side where less detail is asked for, as OpenAI has it: `detail` of `low`.
const LOW_SIDE_MAX: u32 = 512;

/// An image as a model is shown it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Three bytes a pixel, row by row.
    pub(crate) rgb: Vec<u8>,
}

/// Decodes an image.
///
/// # Errors
/// 400 saying what is wrong with it.
pub(crate) fn decode(file: &ImageFile) -> Result<Pixels, ApiError> {
    let side_max = match file.is_low() {
        true => LOW_SIDE_MAX,
        false => SHOWN_SIDE_MAX,
    };
    decoded(file.bytes(), side_max).map_err(|reason| {
        let message = format!("An image in `messages` cannot be used: {reason}.");
        ApiError::invalid_value("messages", message)
    })
}

fn decoded(bytes: &[u8], side_max: u32) -> Result<Pixels, String> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        return Err("it is no PNG, JPEG, WebP or GIF file".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    check_size(decoder.dimensions(), decoder.total_bytes())?;
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    // In one form from here on: code for all forms of images would double what this costs the sandbox.
    let image = turned(scaled(image.into_rgb8(), side_max), orientation);
    Ok(Pixels {
        width: image.width(),
        height: image.height(),
        rgb: image.into_raw(),
    })
}

fn check_size((width, height): (u32, u32), bytes: u64) -> Result<(), String> {
    let (short, long) = (width.min(height), width.max(height));
    if u64::from(width) * u64::from(height) > PIXELS_MAX
        || long > SIDE_MAX
        || bytes > DECODED_BYTES_MAX
    {
        return Err(format!(
            "it has {width} × {height} pixels; send it scaled down, to 2048 pixels a side for instance"
        ));
    }
    if short == 0 || long / short > ASPECT_MAX {
        return Err(format!(
            "it has {width} × {height} pixels; a side may be {ASPECT_MAX} times as long as the other at most"
        ));
    }
    Ok(())
}

fn scaled(image: RgbImage, side_max: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let long = width.max(height);
    if long <= side_max {
        return image;
    }
    let shown = |side: u32| (side * side_max / long).max(1);
    imageops::thumbnail(&image, shown(width), shown(height))
}

fn turned(mut image: RgbImage, orientation: Orientation) -> RgbImage {
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::Rotate90 => image = imageops::rotate90(&image),
        Orientation::Rotate180 => imageops::rotate180_in_place(&mut image),
        Orientation::Rotate270 => image = imageops::rotate270(&image),
        Orientation::FlipHorizontal => imageops::flip_horizontal_in_place(&mut image),
        Orientation::FlipVertical => imageops::flip_vertical_in_place(&mut image),
        Orientation::Rotate90FlipH => {
            image = imageops::rotate90(&image);
            imageops::flip_horizontal_in_place(&mut image);
        }
        Orientation::Rotate270FlipH => {
            image = imageops::rotate270(&image);
            imageops::flip_horizontal_in_place(&mut image);
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, RgbImage};

    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Pixels, String> {
        super::decoded(bytes, SHOWN_SIDE_MAX)
    }

    #[test]
    fn less_detail_is_a_smaller_image() {
        let check = |width: u32, height: u32, shown: (u32, u32)| {
            let file = file(width, height, ImageFormat::Png);
            let pixels = super::decoded(&file, LOW_SIDE_MAX).unwrap();
            assert_eq!((pixels.width, pixels.height), shown);
        };
        check(LOW_SIDE_MAX, 8, (LOW_SIDE_MAX, 8));
        check(8, LOW_SIDE_MAX + 1, (7, LOW_SIDE_MAX));
        check(1024, 768, (512, 384));
    }

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let image = RgbImage::from_fn(width, height, |x, _| match x {
            0 => image::Rgb([200, 10, 20]),
            _ => image::Rgb([1, 2, 3]),
        });
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// What the fuzzers begin with is of all formats.
    #[test]
    fn the_fuzzers_begin_with_images() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/picture");
        let files = std::fs::read_dir(folder).unwrap().flatten();
        let mut names = Vec::new();
        for entry in files {
            let bytes = std::fs::read(entry.path()).unwrap();
            // The first byte is not the file's.
            assert!(decoded(&bytes[1..]).is_ok(), "{:?}", entry.path());
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["gif", "jpeg", "png", "webp"]);
    }

    /// The header of a PNG file that says to have this size, and nothing behind it.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = file(1, 1, ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = checksum(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The CRC-32 of PNG's chunks.
    fn checksum(bytes: &[u8]) -> u32 {
        let step = |sum: u32| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        !bytes.iter().fold(!0, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum))
        })
    }

    #[test]
    fn the_usual_formats_become_pixels() {
        use ImageFormat::{Gif, Jpeg, Png, WebP};
        for format in [Png, WebP, Gif, Jpeg] {
            let pixels = decoded(&file(16, 8, format)).unwrap();
            assert_eq!((pixels.width, pixels.height), (16, 8), "{format:?}");
            assert_eq!(pixels.rgb.len(), 16 * 8 * 3);
            if format != Jpeg {
                assert_eq!(pixels.rgb[..6], [200, 10, 20, 1, 2, 3], "{format:?}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_scaled_or_refused() {
        let check = |width: u32, height: u32, shown: (u32, u32)| {
            let pixels = decoded(&file(width, height, ImageFormat::Png)).unwrap();
            assert_eq!((pixels.width, pixels.height), shown);
        };
        check(2048, 64, (2048, 64));
        check(4096, 64, (2048, 32));
        check(64, 1, (64, 1));
        let refused = |width: u32, height: u32, part: &str| {
            let reason = decoded(&claiming(width, height)).unwrap_err();
            assert!(reason.contains(part), "{width} × {height}: {reason}");
        };
        refused(65, 1, "times as long");
        refused(4096, 3073, "scaled down");
        refused(SIDE_MAX + 1, 200, "");
        refused(u32::MAX, u32::MAX, "");
        // What a decoder would hold has a limit of its own, below that of the pixels where they are large.
        assert!(check_size((3000, 4000), DECODED_BYTES_MAX + 1).is_err());
        assert!(check_size((4096, 3072), DECODED_BYTES_MAX).is_ok());
    }

    #[test]
    fn an_image_is_turned_as_its_file_says() {
        let image = RgbImage::from_raw(2, 1, vec![1, 1, 1, 2, 2, 2]).unwrap();
        let check = |orientation: u8, shape: (u32, u32), first: u8| {
            let orientation = Orientation::from_exif(orientation).unwrap();
            let turned = turned(image.clone(), orientation);
            assert_eq!(
                (turned.dimensions(), turned.as_raw()[0]),
                (shape, first),
                "{orientation:?}"
            );
        };
        check(1, (2, 1), 1);
        check(2, (2, 1), 2);
        check(3, (2, 1), 2);
        check(4, (2, 1), 1);
        check(5, (1, 2), 1);
        check(6, (1, 2), 1);
        check(7, (1, 2), 2);
        check(8, (1, 2), 2);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for bytes in [
            &b""[..],
            b"GIF89a",
            b"<svg xmlns=\"x\"/>",
            b"\x89PNG\r\n\x1a\n",
            b"BM000000",
        ] {
            assert!(decoded(bytes).is_err(), "{bytes:?}");
        }
        let whole = file(64, 64, ImageFormat::Png);
        for len in 0..whole.len() - 20 {
            assert!(decoded(&whole[..len]).is_err(), "{len}");
        }
    }

    /// Whatever the bytes say, there is an answer: a panic would end every request.
    #[test]
    fn broken_files_do_no_harm() {
        use ImageFormat::{Gif, Jpeg, Png, WebP};
        for format in [Png, Jpeg, WebP, Gif] {
            let whole = file(24, 24, format);
            let mut state = 1_u64;
            for _ in 0..2000 {
                let mut bytes = whole.clone();
                for _ in 0..3 {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let at = (state >> 33) as usize % bytes.len();
                    bytes[at] = (state >> 20) as u8;
                }
                let _ = decoded(&bytes);
            }
        }
    }
}
