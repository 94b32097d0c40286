//! Images of requests as pixels, whatever a caller sends.

#![no_main]

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gaia_openai::{ChatRequest, Limits};
use image::ImageReader;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

/// The application's own decoder, which has no library to be in.
#[path = "../../wasm-apps/api-server/src/pictures.rs"]
mod pictures;

/// Pixels of an image that is not only slow.
const PIXELS_MAX: u64 = 1 << 18;
/// Longest sides of what is shown.
const SIDE_MAX: u32 = 2048;
const LOW_SIDE_MAX: u32 = 512;

/// What is refused for its size is as quick as what is small.
fn is_quick(file: &[u8]) -> bool {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
    let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    size.is_none_or(|(width, height)| {
        let pixels = u64::from(width) * u64::from(height);
        pixels <= PIXELS_MAX || width.max(height) > 2 * SIDE_MAX
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, file)) = bytes.split_first() else {
        return;
    };
    if !is_quick(file) {
        return;
    }
    let (detail, side_max) = match first % 2 {
        0 => ("auto", SIDE_MAX),
        _ => ("low", LOW_SIDE_MAX),
    };
    let url = format!("data:image/png;base64,{}", STANDARD.encode(file));
    let part = json!({"type": "image_url", "image_url": {"url": url, "detail": detail}});
    let body = json!({"messages": [{"role": "user", "content": [part]}]});
    let request = ChatRequest::parse(body.to_string().as_bytes(), &Limits::default());
    let request = request.expect("a small image is taken");
    let Ok(pixels) = pictures::decode(&request.messages[0].images[0]) else {
        return;
    };
    let (width, height) = (pixels.width, pixels.height);
    assert!((1..=side_max).contains(&width) && (1..=side_max).contains(&height));
    assert_eq!(
        pixels.rgb.len() as u64,
        3 * u64::from(width) * u64::from(height)
    );
});
