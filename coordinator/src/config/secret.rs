//! Where secrets come from, the first that has one: environment, file named by the environment, TOML
//! file, systemd's credentials, command.

use std::io;
use std::path::Path;

use api_client::Secret;

use super::agent_env::other_token;
use super::error::Problem;
use super::file::is_open_to_all;
use super::parse::{self, Allowed};
use super::read::Reader;
use super::report::Shown;
use super::setting::{Kind, Preset, Setting};
use super::source::{Given, Origin};

/// Where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

impl Reader<'_> {
    /// A secret of one line.
    pub(super) fn secret(&mut self, setting: &'static Setting) -> Option<Option<Secret>> {
        self.secret_of(setting, |text| parse::line(text).map(drop))
    }

    /// A secret that this check finds good.
    pub(super) fn secret_of(
        &mut self,
        setting: &'static Setting,
        check: impl Fn(&str) -> Result<(), Allowed>,
    ) -> Option<Option<Secret>> {
        let found = self.find_secret(setting).and_then(|found| {
            let Some(Given { text, origin }) = found else { return Ok(None) };
            match check(&text) {
                Ok(()) => Ok(Some((Secret::from(text), origin))),
                Err(allowed) => Err(Problem::SecretValue { name: setting.name, origin, allowed }),
            }
        });
        match found {
            Ok(Some((secret, origin))) => {
                self.note(setting, Shown::Secret, origin);
                Some(Some(secret))
            }
            Ok(None) => {
                if let Preset::Unset(meaning) = setting.preset {
                    self.note(setting, Shown::NotSet(meaning), Origin::Default);
                }
                Some(None)
            }
            Err(problem) => self.fail(problem),
        }
    }

    fn find_secret(&mut self, setting: &'static Setting) -> Result<Option<Given>, Problem> {
        let (literal, path) = self.secret_of_project(setting)?;
        if let Some(found) = self.one_of(setting, literal, path)? {
            return Ok(Some(found));
        }
        if let Some(other) = other_token(setting)
            && !matches!(self.secret_of_project(other)?, (None, None))
        {
            // The project has a token of its own, under the other name: no wider one stands beside it.
            return Ok(None);
        }
        let (literal, path) = self.secret_in_environment(setting)?;
        if let Some(found) = self.one_of(setting, literal, path)? {
            return Ok(Some(found));
        }
        let (literal, path) = self.secret_in_file(setting)?;
        if let (Some(_), Some(file)) = (&literal, self.sources.file.path()) {
            self.warn_if_open(file);
        }
        if let Some(found) = self.one_of(setting, literal, path)? {
            return Ok(Some(found));
        }
        if let Some(found) = self.secret_in_credentials(setting)? {
            return Ok(Some(found));
        }
        self.secret_of_command(setting)
    }

    fn secret_in_environment(
        &self,
        setting: &'static Setting,
    ) -> Result<(Option<Given>, Option<Given>), Problem> {
        let given = |variable: String| {
            let text = self.sources.variable(setting, &variable)?;
            let told = self.sources.environment.told(&variable);
            Ok(text.map(|text| Given { text, origin: Origin::Variables(vec![told]) }))
        };
        let literal = given(setting.name.to_owned())?;
        let path = given(format!("{}_FILE", setting.name))?;
        Ok((literal, path))
    }

    fn secret_of_project(
        &self,
        setting: &'static Setting,
    ) -> Result<(Option<Given>, Option<Given>), Problem> {
        let given = |path: &'static str| {
            let given = self.sources.of_project(setting, path)?;
            Ok(given.filter(|given| !given.text.is_empty()))
        };
        Self::secret_at(setting, given)
    }

    fn secret_in_file(
        &self,
        setting: &'static Setting,
    ) -> Result<(Option<Given>, Option<Given>), Problem> {
        let given = |path: &'static str| {
            let given = self.sources.file.get(setting, path)?;
            Ok(given.filter(|given| !given.text.is_empty()))
        };
        Self::secret_at(setting, given)
    }

    /// A secret and the path of its file, at the two paths that a TOML file has for them.
    fn secret_at(
        setting: &'static Setting,
        given: impl Fn(&'static str) -> Result<Option<Given>, Problem>,
    ) -> Result<(Option<Given>, Option<Given>), Problem> {
        let literal = setting.toml.map(&given).transpose()?.flatten();
        let path = match setting.kind {
            Kind::Secret { file } => given(file)?,
            Kind::Text
            | Kind::Url
            | Kind::Number
            | Kind::Duration
            | Kind::Size
            | Kind::Switch
            | Kind::List => None,
        };
        Ok((literal, path))
    }

    /// The secret of one source, which gives it either as it is or as the path of a file.
    fn one_of(
        &mut self,
        setting: &'static Setting,
        literal: Option<Given>,
        path: Option<Given>,
    ) -> Result<Option<Given>, Problem> {
        match (literal, path) {
            (None, None) => Ok(None),
            (Some(first), Some(second)) => Err(Problem::Twice {
                name: setting.name,
                first: first.origin,
                second: second.origin,
            }),
            (Some(literal), None) => Ok(Some(literal)),
            (None, Some(path)) => self.read_secret(setting, path).map(Some),
        }
    }

    fn read_secret(&mut self, setting: &'static Setting, given: Given) -> Result<Given, Problem> {
        let Given { text, origin } = given;
        let home = self.sources.environment.home();
        let path = parse::path(&text, home).map_err(|allowed| Problem::SecretValue {
            name: setting.name,
            origin: origin.clone(),
            allowed,
        })?;
        let text = std::fs::read_to_string(&path).map_err(|source| Problem::SecretFile {
            name: setting.name,
            origin: origin.clone(),
            path: path.clone(),
            source,
        })?;
        if text.trim().is_empty() {
            return Err(Problem::SecretValue {
                name: setting.name,
                origin,
                allowed: format!("the path of a file that is not empty: {}", path.display()),
            });
        }
        self.warn_if_open(&path);
        Ok(Given { text: text.trim().to_owned(), origin })
    }

    fn warn_if_open(&mut self, path: &Path) {
        self.secret_files.insert(path.to_owned());
        let notice = format!(
            "{} holds a secret and every user of this machine can read it: chmod o-rwx it",
            path.display()
        );
        if is_open_to_all(path) && !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// A file of the setting's own name, or of the same in lower case.
    fn secret_in_credentials(&self, setting: &'static Setting) -> Result<Option<Given>, Problem> {
        let folder = self.sources.environment.get(CREDENTIALS).map(Path::new);
        let Some(folder) = folder.filter(|folder| folder.is_absolute()) else { return Ok(None) };
        for name in [setting.name.to_owned(), setting.name.to_ascii_lowercase()] {
            let path = folder.join(&name);
            let origin = Origin::Credential(name);
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text.trim().to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    return Err(Problem::SecretFile { name: setting.name, origin, path, source });
                }
            };
            if text.is_empty() {
                let allowed = format!("in a file that is not empty: {}", path.display());
                return Err(Problem::SecretValue { name: setting.name, origin, allowed });
            }
            return Ok(Some(Given { text, origin }));
        }
        Ok(None)
    }

    fn secret_of_command(&self, setting: &'static Setting) -> Result<Option<Given>, Problem> {
        let Some(command) = self.sources.command else { return Ok(None) };
        let program = command.program().to_owned();
        match command.ask(setting.name) {
            Ok(secret) => Ok(secret.map(|secret| Given {
                text: secret.expose().to_owned(),
                origin: Origin::Command(program),
            })),
            Err(source) => {
                Err(Problem::SecretCommand { name: setting.name, command: program, source })
            }
        }
    }
}
