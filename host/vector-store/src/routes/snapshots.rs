//! Snapshots over HTTP. Archives stream to and from disk and never lie in memory.

use std::io;
use std::path::{Path as FsPath, PathBuf};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Path, Query, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Reply, Sent, blocking, parse};
use crate::VectorStore;
use crate::error::StoreError;
use crate::snapshot;

type Store = State<VectorStore>;

/// Bytes read from an archive at a time when it is downloaded.
const PIECE_BYTES: usize = 1 << 16;
/// Pieces read ahead of a slow client.
const PIECES_WAITING: usize = 4;

pub(super) fn routes() -> Router<VectorStore> {
    Router::new()
        .route(
            "/collections/{collection}/snapshots",
            get(list).post(create),
        )
        .route("/collections/{collection}/snapshots/recover", put(recover))
        .route(
            "/collections/{collection}/snapshots/upload",
            // The length is counted while the archive is written.
            post(upload).layer(DefaultBodyLimit::disable()),
        )
        .route(
            "/collections/{collection}/snapshots/{snapshot}",
            get(download).delete(remove),
        )
}

async fn list(State(store): Store, Path(name): Path<String>) -> Response {
    let work = move || snapshot::list(store.registry().get(&name)?.as_ref());
    Reply::started().run(work).await
}

async fn create(State(store): Store, Path(name): Path<String>) -> Response {
    let work = move || {
        let collection = store.registry().get(&name)?;
        snapshot::create(&collection, &store.registry().limits().snapshot)
    };
    Reply::started().run(work).await
}

async fn remove(State(store): Store, Path((name, snapshot)): Path<(String, String)>) -> Response {
    let work = move || {
        snapshot::delete(store.registry().get(&name)?.as_ref(), &snapshot)?;
        Ok(true)
    };
    Reply::started().run(work).await
}

async fn download(State(store): Store, Path((name, snapshot)): Path<(String, String)>) -> Response {
    let reply = Reply::started();
    let found =
        blocking(move || snapshot::find(store.registry().get(&name)?.as_ref(), &snapshot)).await;
    match found {
        Ok(path) => send(path)
            .await
            .unwrap_or_else(|error| reply.error(error.into())),
        Err(error) => reply.error(error),
    }
}

async fn send(path: PathBuf) -> io::Result<Response> {
    let mut file = File::open(&path).await?;
    let length = file.metadata().await?.len();
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().replace(['"', '\\'], "_"))
        .unwrap_or_default();
    let headers = [
        (CONTENT_TYPE, "application/tar".to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(PIECES_WAITING);
    tokio::spawn(async move {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            match file.read(&mut piece).await {
                Ok(0) => return,
                Ok(read) => {
                    piece.truncate(read);
                    // The client went away.
                    if sender.send_data(piece.into()).await.is_err() {
                        return;
                    }
                }
                Err(error) => return sender.abort(error),
            }
        }
    });
    Ok((headers, Body::new(body)).into_response())
}

#[derive(Debug, Deserialize)]
struct UploadQuery {
    checksum: Option<String>,
}

/// Takes an archive, as a form's field `snapshot` or as the body itself, and recovers from it.
async fn upload(
    State(store): Store,
    Path(name): Path<String>,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Response {
    let reply = Reply::started();
    let part = snapshot::part_file(store.dir());
    let result = match receive(
        request,
        &part,
        store.registry().limits().snapshot.archive_bytes_max,
    )
    .await
    {
        Ok(()) => {
            let archive = part.clone();
            let work = move || {
                snapshot::recover(store.registry(), &name, &archive, query.checksum.as_deref())?;
                Ok(true)
            };
            blocking(work).await
        }
        Err(error) => Err(error),
    };
    let removed = tokio::fs::remove_file(&part).await;
    match (result, removed) {
        (Ok(result), _) => reply.ok(result),
        (Err(error), _) => reply.error(error),
    }
}

async fn receive(request: Request, part: &FsPath, bytes_max: u64) -> Result<(), StoreError> {
    let mut file = Writer {
        file: File::create(part).await?,
        written: 0,
        bytes_max,
    };
    let form = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("multipart/form-data"));
    let bad = |error: &dyn std::fmt::Display| {
        StoreError::BadInput(format!("the upload broke off: {error}"))
    };
    if form {
        let mut form = Multipart::from_request(request, &())
            .await
            .map_err(|error| bad(&error))?;
        while let Some(mut field) = form.next_field().await.map_err(|error| bad(&error))? {
            if field.name() != Some("snapshot") {
                continue;
            }
            while let Some(piece) = field.chunk().await.map_err(|error| bad(&error))? {
                file.write(&piece).await?;
            }
            return file.finish().await;
        }
        return Err(StoreError::BadInput(
            "the form has no field `snapshot`".to_owned(),
        ));
    }
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(|error| bad(&error))?.into_data() {
            file.write(&piece).await?;
        }
    }
    file.finish().await
}

struct Writer {
    file: File,
    written: u64,
    bytes_max: u64,
}

impl Writer {
    async fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.written += piece.len() as u64;
        if self.written > self.bytes_max {
            return Err(StoreError::TooLarge(format!(
                "an archive may have {} bytes",
                self.bytes_max
            )));
        }
        Ok(self.file.write_all(piece).await?)
    }

    async fn finish(mut self) -> Result<(), StoreError> {
        Ok(self.file.flush().await?)
    }
}

/// Recovers from a snapshot this store holds. The location names one: `file:///…/NAME`, or the
/// name alone. Nothing is fetched from elsewhere and no path is opened.
async fn recover(State(store): Store, Path(name): Path<String>, Sent(body): Sent) -> Response {
    #[derive(Deserialize)]
    struct Recover {
        location: String,
        checksum: Option<String>,
    }
    let work = move || {
        let body: Recover = parse(&body)?;
        if body.location.starts_with("http://") || body.location.starts_with("https://") {
            return Err(StoreError::BadInput(
                "this store fetches nothing: download the snapshot and upload it".to_owned(),
            ));
        }
        let wanted = body.location.rsplit('/').next().unwrap_or_default();
        let path = store
            .registry()
            .all()
            .iter()
            .find_map(|(_, collection)| snapshot::find(collection, wanted).ok())
            .ok_or_else(|| StoreError::NotFound(format!("Snapshot {wanted} not found")))?;
        snapshot::recover(store.registry(), &name, &path, body.checksum.as_deref())?;
        Ok(true)
    };
    Reply::started().run(work).await
}
