//! Where the coordinator keeps its records, and which of these folders a command is asked about.

use std::fs;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::parse;
use super::read::Reader;
use super::setting::service;

/// The state directory of the packaged unit.
const PACKAGED_STATE_DIR: &str = "/var/lib/terarchitect";

/// The directory of this coordinator.
pub(super) fn read_state_dir(
    reader: &mut Reader<'_>,
    environment: &Environment,
) -> Option<PathBuf> {
    reader.path(
        &service::STATE_DIR,
        |text| parse::path(text, environment.home()),
        || usual_state_dir(environment),
    )
}

/// The one that a command beside the service is asked about.
pub(super) fn read_asked_about(
    reader: &mut Reader<'_>,
    environment: &Environment,
) -> Option<PathBuf> {
    let named = read_state_dir(reader, environment)?;
    Some(asked_about(named, usual_state_dir(environment).as_deref(), Path::new(PACKAGED_STATE_DIR)))
}

/// systemd may name several directories; the first is the unit's own.
fn usual_state_dir(environment: &Environment) -> Option<PathBuf> {
    let given = environment
        .get("STATE_DIRECTORY")
        .and_then(|dirs| std::env::split_paths(dirs).next())
        .filter(|dir| dir.is_absolute());
    given.or_else(|| Some(environment.home()?.join(".terarchitect/coordinator")))
}

/// The directory of the packaged coordinator, for a command that names none, where its user has none that
/// was worked in: so `sudo coordinator status` finds the one that is meant.
fn asked_about(named: PathBuf, usual: Option<&Path>, packaged: &Path) -> PathBuf {
    let nothing_said = usual == Some(named.as_path());
    if nothing_said && packaged.exists() && !worked_in(&named) {
        packaged.to_owned()
    } else {
        named
    }
}

/// Whether a coordinator runs there, or jobs have. The original's file of images, and what a `check` makes, are
/// no sign of it.
fn worked_in(state_dir: &Path) -> bool {
    let has_files = |folder: &str| {
        let entries = fs::read_dir(state_dir.join(folder)).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
    };
    state_dir.join("control.sock").exists() || has_files("jobs") || has_files("logs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_names_no_state_directory_finds_the_packages_where_its_user_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let (packaged, own) = (folder.path().join("packaged"), folder.path().join("own"));
        let asked = |named: &PathBuf| asked_about(named.clone(), Some(&own), &packaged);
        assert_eq!(asked(&own), own);
        fs::create_dir(&packaged).unwrap();
        assert_eq!(asked(&own), packaged);
        assert_eq!(asked(&"/elsewhere".into()), Path::new("/elsewhere"));
        fs::create_dir_all(own.join("jobs")).unwrap();
        fs::write(own.join("coordinator-id"), "of a check").unwrap();
        fs::write(own.join("jobs/.probe"), "{}").unwrap();
        assert_eq!(asked(&own), packaged);
        fs::write(own.join("jobs/1.json"), "{}").unwrap();
        assert_eq!(asked(&own), own);
    }
}
