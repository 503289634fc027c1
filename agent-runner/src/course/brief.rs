//! The outcome in a few lines: for the upper part of a pull request, and as trailers of its commits.
//!
//! Invariant: facts of ours alone. What a model or a repository wrote is no part of it, except the
//! names of files and commands, each as a piece of code.

use std::sync::PoisonError;

use api_client::outcome::{
    CheckFacts, CheckKind, DirectorFacts, Finding, FindingKind, OutcomeDocument, TokenFacts,
};

use super::Course;

/// The run, for a pull request, as Markdown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brief {
    /// What a reviewer should look at: a section with its end, or nothing.
    pub(crate) findings: String,
    /// A section of how the work came about.
    pub(crate) facts: String,
}

/// Longest piece of code, in characters.
const CODE_MAX_CHARS: usize = 300;

/// Most findings that a pull request lists.
const FINDINGS_MAX: usize = 20;

impl Course {
    /// Who made a commit and for what, as git's trailers: `Ticket`, `Agent-Run`, `Worker`.
    pub(crate) fn trailers(&self) -> Vec<(&'static str, String)> {
        let record = self.record();
        let worker = record.worker.as_ref().map(|worker| match &worker.version {
            Some(version) => format!("{} {version}", worker.cli),
            None => worker.cli.clone(),
        });
        [("Ticket", record.ticket.clone()), ("Agent-Run", record.job.clone()), ("Worker", worker)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// What a reviewer should know.
    pub(crate) fn brief(&self) -> Brief {
        let record = self.record();
        let mut text = "## The run\n\n".to_owned();
        let remarks = self.0.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = facts(&record);
        for line in facts.iter().chain(remarks.iter()) {
            text.push_str(&format!("- {line}\n"));
        }
        Brief { findings: findings(&record.findings), facts: text }
    }
}

fn findings(all: &[Finding]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut text = "## For the reviewer\n\n".to_owned();
    all.iter().take(FINDINGS_MAX).for_each(|one| text.push_str(&finding(one)));
    let more = all.len().saturating_sub(FINDINGS_MAX);
    if more > 0 {
        text.push_str(&format!("- … and {more} more\n"));
    }
    text.push_str("\n---\n\n");
    text
}

fn facts(record: &OutcomeDocument) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(worker) = &record.worker {
        let version = worker.version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
        let model = worker.model.as_ref().map(|m| format!(", model {}", code(m)));
        facts.push(format!("Worker: {}{version}{}", worker.cli, model.unwrap_or_default()));
    }
    if !record.turns.is_empty() {
        facts.push(spent(record));
    }
    facts.extend(record.director.as_ref().map(director));
    facts.extend(record.checks.iter().map(check));
    if let Some(repository) = &record.repository
        && let Some(moved) = &repository.base_moved_to
    {
        facts.push(format!(
            "{} moved from {} to {} meanwhile",
            code(&repository.base_branch),
            short(&repository.base_commit),
            short(moved)
        ));
    }
    let job = record.job.as_ref().map(|job| format!(", run {}", code(job)));
    facts.push(format!("agent-runner {}{}", record.runner_version, job.unwrap_or_default()));
    facts
}

fn spent(record: &OutcomeDocument) -> String {
    let TokenFacts { input, cached, output } = record.tokens;
    let turns = match record.turns.len() {
        1 => "1 turn".to_owned(),
        count => format!("{count} turns"),
    };
    let cost = record.money_usd.map(|usd| format!(", {usd:.4} USD")).unwrap_or_default();
    format!("{turns}; tokens: {input} in, {cached} cached, {output} out{cost}")
}

fn director(director: &DirectorFacts) -> String {
    let TokenFacts { input, cached, output } = director.tokens;
    let cost = director.money_usd.map(|usd| format!(", {usd:.4} USD")).unwrap_or_default();
    format!(
        "Director: model {}, {} calls; tokens: {input} in, {cached} cached, {output} out{cost}",
        code(&director.model),
        director.calls
    )
}

fn check(check: &CheckFacts) -> String {
    let kind = match check.kind {
        CheckKind::Setup => "Set-up",
        CheckKind::Check => "Check",
    };
    let how = match check.exit_code {
        Some(0) => "passed".to_owned(),
        Some(exit) => format!("failed with exit code {exit}"),
        None => "was ended".to_owned(),
    };
    format!("{kind} {} {how} after {} s", code(&check.command), check.millis.div_ceil(1000))
}

fn finding(finding: &Finding) -> String {
    let what = match finding.kind {
        FindingKind::Secret => "a secret",
        FindingKind::ForbiddenPath => "a path that is not to be touched",
        FindingKind::LargeFile => "a large file",
        FindingKind::TestDeleted => "a test is gone",
        FindingKind::TestSkipped => "a test is skipped",
        FindingKind::TestWeakened => "a test asserts less",
        FindingKind::RulesChanged => "the rules for the agent change",
    };
    let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
    let place = match finding.path.as_os_str().is_empty() {
        true => "the message of a commit".to_owned(),
        false => code(&format!("{}{line}", finding.path.display())),
    };
    format!("- {place}: {what} ({})\n", finding.detail.replace('\n', " "))
}

/// A text as a piece of code in one line, whatever is in it. A long one is cut.
pub(crate) fn code(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'");
    match line.char_indices().nth(CODE_MAX_CHARS) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
