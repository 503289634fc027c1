//! What is wrong with a configuration: one line each, and all of them at once.
//!
//! Invariant: no message holds the value of a secret.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::secret_command::CommandError;
use super::source::Origin;

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// A value that cannot be used.
    #[error("{name} = {value:?} ({origin}): must be {allowed}")]
    Value {
        /// The setting.
        name: &'static str,
        /// The value, cut and without credentials.
        value: String,
        /// Where it came from.
        origin: Origin,
        /// What is allowed, as the end of "must be …".
        allowed: String,
    },
    /// A secret that cannot be used.
    #[error("{name} ({origin}): must be {allowed}")]
    SecretValue {
        /// The setting.
        name: &'static str,
        /// Where it came from.
        origin: Origin,
        /// What is allowed, as the end of "must be …".
        allowed: String,
    },
    /// Settings that cannot hold together.
    #[error("{names}: {why}")]
    Contradiction {
        /// The settings.
        names: &'static str,
        /// Why, and what to do.
        why: String,
    },
    /// A setting that must be given.
    #[error("{name} is not set: give {ways} ({doc})")]
    Missing {
        /// The setting.
        name: &'static str,
        /// How it can be given.
        ways: String,
        /// What it is for.
        doc: &'static str,
    },
    /// An environment variable of bytes that are not text.
    #[error("{name} (environment variable {variable}): must be valid UTF-8")]
    NotText {
        /// The setting.
        name: &'static str,
        /// The variable.
        variable: String,
    },
    /// A secret and the file of the same secret, side by side.
    #[error("{name} is given twice, by {first} and by {second}: keep one of them")]
    Twice {
        /// The setting.
        name: &'static str,
        /// One place.
        first: Origin,
        /// The other.
        second: Origin,
    },
    /// The file of a secret cannot be read.
    #[error("{name} ({origin}): cannot read {}", .path.display())]
    SecretFile {
        /// The setting.
        name: &'static str,
        /// Where the path came from.
        origin: Origin,
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The command that is asked for secrets did not do its part.
    #[error("{name} (SECRET_COMMAND, {command})")]
    SecretCommand {
        /// The setting.
        name: &'static str,
        /// The program.
        command: String,
        /// Why.
        source: CommandError,
    },
    /// The configuration file cannot be read.
    #[error("configuration file {}: cannot be read", .path.display())]
    ConfigFile {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file is not TOML.
    #[error("configuration file {}, line {line}: {message}", .path.display())]
    Toml {
        /// The path.
        path: PathBuf,
        /// Line of the mistake, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A table or key in the configuration file that means nothing.
    #[error("configuration file {}: unknown {what} {hint}", .path.display())]
    Unknown {
        /// The path.
        path: PathBuf,
        /// The table or the key.
        what: String,
        /// The nearest name, or all that are allowed.
        hint: String,
    },
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub(crate) struct ConfigErrors(pub(super) Vec<Problem>);

impl ConfigErrors {
    /// One line for each problem, with its causes.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|problem| {
            let mut line = problem.to_string();
            let mut cause = problem.source();
            while let Some(error) = cause {
                line.push_str(": ");
                line.push_str(&error.to_string());
                cause = error.source();
            }
            line
        })
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has an error:")?,
            n => write!(f, "the configuration has {n} errors:")?,
        }
        self.lines().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl Error for ConfigErrors {}
