//! `/v1/files`: documents that callers hand in.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{ApiError, multipart};

/// Bytes of a file's name.
pub const FILENAME_BYTES_MAX: usize = 255;

/// What a file is for whose sender does not say.
const PURPOSE_DEFAULT: &str = "assistants";

/// What a file may be for. Nothing here depends on it.
const PURPOSES: [&str; 6] = [
    PURPOSE_DEFAULT,
    "user_data",
    "batch",
    "fine-tune",
    "vision",
    "evals",
];

/// A file as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileObject {
    /// Its identifier: `file_…`.
    pub id: String,
    /// Always `file`.
    pub object: Cow<'static, str>,
    /// How large it is.
    pub bytes: u64,
    /// Unix seconds.
    pub created_at: u64,
    /// Always `null`: a file stays until it is deleted.
    pub expires_at: Option<u64>,
    /// What its sender called it.
    pub filename: String,
    /// What its sender wants with it.
    pub purpose: String,
    /// Always `processed`: it is there as soon as anybody hears of it.
    pub status: Cow<'static, str>,
    /// Always `null`.
    pub status_details: Option<String>,
}

/// A file that is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload<'a> {
    /// What its sender calls it: a name and no path.
    pub filename: String,
    /// What its sender wants with it.
    pub purpose: String,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl<'a> Upload<'a> {
    /// Reads a form. OpenAI's clients always say a purpose, GaiaNet's never.
    ///
    /// # Errors
    /// 400 naming what is missing or wrong.
    pub fn parse(content_type: &str, body: &'a [u8]) -> Result<Self, ApiError> {
        let (file, purpose) = Self::parts(content_type, body)?;
        let purpose = purpose.unwrap_or_else(|| PURPOSE_DEFAULT.to_owned());
        if !PURPOSES.contains(&purpose.as_str()) {
            let message = format!("`purpose` must be one of `{}`.", PURPOSES.join("`, `"));
            return Err(ApiError::invalid_value("purpose", message));
        }
        Self::of(file, purpose)
    }

    /// Reads a form of which only the file matters, as GaiaNet's clients send it.
    ///
    /// # Errors
    /// 400 naming what is missing or wrong.
    pub fn document(content_type: &str, body: &'a [u8]) -> Result<Self, ApiError> {
        let (file, _) = Self::parts(content_type, body)?;
        Self::of(file, PURPOSE_DEFAULT.to_owned())
    }

    fn parts(
        content_type: &str,
        body: &'a [u8],
    ) -> Result<(multipart::Part<'a>, Option<String>), ApiError> {
        let (mut file, mut purpose) = (None, None);
        for part in multipart::parse(content_type, body)? {
            match part.name.as_str() {
                "file" => file = Some(part),
                "purpose" => purpose = Some(String::from_utf8_lossy(part.body).into_owned()),
                name if name.starts_with("expires_after") => {
                    let message = "`expires_after` is not supported by this node yet.";
                    return Err(ApiError::unsupported("expires_after", message));
                }
                _ => {}
            }
        }
        let file = file.ok_or_else(|| ApiError::missing("file"))?;
        Ok((file, purpose))
    }

    fn of(file: multipart::Part<'a>, purpose: String) -> Result<Self, ApiError> {
        Ok(Self {
            filename: filename(file.filename.as_deref().unwrap_or("file"))?,
            purpose,
            bytes: file.body,
        })
    }
}

impl FileObject {
    /// A file that was handed in.
    pub fn new(id: String, upload: &Upload<'_>, now_unix_seconds: u64) -> Self {
        Self {
            id,
            object: Cow::Borrowed("file"),
            bytes: upload.bytes.len() as u64,
            created_at: now_unix_seconds,
            expires_at: None,
            filename: upload.filename.clone(),
            purpose: upload.purpose.clone(),
            status: Cow::Borrowed("processed"),
            status_details: None,
        }
    }
}

/// The name without the folders that some clients send before it.
fn filename(sent: &str) -> Result<String, ApiError> {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let plain: String = last.chars().filter(|letter| !letter.is_control()).collect();
    match plain.as_str() {
        "" | "." | ".." => Err(ApiError::invalid_value("file", "The file has no name.")),
        name if name.len() > FILENAME_BYTES_MAX => {
            let message = format!("The file's name is longer than {FILENAME_BYTES_MAX} bytes.");
            Err(ApiError::invalid_value("file", message))
        }
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=X";

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let parts = parts.iter().map(|(head, body)| {
            format!("--X\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n")
        });
        format!("{}--X--\r\n", parts.collect::<String>()).into_bytes()
    }

    #[track_caller]
    fn check_refused(parts: &[(&str, &str)], param: &str) {
        let error = Upload::parse(TYPE, &form(parts)).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some(param)));
    }

    #[test]
    fn a_form_is_a_file() {
        let body = form(&[
            ("name=purpose", "assistants"),
            ("name=file; filename=\"a.md\"", "# A"),
        ]);
        let upload = Upload::parse(TYPE, &body).unwrap();
        assert_eq!(
            (upload.filename.as_str(), upload.bytes),
            ("a.md", b"# A".as_slice())
        );
        let file = FileObject::new("file_1".to_owned(), &upload, 7);
        assert_eq!(
            (file.bytes, file.created_at, file.purpose.as_str()),
            (3, 7, "assistants")
        );
    }

    #[test]
    fn a_file_without_a_purpose_is_for_assistants() {
        let body = form(&[("name=file; filename=a.md", "# A")]);
        assert_eq!(Upload::parse(TYPE, &body).unwrap().purpose, "assistants");
    }

    #[test]
    fn an_uploaded_name_is_never_a_path() {
        let check = |sent: &str, expected: Option<&str>| {
            assert_eq!(filename(sent).ok().as_deref(), expected, "{sent:?}");
        };
        check("a.md", Some("a.md"));
        check("../../etc/passwd", Some("passwd"));
        check("C:\\docs\\a.md", Some("a.md"));
        check("/", None);
        check("..", None);
        check("a/..", None);
        check("a\0\nb", Some("ab"));
        check(" ", None);
        check(
            &"x".repeat(FILENAME_BYTES_MAX),
            Some(&"x".repeat(FILENAME_BYTES_MAX)),
        );
        check(&"x".repeat(FILENAME_BYTES_MAX + 1), None);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let file = ("name=file; filename=a", "x");
        check_refused(&[("name=purpose", "batch")], "file");
        check_refused(&[file, ("name=purpose", "fun")], "purpose");
        check_refused(
            &[file, ("name=\"expires_after[seconds]\"", "9")],
            "expires_after",
        );
    }
}
