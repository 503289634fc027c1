//! Each kind of ending has its page, kept beside this file; `UPDATE_SNAPSHOTS=1` writes them anew.

use std::collections::HashSet;
use std::path::PathBuf;

use api_client::contract::AgentExit;
use api_client::outcome::Verdict;
use serde_json::{Value, json};

use super::*;
use crate::ledger::JobRef;
use crate::outcome::{Cause, CauseKind};
use crate::paper::Paper;

const JOB: &str = "93863a0a-985e-474b-a6b2-40a89654e6bf";
const TICKET: &str = "c1d437f0-01dc-40f1-84f8-cda84d4af8e3";
const PROJECT: &str = "b0acb5a0-d0bc-4738-89d0-347ecd318506";

/// 2026-11-20 23:58:30 UTC, in milliseconds since 1970.
const CLAIMED: u64 = 1_795_219_110_200;

fn assert_page(name: &str, page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/explain/snapshots");
    let path = path.join(format!("{name}.txt"));
    let page = format!("{page}\n");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "{} differs; UPDATE_SNAPSHOTS=1 writes it anew. Now:\n{page}",
        path.display()
    );
}

fn files() -> JobFiles {
    JobFiles {
        files: vec![
            ("log", format!("/var/lib/terarchitect/logs/{JOB}.log").into(), 18_432),
            ("outcome", format!("/var/lib/terarchitect/logs/{JOB}.ended.json").into(), 2_100),
        ],
        tail: "agent-runner 0.1.0\nclone: 12 MiB\nerror: the model refused the key\nworker ended\n"
            .to_owned(),
    }
}

fn timeline(ran: Ran) -> Value {
    let start = match ran {
        Ran::InContainer => json!([
            {"what": "created", "at_millis": CLAIMED + 400},
            {"what": "started", "at_millis": CLAIMED + 1_100},
        ]),
        Ran::OnHost => json!([{"what": "on_host", "at_millis": CLAIMED + 90}]),
    };
    let mut events = vec![json!({"what": "claimed", "at_millis": CLAIMED})];
    events.extend(start.as_array().unwrap().iter().cloned());
    events.extend([
        json!({"what": "delivered", "at_millis": CLAIMED + 1_150}),
        json!({"what": "ended", "at_millis": CLAIMED + 131_000}),
        json!({"what": "reported", "at_millis": CLAIMED + 131_300}),
    ]);
    Value::Array(events)
}

fn document(exit: AgentExit) -> Value {
    let verdict = Verdict::decided_by(exit).unwrap_or(Verdict::Partial);
    let mut document = json!({
        "version": 1, "verdict": verdict, "cause": exit,
        "summary": "what the agent says about it", "runner_version": "0.1.0",
        "repository": {
            "url": "https://forge.example/acme/demo", "branch": "terarchitect/ticket-c1d437f0",
            "base_branch": "main", "base_commit": "a".repeat(40),
        },
        "turns": [{
            "ending": "finished", "detail": "it ended", "millis": 116_000,
            "tokens": {"input": 9_000, "cached": 31_000, "output": 1_200},
        }],
        "phases": [
            {"name": "prepare", "began_millis": 20, "millis": 310},
            {"name": "clone", "began_millis": 330, "millis": 2_400},
            {"name": "worker", "began_millis": 2_800, "millis": 116_400},
            {"name": "push", "began_millis": 119_500, "millis": 3_100},
        ],
    });
    if matches!(verdict, Verdict::Delivered | Verdict::ChecksFailed) {
        document["pull_request"] = json!({
            "url": "https://forge.example/acme/demo/pull/7", "number": 7, "head": "b".repeat(40),
            "draft": verdict == Verdict::ChecksFailed,
        });
    } else if verdict == Verdict::Partial {
        let branch = "terarchitect/rescue-c1d437f0";
        document["rescue"] = json!({"branch": branch, "commit": "c".repeat(40)});
    }
    document
}

/// A job that ended, as its file has it.
fn ended(more: &Value) -> EndedJob {
    let mut ended = json!({
        "version": 1, "job": JOB, "ticket": TICKET, "project": PROJECT,
        "claimed_at": CLAIMED / 1_000, "ended_at": CLAIMED / 1_000 + 131,
        "ran": "in_container", "report": "acknowledged", "timeline": timeline(Ran::InContainer),
        "image": format!("sha256:{}", "d".repeat(64)),
    });
    for (name, value) in more.as_object().unwrap() {
        ended[name] = value.clone();
    }
    serde_json::from_value(ended).unwrap()
}

fn failed(cause: &Cause, exit: Option<i64>) -> EndedJob {
    ended(&json!({
        "result": "failed", "cause": cause.name(), "reason": cause.to_string(), "exit_code": exit,
    }))
}

fn page_of(ended: EndedJob) -> String {
    let found = Found { job: ended.job, record: None, ended: Some(ended) };
    page_at(&found, &Live::NotRunning)
}

fn page_at(found: &Found, live: &Live) -> String {
    text(&explain(found, &files(), live, CLAIMED + 200_000), Paper::Plain)
}

/// One cause of each kind, with the exit code that is kept of it.
fn causes() -> Vec<(Cause, Option<i64>)> {
    let problem = || "what the engine or the system said".to_owned();
    vec![
        (Cause::Agent { exit: AgentExit::WorkerFailed }, Some(4)),
        (Cause::AgentCrashed { code: 101 }, Some(101)),
        (Cause::AgentKilled { signal: 9 }, Some(137)),
        (Cause::OutOfMemory, None),
        (Cause::NotStarted { problem: problem() }, None),
        (Cause::ForgeToken { problem: problem() }, None),
        (Cause::ImageMissing { problem: problem() }, None),
        (Cause::NoSpace { said: problem() }, None),
        (Cause::DiskLimit { limit_mib: 20_480 }, None),
        (Cause::PidsLimit { said: problem() }, None),
        (Cause::EngineLost { code: 137 }, Some(137)),
        (Cause::ContainerGone, None),
        (Cause::KeeperGone, None),
        (Cause::AdoptedGone, None),
        (Cause::Deadline { limit_sec: 14_400 }, None),
        (Cause::Stalled { limit_sec: 1_800 }, None),
        (Cause::GatewayLost, None),
        (Cause::Cancelled, None),
        (Cause::Interrupted, None),
        (Cause::Unreadable { problem: problem() }, None),
        (Cause::NotRecorded { problem: problem() }, None),
        (Cause::Internal { problem: problem() }, None),
    ]
}

#[test]
fn every_cause_has_its_page() {
    let causes = causes();
    let kinds: HashSet<_> = causes.iter().map(|(cause, _)| cause.kind()).collect();
    assert_eq!(kinds, CauseKind::ALL.into());
    for (cause, exit) in causes {
        if cause.kind() != CauseKind::Agent {
            assert_page(&format!("cause-{}", cause.name()), &page_of(failed(&cause, exit)));
        }
    }
}

#[test]
fn every_exit_of_an_agent_has_its_page() {
    for exit in AgentExit::ALL.into_iter().filter(|exit| *exit != AgentExit::Delivered) {
        let cause = Cause::Agent { exit };
        let mut ended = failed(&cause, Some(exit.code().into()));
        ended.document = Some(Box::new(serde_json::from_value(document(exit)).unwrap()));
        assert_page(&format!("exit-{}", exit.code()), &page_of(ended));
    }
}

#[test]
fn a_job_that_delivered_and_one_that_is_anothers_have_theirs() {
    let document = document(AgentExit::Delivered);
    let delivered = ended(&json!({"result": "completed", "exit_code": 0, "document": document}));
    assert_page("delivered", &page_of(delivered));
    let superseded = ended(&json!({"result": "superseded", "report": "not_ours"}));
    assert_page("superseded", &page_of(superseded));
}

#[test]
fn a_run_on_the_host_a_document_that_is_not_believed_and_an_outcome_that_waits_have_theirs() {
    let cause = Cause::Agent { exit: AgentExit::NoChanges };
    let mut on_host = failed(&cause, Some(9));
    on_host.ran = Some(Ran::OnHost);
    on_host.timeline = serde_json::from_value(timeline(Ran::OnHost)).unwrap();
    on_host.document =
        Some(Box::new(serde_json::from_value(document(AgentExit::Delivered)).unwrap()));
    on_host.doubt =
        Some("the outcome says delivered, and the exit code 9 says no changes".to_owned());
    assert_page("on-host-doubted", &page_of(on_host));

    let mut waits = failed(&Cause::OutOfMemory, None);
    waits.report = None;
    let mut events = timeline(Ran::InContainer);
    events.as_array_mut().unwrap().pop();
    waits.timeline = serde_json::from_value(events).unwrap();
    let record = record(
        json!({"name": "ended", "outcome": {"verdict": "failed", "cause": "out_of_memory"}}),
    );
    let found = Found { job: waits.job, record: Some(record), ended: Some(waits) };
    let problem = "the app answered 401; check TERARCHITECT_WORKER_API_KEY".to_owned();
    let status = StatusView {
        outbox: vec![OutboxView { job: found.job, problem, age: 60 }],
        ..StatusView::default()
    };
    assert_page("unreported", &page_at(&found, &Live::Answered(Box::new(status))));
    assert_page("unreported-no-coordinator", &page_at(&found, &Live::NotRunning));
}

#[test]
fn a_job_of_an_earlier_version_and_one_that_runs_have_theirs() {
    let text = json!({
        "version": 1, "job": JOB, "claimed_at": CLAIMED / 1_000, "ended_at": CLAIMED / 1_000 + 131,
        "result": "failed", "cause": "agent", "reason": "worker failed (exit 4)",
        "document": document(AgentExit::WorkerFailed),
    });
    assert_page("earlier-version", &page_of(serde_json::from_value(text).unwrap()));

    let record = record(json!({"name": "in_container", "image": "terarchitect-agent"}));
    let found = Found { job: record.job.job_id, record: Some(record), ended: None };
    let view = json!({"job": JOB, "ticket": TICKET, "project": PROJECT, "stage": "in_container", "age": 198});
    let jobs = vec![serde_json::from_value(view).unwrap()];
    let status = StatusView { jobs, ..StatusView::default() };
    assert_page("running", &page_at(&found, &Live::Answered(Box::new(status))));
    assert_page("running-no-coordinator", &page_at(&found, &Live::NotRunning));
}

/// A record of a job in a container that was adopted once.
fn record(stage: Value) -> Record {
    let of = JobRef::unreadable(JOB.parse().unwrap());
    let mut record = Record::claimed(of, None, CLAIMED / 1_000);
    let ticket = json!({"ticket_id": TICKET, "project_id": PROJECT});
    record.job.ticket = serde_json::from_value(ticket).unwrap();
    record.timeline = serde_json::from_value(json!([
        {"what": "claimed", "at_millis": CLAIMED},
        {"what": "created", "at_millis": CLAIMED + 400},
        {"what": "started", "at_millis": CLAIMED + 1_100},
        {"what": "delivered", "at_millis": CLAIMED + 1_150},
        {"what": "adopted", "at_millis": CLAIMED + 95_000},
    ]))
    .unwrap();
    record.stage = serde_json::from_value(stage).unwrap();
    record
}

#[test]
fn the_page_for_programs_has_the_same_and_colours_are_for_terminals() {
    let job = failed(&Cause::OutOfMemory, None);
    let found = Found { job: job.job, record: None, ended: Some(job) };
    let explained = explain(&found, &files(), &Live::NotRunning, CLAIMED);
    let parsed: Value = serde_json::from_str(&json(&explained)).unwrap();
    assert_eq!(parsed["version"], 1);
    assert_eq!((&parsed["cause"], &parsed["state"]), (&json!("out_of_memory"), &json!("settled")));
    assert_eq!(parsed["timeline"][1]["after_millis"], 400);
    assert!(!text(&explained, Paper::Plain).contains('\u{1b}'));
    assert!(text(&explained, Paper::Coloured).contains("\u{1b}[31mfailed: out of memory"));
}
