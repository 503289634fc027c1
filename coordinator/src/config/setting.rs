//! Every setting, declared once: its names, its default and what it is for. Flags, look-up, the
//! printed report and the example files all follow from [`all`]; a new setting is one entry in one of
//! the tables below, plus its parse in [`config`](super).

pub(super) mod container;
pub(super) mod service;

use super::agent_env;

/// What is fixed about one setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The environment variable it is called by; with `_FILE` appended too, for a secret.
    pub(crate) name: &'static str,
    /// Another environment variable, which is read first.
    pub(crate) also: Option<&'static str>,
    /// Table and key in the TOML file, joined by a dot. A secret that no key may hold has none.
    pub(crate) toml: Option<&'static str>,
    /// Its flag on the command line; never for a secret.
    pub(crate) flag: Option<Flag>,
    /// What its values look like.
    pub(crate) kind: Kind,
    /// What holds when it is not given.
    pub(crate) preset: Preset,
    /// What an empty value means; without a meaning, an empty value counts as not given.
    pub(crate) blank: Option<&'static str>,
    /// One sentence for people.
    pub(crate) doc: &'static str,
    /// What the reference says beside it, in Markdown.
    pub(crate) more: &'static str,
    /// What its values may be, in Markdown, where its [`Kind`] does not say it.
    pub(crate) allowed: Option<&'static str>,
}

/// What several settings allow, in Markdown.
const A_PATH: &str = "a path; `~/` at its beginning is the home directory";
const COUNT: &str = "a whole number above 0";
const MEBIBYTES: &str = "a whole number of MiB, or 0";
const NAME: &str = "letters, digits, `.`, `_` and `-`";
const SIZE_OR_NONE: &str =
    "a number of bytes, or a whole number with `k`, `m`, `g` or `t` (of 1024); also 0";
const TIME_ABOVE_ZERO: &str = "a number of seconds, or a number with `ms`, `s`, `m`, `h` or `d`, \
     above 0 and of at most 10000 days";

/// A long flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Without the dashes.
    pub(crate) name: &'static str,
    /// What stands for its value in the help.
    pub(crate) value: &'static str,
}

/// The look of a value, which decides the TOML types it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// A string that is an HTTP(S) URL without credentials.
    Url,
    /// A number.
    Number,
    /// A time: a number of seconds, or a number with its unit.
    Duration,
    /// A size: a number of bytes, or a number with its unit.
    Size,
    /// A boolean; `1` and `0` in the environment.
    Switch,
    /// Values separated by commas; an array in TOML, a repeatable flag. Two environment variables
    /// are merged.
    List,
    /// A string that is never printed.
    Secret {
        /// Table and key in the TOML file of the path of a file that holds it.
        file: &'static str,
    },
}

/// What holds when a setting is not given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preset {
    /// Nothing: it must be given.
    Required,
    /// This value, written as in the environment.
    Value(&'static str),
    /// A value that depends on the machine, described.
    Found(&'static str),
    /// No value, and what that means.
    Unset(&'static str),
}

impl Setting {
    const fn new(
        name: &'static str,
        toml: &'static str,
        kind: Kind,
        preset: Preset,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            also: None,
            toml: Some(toml),
            flag: None,
            kind,
            preset,
            blank: None,
            doc,
            more: "",
            allowed: None,
        }
    }

    /// A setting that is handed on to the agent under its own name.
    pub(super) const fn for_agent(
        name: &'static str,
        toml: &'static str,
        kind: Kind,
        doc: &'static str,
    ) -> Self {
        Self::new(name, toml, kind, Preset::Unset(""), doc)
    }

    const fn flag(mut self, name: &'static str, value: &'static str) -> Self {
        self.flag = Some(Flag { name, value });
        self
    }

    const fn also(mut self, name: &'static str) -> Self {
        self.also = Some(name);
        self
    }

    const fn blank(mut self, meaning: &'static str) -> Self {
        self.blank = Some(meaning);
        self
    }

    /// Further sentences for the reference, in Markdown.
    pub(super) const fn more(mut self, sentences: &'static str) -> Self {
        self.more = sentences;
        self
    }

    const fn allowed(mut self, values: &'static str) -> Self {
        self.allowed = Some(values);
        self
    }

    /// What its values may be, in Markdown.
    pub(crate) const fn values(&self) -> &'static str {
        if let Some(values) = self.allowed {
            return values;
        }
        match self.kind {
            Kind::Text | Kind::List | Kind::Secret { .. } => "one line without control characters",
            Kind::Url => "`http://` or `https://`, without user name and password",
            Kind::Number => "a number above 0",
            Kind::Duration => {
                "a number of seconds, or a number with `ms`, `s`, `m`, `h` or `d`, of at most 10000 days"
            }
            Kind::Size => {
                "a number of bytes, or a whole number with `k`, `m`, `g` or `t` (of 1024), above 0"
            }
            Kind::Switch => "`1`, `0`, `true`, `false`, `yes`, `no`, `on`, `off`",
        }
    }

    /// The environment variables that hold it, the first to be read first.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.also.into_iter().chain([self.name])
    }

    /// Whether its value is never printed.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. })
    }

    /// Every path in the TOML file that belongs to it.
    pub(crate) fn toml_paths(&self) -> impl Iterator<Item = &'static str> {
        let file = match self.kind {
            Kind::Secret { file } => Some(file),
            Kind::Text
            | Kind::Url
            | Kind::Number
            | Kind::Duration
            | Kind::Size
            | Kind::Switch
            | Kind::List => None,
        };
        self.toml.into_iter().chain(file)
    }
}

/// Every setting, in the order in which people read them.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    service::ALL.iter().chain(container::ALL).copied().chain(agent_env::ALL)
}

/// Table and key of a TOML path: `("agent.env", "WORKER_MODE")`.
pub(crate) fn table_and_key(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// A table of settings: a static of each, and `ALL` of them in their order.
macro_rules! settings {
    ($($name:ident = $setting:expr;)*) => {
        $(pub(in crate::config) static $name: Setting = $setting;)*
        /// All of this table.
        pub(super) static ALL: &[&Setting] = &[$(&$name),*];
    };
}
use settings;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_path_or_flag_is_declared_twice() {
        let names: Vec<_> = all().flat_map(Setting::variables).collect();
        let paths: Vec<_> = all().flat_map(Setting::toml_paths).collect();
        let flags: Vec<_> = all().filter_map(|s| s.flag).map(|f| f.name).collect();
        for list in [names, paths, flags] {
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len());
        }
    }

    #[test]
    fn no_flag_takes_a_secret() {
        for setting in all().filter(|setting| setting.flag.is_some()) {
            assert!(!setting.is_secret(), "{}", setting.name);
        }
    }

    #[test]
    fn what_is_secret_by_name_is_declared_secret() {
        for setting in all() {
            let by_name = api_client::contract::is_secret_name(setting.name);
            assert_eq!(setting.is_secret(), by_name, "{}", setting.name);
        }
    }

    #[test]
    fn every_setting_has_a_doc_line_that_is_one_sentence() {
        for setting in all() {
            assert!(setting.doc.ends_with('.'), "{}", setting.name);
            assert!(!setting.doc.contains('\n'), "{}", setting.name);
        }
    }
}
