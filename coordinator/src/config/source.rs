//! Where a value comes from, and the walk over the sources: flag, then environment, then file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use api_client::ProjectId;

use super::environment::Environment;
use super::error::Problem;
use super::file::{ConfigFile, of_project};
use super::secret_command::SecretCommand;
use super::setting::{Kind, Setting, table_and_key};

/// The values of the flags that were given, by the names of the flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// The file to read instead of the usual one.
    pub(crate) config: Option<PathBuf>,
    /// For each flag its values: several where it may be repeated.
    pub(crate) values: BTreeMap<&'static str, Vec<String>>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Flag(&'static str),
    /// Environment variables, more than one where they are merged.
    Variables(Vec<String>),
    /// A key of the configuration file.
    File {
        /// The file.
        file: PathBuf,
        /// Table and key.
        path: String,
    },
    /// A credential that systemd loaded.
    Credential(String),
    /// The command that is asked for secrets: its program.
    Command(String),
    /// The program itself.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Variables(names) if names.len() == 1 => {
                write!(f, "environment variable {}", names.concat())
            }
            Self::Variables(names) => write!(f, "environment variables {}", names.join(" and ")),
            Self::File { file, path } => {
                let (table, key) = table_and_key(path);
                write!(f, "{}, [{table}] {key}", file.display())
            }
            Self::Credential(name) => write!(f, "systemd credential {name}"),
            Self::Command(program) => write!(f, "secret command {program}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as it was given; maybe a secret, so it cannot be printed.
pub(super) struct Given {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// All sources of a configuration.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) flags: &'a Flags,
    pub(super) environment: &'a Environment,
    pub(super) file: &'a ConfigFile,
    /// The project whose own table comes before all but the flags.
    pub(super) project: Option<ProjectId>,
    /// Asked for a secret that nothing else gives.
    pub(super) command: Option<&'a SecretCommand<'a>>,
}

impl Sources<'_> {
    /// The value of the first source that gives one.
    pub(super) fn find(&self, setting: &'static Setting) -> Result<Option<Given>, Problem> {
        if let Some(given) = self.in_flags(setting) {
            return Ok(Some(given));
        }
        if let Some(path) = setting.toml
            && let Some(given) = self.of_project(setting, path)?
            && counts(setting, &given.text)
        {
            return Ok(Some(given));
        }
        if let Some(given) = self.in_environment(setting)? {
            return Ok(Some(given));
        }
        let Some(path) = setting.toml else {
            return Ok(None);
        };
        let given = self.file.get(setting, path)?;
        Ok(given.filter(|given| counts(setting, &given.text)))
    }

    /// What the project's own table has in the place of this path.
    pub(super) fn of_project(
        &self,
        setting: &'static Setting,
        path: &str,
    ) -> Result<Option<Given>, Problem> {
        let path = self.project.and_then(|project| of_project(project, path));
        path.map_or(Ok(None), |path| self.file.get(setting, &path))
    }

    /// The text of one environment variable, unless it is blank.
    pub(super) fn variable(
        &self,
        setting: &'static Setting,
        variable: &str,
    ) -> Result<Option<String>, Problem> {
        let Some(value) = self.environment.get(variable) else {
            return Ok(None);
        };
        let text = value.to_str().ok_or_else(|| Problem::NotText {
            name: setting.name,
            variable: variable.to_owned(),
        })?;
        let text = text.trim();
        Ok(counts(setting, text).then(|| text.to_owned()))
    }

    fn in_flags(&self, setting: &'static Setting) -> Option<Given> {
        let flag = setting.flag?;
        let text = self.flags.values.get(flag.name)?.join(",");
        let text = text.trim();
        counts(setting, text)
            .then(|| Given { text: text.to_owned(), origin: Origin::Flag(flag.name) })
    }

    fn in_environment(&self, setting: &'static Setting) -> Result<Option<Given>, Problem> {
        let mut texts = Vec::new();
        let mut names = Vec::new();
        for variable in setting.variables() {
            if let Some(text) = self.variable(setting, variable)? {
                texts.push(text);
                names.push(self.environment.told(variable));
                if setting.kind != Kind::List {
                    break;
                }
            }
        }
        Ok((!names.is_empty())
            .then(|| Given { text: texts.join(","), origin: Origin::Variables(names) }))
    }
}

/// Whether a text is a value: a blank one is only where being empty has a meaning.
fn counts(setting: &Setting, text: &str) -> bool {
    setting.blank.is_some() || !text.trim().is_empty()
}
