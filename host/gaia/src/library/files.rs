//! `/v1/files`.

use gaia_openai::ApiError;
use gaia_openai::files::{FileObject, Upload};
use gaia_openai::responses::Deleted;
use gaia_records::{Id, Owner};

use super::{Given, Library, Question, broken, json, new_id, not_put, page, unix_seconds};

impl Library {
    pub(super) fn take_file(&self, asked: &Question<'_>) -> Result<Given, ApiError> {
        let upload = Upload::parse(asked.content_type, asked.body)?;
        let id = new_id("file")?;
        let file = FileObject::new(id.as_str().to_owned(), &upload, unix_seconds());
        let note = serde_json::to_vec(&file).map_err(|error| broken(&error))?;
        let kept = self.bytes.put(asked.owner, &id, upload.bytes);
        kept.map_err(|error| not_put(error, "file"))?;
        if let Err(error) = self.notes.put(asked.owner, &id, &note) {
            // A file that nobody can ask for would only take room.
            let _reported_below = self.bytes.delete(asked.owner, &id);
            return Err(not_put(error, "file"));
        }
        json(&file)
    }

    pub(super) fn list_files(&self, asked: &Question<'_>) -> Result<Given, ApiError> {
        let page = page(asked.query)?;
        let purpose = asked
            .query
            .split('&')
            .find_map(|pair| pair.strip_prefix("purpose="));
        let mut files = Vec::new();
        for id in self.notes.list(asked.owner, "file_") {
            files.extend(self.file(asked.owner, &id)?);
        }
        files.retain(|file| purpose.is_none_or(|purpose| file.purpose == purpose));
        json(&page.of(files, |file| &file.id))
    }

    pub(super) fn show_file(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let (_, file) = self.named_file(asked.owner, id)?;
        json(&file)
    }

    pub(super) fn file_content(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let (id, _) = self.named_file(asked.owner, id)?;
        let bytes = self.bytes.get(asked.owner, &id);
        let bytes = bytes.map_err(|error| broken(&error))?;
        Ok(Given {
            content_type: "application/octet-stream",
            body: bytes.ok_or_else(|| ApiError::no_such_object("file", id.as_str()))?,
        })
    }

    /// The file goes, and with it what vector stores know of it.
    pub(super) fn delete_file(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let (id, _) = self.named_file(asked.owner, id)?;
        for store in self.stores.list(asked.owner, "vs_") {
            self.forget(asked.owner, &store, id.as_str())?;
        }
        let deleted = self.notes.delete(asked.owner, &id);
        deleted.map_err(|error| broken(&error))?;
        let deleted = self.bytes.delete(asked.owner, &id);
        deleted.map_err(|error| broken(&error))?;
        json(&Deleted::new(id.as_str(), "file"))
    }

    /// A file of this owner, by the name that he says.
    pub(super) fn named_file(&self, owner: &Owner, id: &str) -> Result<(Id, FileObject), ApiError> {
        let nothing = || ApiError::no_such_object("file", id);
        let id = Id::parse(id).ok_or_else(nothing)?;
        let file = self.file(owner, &id)?.ok_or_else(nothing)?;
        Ok((id, file))
    }

    fn file(&self, owner: &Owner, id: &Id) -> Result<Option<FileObject>, ApiError> {
        let note = self.notes.get(owner, id).map_err(|error| broken(&error))?;
        let file = note.map(|note| serde_json::from_slice(&note)).transpose();
        file.map_err(|error| broken(&error))
    }
}
