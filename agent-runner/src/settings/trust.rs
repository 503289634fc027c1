//! Certificates that a run trusts beside the system's: in one file with those, because most programs take
//! a file in the place of the system's and not beside it.
//!
//! Invariant: nothing that was trusted before is lost, and the file can be written by us alone.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The variables by which programs are told of a file with all certificates: OpenSSL's and Go's, curl's,
/// git's, those of Python and pip, of cargo, and of Node, which adds it to its own.
pub(super) const BUNDLE_NAMES: [&str; 7] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "NODE_EXTRA_CA_CERTS",
];

/// Where systems have theirs.
const OF_SYSTEMS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

const FOLDER: &str = "agent-runner-ca-";
const FILE: &str = "bundle.pem";

/// Writes the certificates of `extra`, of the files that are `given` and of the system into a file that
/// everybody may read, in a folder of its own; the file.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_bundle<'g>(
    extra: &str,
    given: impl Iterator<Item = &'g str>,
) -> io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix(FOLDER).tempdir()?;
    let mut bundle = String::new();
    let system = OF_SYSTEMS.iter().copied().find(|path| Path::new(path).is_file());
    let files: BTreeSet<PathBuf> =
        given.chain(system).filter_map(|path| Path::new(path).canonicalize().ok()).collect();
    for file in files {
        match fs::read(&file) {
            Ok(text) => bundle = format!("{bundle}{}\n", String::from_utf8_lossy(&text)),
            Err(error) => {
                tracing::warn!(%error, "certificates in {} are not trusted", file.display());
            }
        }
    }
    bundle.push_str(extra);
    bundle.push('\n');
    let path = folder.path().join(FILE);
    fs::write(&path, bundle)?;
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(folder.keep().join(FILE))
}

/// Adds certificates to the system's own file, for the programs that look at no variable (apt, wget).
/// Where that cannot be written, it stays as it is.
pub(super) fn add_to_system(extra: &str) {
    for path in OF_SYSTEMS.iter().map(Path::new).filter(|path| path.is_file()) {
        if let Err(error) = append(path, extra) {
            tracing::debug!(%error, "certificates are not added to {}", path.display());
        }
    }
}

fn append(path: &Path, extra: &str) -> io::Result<()> {
    if fs::read_to_string(path)?.contains(extra.trim()) {
        return Ok(());
    }
    OpenOptions::new().append(true).open(path)?.write_all(format!("\n{extra}\n").as_bytes())
}

/// Removes a file of [`write_bundle`] with its folder when this is dropped.
#[derive(Debug)]
pub(crate) struct BundleGuard(PathBuf);

impl BundleGuard {
    pub(super) fn of(bundle: PathBuf) -> Self {
        Self(bundle)
    }
}

impl Drop for BundleGuard {
    fn drop(&mut self) {
        let ours = |folder: &&Path| {
            folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOLDER))
        };
        let Some(folder) = self.0.parent().filter(ours) else { return };
        let removed = fs::remove_file(&self.0).and_then(|()| fs::remove_dir(folder));
        if let Err(error) = removed {
            tracing::debug!(%error, "the file with certificates is left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_trusted_before_is_trusted_still() {
        let before = tempfile::tempdir().unwrap();
        let own = before.path().join("own.pem");
        fs::write(&own, "OWN").unwrap();
        let own = own.to_str().unwrap();
        let bundle = write_bundle("EXTRA", [own, own, "/nowhere"].into_iter()).unwrap();
        let text = fs::read_to_string(&bundle).unwrap();
        assert_eq!((text.matches("OWN").count(), text.matches("EXTRA").count()), (1, 1));
        let folder = bundle.parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o755);
        drop(BundleGuard::of(bundle));
        assert!(!folder.exists());
    }

    #[test]
    fn certificates_are_added_to_a_file_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.pem");
        fs::write(&path, "OWN").unwrap();
        append(&path, "EXTRA\n").unwrap();
        append(&path, "EXTRA\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "OWN\nEXTRA\n\n");
    }
}
