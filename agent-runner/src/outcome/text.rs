//! Parts of the sentences in which a run's end is told.

use std::path::PathBuf;

use api_client::outcome::Finding;

use crate::bounded::bounded;

/// How much of the worker's last words an error repeats, in bytes.
const WORDS_MAX: usize = 1_000;

/// Most files and findings that an error lists.
const SHOWN_MAX: usize = 10;

/// What the worker said last, at the end of a sentence.
pub(super) fn words_text(answer: &str) -> String {
    match answer.trim() {
        "" => String::new(),
        answer => format!("; its last words: {}", bounded(answer, WORDS_MAX)),
    }
}

/// Where the work is shown, at the end of a sentence. Whether as a draft is for the forge to say.
pub(super) fn shown_text(url: Option<&str>) -> String {
    url.map(|url| format!("; it is shown in {url}")).unwrap_or_default()
}

/// Some of the files, and how many more there are.
pub(crate) fn paths_text(paths: &[PathBuf]) -> String {
    let shown = paths.iter().take(SHOWN_MAX).map(|path| path.display().to_string());
    let more = paths.len().saturating_sub(SHOWN_MAX);
    let more = (more > 0).then(|| format!("{more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

/// Some of the findings, and how many more there are.
pub(super) fn findings_text(findings: &[Finding]) -> String {
    let one = |finding: &Finding| {
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}: {}", finding.path.display(), finding.detail)
    };
    let more = findings.len().saturating_sub(SHOWN_MAX);
    let more = (more > 0).then(|| format!("{more} more"));
    findings.iter().take(SHOWN_MAX).map(one).chain(more).collect::<Vec<_>>().join("; ")
}
