//! Reads settings one by one, notes where each came from, and goes on after a mistake, so that
//! one run names them all.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::error::Problem;
use super::parse::Allowed;
use super::report::{Entry, Shown, without_credentials};
use super::setting::{Preset, Setting, table_and_key};
use super::source::{Given, Origin, Sources};

/// Longest value that a message repeats, in characters.
const SHOWN_MAX_CHARS: usize = 120;

/// The state of one reading. Its methods answer `None` when they have added a problem.
pub(super) struct Reader<'a> {
    pub(super) sources: Sources<'a>,
    pub(super) problems: Vec<Problem>,
    pub(super) notices: Vec<String>,
    pub(super) entries: Vec<Entry>,
    /// The files that secrets were read from.
    pub(super) secret_files: BTreeSet<PathBuf>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: Sources<'a>) -> Self {
        Self {
            sources,
            problems: sources.file.unknown(),
            notices: Vec::new(),
            entries: Vec::new(),
            secret_files: BTreeSet::new(),
        }
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

    pub(super) fn note(&mut self, setting: &'static Setting, shown: Shown, origin: Origin) {
        self.entries.push(Entry { setting, shown, origin });
    }

    pub(super) fn fail<T>(&mut self, problem: Problem) -> Option<T> {
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
