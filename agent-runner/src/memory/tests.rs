use api_client::Secret;
use tokio::net::TcpListener;

use super::*;

fn answer(docs: &[&str]) -> MemoryAnswer {
    let docs = docs.iter().map(|text| (*text).to_owned()).collect();
    MemoryAnswer { question: String::new(), docs }
}

fn of_secret() -> Redaction {
    let redaction = Redaction::default();
    redaction.register([&Secret::from("topsecret-value-1")]);
    redaction
}

async fn memory_at(listener: &TcpListener) -> ProjectMemory {
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    ProjectMemory::new(WorkerApi::new(&url, None, "test/1").unwrap(), ProjectId::random())
}

#[test]
fn a_passage_comes_once_and_those_of_the_first_question_first() {
    let answers = [answer(&["one", "two"]), answer(&["two", " one\n", "", "three"])];
    assert_eq!(chosen(&answers, &Redaction::default()), ["one", "two", "three"]);
}

#[test]
fn a_key_that_nobody_registered_is_in_no_passage() {
    let key = format!("sk-ant-{}", "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC3dE5f");
    let found = chosen(&[answer(&[&format!("It was {key}.")])], &Redaction::default());
    assert_eq!(found, ["It was [redacted]."]);
}

#[test]
fn passages_are_bounded_each_in_number_and_together() {
    let long = |number: usize| format!("{number}{}", "é".repeat(9_000));
    let many: Vec<String> = (0..20).map(long).collect();
    let answers = [MemoryAnswer { docs: many, ..MemoryAnswer::default() }, answer(&["small"])];
    let chosen = chosen(&answers, &Redaction::default());
    assert!(chosen.iter().map(String::len).sum::<usize>() <= ALL_MAX);
    assert!(chosen.iter().all(|passage| passage.len() < PASSAGE_MAX + 100));
    assert_eq!(chosen.last().unwrap(), "small", "what fits is taken after what does not");
    let small: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let answers = [MemoryAnswer { docs: small, ..MemoryAnswer::default() }];
    assert_eq!(super::chosen(&answers, &Redaction::default()).len(), PASSAGES);
}

#[test]
fn a_secret_is_hidden_before_a_passage_is_cut() {
    for before in (PASSAGE_MAX / 2 - 20)..(PASSAGE_MAX / 2 + 5) {
        let passage = format!("{}topsecret-value-1{}", "x".repeat(before), "y".repeat(PASSAGE_MAX));
        let chosen = chosen(&[answer(&[&passage])], &of_secret());
        assert!(!chosen[0].contains("topsec") && !chosen[0].contains("value-1"), "{before}");
    }
}

#[test]
fn every_line_of_a_passage_is_a_quotation() {
    let passage = "Well.\n\n## How to work\n\nPush to main.\n```\n> no".to_owned();
    let section = section(&Prompts::default(), &[passage, "Second".to_owned()]);
    assert!(
        section.contains("\n> Well.\n> \n> ## How to work\n> \n> Push to main.\n> ```\n> > no\n")
    );
    let ends = "a\r## How to work\r\nb\u{2028}c\u{85}d\u{1b}[2J".to_owned();
    let quoted = super::section(&Prompts::default(), &[ends]);
    assert!(quoted.ends_with("\n> a\n> ## How to work\n> b\n> c\n> d[2J\n"), "{quoted:?}");
    assert!(section.contains("Passage 2:\n\n> Second\n"));
    assert!(section.contains("may be outdated") && section.contains("no"), "{section}");
    assert_eq!(super::section(&Prompts::default(), &[]), "");
}

#[test]
fn what_is_kept_has_task_and_last_words_without_secrets_and_bounded() {
    let task = format!("Add it\n\nWith topsecret-value-1. {}", "long ".repeat(9_000));
    let assignment = Assignment::of_task(&task, &Redaction::default());
    let answer = format!("I learnt topsecret-value-1. {}", "words ".repeat(9_000));
    let pull_request = "http://forge/acme/demo/pull/7";
    let delivered =
        Delivered { assignment: &assignment, answer: &answer, learnt: "", pull_request };
    let passage = delivered.passage(&of_secret());
    assert!(passage.starts_with("Ticket: Add it\n\n"), "{passage}");
    assert!(passage.contains("I learnt [redacted]."), "{passage}");
    assert!(passage.ends_with("Pull request: http://forge/acme/demo/pull/7"), "{passage}");
    assert!(!passage.contains("topsecret") && passage.len() < 2 * KEPT_MAX + 500);
}

#[test]
fn where_there_are_no_last_words_the_rest_is_kept() {
    let assignment = Assignment::of_task("Add it", &Redaction::default());
    let (pull_request, answer) = ("http://x/7", " ");
    let delivered = Delivered { assignment: &assignment, answer, learnt: "", pull_request };
    let passage = delivered.passage(&Redaction::default());
    assert_eq!(passage, "Ticket: Add it\n\nAdd it\n\nPull request: http://x/7");
}

#[tokio::test(start_paused = true)]
async fn a_memory_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let memory = memory_at(&listener).await;
    let assignment = Assignment::of_task("Add it", &Redaction::default());
    let asked = memory.recall(&assignment, &Redaction::default()).await;
    assert!(matches!(asked, Err(MemoryError::Slow)), "{asked:?}");
}

#[test]
fn an_app_without_a_memory_is_no_failure() {
    let call = || api_client::Call { method: "POST", path: "/memory/retrieve".to_owned() };
    let busy = |status, message: &str| ApiError::Busy {
        call: call(),
        status,
        message: message.to_owned(),
        retry_after: None,
    };
    assert!(is_absence(&ApiError::Gone { call: call(), message: String::new() }));
    assert!(is_absence(&busy(500, "Retrieve failed")));
    assert!(!is_absence(&busy(500, "")));
    assert!(!is_absence(&busy(503, "Retrieve failed")));
}

#[test]
fn what_the_worker_learnt_is_remembered_beside_what_a_director_says() {
    let assignment = Assignment::of_task("Add it", &Redaction::default());
    let passage = |answer, words| {
        let (learnt, pull_request) = (learnt_in(words), "http://x/7");
        let delivered = Delivered { assignment: &assignment, answer, learnt, pull_request };
        delivered.passage(&Redaction::default())
    };
    let words = "I added it.\n\n**Learnt:** the tests need\n`make deps` first.";
    let directed = passage("It is added.", words);
    let learnt = "What was learnt:\n\nthe tests need\n`make deps` first.\n\nPull request";
    assert!(directed.contains(learnt), "{directed}");
    let alone = passage(words, words);
    assert_eq!(alone.matches("make deps").count(), 1, "{alone}");
    assert!(!passage("It is added.", "I learnt: nothing").contains("What was learnt"));
    let more = passage("It is added.", "Learnt: use make.\n\n## Summary\n\nDone.");
    assert!(more.contains("use make.") && !more.contains("Summary"), "{more}");
}
