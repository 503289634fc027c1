use api_client::Secret;
use api_client::outcome::{
    CheckKind, CommitFacts, FindingKind, OUTCOME_MAX_BYTES, PullRequestFacts, WorkerFacts,
};

use super::*;
use crate::model_gateway::{Account, Budget};

fn commit() -> CommitId {
    "0123456789abcdef0123456789abcdef01234567".parse().unwrap()
}

fn course() -> Course {
    Course::new(Redaction::default())
}

#[test]
fn a_run_that_saved_something_and_did_not_deliver_is_partial() {
    let course = course();
    assert_eq!(course.outcome(AgentExit::BudgetExhausted, "").verdict, Verdict::Failed);
    course.saved("ticket-1-rescue", commit());
    for (cause, expected) in [
        (AgentExit::BudgetExhausted, Verdict::Partial),
        (AgentExit::Cancelled, Verdict::Partial),
        (AgentExit::Blocked, Verdict::Blocked),
        (AgentExit::ChecksFailed, Verdict::ChecksFailed),
        (AgentExit::Delivered, Verdict::Delivered),
    ] {
        let outcome = course.outcome(cause, "");
        assert_eq!(outcome.verdict, expected, "{cause:?}");
        assert_eq!(outcome.rescue.is_none(), cause == AgentExit::Delivered);
    }
}

#[test]
fn only_what_is_delivered_is_called_so() {
    let course = course();
    course.saved("ticket-1", commit());
    for cause in AgentExit::ALL {
        let delivered = course.outcome(cause, "").verdict == Verdict::Delivered;
        assert_eq!(delivered, cause == AgentExit::Delivered, "{cause:?}");
    }
}

#[test]
fn a_phase_that_is_cut_short_has_its_time() {
    let course = course();
    drop(course.phase(Phase::Clone));
    let cut_short = course.phase(Phase::Push);
    let begun = Instant::now();
    while begun.elapsed().as_millis() < 2 {
        std::thread::yield_now();
    }
    drop(cut_short);
    let phases = course.outcome(AgentExit::Cancelled, "").phases;
    assert_eq!(phases.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["clone", "push"]);
    assert!(phases[1].millis >= 2 && phases[1].began_millis >= phases[0].began_millis);
}

#[test]
fn no_text_of_the_document_has_a_secret_in_it_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outcome.json");
    let redaction = Redaction::default();
    let course = Course::new(redaction.clone());
    course.write_to(Some(file.clone()));
    course.check(CheckFacts {
        kind: CheckKind::Check,
        command: "echo the-very-secret".to_owned(),
        exit_code: Some(1),
        millis: 1,
        tail: "it is \"the-very-secret\"\n".to_owned(),
    });
    course.findings(vec![Finding {
        kind: FindingKind::Secret,
        path: "a/the-very-secret".into(),
        line: Some(3),
        detail: "the-very-secret".to_owned(),
    }]);
    // Known only later than what has it.
    redaction.register([&Secret::from("the-very-secret")]);
    let logged = course.end(AgentExit::Blocked, "because of the-very-secret");
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(logged, written);
    assert!(!written.contains("the-very-secret"), "{written}");
    let read: OutcomeDocument = serde_json::from_str(&written).unwrap();
    assert_eq!(read.verdict, Verdict::Blocked);
    assert_eq!(read.findings[0].line, Some(3));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn a_folder_that_cannot_be_written_does_not_end_the_run() {
    let course = course();
    course.write_to(Some("/nonexistent/outcome.json".into()));
    assert!(course.end(AgentExit::Delivered, "").contains("\"delivered\""));
}

#[test]
fn the_brief_quotes_names_so_that_they_cannot_become_markup() {
    let course = course();
    course.note(|record| {
        record.job = Some("93863a0a-985e-474b-a6b2-40a89654e6bf".to_owned());
        record.worker = Some(WorkerFacts {
            cli: "codex".to_owned(),
            version: Some("1.2.3".to_owned()),
            model: None,
        });
    });
    course.check(CheckFacts {
        kind: CheckKind::Check,
        command: "npm test\n# `heading`".to_owned(),
        exit_code: Some(0),
        millis: 1200,
        tail: String::new(),
    });
    let brief = course.brief().facts;
    assert!(brief.contains("- Check `npm test # 'heading'` passed after 2 s\n"), "{brief}");
    assert!(brief.contains("- Worker: codex 1.2.3\n"), "{brief}");
    let trailers = course.trailers();
    assert_eq!(trailers[0], ("Agent-Run", "93863a0a-985e-474b-a6b2-40a89654e6bf".to_owned()));
    assert_eq!(trailers[1], ("Worker", "codex 1.2.3".to_owned()));
}

#[test]
fn an_outcome_of_the_longest_texts_can_be_collected_and_says_where_the_work_is() {
    // Worst for JSON: each of these bytes takes six there.
    let long = "\u{1}".repeat(4 << 20);
    let course = course();
    let url = format!("https://forge.example/{}", "x".repeat(2_000));
    course.note(|record| {
        let worst = CommitFacts { id: "2".repeat(40), subject: long.clone() };
        record.commits = vec![worst; 2];
        record.commits.resize(100, CommitFacts { id: "1".repeat(40), subject: "x".repeat(9_000) });
        let (head, draft) = (commit().to_string(), true);
        record.pull_request = Some(PullRequestFacts { url: url.clone(), number: 7, head, draft });
    });
    let path = PathBuf::from("\u{1}".repeat(4_000));
    let kind = FindingKind::TestSkipped;
    course.findings(vec![Finding { kind, path, line: Some(1), detail: "x".repeat(9_000) }; 300]);
    course.saved("ticket-1-rescue", commit());
    let text = course.end(AgentExit::Cancelled, &long);
    assert!(text.len() <= OUTCOME_MAX_BYTES, "{}", text.len());
    let read: OutcomeDocument = serde_json::from_str(&text).unwrap();
    assert_eq!(read.verdict, Verdict::Partial);
    assert_eq!(read.rescue.unwrap().branch, "ticket-1-rescue");
    assert_eq!(read.pull_request.unwrap().url, url);
    assert_eq!((read.commits.len(), read.findings.len()), (100, 200));
}

#[test]
fn what_is_not_as_it_was_meant_ends_the_summary() {
    let course = course();
    assert_eq!(course.with_warnings("done".to_owned()), "done");
    course.warn("it is no draft".to_owned());
    assert_eq!(course.with_warnings("done".to_owned()), "done; it is no draft");
}

#[test]
fn a_name_as_code_is_one_bounded_line_without_markup() {
    assert_eq!(code("a\n\n# `b`"), "`a # 'b'`");
    assert_eq!(code(&"x".repeat(5_000)).chars().count(), 303);
}

#[tokio::test]
async fn checkpoints_tell_of_the_calls_of_this_try_and_of_those_under_way() {
    let course = course();
    let account = Account::alone(Budget::default());
    let enter = || account.enter(&serde_json::json!({"messages": [], "max_tokens": 8})).unwrap();
    let _earlier = enter();
    course.calls_are_in(account.clone());
    assert_eq!(course.tokens_so_far(), 0, "of earlier tries");
    let _under_way = enter();
    let director = course.tokens_so_far();
    assert!(director > 0);
    course.note(|record| record.tokens.input = 100);
    assert_eq!(course.tokens_so_far(), director + 100, "a worker with a way of its own");
}
