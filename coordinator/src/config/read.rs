//! Reads settings one by one, notes where each came from, and goes on after a mistake, so that
//! one run names them all.

use std::path::{Path, PathBuf};

use api_client::Secret;

use super::error::Problem;
use super::file::is_open_to_all;
use super::parse::{self, Allowed};
use super::report::{Entry, Shown, without_credentials};
use super::setting::{Kind, Preset, Setting, table_and_key};
use super::source::{Given, Origin, Sources};

/// Longest value that a message repeats, in characters.
const SHOWN_MAX_CHARS: usize = 120;

/// The state of one reading. Its methods answer `None` when they have added a problem.
pub(super) struct Reader<'a> {
    sources: Sources<'a>,
    pub(super) problems: Vec<Problem>,
    pub(super) notices: Vec<String>,
    pub(super) entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: Sources<'a>) -> Self {
        Self { sources, problems: sources.file.unknown(), notices: Vec::new(), entries: Vec::new() }
    }

    /// A setting that always has a value: given, or its preset.
    pub(super) fn value<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(&str) -> Result<T, Allowed>,
    ) -> Option<T> {
        if let Some(value) = self.optional(setting, &parse)? {
            return Some(value);
        }
        if let Preset::Value(text) = setting.preset {
            return self.parsed(setting, preset(text), parse);
        }
        self.missing(setting);
        None
    }

    /// A setting that may have no value.
    pub(super) fn optional<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(&str) -> Result<T, Allowed>,
    ) -> Option<Option<T>> {
        match self.sources.find(setting) {
            Ok(Some(given)) => self.parsed(setting, given, parse).map(Some),
            Ok(None) => {
                if let Preset::Unset(meaning) = setting.preset {
                    self.note(setting, Shown::NotSet(meaning), Origin::Default);
                }
                Some(None)
            }
            Err(problem) => self.fail(problem),
        }
    }

    /// A path that is looked for where it is not given.
    pub(super) fn path(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(&str) -> Result<PathBuf, Allowed>,
        find: impl FnOnce() -> Option<PathBuf>,
    ) -> Option<PathBuf> {
        if let Some(path) = self.optional(setting, parse)? {
            return Some(path);
        }
        let Some(path) = find() else {
            self.missing(setting);
            return None;
        };
        let shown = Shown::Value(path.display().to_string());
        self.note(setting, shown, Origin::Default);
        Some(path)
    }

    /// A secret: as it is, or in a file whose path is given.
    pub(super) fn secret(&mut self, setting: &'static Setting) -> Option<Option<Secret>> {
        match self.find_secret(setting) {
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

    fn parsed<T>(
        &mut self,
        setting: &'static Setting,
        given: Given,
        parse: impl Fn(&str) -> Result<T, Allowed>,
    ) -> Option<T> {
        let Given { text, origin } = given;
        match parse(&text) {
            Ok(value) => {
                self.note(setting, shown(setting, &text), origin);
                Some(value)
            }
            Err(allowed) => self.fail(Problem::Value {
                name: setting.name,
                value: without_credentials(&text).chars().take(SHOWN_MAX_CHARS).collect(),
                origin,
                allowed,
            }),
        }
    }

    fn find_secret(
        &mut self,
        setting: &'static Setting,
    ) -> Result<Option<(Secret, Origin)>, Problem> {
        let (literal, path) = self.secret_of_project(setting)?;
        if let Some(found) = self.one_of(setting, literal, path)? {
            return Ok(Some(found));
        }
        let (literal, path) = self.secret_in_environment(setting)?;
        if let Some(found) = self.one_of(setting, literal, path)? {
            return Ok(Some(found));
        }
        let (literal, path) = self.secret_in_file(setting)?;
        if let (Some(_), Some(file)) = (&literal, self.sources.file.path()) {
            self.warn_if_open(file);
        }
        self.one_of(setting, literal, path)
    }

    fn secret_in_environment(
        &self,
        setting: &'static Setting,
    ) -> Result<(Option<Given>, Option<Given>), Problem> {
        let given = |variable: String| {
            let text = self.sources.variable(setting, &variable)?;
            Ok(text.map(|text| Given { text, origin: Origin::Variables(vec![variable]) }))
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
    ) -> Result<Option<(Secret, Origin)>, Problem> {
        let Given { text, origin } = match (literal, path) {
            (None, None) => return Ok(None),
            (Some(first), Some(second)) => {
                return Err(Problem::Twice {
                    name: setting.name,
                    first: first.origin,
                    second: second.origin,
                });
            }
            (Some(literal), None) => literal,
            (None, Some(path)) => self.read_secret(setting, path)?,
        };
        match parse::line(&text) {
            Ok(line) => Ok(Some((Secret::from(line), origin))),
            Err(allowed) => Err(Problem::SecretValue { name: setting.name, origin, allowed }),
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
        let notice = format!(
            "{} holds a secret and every user of this machine can read it: chmod o-rwx it",
            path.display()
        );
        if is_open_to_all(path) && !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    pub(super) fn missing(&mut self, setting: &'static Setting) {
        let mut ways = format!("environment variable {}", setting.name);
        if let Some(flag) = setting.flag {
            ways.push_str(&format!(", flag --{}", flag.name));
        }
        if let Some((table, key)) = setting.toml.map(table_and_key) {
            ways.push_str(&format!(" or [{table}] {key} in the configuration file"));
        }
        self.problems.push(Problem::Missing {
            name: setting.name,
            ways,
            doc: setting.doc.trim_end_matches('.'),
        });
    }

    fn note(&mut self, setting: &'static Setting, shown: Shown, origin: Origin) {
        self.entries.push(Entry { setting, shown, origin });
    }

    fn fail<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.push(problem);
        None
    }
}

fn preset(text: &'static str) -> Given {
    Given { text: text.to_owned(), origin: Origin::Default }
}

fn shown(setting: &Setting, text: &str) -> Shown {
    match setting.blank {
        Some(meaning) if text.is_empty() => Shown::Blank(meaning),
        _ => Shown::Value(without_credentials(text).into_owned()),
    }
}
