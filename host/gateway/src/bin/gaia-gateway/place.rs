//! One gateway in a folder: its lock, and what it says of itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use gaia_domain::Gateway;

use crate::end::End;

/// Takes the lock at `path`; the kernel gives it back with the process.
pub fn take(path: &Path) -> Result<File, End> {
    let mut file = private(path).map_err(|error| End::failure(&error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let words = format!("a gateway is running in `{}` already", path.display());
            return Err(End::running(words));
        }
        Err(TryLockError::Error(error)) => return Err(End::failure(&error)),
    }
    let write = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        write!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(|error| End::failure(&error))?;
    Ok(file)
}

/// Says that the gateway answers.
pub fn tell(path: &Path, gateway: &Gateway) -> io::Result<()> {
    let new = path.with_extension("new");
    let _old = std::fs::remove_file(&new);
    let mut file = private(&new)?;
    file.write_all(serde_json::to_string(gateway)?.as_bytes())?;
    std::fs::rename(new, path)
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}
