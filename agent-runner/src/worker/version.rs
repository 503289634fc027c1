//! The version of a coding CLI, as it says itself.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::adapter::Environment;
use crate::user::WorkerUser;

/// How long a CLI may take to say it: some are programs of Node or Python.
const LIMIT: Duration = Duration::from_secs(10);

/// How it is asked for: in the worker's home, and as no part of a turn, so that it may be asked while one
/// goes on.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) program: PathBuf,
    pub(super) environment: Environment,
    pub(super) home: PathBuf,
    pub(super) user: Option<WorkerUser>,
}

impl Question {
    /// Asks; nothing if it does not say in time.
    pub(super) async fn ask(self) -> Option<String> {
        let mut command = match &self.user {
            Some(user) => user.probe_command(&self.program).ok()?,
            None => Command::new(&self.program),
        };
        let environment = self.environment.into_iter().filter(|(name, _)| !is_secret(name));
        command
            .arg("--version")
            .env_clear()
            .envs(environment)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output()).await.ok()?.ok()?;
        version_in(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Keys are of no use to it.
fn is_secret(name: &OsString) -> bool {
    name.to_string_lossy().ends_with("KEY")
}

/// The first version number in a text.
pub(crate) fn version_in(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    let words =
        text.split(|c: char| !is_part(c)).map(|word| word.trim_matches(['.', '-', '+', '_']));
    let is_version = |word: &&str| {
        let digits = word.strip_prefix('v').unwrap_or(word);
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.contains('.')
    };
    words.filter(|word| word.len() <= 40).find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        for (said, version) in [
            ("1.18.33\n", Some("1.18.33")),
            ("2.1.329 (Claude Code)\n", Some("2.1.329")),
            ("codex-cli 0.169.0\n", Some("0.169.0")),
            ("aider 0.86.2\n", Some("0.86.2")),
            ("git version 2.39.5\n", Some("2.39.5")),
            ("Docker version 20.10.24+dfsg1, build 297e128\n", Some("20.10.24+dfsg1")),
            ("warning: something\n1.0.0-beta.2\n", Some("1.0.0-beta.2")),
            ("usage: cli [options]\n", None),
            ("", None),
        ] {
            assert_eq!(version_in(said).as_deref(), version, "{said}");
        }
    }
}
