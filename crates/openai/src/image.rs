//! Images in requests: taken out of `data:` URLs, and named in the text where they stand.
//!
//! What such a name says is the hash of the image's own bytes, and of how closely it is looked at. So whoever writes one into a text can mean nothing but
//! an image that the same request carries anyway; a name of any other image stays the text that it is.
//!
//! Nothing is decoded here but base64.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// What a name begins with; the hash and a bracket follow.
const OPENING: &str = "[image:";

/// Digits of a hash.
const DIGITS: usize = 64;

/// How closely an image is to be looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// As closely as its model does.
    #[default]
    Auto,
    /// The same: that is as closely as there is.
    High,
    /// Scaled down first, which takes fewer tokens of models that cut large images into tiles.
    Low,
}

impl Detail {
    /// The `detail` of a part.
    pub(crate) fn parse(fields: &Fields<'_>) -> Result<Self, ApiError> {
        fields.refuse("detail", &[json!("auto"), json!("high"), json!("low")])?;
        Ok(match fields.text("detail")? {
            Some("low") => Self::Low,
            Some("high") => Self::High,
            _ => Self::Auto,
        })
    }
}

/// An image as the caller sent it: a file in some format.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageFile {
    hash: String,
    bytes: Arc<[u8]>,
    is_low: bool,
}

impl fmt::Debug for ImageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageFile({} bytes, {})", self.bytes.len(), self.hash)
    }
}

impl ImageFile {
    /// The hexadecimal SHA-256 of its bytes; with `low` behind them where less of it is to be seen, for then it is
    /// another image to the model.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is to be scaled down before it is shown.
    pub fn is_low(&self) -> bool {
        self.is_low
    }

    /// What stands for it in a text.
    pub fn name(&self) -> String {
        format!("{OPENING}{}]", self.hash)
    }

    /// The image of a part of a chat message: `{"image_url": {"url", "detail"}}`.
    pub(crate) fn of_part(part: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        part.require("image_url")?;
        let Some(source) = part.object("image_url")? else {
            let message = "an object with a `url`";
            return Err(ApiError::invalid_type(part.param("image_url"), message));
        };
        source.require("url")?;
        let detail = Detail::parse(&source)?;
        let url = source.text("url")?.unwrap_or_default();
        Self::of_url(url, detail, &source.param("url"), limits)
    }

    /// The image of a `data:` URL.
    pub(crate) fn of_url(
        url: &str,
        detail: Detail,
        param: &str,
        limits: &Limits,
    ) -> Result<Self, ApiError> {
        let Some(rest) = url.strip_prefix("data:") else {
            let message = "Images are taken as `data:` URLs only (`data:image/png;base64,…`): send the image itself, \
                           this node fetches none.";
            return Err(ApiError::unsupported(param, message));
        };
        let encoded = rest
            .split_once(";base64,")
            .filter(|(media, _)| media.starts_with("image/"))
            .map(|(_, encoded)| encoded)
            .ok_or_else(|| {
                let message = format!("`{param}` must be `data:image/…;base64,…`.");
                ApiError::invalid_value(param, message)
            })?;
        fields::too_large(param, encoded.len() / 4 * 3, limits.image_bytes_max)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| {
            let message = format!("What follows `base64,` in `{param}` is not base64.");
            ApiError::invalid_value(param, message)
        })?;
        let is_low = detail == Detail::Low;
        let mut hash = Sha256::new_with_prefix(&bytes);
        if is_low {
            hash.update("low");
        }
        Ok(Self {
            hash: hexadecimal(&hash.finalize()),
            bytes: bytes.into(),
            is_low,
        })
    }
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A piece of a text with names of images in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment<'a> {
    /// Words.
    Text(&'a str),
    /// An image of this hash.
    Image(&'a str),
}

/// Takes `text` apart at what looks like the name of an image.
pub fn fragments(text: &str) -> Vec<Fragment<'_>> {
    let mut fragments = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(found) = text[from..].find(OPENING) {
        let opening = from + found;
        let hash = opening + OPENING.len();
        from = hash;
        let Some(digits) = text.get(hash..hash + DIGITS) else {
            continue;
        };
        let is_hash = digits
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hash || text.as_bytes().get(hash + DIGITS) != Some(&b']') {
            continue;
        }
        fragments.extend(words(&text[start..opening]));
        fragments.push(Fragment::Image(digits));
        start = hash + DIGITS + 1;
        from = start;
    }
    fragments.extend(words(&text[start..]));
    fragments
}

fn words(text: &str) -> Option<Fragment<'_>> {
    (!text.is_empty()).then_some(Fragment::Text(text))
}

/// `text` without names of images, for those who cannot see.
pub fn without_images(text: &str) -> String {
    let fragments = fragments(text).into_iter();
    let words = fragments.filter_map(|fragment| match fragment {
        Fragment::Text(text) => Some(text),
        Fragment::Image(_) => None,
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<ImageFile, ApiError> {
        ImageFile::of_url(url, Detail::Auto, "url", &Limits::default())
    }

    #[test]
    fn the_same_image_in_less_detail_is_another_one() {
        let url = "data:image/png;base64,AAEC";
        let at = |detail| ImageFile::of_url(url, detail, "url", &Limits::default()).unwrap();
        assert_eq!(at(Detail::High), at(Detail::Auto));
        assert_eq!(at(Detail::Low).bytes(), at(Detail::High).bytes());
        assert_ne!(at(Detail::Low).name(), at(Detail::High).name());
        assert!(at(Detail::Low).is_low() && !at(Detail::High).is_low());
    }

    #[test]
    fn only_what_is_in_the_request_is_taken() {
        assert_eq!(of("data:image/png;base64,AAEC").unwrap().bytes(), [0, 1, 2]);
        let check = |url: &str, part: &str| {
            let message = of(url).unwrap_err().message;
            assert!(message.contains(part), "{message}");
        };
        check("https://example.com/a.png", "this node fetches none");
        check("file:///etc/passwd", "this node fetches none");
        check("data:text/plain;base64,AAEC", "must be `data:image/");
        check("data:image/png,AAEC", "must be `data:image/");
        check("data:image/png;base64,AA*C", "not base64");
    }

    #[test]
    fn files_have_a_maximum() {
        let limits = Limits {
            image_bytes_max: 6,
            ..Limits::default()
        };
        let of = |encoded: &str| {
            let url = format!("data:image/png;base64,{encoded}");
            ImageFile::of_url(&url, Detail::Auto, "url", &limits)
        };
        assert!(of("AAECAAEC").is_ok());
        assert!(of("AAECAAECAAEC").is_err());
    }

    #[test]
    fn names_are_found_and_what_only_begins_like_one_is_text() {
        let image = of("data:image/png;base64,AAEC").unwrap();
        let (name, hash) = (image.name(), image.hash());
        let image = Fragment::Image(hash);
        let check = |text: &str, expected: &[Fragment<'_>]| {
            assert_eq!(fragments(text), expected, "{text}");
        };
        check("", &[]);
        check("words", &[Fragment::Text("words")]);
        check(&name, &[image]);
        check(
            &format!("a{name}{name}ü"),
            &[Fragment::Text("a"), image, image, Fragment::Text("ü")],
        );
        let upper = format!("{OPENING}{}]", hash.to_uppercase());
        for text in ["[image:", "[image:ab]", &name[..name.len() - 1], &upper] {
            check(text, &[Fragment::Text(text)]);
        }
        let open = format!("[image:{name}");
        check(&open, &[Fragment::Text("[image:"), image]);
        assert_eq!(without_images(&format!("a{name}b")), "ab");
    }

    #[test]
    fn letters_of_several_bytes_do_no_harm() {
        let text = format!("{OPENING}{}", "ü".repeat(DIGITS));
        assert_eq!(fragments(&text), [Fragment::Text(&text)]);
    }
}
