//! One gateway in a folder: its lock, its operator's token, and what it says of itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gaia_domain::Gateway;

use crate::end::End;

/// The shortest and the longest token of an operator's, in bytes.
const TOKEN_LEN_MIN: usize = 32;
const TOKEN_LEN_MAX: usize = 256;

/// Something else lies there.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{path}` holds no token of {TOKEN_LEN_MIN} to {TOKEN_LEN_MAX} visible characters: remove it, and the gateway makes a new one",
    path = .0.display()
)]
struct TokenUnfit(PathBuf);

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

/// The token for the operator's commands and for who reads the metrics: made at the first start, kept in the file at
/// `path`. Another one is there to be had by removing the file.
pub fn token(path: &Path) -> Result<String, End> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let kept = text.trim();
            let is_long = kept.len() >= TOKEN_LEN_MIN && kept.len() <= TOKEN_LEN_MAX;
            return match is_long && kept.bytes().all(|byte| byte.is_ascii_graphic()) {
                true => Ok(kept.to_owned()),
                false => Err(End::config(&TokenUnfit(path.to_owned()))),
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(End::failure(&error)),
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| End::failure(&error))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write(path, &token).map_err(|error| End::failure(&error))?;
    Ok(token)
}

/// Says that the gateway answers.
pub fn tell(path: &Path, gateway: &Gateway) -> io::Result<()> {
    write(path, &serde_json::to_string(gateway)?)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let _old = std::fs::remove_file(&new);
    let mut file = private(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_kept_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator-token");
        let first = token(&path).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(token(&path).unwrap(), first);
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        assert_ne!(token(&path).unwrap(), first);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator-token");
        let check = |text: String, is_good: bool| {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(token(&path).is_ok(), is_good, "{text}");
        };
        check(format!("{}\n", "a".repeat(TOKEN_LEN_MIN)), true);
        check("a".repeat(TOKEN_LEN_MIN - 1), false);
        check("a".repeat(TOKEN_LEN_MAX), true);
        check("a".repeat(TOKEN_LEN_MAX + 1), false);
        check("ü".repeat(TOKEN_LEN_MIN), false);
        check(String::new(), false);
    }
}
