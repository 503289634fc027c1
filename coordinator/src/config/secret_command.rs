//! The command that is asked for secrets: its own words, and after them the name of the secret. What
//! it writes to standard output is the secret.
//!
//! It runs without a shell, with an environment of [`KEPT`] alone, and never longer than a limit. Each
//! secret is asked for once in a reading of the configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use api_client::{Redactor, Secret};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::environment::Environment;

/// What the command finds in its environment.
const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];

/// How long it may take for one secret.
const LIMIT: Duration = Duration::from_secs(10);

/// Between two looks at whether it has ended, once its output has.
const LOOK: Duration = Duration::from_millis(5);

/// Most that is read of its output, in bytes.
const OUTPUT_MAX: u64 = 16 << 10;

/// Longest part of its messages that an error shows, in characters.
const SHOWN_MAX_CHARS: usize = 400;

/// Why a secret was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// It could not be started or waited for.
    #[error("cannot be run")]
    Run(#[from] io::Error),
    /// It took too long.
    #[error("did not end within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It said that something is wrong.
    #[error("ended with {status}: {said}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// Its messages, cut and without secrets.
        said: String,
    },
    /// What it wrote is no secret.
    #[error("wrote what is no text in UTF-8 of at most {OUTPUT_MAX} bytes")]
    NotText,
}

/// The command, and what it has told.
pub(super) struct SecretCommand<'a> {
    program: String,
    arguments: Vec<String>,
    environment: &'a Environment,
    limit: Duration,
    told: RefCell<BTreeMap<&'static str, Option<Secret>>>,
}

/// How the command ended, and what it wrote.
struct Ended {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl<'a> SecretCommand<'a> {
    /// The command of these words, if there are any.
    pub(super) fn new(words: &str, environment: &'a Environment) -> Option<Self> {
        let mut words = words.split_whitespace().map(str::to_owned);
        let program = words.next()?;
        let (arguments, told) = (words.collect(), RefCell::default());
        Some(Self { program, arguments, environment, limit: LIMIT, told })
    }

    /// Its first word.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// The secret of this name; none where the command knows none.
    pub(super) fn ask(&self, name: &'static str) -> Result<Option<Secret>, CommandError> {
        if let Some(told) = self.told.borrow().get(name) {
            return Ok(told.clone());
        }
        let Ended { status, stdout, stderr } = self.run(name)?;
        let whole = u64::try_from(stdout.len()).unwrap_or(u64::MAX) <= OUTPUT_MAX;
        let text = String::from_utf8(stdout).ok().filter(|_| whole);
        let text = text.map(|text| Secret::from(text.trim()));
        if !status.success() {
            let said = self.without_secrets(&stderr, text.as_ref());
            return Err(CommandError::Failed { status, said });
        }
        let secret = text.ok_or(CommandError::NotText)?;
        let secret = Some(secret).filter(|secret| !secret.is_blank());
        self.told.borrow_mut().insert(name, secret.clone());
        Ok(secret)
    }

    fn run(&self, name: &str) -> Result<Ended, CommandError> {
        let give_up = Instant::now() + self.limit;
        let kept = KEPT.into_iter().filter_map(|name| Some((name, self.environment.get(name)?)));
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(name)
            .env_clear()
            .envs(kept)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let stdout = read(child.stdout.take());
        let stderr = read(child.stderr.take());
        let ended = wait(&mut child, &stdout, &stderr, give_up);
        if ended.is_none() {
            // With its group ends what it started; what is gone already needs no signal.
            let _gone = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            child.wait()?;
        }
        ended.unwrap_or(Err(CommandError::TimedOut(self.limit)))
    }

    /// Its messages as one short line.
    fn without_secrets(&self, stderr: &[u8], just_told: Option<&Secret>) -> String {
        let told = self.told.borrow();
        let redactor = Redactor::new(told.values().flatten().chain(just_told));
        let text = String::from_utf8_lossy(stderr);
        let words = redactor.redact(&text).split_whitespace().collect::<Vec<_>>().join(" ");
        words.chars().take(SHOWN_MAX_CHARS).collect()
    }
}

type Reading = mpsc::Receiver<io::Result<Vec<u8>>>;

/// Reads to the end, at most one byte more than is allowed, in a thread that ends with the pipe.
fn read(pipe: Option<impl Read + Send + 'static>) -> Reading {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |pipe| pipe.take(OUTPUT_MAX + 1).read_to_end(&mut bytes));
        // Nobody listens any more after the time is up.
        let _given_up = sender.send(read.map(|_length| bytes));
    });
    receiver
}

/// How it ended; nothing when the time was up before.
fn wait(
    child: &mut Child,
    stdout: &Reading,
    stderr: &Reading,
    give_up: Instant,
) -> Option<Result<Ended, CommandError>> {
    let left = || give_up.saturating_duration_since(Instant::now());
    let stdout = stdout.recv_timeout(left()).ok()?;
    let stderr = stderr.recv_timeout(left()).ok()?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if left().is_zero() => return None,
            Ok(None) => thread::sleep(LOOK),
            Err(error) => return Some(Err(error.into())),
        }
    };
    let ended = || Ok(Ended { status, stdout: stdout?, stderr: stderr? });
    Some(ended())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::executable::executable;

    fn script(folder: &Path, text: &str) -> String {
        let path = folder.join("command");
        executable(&path, &format!("#!/bin/sh\n{text}\n"));
        path.display().to_string()
    }

    fn ask(text: &str) -> Result<Option<Secret>, CommandError> {
        let folder = tempfile::tempdir().unwrap();
        let path = ("PATH", "/usr/bin:/bin");
        let environment = Environment::of([path, ("GITHUB_TOKEN", "of-the-coordinator")]);
        let words = format!("{} first", script(folder.path(), text));
        let mut command = SecretCommand::new(&words, &environment).unwrap();
        command.limit = Duration::from_secs(2);
        command.ask("GH_TOKEN")
    }

    #[test]
    fn the_name_comes_last_and_the_output_is_the_secret() {
        let secret = ask("echo \" $1/$2 \"; env >&2").unwrap().unwrap();
        assert_eq!(secret.expose(), "first/GH_TOKEN");
        assert_eq!(ask("exit 0").unwrap(), None);
    }

    #[test]
    fn nothing_of_the_environment_is_handed_on_but_what_programs_need() {
        let names = ask("env | sed 's/=.*//' | sort | tr '\\n' ' '").unwrap().unwrap();
        assert_eq!(names.expose(), "PATH PWD");
    }

    #[test]
    fn a_failure_shows_the_messages_without_what_was_written() {
        let error = ask("echo the-secret; echo no the-secret >&2; exit 3").unwrap_err();
        assert_eq!(error.to_string(), "ended with exit status: 3: no [redacted]");
    }

    #[test]
    fn one_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        let text = format!("sleep 1000 & echo $! > {}; wait", note.display());
        let error = ask(&text).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut(_)), "{error}");
        let pid = std::fs::read_to_string(&note).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        // It was killed, and may take its time to die.
        let until = Instant::now() + Duration::from_secs(10);
        while !is_gone() {
            assert!(Instant::now() < until, "it runs on");
            thread::yield_now();
        }
    }

    #[test]
    fn a_flood_is_no_secret() {
        let error = ask("head -c 70000 /dev/zero").unwrap_err();
        assert!(matches!(error, CommandError::NotText | CommandError::Failed { .. }), "{error}");
    }

    #[test]
    fn each_secret_is_asked_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let words = script(folder.path(), &format!("echo x >> {0}; wc -l < {0}", count.display()));
        let environment = Environment::of([("PATH", "/usr/bin:/bin")]);
        let command = SecretCommand::new(&words, &environment).unwrap();
        let told = |name| command.ask(name).unwrap().unwrap().expose().to_owned();
        assert_eq!([told("A"), told("A"), told("B")], ["1", "1", "2"]);
    }
}
