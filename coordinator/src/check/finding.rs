//! What a check found, how it is told while it goes on, and how it is printed.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Version of the JSON.
const VERSION: u32 = 1;

/// Width of the column of what was looked at, in characters.
const COLUMN: usize = 24;

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

/// A check goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum Step {
    /// This is looked at from now on.
    Begun { what: String },
    /// This was found.
    Found { finding: Finding },
}

/// Whoever is told of each step.
pub(crate) type Tell<'t> = dyn Fn(Step) + Send + Sync + 't;

/// What was found so far, of which somebody is told.
pub(crate) struct Findings<'t> {
    all: Vec<Finding>,
    tell: &'t Tell<'t>,
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

    /// This rests on something else, which was said to be wrong.
    pub(super) fn skipped(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::note(what, format!("not looked at: {why}"), "mend that, and check again")
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

impl<'t> Findings<'t> {
    /// Nothing yet.
    pub(crate) fn new(tell: &'t Tell<'t>) -> Self {
        Self { all: Vec::new(), tell }
    }

    /// Says what is looked at next.
    pub(crate) fn begin(&self, what: impl Into<String>) {
        (self.tell)(Step::Begun { what: what.into() });
    }

    /// Takes over what was found.
    pub(crate) fn add(&mut self, found: impl IntoIterator<Item = Finding>) {
        for finding in found {
            (self.tell)(Step::Found { finding: finding.clone() });
            self.all.push(finding);
        }
    }

    /// Whether nothing has failed so far.
    pub(crate) fn all_well(&self) -> bool {
        all_well(&self.all)
    }

    /// All of it.
    pub(crate) fn into_all(self) -> Vec<Finding> {
        self.all
    }
}

/// Whether jobs can be run.
pub(crate) fn all_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.state != State::Failed)
}

/// For people: one line, and one more for a cure. What was looked at has a column of its own, which most
/// names fit into: lines are printed as they come.
pub(crate) fn line(finding: &Finding) -> String {
    let Finding { what, state, found, cure } = finding;
    let state = match state {
        State::Ok => "ok",
        State::Note => "note",
        State::Failed => "FAILED",
    };
    // What a program said may have several.
    let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = format!("{state:<7} {what:<COLUMN$}  {found}");
    if let Some(cure) = cure {
        let _infallible = write!(line, "\n{:7} {:COLUMN$}  cure: {cure}", "", "");
    }
    line
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
            Finding::failed("AGENT_RUNTIME", "runsc is\nnot known", "add it"),
        ];
        assert_eq!(line(&findings[0]), "ok      engine                    it answers");
        let expected = "FAILED  AGENT_RUNTIME             runsc is not known\n\
                        \u{20}                                 cure: add it";
        assert_eq!(line(&findings[1]), expected);
        assert!(!all_well(&findings) && all_well(&findings[..1]));
        let json: serde_json::Value = serde_json::from_str(&json(&findings)).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["findings"][1]["state"], "failed");
    }

    #[test]
    fn each_finding_is_told_when_it_is_there() {
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |step| told.lock().unwrap().push(step);
        let mut findings = Findings::new(&tell);
        findings.begin("the app");
        let one = Finding::failed("app", "away", "start it");
        findings.add([one.clone()]);
        assert!(!findings.all_well());
        assert_eq!(findings.into_all(), std::slice::from_ref(&one));
        let begun = Step::Begun { what: "the app".to_owned() };
        assert_eq!(*told.lock().unwrap(), [begun, Step::Found { finding: one }]);
    }
}
