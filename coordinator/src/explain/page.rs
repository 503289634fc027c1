//! The page for people.

use std::fmt::Write;

use super::timeline::Row;
use super::{Explained, State};
use crate::clock::{Utc, utc};
use crate::history::{JobResult, Ran, ReportEnd};
use crate::paper::{Paper, duration, size, wrapped};

/// Where the values of the head begin.
const HEAD: usize = 10;

/// Text of the page.
pub(crate) fn text(explained: &Explained, paper: Paper) -> String {
    let mut text = String::new();
    head(&mut text, explained, paper);
    section(&mut text, paper, "What it means");
    for line in wrapped(&explained.means, 2) {
        let _infallible = writeln!(text, "{line}");
    }
    course(&mut text, explained, paper);
    if !explained.last_lines.is_empty() {
        section(&mut text, paper, "Last lines of its log that matter");
        for line in &explained.last_lines {
            let _infallible = writeln!(text, "  {} {line}", paper.dim("|"));
        }
    }
    if !explained.kept.is_empty() {
        section(&mut text, paper, "What is kept");
        let width = explained.kept.iter().map(|kept| kept.what.len()).max().unwrap_or(0);
        for kept in &explained.kept {
            let bytes = kept.bytes.map(|bytes| format!(" ({})", size(bytes))).unwrap_or_default();
            let _infallible = writeln!(text, "  {:width$}  {}{bytes}", kept.what, kept.place);
        }
    }
    if !explained.next.is_empty() {
        section(&mut text, paper, "What to do next");
        for line in &explained.next {
            let mut lines = wrapped(line, 4).into_iter();
            let first = lines.next().unwrap_or_default();
            let _infallible = writeln!(text, "  - {}", first.trim_start());
            for line in lines {
                let _infallible = writeln!(text, "{line}");
            }
        }
    }
    text.trim_end().to_owned()
}

fn section(text: &mut String, paper: Paper, title: &str) {
    let _infallible = writeln!(text, "\n{}", paper.bold(title));
}

fn head(text: &mut String, explained: &Explained, paper: Paper) {
    let mut line = |name: &str, value: &str| {
        let _infallible = writeln!(text, "{name:HEAD$}  {value}");
    };
    line("job", &paper.bold(&explained.job.to_string()));
    if let Some(ticket) = explained.ticket {
        line("ticket", &ticket.to_string());
    }
    if let Some(project) = explained.project {
        line("project", &project.to_string());
    }
    let ran = match explained.ran {
        Some(Ran::InContainer) => Some("in a container"),
        Some(Ran::OnHost) => Some("on this host, without a container"),
        None => None,
    };
    if let Some(ran) = ran {
        let image = explained.image.as_ref().map(|image| format!(", image {image}"));
        line("ran", &format!("{ran}{}", image.unwrap_or_default()));
    }
    let headline = match explained.result {
        Some(JobResult::Completed) => paper.green(&explained.headline),
        Some(JobResult::Failed) => paper.red(&explained.headline),
        Some(JobResult::Parked | JobResult::Superseded) | None => paper.yellow(&explained.headline),
    };
    line("result", &headline);
    if let Some(said) = &explained.said {
        line("agent says", said);
    }
    if let Some(doubt) = &explained.doubt {
        line("doubt", doubt);
    }
    line("app", app(explained));
}

const fn app(explained: &Explained) -> &'static str {
    match (explained.report, explained.state) {
        (Some(ReportEnd::Acknowledged), _) => "knows the outcome",
        (Some(ReportEnd::SettledBefore), _) => "had settled the job before the report",
        (Some(ReportEnd::UnknownToApp), _) => "does not know the job any more",
        (Some(ReportEnd::Other), _) => "was told, by a later version than this",
        (Some(ReportEnd::NotOurs), _) => "not told: the job is another's by now",
        (None, State::Open) => "waits for the outcome",
        (None, State::Unreported) => "does not know the outcome yet",
        (None, State::Settled) => "was told, or the job was not ours to report",
    }
}

fn course(text: &mut String, explained: &Explained, paper: Paper) {
    let first = explained.timeline.iter().find_map(|row| row.at_millis);
    let Some(first) = first else { return };
    let Utc { date, .. } = utc(first);
    section(text, paper, &format!("Course (from {date}, UTC)"));
    let name = |row: &Row| format!("{}{}", if row.by_agent { "  " } else { "" }, row.what);
    let names = explained.timeline.iter().map(|row| name(row).chars().count()).max().unwrap_or(0);
    let mut day = date;
    for row in &explained.timeline {
        let at = row.at_millis.map(utc);
        if let Some(Utc { date, .. }) = &at
            && *date != day
        {
            day.clone_from(date);
            let _infallible = writeln!(text, "  {}", paper.dim(date));
        }
        let time = at.map_or_else(|| " ".repeat(8), |at| at.time);
        let took = row.took_millis.map(|millis| format!("took {}", duration(millis)));
        let after = row.after_millis.map(|millis| format!("after {}", duration(millis)));
        let detail = row.detail.as_ref().map(|detail| format!("  {detail}")).unwrap_or_default();
        let line = format!(
            "  {time}  {:names$}  {}{detail}",
            name(row),
            took.or(after).unwrap_or_default()
        );
        let _infallible = writeln!(text, "{}", line.trim_end());
    }
}
