//! Findings for a pull request's reader.

use api_client::outcome::{Finding, FindingKind};

/// How many findings are listed.
const LISTED_MAX: usize = 30;

/// The longest path or detail that is shown, in characters.
const PART_MAX: usize = 200;

/// A section of a pull request's text, or nothing where there is nothing to say.
pub(crate) fn markdown(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut text = String::from("### What to look at\n\n");
    for finding in findings.iter().take(LISTED_MAX) {
        text.push_str(&item(finding));
    }
    match findings.len().saturating_sub(LISTED_MAX) {
        0 => {}
        more => text.push_str(&format!("- … and {more} more\n")),
    }
    text
}

fn item(finding: &Finding) -> String {
    let place = match (finding.path.as_os_str().is_empty(), finding.line) {
        (true, _) => "commit message".to_owned(),
        (false, None) => code(&finding.path.to_string_lossy()),
        (false, Some(line)) => format!("{}, line {line}", code(&finding.path.to_string_lossy())),
    };
    format!("- **{}**: {place}: {}\n", title(finding.kind), plain(&finding.detail))
}

const fn title(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Secret => "Secret",
        FindingKind::ForbiddenPath => "Forbidden path",
        FindingKind::LargeFile => "Large file",
        FindingKind::TestDeleted => "Test deleted",
        FindingKind::TestSkipped => "Test skipped",
        FindingKind::TestWeakened => "Test weakened",
        FindingKind::RulesChanged => "Agent's rules changed",
    }
}

/// A name in code marks that it cannot end.
fn code(text: &str) -> String {
    format!("`{}`", short(text).replace('`', "'"))
}

/// Text on one line. Details are ours but for the names in them.
fn plain(text: &str) -> String {
    short(text).replace('<', "&lt;")
}

fn short(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(PART_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn finding(path: &str, line: Option<usize>, detail: &str) -> Finding {
        let path = PathBuf::from(path);
        Finding { kind: FindingKind::TestSkipped, path, line, detail: detail.to_owned() }
    }

    #[test]
    fn nothing_is_said_where_nothing_was_found() {
        assert_eq!(markdown(&[]), "");
    }

    #[test]
    fn a_name_cannot_leave_its_place() {
        let text = markdown(&[finding("a`\n# b", Some(3), "<img> and\nmore")]);
        assert_eq!(
            text,
            "### What to look at\n\n- **Test skipped**: `a' # b`, line 3: &lt;img> and more\n"
        );
    }

    #[test]
    fn a_thousand_findings_make_a_bounded_text() {
        let text = markdown(&vec![finding(&"p".repeat(5_000), None, &"d".repeat(5_000)); 1_000]);
        assert!(text.ends_with("- … and 970 more\n") && text.len() < 16_000, "{}", text.len());
    }
}
