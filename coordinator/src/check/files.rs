//! Who can read what holds secrets.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::finding::Finding;

/// Where the packaged unit takes its environment from.
pub(crate) const USUAL_ENV_FILE: &str = "/etc/terarchitect/coordinator.env";

/// What the packaged unit does not see (`ProtectHome=yes`).
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

/// Rights of everybody who is neither the owner nor of the group.
const OTHERS: u32 = 0o007;

/// The files that the settings name, and the state directory.
pub(super) fn judge(secret_files: &BTreeSet<PathBuf>, state_dir: &Path) -> Vec<Finding> {
    let mut findings: Vec<_> =
        secret_files.iter().filter_map(|file| one("secret file", file)).collect();
    findings.extend(one("state directory, mode", state_dir));
    findings
}

/// The file from which the service gets its environment; nothing where the usual one is not there.
pub(crate) fn env_file(given: Option<&Path>) -> Option<Finding> {
    let what = "environment file";
    match given {
        None => one(what, Path::new(USUAL_ENV_FILE)),
        Some(file) => one(what, file).or_else(|| {
            let found = format!("{} is not there", file.display());
            Some(Finding::failed(what, found, "name the one that the service has by --env-file"))
        }),
    }
}

/// What the settings name and the packaged unit does not see, though whoever checks here may.
pub(super) fn hidden_from_unit(
    secret_files: &BTreeSet<PathBuf>,
    engine: Option<&str>,
) -> Option<Finding> {
    let socket = engine.and_then(|host| host.strip_prefix("unix://")).map(Path::new);
    let named = secret_files.iter().map(PathBuf::as_path).chain(socket);
    let hidden: Vec<_> = named
        .filter(|path| HIDDEN.iter().any(|folder| path.starts_with(folder)))
        .map(|path| path.display().to_string())
        .collect();
    if hidden.is_empty() {
        return None;
    }
    let found = format!("ProtectHome=yes hides from it: {}", hidden.join(", "));
    let cure = "under the packaged unit, move files to /etc/terarchitect, or bind the path into the unit \
                (docs/install.md, the sandbox)";
    Some(Finding::note("packaged unit", found, cure))
}

fn one(what: &str, path: &Path) -> Option<Finding> {
    let shown = path.display();
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            let found = format!("whether others can read {shown} is not known: {error}");
            return Some(Finding::note(what, found, "run the check as root, or as its owner"));
        }
    };
    let mode = about.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        let found = format!("every user of this machine has access to {shown} (mode {mode:04o})");
        return Some(Finding::note(what, found, format!("chmod o-rwx {shown}")));
    }
    let owner = about.uid();
    if owner != 0 && owner != geteuid().as_raw() && !geteuid().is_root() {
        let found = format!("{shown} belongs to user {owner}, who can change it");
        return Some(Finding::note(what, found, format!("chown root {shown}")));
    }
    Some(Finding::ok(what, format!("{shown} is closed to others (mode {mode:04o})")))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_noted_with_the_command_that_closes_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("coordinator.env");
        fs::write(&file, "GITHUB_TOKEN=x").unwrap();
        for (mode, state) in [(0o600, State::Ok), (0o640, State::Ok), (0o644, State::Note)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let finding = env_file(Some(&file)).unwrap();
            assert_eq!(finding.state, state, "{mode:o}: {finding:?}");
        }
        let cure = env_file(Some(&file)).and_then(|finding| finding.cure).unwrap();
        assert_eq!(cure, format!("chmod o-rwx {}", file.display()));
    }

    #[test]
    fn what_the_packaged_unit_does_not_see_is_noted() {
        let none = BTreeSet::from(["/etc/terarchitect/token".into(), "/homes/token".into()]);
        assert_eq!(hidden_from_unit(&none, Some("unix:///run/docker.sock")), None);
        let some = BTreeSet::from(["/root/token".into()]);
        let socket = "unix:///run/user/1000/docker.sock";
        let found = hidden_from_unit(&some, Some(socket)).unwrap().found;
        assert!(found.contains("/root/token, /run/user/1000/docker.sock"), "{found}");
    }

    #[test]
    fn a_file_that_was_named_and_is_not_there_fails() {
        assert_eq!(env_file(Some(Path::new("/nonexistent"))).unwrap().state, State::Failed);
    }
}
