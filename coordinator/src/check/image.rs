//! What an image is said to be: there, with an `agent-runner` of our version, and with coding CLIs that
//! work. Pure.

use serde::{Deserialize, Serialize};

use super::finding::Finding;
use crate::config::{AgentConfig, PullPolicy};
use crate::pulls::Offer;

/// Our version, which the agent's is to match: both know the same job document.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// What the finding about the image itself is called.
pub(super) const IMAGE: &str = "image";
const RUNNER: &str = "agent-runner in image";
/// What the finding about them is called.
pub(super) const CLIS: &str = "coding CLIs";

/// How far the version of an agent-runner goes with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fit {
    Same,
    /// All but the last number is the same.
    Near,
    Other,
}

/// How far this version goes with ours.
pub(crate) fn fit(version: &str) -> Fit {
    compare(version, OURS)
}

/// What is said of an image that is not there, and of which its registry says this, where it was asked.
pub(super) fn missing(agent: &AgentConfig, image: &str, offer: Option<Offer>) -> Finding {
    let cure = format!("{}, or docker pull {image}; then check again", build(image));
    match (agent.pull, offer) {
        (PullPolicy::Never, _) => {
            let found = format!("{image} is not there, and AGENT_PULL=never");
            Finding::failed(IMAGE, found, build(image))
        }
        (_, Some(Offer::Refused(problem))) => Finding::failed(
            IMAGE,
            format!("{image} is not there and cannot be pulled: {problem}"),
            cure,
        ),
        (_, Some(Offer::Offered)) => {
            let found = format!(
                "{image} is not there; its registry has it, and it is pulled before a job is claimed: \
                 nothing was tried in a container of it"
            );
            Finding::note(IMAGE, found, cure)
        }
        (_, Some(Offer::Unknown) | None) => {
            let found = format!(
                "{image} is not there; whether it can be pulled is not known, and nothing was tried in a \
                 container of it"
            );
            Finding::note(IMAGE, found, cure)
        }
    }
}

/// What is said of an image that is there and is to be pulled anew before each claim; nothing where it can be.
pub(super) fn not_renewed(image: &str, offer: Offer) -> Option<Finding> {
    let Offer::Refused(problem) = offer else { return None };
    let found = format!("{image} cannot be pulled anew, as AGENT_PULL=always wants it: {problem}");
    let cure = "set AGENT_PULL=if-missing, or mend what is between the engine and the registry";
    Some(Finding::failed(IMAGE, found, cure))
}

/// What is said of the answer to `agent-runner --version`; none where it was none.
pub(super) fn version(image: &str, output: Option<&str>) -> Finding {
    let version = output
        .and_then(|output| output.lines().find_map(|line| line.strip_prefix("agent-runner ")))
        .map(str::trim);
    let cure = format!("{}: its entry point is to be agent-runner {OURS}", build(image));
    let Some(version) = version else {
        let found = format!("{image} does not answer to `--version` as agent-runner does");
        return Finding::failed(RUNNER, found, cure);
    };
    match fit(version) {
        Fit::Same => Finding::ok(RUNNER, format!("version {version}, as the coordinator")),
        Fit::Near => {
            let found = format!("version {version}, and the coordinator is {OURS}");
            Finding::note(RUNNER, found, build(image))
        }
        Fit::Other => {
            let found = format!("{image} has version {version}, and the coordinator is {OURS}");
            Finding::failed(RUNNER, found, cure)
        }
    }
}

/// How an image of this name is made.
fn build(image: &str) -> String {
    format!("coordinator image build --tag {image}")
}

fn compare(one: &str, other: &str) -> Fit {
    let release = |version: &str| version.rsplit_once('.').map(|(first, _)| first.to_owned());
    if one == other {
        return Fit::Same;
    }
    match (release(one), release(other)) {
        (Some(one), Some(other)) if one == other => Fit::Near,
        _ => Fit::Other,
    }
}

/// What `agent-runner doctor --json` tells.
#[derive(Debug, Deserialize)]
struct Report {
    healthy: bool,
    git: Option<String>,
    workers: Vec<Worker>,
}

#[derive(Debug, Deserialize)]
struct Worker {
    worker: String,
    result: String,
    reason: Option<String>,
}

/// What is said of it; `code` is that of the program, none where it came to no end. Where no CLI was asked
/// for by name, the app chooses it for each job: one that works is enough, and the others are named.
pub(super) fn doctor(image: &str, code: Option<i64>, output: &str) -> Finding {
    let again =
        format!("docker run --rm --network none {image} doctor tells more; build the image anew");
    let Some(code) = code else {
        return Finding::failed(CLIS, "agent-runner doctor came to no end", again);
    };
    let json = output.find('{').map_or("", |at| output.get(at..).unwrap_or_default());
    let mut reports = serde_json::Deserializer::from_str(json).into_iter::<Report>();
    let Some(Ok(report)) = reports.next() else {
        return Finding::failed(
            CLIS,
            format!("agent-runner doctor: exit {code}, no report"),
            again,
        );
    };
    let of = |result: &str| {
        let these = report.workers.iter().filter(|one| one.result == result);
        these.collect::<Vec<_>>()
    };
    let (pass, fail) = (of("pass"), of("fail"));
    let names = |these: &[&Worker]| {
        let names: Vec<_> = these.iter().map(|one| one.worker.as_str()).collect();
        names.join(", ")
    };
    if report.healthy {
        return Finding::ok(CLIS, format!("{} did a task each", names(&pass)));
    }
    if report.git.is_none() {
        return Finding::failed(CLIS, "the image has no git", again);
    }
    let why = fail
        .iter()
        .map(|one| format!("{} ({})", one.worker, one.reason.as_deref().unwrap_or("no reason")));
    let why = why.collect::<Vec<_>>().join(", ");
    match (pass.is_empty(), fail.is_empty()) {
        (false, _) => {
            let found = format!("{} did a task each; not so {why}", names(&pass));
            Finding::note(CLIS, found, format!("use another WORKER_MODE, or: {again}"))
        }
        (true, false) => Finding::failed(CLIS, format!("none does its task: {why}"), again),
        (true, true) => {
            let asked = names(&of("not_installed"));
            Finding::failed(CLIS, format!("the image has none of {asked}"), again)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::super::fixture::agent;
    use super::*;

    #[test]
    fn a_missing_image_fails_where_no_pull_would_bring_it() {
        let refused = || Some(Offer::Refused("no such host".to_owned()));
        let state = |pull, offer| {
            let finding = missing(&agent(&[("AGENT_PULL", pull)]), "team/agent", offer);
            assert!(finding.cure.unwrap().contains("coordinator image build --tag team/agent"));
            finding.state
        };
        for pull in ["if-missing", "always"] {
            assert_eq!(state(pull, refused()), State::Failed);
            assert_eq!(state(pull, Some(Offer::Offered)), State::Note);
            assert_eq!(state(pull, Some(Offer::Unknown)), State::Note);
        }
        assert_eq!(state("never", None), State::Failed);
        assert!(not_renewed("team/agent", Offer::Offered).is_none());
        assert_eq!(not_renewed("team/agent", refused().unwrap()).unwrap().state, State::Failed);
    }

    #[test]
    fn versions_match_but_for_the_last_number() {
        assert_eq!(compare("0.1.0", "0.1.0"), Fit::Same);
        assert_eq!(compare("0.1.2", "0.1.0"), Fit::Near);
        assert_eq!(compare("0.2.0", "0.1.0"), Fit::Other);
        assert_eq!(compare("", "0.1.0"), Fit::Other);
    }

    #[test]
    fn an_answer_of_something_else_is_no_agent_runner() {
        let state = |output| version("image", output).state;
        assert_eq!(
            state(Some(concat!("agent-runner ", env!("CARGO_PKG_VERSION"), "\n"))),
            State::Ok
        );
        assert_eq!(state(Some("agent-runner 99.0.0\n")), State::Failed);
        assert_eq!(state(Some("bash, version 5\n")), State::Failed);
        assert_eq!(state(None), State::Failed);
    }

    #[test]
    fn one_cli_that_works_is_enough_where_none_is_asked_for() {
        let report = |healthy, results: [&str; 2]| {
            let [first, second] = results;
            serde_json::json!({ "healthy": healthy, "git": "2.39", "workers": [
                { "worker": "codex", "result": first, "reason": null },
                { "worker": "aider", "result": second, "reason": "slow" },
            ]})
            .to_string()
        };
        let state = |code, report: String| doctor("image", Some(code), &report).state;
        assert_eq!(state(0, report(true, ["pass", "pass"])), State::Ok);
        assert_eq!(state(1, report(false, ["pass", "fail"])), State::Note);
        assert_eq!(state(1, report(false, ["not_installed", "fail"])), State::Failed);
        assert_eq!(state(1, report(false, ["not_installed", "not_installed"])), State::Failed);
        assert_eq!(state(1, "panic".to_owned()), State::Failed);
        assert_eq!(doctor("image", None, "").state, State::Failed);
    }
}
