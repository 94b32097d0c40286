//! Looks at who may use the API.

use std::time::{SystemTime, UNIX_EPOCH};

use gaia_ingress::keys::{Instant, NamedKey, read_keys};

use super::{Finding, is_private};
use crate::config::Config;
use crate::home::Home;

const CHECK: &str = "api keys";

/// The keys of the configuration and the named ones.
pub fn examine(home: &Home, config: &Config) -> Finding {
    let path = home.api_keys();
    let named = match read_keys(&path) {
        Ok(named) => named,
        Err(error) => {
            let found = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            return Finding::fail(CHECK, found, "correct it, or put a copy back");
        }
    };
    if named.is_some() && !is_private(&path) {
        let mend = format!("chmod 600 {}", path.display());
        return Finding::warn(CHECK, "their file is readable by others", mend);
    }
    let plain = config.api_keys.len();
    match (named, plain) {
        (None, 0) => Finding::ok(CHECK, "none: whoever is on this machine may use the node"),
        (named, 1..) => {
            let found = format!(
                "{plain} in the configuration, which open everything without limit or end{}",
                named.map_or_else(String::new, |keys| format!("; {}", count(&keys)))
            );
            let mend = "give each client its own (`gaia key api create NAME`), then `gaia config set api_keys \"\"`";
            Finding::warn(CHECK, found, mend)
        }
        (Some(keys), 0) => Finding::ok(CHECK, count(&keys)),
    }
}

fn count(keys: &[NamedKey]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = Instant::from_unix_seconds(now.unwrap_or_default().as_secs());
    match keys.iter().filter(|key| key.is_expired(now)).count() {
        0 => format!("{} named", keys.len()),
        over => format!("{} named, {over} of them over", keys.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Secret, Value as _};
    use crate::doctor::Verdict;
    use crate::home::write_private;

    #[test]
    fn keys_that_open_everything_are_advised_against() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path()).unwrap();
        let mut config = Config::default();
        let check = |config: &Config, verdict, said: &str| {
            let finding = examine(&home, config);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.found.contains(said), "{finding:?}");
        };
        check(&config, Verdict::Ok, "none");
        config.api_keys = Secret::from_text("0123456789abcdef").into_iter().collect();
        check(&config, Verdict::Warn, "1 in the configuration");
        config.api_keys.clear();
        write_private(&home.api_keys(), b"").unwrap();
        check(&config, Verdict::Ok, "0 named");
        write_private(&home.api_keys(), b"nonsense").unwrap();
        check(&config, Verdict::Fail, "cannot be used");
        fs::write(home.api_keys(), "").unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(home.api_keys(), open).unwrap();
        check(&config, Verdict::Warn, "readable by others");
    }
}
