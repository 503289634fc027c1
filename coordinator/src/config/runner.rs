//! Where the agent-runner program is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::parse::{self, Allowed};

const PROGRAM: &str = "agent-runner";

/// A path that was given must be that of a program.
pub(super) fn given(text: &str, home: Option<&Path>) -> Result<PathBuf, Allowed> {
    let path = parse::path(text, home)?;
    is_program(&path)
        .then_some(path)
        .ok_or_else(|| "the path of an executable file".to_owned())
}

/// Beside this program, else in `PATH`; where it is in neither, the place where it is expected.
pub(super) fn find(environment: &Environment) -> PathBuf {
    let beside = environment.program_dir().map(|dir| dir.join(PROGRAM));
    if let Some(path) = beside.as_ref().filter(|path| is_program(path)) {
        return path.clone();
    }
    environment
        .get("PATH")
        .into_iter()
        .flat_map(std::env::split_paths)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(PROGRAM))
        .find(|path| is_program(path))
        .or(beside)
        .unwrap_or_else(|| PathBuf::from(PROGRAM))
}

/// Whether there is a file that somebody may execute.
pub(super) fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(dir: &Path) -> PathBuf {
        let path = dir.join(PROGRAM);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_runner_beside_the_coordinator_wins_over_one_in_path() {
        let (beside, in_path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let elsewhere = program(in_path.path());
        let environment = Environment::default()
            .with("PATH", in_path.path())
            .with_executable(beside.path().join("coordinator"));
        assert_eq!(find(&environment), elsewhere);
        let neighbour = program(beside.path());
        assert_eq!(find(&environment), neighbour);
    }

    #[test]
    fn a_runner_that_is_nowhere_is_expected_beside_the_coordinator() {
        let environment = Environment::default().with_executable("/nowhere/coordinator");
        assert_eq!(find(&environment), Path::new("/nowhere/agent-runner"));
    }

    #[test]
    fn a_given_path_must_be_a_program() {
        let dir = tempfile::tempdir().unwrap();
        let path = program(dir.path());
        assert_eq!(given(path.to_str().unwrap(), None).unwrap(), path);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(given(path.to_str().unwrap(), None).is_err());
        assert!(given(dir.path().to_str().unwrap(), None).is_err());
    }
}
