//! The effective configuration for people and programs: every setting, its value, its source.
//!
//! Invariant: an [`Entry`] of a secret does not hold the secret, so nothing here can print it.

use std::borrow::Cow;
use std::iter;
use std::path::PathBuf;

use api_client::ProjectId;
use serde::Serialize;

use super::setting::Setting;
use super::source::Origin;

/// Version of the JSON.
const VERSION: u32 = 1;

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

/// The text of a report, without a line end after the last line.
pub(crate) fn print(report: &Report, form: Form) -> String {
    match form {
        Form::Text => text(report),
        Form::Json => json(report),
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

fn text(report: &Report) -> String {
    let file = report.file.as_ref().map(|file| file.display().to_string());
    let head = format!("configuration file: {}", file.as_deref().unwrap_or("none"));
    let rows: Vec<_> = report
        .entries
        .iter()
        .map(|entry| (entry.setting.name, entry.text(), entry.origin.to_string()))
        .collect();
    let names = rows.iter().map(|(name, _, _)| name.chars().count()).max().unwrap_or(0);
    let values = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0);
    let values = values.min(COLUMN_MAX);
    let lines = rows
        .into_iter()
        .map(|(name, value, origin)| format!("{name:names$}  {value:values$}  {origin}"));
    iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

fn json(report: &Report) -> String {
    let document = JsonReport {
        version: VERSION,
        file: report.file.as_ref().map(|file| file.display().to_string()),
        settings: report.entries.iter().map(Entry::json).collect(),
    };
    // Strings and booleans always serialise.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

#[derive(Serialize)]
struct JsonReport<'a> {
    version: u32,
    file: Option<String>,
    settings: Vec<JsonEntry<'a>>,
}

#[derive(Serialize)]
struct JsonEntry<'a> {
    name: &'static str,
    toml: Vec<&'static str>,
    flag: Option<String>,
    secret: bool,
    set: bool,
    /// `null` for a secret and for what is not set.
    value: Option<&'a str>,
    source: String,
}

impl Entry {
    /// Whether it stands in the table of a project.
    pub(super) fn is_of(&self, project: ProjectId) -> bool {
        matches!(&self.origin, Origin::File { path, .. } if path.starts_with(&format!("project.{project}.")))
    }

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
