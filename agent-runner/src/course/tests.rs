use api_client::Secret;
use api_client::outcome::{CheckKind, FindingKind, WorkerFacts};

use super::*;

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
    std::thread::sleep(std::time::Duration::from_millis(2));
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
