//! What a check found, and how it is printed.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Version of the JSON.
const VERSION: u32 = 1;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) what: String,
    /// How it is.
    pub(crate) state: State,
    /// What was found.
    pub(crate) found: String,
    /// The command or the setting that mends it.
    pub(crate) cure: Option<String>,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Ok,
    /// Jobs can be run, and not quite as the settings say.
    Note,
    /// Jobs cannot be run.
    Failed,
}

impl Finding {
    /// Nothing is wrong.
    pub(super) fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Ok, found: found.into(), cure: None }
    }

    /// Something is not quite as it was asked for.
    pub(super) fn note(
        what: impl Into<String>,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { state: State::Note, cure: Some(cure.into()), ..Self::ok(what, found) }
    }

    /// Jobs cannot be run.
    pub(super) fn failed(
        what: impl Into<String>,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { state: State::Failed, cure: Some(cure.into()), ..Self::ok(what, found) }
    }
}

/// Whether jobs can be run.
pub(crate) fn all_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.state != State::Failed)
}

/// For people: one line each, and one more for a cure.
pub(crate) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let width = findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0);
    for Finding { what, state, found, cure } in findings {
        let state = match state {
            State::Ok => "ok",
            State::Note => "note",
            State::Failed => "FAILED",
        };
        // What a program said may have several.
        let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
        let _infallible = writeln!(text, "{state:<7} {what:<width$}  {found}");
        if let Some(cure) = cure {
            let _infallible = writeln!(text, "{:7} {:width$}  cure: {cure}", "", "");
        }
    }
    text.trim_end().to_owned()
}

/// For programs: one JSON object.
pub(crate) fn json(findings: &[Finding]) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        version: u32,
        ok: bool,
        findings: &'a [Finding],
    }
    let report = Report { version: VERSION, ok: all_well(findings), findings };
    // Strings and one switch always serialise.
    serde_json::to_string_pretty(&report).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_the_cure_below_what_is_wrong() {
        let findings = [
            Finding::ok("engine", "it answers"),
            Finding::failed("AGENT_RUNTIME", "runsc is not known", "add it"),
        ];
        let expected = "ok      engine         it answers\n\
                        FAILED  AGENT_RUNTIME  runsc is not known\n                       \
                        cure: add it";
        assert_eq!(text(&findings), expected);
        assert!(!all_well(&findings) && all_well(&findings[..1]));
        let json: serde_json::Value = serde_json::from_str(&json(&findings)).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["findings"][1]["state"], "failed");
    }
}
