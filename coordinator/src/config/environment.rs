//! What the process was started with: its environment, home and executable. The only place that
//! asks the process for them, so that everything else can be given another one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::env_file::EnvFile;

/// A copy of the environment, with the two facts about the process that defaults depend on.
#[derive(Default)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
    /// Of those that a file gave, which one.
    of_files: BTreeMap<OsString, PathBuf>,
    home: Option<PathBuf>,
    executable: Option<PathBuf>,
}

/// What the environment says about the screen that people read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// No colours: `NO_COLOR` is set to something, or `TERM` is `dumb`.
    pub(crate) no_colour: bool,
    /// `PAGER`, where it is set to something.
    pub(crate) pager: Option<String>,
    /// `TERM`, where it is set to something.
    pub(crate) terminal: Option<String>,
}

impl Environment {
    /// That of this process.
    pub(crate) fn from_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            of_files: BTreeMap::new(),
            home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()),
            executable: std::env::current_exe().ok(),
        }
    }

    /// The same with the variables of a file that the environment does not have.
    pub(crate) fn over(self, file: EnvFile) -> Self {
        let EnvFile { path, variables, .. } = file;
        let has = |(name, _): &(String, String)| self.variables.contains_key(OsStr::new(name));
        let variables = variables.into_iter().filter(|variable| !has(variable)).collect();
        self.under(EnvFile { path, variables, ignored: Vec::new() })
    }

    /// The same with all variables of a file.
    pub(crate) fn under(mut self, file: EnvFile) -> Self {
        for (name, value) in file.variables {
            self.of_files.insert(name.clone().into(), file.path.clone());
            self.variables.insert(name.into(), value.into());
        }
        self
    }

    /// The value of a variable, blank or not.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// What a variable is called where it is told where a value came from: one of a file with that file.
    pub(super) fn told(&self, name: &str) -> String {
        match self.of_files.get(OsStr::new(name)) {
            Some(file) => format!("{name} of {}", file.display()),
            None => name.to_owned(),
        }
    }

    /// What a service is given beside what its file says: whose it is, and how to talk to people. Nothing
    /// that is a setting.
    pub(crate) fn of_user(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        const KEPT: [&str; 13] = [
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "LANG",
            "LC_ALL",
            "TZ",
            "TERM",
            "NO_COLOR",
            "PAGER",
            "STATE_DIRECTORY",
            "CREDENTIALS_DIRECTORY",
        ];
        KEPT.into_iter().filter_map(|name| Some((OsStr::new(name), self.get(name)?)))
    }

    /// The screen that people read.
    pub(crate) fn screen(&self) -> Screen {
        let text = |name| {
            let value = self.get(name)?.to_str()?;
            (!value.trim().is_empty()).then(|| value.to_owned())
        };
        let terminal = text("TERM");
        let no_colour = text("NO_COLOR").is_some() || terminal.as_deref() == Some("dumb");
        Screen { no_colour, pager: text("PAGER"), terminal }
    }

    /// The home directory of the user, where there is one.
    pub(super) fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// The directory that this program was started from.
    pub(super) fn program_dir(&self) -> Option<&Path> {
        self.executable.as_deref().and_then(Path::parent)
    }
}

#[cfg(test)]
impl Environment {
    /// One for tests: these variables, home `/home/op`, and no executable.
    pub(crate) fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter();
        Self {
            variables: variables.map(|(k, v)| (k.into(), v.into())).collect(),
            of_files: BTreeMap::new(),
            home: Some("/home/op".into()),
            executable: None,
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    pub(super) fn with_executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = Some(path.into());
        self
    }

    pub(super) fn without_home(mut self) -> Self {
        self.home = None;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_where_the_environment_asks_for_it() {
        let screen =
            |variables: &[(&str, &str)]| Environment::of(variables.iter().copied()).screen();
        assert!(screen(&[("NO_COLOR", "1")]).no_colour && screen(&[("TERM", "dumb")]).no_colour);
        let usual = screen(&[("NO_COLOR", ""), ("TERM", "xterm"), ("PAGER", "less -S")]);
        assert!(!usual.no_colour);
        assert_eq!(usual.pager.as_deref(), Some("less -S"));
    }
}
