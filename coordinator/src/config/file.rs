//! The TOML file. Every key in it must be one of a declared setting.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use api_client::ProjectId;
use toml::{Table, Value};

use super::error::Problem;
use super::report::without_credentials;
use super::setting::{self, Kind, Setting, table_and_key};
use super::source::{Given, Origin};

/// How alike two names must be for one to be offered in place of the other, from 0 to 1.
const ALIKE: f64 = 0.8;

/// The table of the projects' own tables.
const PROJECT: &str = "project";

/// What the configuration file holds; empty where there is none.
#[derive(Default)]
pub(super) struct ConfigFile {
    path: Option<PathBuf>,
    root: Table,
}

impl ConfigFile {
    /// Reads a file. One that is only looked for because it is usual may be absent.
    pub(super) fn read(given: Option<&Path>, usual: &Path) -> Result<Self, Problem> {
        let path = given.unwrap_or(usual);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if given.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(source) => {
                return Err(Problem::ConfigFile { path: path.to_owned(), source });
            }
        };
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Problem> {
        // The parser's own rendering quotes the line, which may hold a secret: only its message
        // and the number of the line are taken.
        let root = text.parse::<Table>().map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            Problem::Toml {
                path: path.to_owned(),
                line: before.unwrap_or("").matches('\n').count() + 1,
                message: error.message().replace('\n', ", "),
            }
        })?;
        Ok(Self { path: Some(path.to_owned()), root })
    }

    /// The path of the file, where there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether a value in it is a URL with a password, as that of a proxy may be.
    pub(super) fn holds_password(&self) -> bool {
        fn held(value: &Value) -> bool {
            match value {
                Value::String(text) => {
                    matches!(without_credentials(text), std::borrow::Cow::Owned(_))
                }
                Value::Array(values) => values.iter().any(held),
                Value::Table(table) => table.values().any(held),
                _ => false,
            }
        }
        self.root.values().any(held)
    }

    /// The value at a path, as the text that the environment would hold.
    pub(super) fn get(
        &self,
        setting: &'static Setting,
        path: &str,
    ) -> Result<Option<Given>, Problem> {
        let (Some(file), Some(value)) = (&self.path, lookup(&self.root, path)) else {
            return Ok(None);
        };
        let origin = Origin::File { file: file.clone(), path: path.to_owned() };
        match text_of(setting.kind, value) {
            Ok(text) => Ok(Some(Given { text: text.trim().to_owned(), origin })),
            Err(allowed) if setting.is_secret() => Err(Problem::SecretValue {
                name: setting.name,
                origin,
                allowed: allowed.to_owned(),
            }),
            Err(allowed) => Err(Problem::Value {
                name: setting.name,
                value: describe(value),
                origin,
                allowed: allowed.to_owned(),
            }),
        }
    }

    /// The projects that have a table of their own.
    pub(super) fn projects(&self) -> Vec<ProjectId> {
        let tables = self.root.get(PROJECT).and_then(Value::as_table);
        tables.into_iter().flatten().filter_map(|(id, _)| id.parse().ok()).collect()
    }

    /// A problem for each table and key that belongs to no setting.
    pub(super) fn unknown(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let Some(file) = &self.path else { return problems };
        let paths: Vec<&str> = setting::all().flat_map(Setting::toml_paths).collect();
        let mut root = self.root.clone();
        let projects = root.remove(PROJECT);
        find_unknown(file, &root, "", &paths, &mut problems);
        let tables = match &projects {
            Some(Value::Table(tables)) => tables,
            Some(_) => return Self::no_project(file, PROJECT, problems),
            None => return problems,
        };
        for (id, table) in tables {
            let (Ok(project), Value::Table(table)) = (id.parse::<ProjectId>(), table) else {
                problems = Self::no_project(file, &join(PROJECT, id), problems);
                continue;
            };
            // What is looked for is the usual spelling.
            if project.to_string() != *id {
                problems.push(Problem::Unknown {
                    path: file.to_owned(),
                    what: format!("table [{}]", join(PROJECT, id)),
                    hint: format!("(write this project's id as [project.\"{project}\"])"),
                });
                continue;
            }
            let own: Vec<String> =
                paths.iter().filter_map(|path| of_project(project, path)).collect();
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            find_unknown(file, table, &join(PROJECT, &project.to_string()), &own, &mut problems);
        }
        problems
    }

    fn no_project(file: &Path, at: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
        problems.push(Problem::Unknown {
            path: file.to_owned(),
            what: format!("table [{at}]"),
            hint: "(a project's table is [project.\"<its id, a UUID>\"])".to_owned(),
        });
        problems
    }
}

/// The path at which a project's own table has what is at this path for all; none for what a project
/// cannot have of its own.
pub(super) fn of_project(project: ProjectId, path: &str) -> Option<String> {
    path.strip_prefix("agent.").map(|key| format!("{PROJECT}.{project}.{key}"))
}

/// Whether every user of the machine may read a file.
pub(super) fn is_open_to_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

fn lookup<'t>(root: &'t Table, path: &str) -> Option<&'t Value> {
    let (table, key) = table_and_key(path);
    let mut at = root;
    for part in table.split('.') {
        at = at.get(part)?.as_table()?;
    }
    at.get(key)
}

fn text_of(kind: Kind, value: &Value) -> Result<String, &'static str> {
    match (kind, value) {
        (_, Value::String(text)) => Ok(text.clone()),
        (Kind::Number | Kind::Duration | Kind::Size, Value::Integer(number)) => {
            Ok(number.to_string())
        }
        (Kind::Number | Kind::Duration, Value::Float(number)) => Ok(number.to_string()),
        (Kind::Switch, Value::Boolean(on)) => Ok(if *on { "1" } else { "0" }.to_owned()),
        (Kind::List, Value::Array(items)) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Ok(texts.ok_or("an array of strings")?.join(","))
        }
        (Kind::Number, _) => Err("a number"),
        (Kind::Duration, _) => Err("a number of seconds, or a string such as \"15m\""),
        (Kind::Size, _) => Err("a whole number of bytes, or a string such as \"4g\""),
        (Kind::Switch, _) => Err("true or false"),
        (Kind::List, _) => Err("an array of strings"),
        (Kind::Text | Kind::Url | Kind::Secret { .. }, _) => Err("a string, in quotes"),
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(on) => on.to_string(),
        Value::String(text) => text.clone(),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => value.type_str().to_owned(),
    }
}

fn find_unknown(file: &Path, table: &Table, at: &str, paths: &[&str], into: &mut Vec<Problem>) {
    let keys: BTreeSet<&str> = paths
        .iter()
        .map(|path| table_and_key(path))
        .filter(|(owner, _)| !at.is_empty() && *owner == at)
        .map(|(_, key)| key)
        .collect();
    let tables: BTreeSet<&str> = paths.iter().map(|path| table_and_key(path).0).collect();
    for (name, value) in table {
        let path = join(at, name);
        match value {
            _ if keys.contains(name.as_str()) => {}
            Value::Table(inner) if tables.contains(path.as_str()) => {
                find_unknown(file, inner, &path, paths, into);
            }
            Value::Table(_) => into.push(Problem::Unknown {
                path: file.to_owned(),
                what: format!("table [{path}]"),
                hint: hint("tables", &path, &tables),
            }),
            _ if at.is_empty() => into.push(Problem::Unknown {
                path: file.to_owned(),
                what: format!("key {name} before the first table"),
                hint: hint("tables", name, &tables),
            }),
            _ => into.push(Problem::Unknown {
                path: file.to_owned(),
                what: format!("key {name} in [{at}]"),
                hint: hint("keys", name, &keys),
            }),
        }
    }
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

fn hint(what: &str, name: &str, allowed: &BTreeSet<&str>) -> String {
    let near = allowed
        .iter()
        .map(|&candidate| (candidate, strsim::jaro_winkler(name, candidate)))
        .filter(|(_, score)| *score >= ALIKE)
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    let all = allowed.iter().copied().collect::<Vec<_>>().join(", ");
    match near {
        Some((candidate, _)) => format!("(did you mean {candidate}? allowed {what}: {all})"),
        None => format!("(allowed {what}: {all})"),
    }
}
