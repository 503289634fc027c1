//! The effective configuration for people and programs: every setting, its value, its source.
//!
//! Invariant: an [`Entry`] of a secret does not hold the secret, so nothing here can print it.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::setting::Setting;
use super::source::Origin;

/// Widest value that still moves the column after it, in characters.
const COLUMN_MAX: usize = 60;

/// Every setting with its value and source, in the order of the table of settings.
#[derive(Debug)]
pub(crate) struct Report {
    pub(super) file: Option<PathBuf>,
    pub(super) entries: Vec<Entry>,
}

/// One setting.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) setting: &'static Setting,
    pub(super) shown: Shown,
    pub(super) origin: Origin,
}

/// What may be shown of a value.
#[derive(Debug)]
pub(super) enum Shown {
    /// The value.
    Value(String),
    /// Given as empty, and what that means.
    Blank(&'static str),
    /// A secret is set.
    Secret,
    /// Not set, and what that means.
    NotSet(&'static str),
}

/// The form of a printed report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Aligned columns.
    Text,
    /// One JSON object.
    Json,
}

/// Writes a report and the notices that came with it.
///
/// # Errors
/// When `out` cannot be written to.
pub(crate) fn print(
    report: &Report,
    notices: &[String],
    form: Form,
    out: &mut impl Write,
) -> io::Result<()> {
    match form {
        Form::Text => print_text(report, notices, out),
        Form::Json => print_json(report, notices, out),
    }
}

/// A text with the user name and password of a URL in it replaced by `***`.
pub(super) fn without_credentials(text: &str) -> Cow<'_, str> {
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = text.split_at(start);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, _)) if !scheme.is_empty() || user.contains(':') => {
            let tail = rest.get(user.len()..).unwrap_or("");
            Cow::Owned(format!("{scheme}***{tail}"))
        }
        _ => Cow::Borrowed(text),
    }
}

fn print_text(report: &Report, notices: &[String], out: &mut impl Write) -> io::Result<()> {
    match &report.file {
        Some(file) => writeln!(out, "configuration file: {}", file.display())?,
        None => writeln!(out, "configuration file: none")?,
    }
    let rows: Vec<_> = report
        .entries
        .iter()
        .map(|entry| (entry.setting.name, entry.text(), entry.origin.to_string()))
        .collect();
    let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let names = width(&mut rows.iter().map(|(name, _, _)| name.chars().count()));
    let values = width(&mut rows.iter().map(|(_, value, _)| value.chars().count()));
    let values = values.min(COLUMN_MAX);
    for (name, value, origin) in rows {
        writeln!(out, "{name:names$}  {value:values$}  {origin}")?;
    }
    notices
        .iter()
        .try_for_each(|notice| writeln!(out, "notice: {notice}"))
}

fn print_json(report: &Report, notices: &[String], out: &mut impl Write) -> io::Result<()> {
    let document = JsonReport {
        file: report.file.as_ref().map(|file| file.display().to_string()),
        settings: report.entries.iter().map(Entry::json).collect(),
        notices,
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

#[derive(Serialize)]
struct JsonReport<'a> {
    file: Option<String>,
    settings: Vec<JsonEntry<'a>>,
    notices: &'a [String],
}

#[derive(Serialize)]
struct JsonEntry<'a> {
    name: &'static str,
    toml: Vec<&'static str>,
    flag: Option<String>,
    secret: bool,
    set: bool,
    /// Absent for a secret and for what is not set.
    value: Option<&'a str>,
    source: String,
}

impl Entry {
    fn text(&self) -> String {
        match &self.shown {
            Shown::Value(text) => text.clone(),
            Shown::Secret => "set (not shown)".to_owned(),
            Shown::NotSet("") => "not set".to_owned(),
            Shown::NotSet(meaning) => format!("not set ({meaning})"),
            Shown::Blank(meaning) => format!("empty ({meaning})"),
        }
    }

    fn json(&self) -> JsonEntry<'_> {
        let (set, value) = match &self.shown {
            Shown::Value(text) => (true, Some(text.as_str())),
            Shown::Blank(_) => (true, Some("")),
            Shown::Secret => (true, None),
            Shown::NotSet(_) => (false, None),
        };
        JsonEntry {
            name: self.setting.name,
            toml: self.setting.toml_paths().collect(),
            flag: self.setting.flag.map(|flag| format!("--{}", flag.name)),
            secret: self.setting.is_secret(),
            set,
            value,
            source: self.origin.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_not_shown() {
        for (text, shown) in [
            ("http://user:pass@proxy:3128/x", "http://***@proxy:3128/x"),
            ("https://ghp_token@github.com", "https://***@github.com"),
            ("user:p@ss@proxy:3128", "***@proxy:3128"),
            ("bot@example.com", "bot@example.com"),
            ("http://host/path@v1", "http://host/path@v1"),
            ("agent@sha256:00ff", "agent@sha256:00ff"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }
}
