//! Looks at the certificate.

use super::Finding;
use crate::commands::chain;
use crate::config::Config;
use crate::supervisor::front::tls_files;

const CHECK: &str = "certificate";

/// Whether the node can start with it. `None`: it has none.
pub fn examine(config: &Config) -> Option<Finding> {
    let files = tls_files(config)?;
    Some(match files.check() {
        Ok(()) => Finding::ok(CHECK, files.certificate.display().to_string()),
        Err(error) => Finding::fail(
            CHECK,
            chain(&error),
            "gaia config set tls_cert chain.pem tls_key key.pem",
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_certificate_that_is_none_is_told_before_the_start() {
        let mut config = Config::default();
        assert!(examine(&config).is_none());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.pem");
        fs::write(&path, "junk").unwrap();
        config.tls_cert = path.display().to_string();
        config.tls_key = config.tls_cert.clone();
        let finding = examine(&config).unwrap();
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.found.contains("chain.pem"), "{finding:?}");
    }
}
