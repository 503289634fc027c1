//! The agent-runner program on this host: where it is, and its environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::parse::{self, Allowed};
use super::read::Reader;
use super::setting::service;

const PROGRAM: &str = "agent-runner";

/// What a run on this host keeps of the environment: nothing that is a secret, and nothing that
/// changes what the runner does.
const KEPT: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];

/// The environment of a run on this host, before its settings.
pub(super) fn environment(environment: &Environment) -> BTreeMap<OsString, OsString> {
    let kept = KEPT.iter().filter_map(|&name| Some((name.into(), environment.get(name)?.into())));
    let mut kept: BTreeMap<OsString, OsString> = kept.collect();
    if let Some(home) = environment.home() {
        kept.entry("HOME".into()).or_insert_with(|| home.into());
    }
    kept
}

/// The program, where it was given or is found.
pub(super) fn read_runner(reader: &mut Reader<'_>, environment: &Environment) -> Option<PathBuf> {
    reader.path(
        &service::RUNNER,
        |text| given(text, environment.home()),
        || Some(find(environment)),
    )
}

/// A path that was given must be that of a program.
fn given(text: &str, home: Option<&Path>) -> Result<PathBuf, Allowed> {
    let path = parse::path(text, home)?;
    is_program(&path).then_some(path).ok_or_else(|| "the path of an executable file".to_owned())
}

/// Beside this program, else in `PATH`; where it is in neither, the place where it is expected.
fn find(environment: &Environment) -> PathBuf {
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
    fn a_run_on_the_host_keeps_no_secret_of_the_environment() {
        let variables = [("PATH", "/bin"), ("GITHUB_TOKEN", "x"), ("LD_PRELOAD", "y")];
        let kept = environment(&Environment::of(variables));
        let kept: Vec<_> = kept.iter().map(|(k, v)| (k.to_str(), v.to_str())).collect();
        assert_eq!(kept, [(Some("HOME"), Some("/home/op")), (Some("PATH"), Some("/bin"))]);
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
