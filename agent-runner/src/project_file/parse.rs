//! From text to checked values.

use std::time::Duration;

use serde::Deserialize;

use super::{
    BaseUpdate, Check, CloneOptions, OnCheckFailure, PathPatterns, ProjectCommand, ProjectFile,
    ProjectFileError, PublishRules, PullRequestRules, WorkerWishes,
};

/// Longest time that can be asked for, in seconds: a day.
const SECONDS_MAX: u64 = 24 * 3600;
/// The longest command, in bytes.
const COMMAND_MAX: usize = 8 << 10;
/// The longest label, name or model, in bytes.
const NAME_MAX: usize = 200;
/// The longest list.
const LIST_MAX: usize = 100;
/// Most further turns.
const TURNS_MAX: u32 = 3;

/// How long a setup command may take by default.
const SETUP_LIMIT: Duration = Duration::from_secs(900);
/// How long a check command may take by default.
const CHECK_LIMIT: Duration = Duration::from_secs(1800);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    worker: Worker,
    setup: Option<Setup>,
    check: Option<CheckTable>,
    #[serde(default)]
    paths: Paths,
    #[serde(default)]
    pull_request: PullRequest,
    #[serde(default)]
    publish: Publish,
    #[serde(default)]
    clone: Clone,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Worker {
    mode: Option<String>,
    model: Option<String>,
    timeout_sec: Option<u64>,
    stall_sec: Option<u64>,
    token_budget: Option<u64>,
    money_budget: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    command: String,
    timeout_sec: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckTable {
    command: String,
    timeout_sec: Option<u64>,
    turns: Option<u32>,
    #[serde(default)]
    on_failure: OnCheckFailure,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paths {
    #[serde(default)]
    forbidden: Vec<String>,
    #[serde(default)]
    examples: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PullRequest {
    draft: Option<bool>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    reviewers: Vec<String>,
    template: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    #[serde(default)]
    base_update: BaseUpdate,
    rescue: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clone {
    #[serde(default)]
    submodules: bool,
    #[serde(default)]
    lfs: bool,
}

/// Reads the text of a file.
pub(super) fn parse(text: &str) -> Result<ProjectFile, ProjectFileError> {
    let file: File = toml::from_str(text).map_err(|error| located(text, &error))?;
    Ok(ProjectFile {
        worker: worker(file.worker)?,
        setup: file.setup.map(setup).transpose()?,
        check: file.check.map(check).transpose()?,
        forbidden: paths("paths.forbidden", file.paths.forbidden)?,
        examples: paths("paths.examples", file.paths.examples)?,
        pull_request: pull_request(file.pull_request)?,
        publish: PublishRules {
            base_update: file.publish.base_update,
            rescue: file.publish.rescue,
        },
        clone: CloneOptions { submodules: file.clone.submodules, lfs: file.clone.lfs },
    })
}

fn worker(table: Worker) -> Result<WorkerWishes, ProjectFileError> {
    let money = table.money_budget.map(|value| {
        // As the setting of that name is written: a number, or one in quotes.
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(dollars) => dollars.to_string(),
            toml::Value::Float(dollars) => dollars.to_string(),
            _ => return Err(wrong("worker.money_budget", "must be a number of US dollars")),
        };
        text.parse().map_err(|reason: String| wrong("worker.money_budget", reason))
    });
    if table.token_budget == Some(0) {
        return Err(wrong("worker.token_budget", "must be at least 1, got 0"));
    }
    Ok(WorkerWishes {
        mode: table.mode.map(|mode| name("worker.mode", mode)).transpose()?,
        model: table.model.map(|model| name("worker.model", model)).transpose()?,
        turn_limit: optional_time("worker.timeout_sec", table.timeout_sec)?,
        stall_limit: optional_time("worker.stall_sec", table.stall_sec)?,
        tokens: table.token_budget,
        money: money.transpose()?,
    })
}

fn setup(table: Setup) -> Result<ProjectCommand, ProjectFileError> {
    Ok(ProjectCommand {
        command: command("setup.command", table.command)?,
        limit: optional_time("setup.timeout_sec", table.timeout_sec)?.unwrap_or(SETUP_LIMIT),
    })
}

fn check(table: CheckTable) -> Result<Check, ProjectFileError> {
    let turns = table.turns.unwrap_or(1);
    if turns > TURNS_MAX {
        let reason = format!("must be a whole number from 0 to {TURNS_MAX}, got {turns}");
        return Err(wrong("check.turns", reason));
    }
    Ok(Check {
        command: ProjectCommand {
            command: command("check.command", table.command)?,
            limit: optional_time("check.timeout_sec", table.timeout_sec)?.unwrap_or(CHECK_LIMIT),
        },
        turns,
        on_failure: table.on_failure,
    })
}

fn paths(key: &'static str, patterns: Vec<String>) -> Result<PathPatterns, ProjectFileError> {
    let patterns = list(key, patterns, NAME_MAX)?;
    PathPatterns::new(&patterns).map_err(|reason| wrong(key, reason))
}

fn pull_request(table: PullRequest) -> Result<PullRequestRules, ProjectFileError> {
    let usual = PullRequestRules::default();
    Ok(PullRequestRules {
        draft: table.draft.unwrap_or(usual.draft),
        labels: list("pull_request.labels", table.labels, NAME_MAX)?,
        reviewers: list("pull_request.reviewers", table.reviewers, NAME_MAX)?,
        template: table.template.unwrap_or(usual.template),
    })
}

fn command(key: &'static str, text: String) -> Result<String, ProjectFileError> {
    if text.trim().is_empty() {
        return Err(wrong(key, "must not be empty; leave the table out where there is no command"));
    }
    if text.len() > COMMAND_MAX || text.contains('\0') {
        let reason = format!("must have at most {COMMAND_MAX} bytes, none of them 0");
        return Err(wrong(key, reason));
    }
    Ok(text)
}

fn name(key: &'static str, text: String) -> Result<String, ProjectFileError> {
    list(key, vec![text], NAME_MAX).map(|names| names.concat())
}

fn list(
    key: &'static str,
    items: Vec<String>,
    longest: usize,
) -> Result<Vec<String>, ProjectFileError> {
    if items.len() > LIST_MAX {
        return Err(wrong(
            key,
            format!("must have at most {LIST_MAX} entries, got {}", items.len()),
        ));
    }
    let items: Vec<_> = items.into_iter().map(|item| item.trim().to_owned()).collect();
    let bad = |item: &&String| {
        item.is_empty() || item.len() > longest || item.chars().any(char::is_control)
    };
    match items.iter().find(bad) {
        None => Ok(items),
        Some(item) => {
            let shown: String = item.chars().take(40).collect();
            let reason = format!(
                "must be text of 1 to {longest} bytes without control characters, got {shown:?}"
            );
            Err(wrong(key, reason))
        }
    }
}

fn optional_time(
    key: &'static str,
    seconds: Option<u64>,
) -> Result<Option<Duration>, ProjectFileError> {
    match seconds {
        Some(seconds) if !(1..=SECONDS_MAX).contains(&seconds) => {
            let reason =
                format!("must be a whole number of seconds from 1 to {SECONDS_MAX}, got {seconds}");
            Err(wrong(key, reason))
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

fn wrong(key: &'static str, reason: impl Into<String>) -> ProjectFileError {
    ProjectFileError::Value { key, reason: reason.into() }
}

/// An error of the parser in one line, with the key that its place belongs to.
fn located(text: &str, error: &toml::de::Error) -> ProjectFileError {
    let start = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..start).unwrap_or("");
    let line = before.matches('\n').count();
    let reason = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
    ProjectFileError::Toml { line: line + 1, key: key_of_line(text, line), reason }
}

/// The key that a line sets, with its table; by the look of it, for the file need not be TOML.
fn key_of_line(text: &str, line: usize) -> Option<String> {
    let table_of = |line: &str| {
        let line = line.trim().strip_prefix('[')?;
        Some(line.split(']').next()?.trim().to_owned())
    };
    let lines: Vec<&str> = text.lines().take(line + 1).collect();
    let table = lines.iter().rev().find_map(|line| table_of(line));
    let own = lines.get(line)?;
    let key = match (own.split_once('='), table) {
        (Some((key, _)), Some(table)) => format!("{table}.{}", key.trim()),
        (Some((key, _)), None) => key.trim().to_owned(),
        (None, table) => table?,
    };
    // What is shown is the repository's, and goes into one line of a log.
    let key: String = key.chars().filter(|c| !c.is_control()).take(80).collect();
    Some(key).filter(|key| !key.is_empty())
}
