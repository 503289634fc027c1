//! Who can read what holds secrets.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, geteuid};

use super::finding::Finding;
use crate::config::EnvFile;

/// Where the packaged unit takes its environment from.
pub(crate) const USUAL_ENV_FILE: &str = "/etc/terarchitect/coordinator.env";

/// What the packaged unit does not see (`ProtectHome=yes`).
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

/// Rights of everybody who is neither the owner nor of the group.
const OTHERS: u32 = 0o007;

/// Rights of the group.
const OF_GROUP: u32 = 0o070;

const OTHERS_WRITE: u32 = 0o002;

/// Of such a folder everybody removes what is his own alone.
const STICKY: u32 = 0o1000;

/// Groups that ordinary users are members of.
const EVERYBODY: [&str; 3] = ["users", "nogroup", "nobody"];

/// The files that the settings name, and the state directory.
pub(super) fn judge(secret_files: &BTreeSet<PathBuf>, state_dir: &Path) -> Vec<Finding> {
    let mut findings: Vec<_> =
        secret_files.iter().filter_map(|file| one("secret file", file)).collect();
    let folders: BTreeSet<&Path> = secret_files.iter().filter_map(|file| file.parent()).collect();
    findings.extend(folders.into_iter().filter_map(replaceable));
    findings.extend(one("state directory, mode", state_dir));
    findings
}

/// The file from which the service gets its environment; nothing where the usual one is not there.
pub(crate) fn env_file(given: Option<&Path>) -> Vec<Finding> {
    let what = "environment file";
    let path = given.unwrap_or(Path::new(USUAL_ENV_FILE));
    let mut findings = Vec::from_iter(one(what, path));
    if findings.is_empty() && given.is_some() {
        let found = format!("{} is not there", path.display());
        let cure = "name the one that the service has by --env-file";
        findings.push(Finding::failed(what, found, cure));
    }
    // Who cannot read it was told so above.
    if let Ok(EnvFile { ignored, .. }) = EnvFile::read(path)
        && !ignored.is_empty()
    {
        let lines: Vec<_> = ignored.iter().map(ToString::to_string).collect();
        let found = format!("systemd passes over line {} of {}", lines.join(", "), path.display());
        findings.push(Finding::note(what, found, "write NAME=value, without export"));
    }
    findings
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
    let group = Group::from_gid(Gid::from_raw(about.gid())).ok().flatten();
    let group = group.map_or_else(|| about.gid().to_string(), |group| group.name);
    if mode & OF_GROUP != 0 && EVERYBODY.contains(&group.as_str()) {
        let found = format!(
            "the group {group}, which users are in, has access to {shown} (mode {mode:04o})"
        );
        return Some(Finding::note(
            what,
            found,
            format!("chgrp root {shown}, or chmod g-rwx {shown}"),
        ));
    }
    let whose = match User::from_uid(Uid::from_raw(owner)).ok().flatten() {
        Some(user) => user.name,
        None => owner.to_string(),
    };
    let and_group =
        if mode & OF_GROUP == 0 { String::new() } else { format!(" and the group {group}") };
    let found = format!("{shown} is closed to all but {whose}{and_group} (mode {mode:04o})");
    Some(Finding::ok(what, found))
}

/// A folder in which every user can put another file in the place of a secret one.
fn replaceable(folder: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(folder).ok()?.permissions().mode() & 0o7777;
    if mode & OTHERS_WRITE == 0 || mode & STICKY != 0 {
        return None;
    }
    let shown = folder.display();
    let found =
        format!("every user of this machine can replace what is in {shown} (mode {mode:04o})");
    Some(Finding::note("secret file", found, format!("chmod o-w {shown}")))
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
            let findings = env_file(Some(&file));
            assert_eq!(findings[0].state, state, "{mode:o}: {findings:?}");
        }
        let cure = env_file(Some(&file))[0].cure.clone().unwrap();
        assert_eq!(cure, format!("chmod o-rwx {}", file.display()));
    }

    #[test]
    fn lines_that_systemd_passes_over_are_noted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("coordinator.env");
        fs::write(&file, "A=1\nexport B=2\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let findings = env_file(Some(&file));
        assert_eq!((findings.len(), findings[1].state), (2, State::Note));
        assert!(findings[1].found.contains("line 2"), "{findings:?}");
    }

    #[test]
    fn a_folder_that_everybody_can_write_to_makes_its_secrets_replaceable() {
        let dir = tempfile::tempdir().unwrap();
        let noted = |mode| {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            replaceable(dir.path()).is_some()
        };
        assert!(noted(0o777) && !noted(0o1777) && !noted(0o755));
    }

    #[test]
    fn a_group_that_users_are_in_is_no_closed_one() {
        let Some(users) = Group::from_name("users").unwrap().filter(|_| geteuid().is_root()) else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::chown(&file, None, Some(users.gid.as_raw())).unwrap();
        for (mode, state) in [(0o640, State::Note), (0o600, State::Ok)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            assert_eq!(one("secret file", &file).unwrap().state, state, "{mode:o}");
        }
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
        assert_eq!(env_file(Some(Path::new("/nonexistent")))[0].state, State::Failed);
    }
}
