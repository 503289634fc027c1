//! What tells one CLI from another, and what their files share.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use nix::libc;
use serde_json::Value;
use url::Url;

use super::LOGGED_MAX;
use super::ending::Ending;
use super::event::Event;
use crate::bounded::bounded;

/// Names and values for a process.
pub(super) type Environment = Vec<(OsString, OsString)>;

/// What tells one CLI from another.
///
/// What the CLI writes to standard output is read by lines. The prompt goes to standard input, or into
/// a file, never into an argument.
pub(super) trait Adapter: Send + Sync {
    /// The name of its program.
    fn program(&self) -> &'static str;
    /// What is run, where that is another file than the program.
    ///
    /// # Errors
    /// When it is not there.
    fn executable(&self, _environment: &Environment) -> io::Result<OsString> {
        Ok(self.program().into())
    }
    /// Files to write below the home before the first turn, with their text.
    fn files(&self) -> Vec<(PathBuf, String)> {
        Vec::new()
    }
    /// Names in the root of the work tree from which it would load programs or settings, and cannot be told
    /// not to.
    fn hidden(&self) -> &'static [&'static str] {
        &[]
    }
    /// Files and folders below the home that a session needs to be gone on with; none where it keeps none.
    fn session_files(&self) -> &'static [&'static str] {
        &[]
    }
    /// How it takes its prompt.
    fn prompt_by(&self) -> PromptBy {
        PromptBy::StandardInput
    }
    /// The arguments of a turn. No secret, no prompt.
    fn arguments(&self, turn: &Turn<'_>) -> Vec<OsString>;
    /// Its own variables, its own key among them.
    fn environment(&self, home: &Path) -> Environment;
    /// A reader of the output of one turn.
    fn reader(&self) -> Box<dyn Reader>;
}

/// A turn, as far as its arguments depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'t> {
    /// The session that it continues.
    pub(super) session: Option<&'t str>,
    /// The worker's home.
    pub(super) home: &'t Path,
    /// Where the prompt is, for a CLI that wants it in a file.
    pub(super) prompt_file: Option<&'t Path>,
}

/// How a CLI takes its prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PromptBy {
    /// By its standard input, which is closed after it.
    StandardInput,
    /// By a file; its standard input is empty.
    File,
}

/// Understands the output of one turn.
pub(super) trait Reader: Send {
    /// The events of one line. A line that is not understood is an event too, never an error.
    fn line(&mut self, line: &str) -> Vec<Event>;
    /// How the turn ended, now that the process is gone without having been stopped by us (except
    /// for outliving its own end).
    fn judge(&self, exit: &Exit<'_>) -> Ending;
}

/// How a process ended, for its judge.
#[derive(Debug)]
pub(super) struct Exit<'x> {
    /// Nothing when it had to be ended after it said that the turn is over.
    pub(super) status: Option<ExitStatus>,
    pub(super) stderr: &'x str,
}

impl Exit<'_> {
    pub(super) fn success(&self) -> bool {
        self.status.is_none_or(|status| status.success())
    }

    /// The exit code, where there is one.
    pub(super) fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }

    /// The last words on standard error.
    pub(super) fn last_words(&self) -> Option<&str> {
        self.stderr.lines().rev().map(str::trim).find(|line| !line.is_empty())
    }

    /// The ending of a process that did not say in its events how the turn ended.
    pub(super) fn failure(&self) -> Ending {
        if let Some(signal) = self.status.and_then(|status| status.signal()) {
            let how = format!("ended by signal {signal}");
            return if is_fault(signal) { Ending::Crashed(how) } else { Ending::Killed(how) };
        }
        Ending::Crashed(match (self.code(), self.last_words()) {
            (Some(code), Some(last)) => format!("exit code {code}: {last}"),
            (Some(code), None) => format!("exit code {code}"),
            (None, last) => last.unwrap_or("no exit code").to_owned(),
        })
    }
}

/// Whether a process gets this signal for what it did itself.
fn is_fault(signal: i32) -> bool {
    use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP].contains(&signal)
}

/// A text field; empty when it is absent or something else.
pub(super) fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// What a tool was used on, from its input, for people.
pub(super) fn tool_target(input: &Value) -> String {
    const NAMES: [&str; 8] =
        ["filePath", "file_path", "path", "command", "pattern", "url", "query", "description"];
    let target = NAMES.iter().find_map(|name| input[*name].as_str());
    bounded(target.unwrap_or_default(), LOGGED_MAX)
}

/// A base URL with `/v1` at its end, unless it ends with a version already.
pub(super) fn with_version(url: &Url) -> String {
    let path = url.path().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    match is_version(last) {
        true => in_place_of_path(url, path),
        false => in_place_of_path(url, &format!("{path}/v1")),
    }
}

/// A base URL without a version at its end, for a CLI that adds its own.
pub(super) fn without_version(url: &Url) -> String {
    let path = url.path().trim_end_matches('/');
    match path.rsplit_once('/') {
        Some((before, last)) if is_version(last) => in_place_of_path(url, before),
        _ => in_place_of_path(url, path),
    }
}

/// `v1`, `v1beta`, `v4`.
fn is_version(segment: &str) -> bool {
    let number = segment.strip_prefix('v').unwrap_or_default();
    number.starts_with(|first: char| first.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The URL with another path, and without a slash at its end.
fn in_place_of_path(url: &Url, path: &str) -> String {
    let mut url = url.clone();
    url.set_path(path);
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_gets_a_version_unless_it_has_one() {
        let normal = |url: &str| with_version(&url.parse().unwrap());
        assert_eq!(normal("http://h:8080"), "http://h:8080/v1");
        assert_eq!(normal("http://h/proxy/"), "http://h/proxy/v1");
        assert_eq!(normal("https://h/api/v4"), "https://h/api/v4");
        assert_eq!(normal("https://h/v1/"), "https://h/v1");
        assert_eq!(normal("https://h/vendor"), "https://h/vendor/v1");
    }

    #[test]
    fn the_base_url_loses_its_version() {
        let normal = |url: &str| without_version(&url.parse().unwrap());
        assert_eq!(normal("http://h:8080/v1/"), "http://h:8080");
        assert_eq!(normal("https://h/proxy/v1"), "https://h/proxy");
        assert_eq!(normal("https://h/proxy/"), "https://h/proxy");
        assert_eq!(normal("https://h/v1beta"), "https://h");
    }

    #[test]
    fn a_signal_is_the_fault_of_the_process_or_of_somebody_else() {
        let ending = |signal| {
            let status = Some(ExitStatus::from_raw(signal));
            Exit { status, stderr: "" }.failure().name()
        };
        assert_eq!(ending(libc::SIGSEGV), "crashed");
        assert_eq!(ending(libc::SIGABRT), "crashed");
        assert_eq!(ending(libc::SIGKILL), "killed");
        assert_eq!(ending(libc::SIGTERM), "killed");
    }
}
