//! A state directory that is written, damaged and read again.

use std::os::unix::fs::symlink;

use api_client::wire::Lease;
use api_client::{ClaimId, ProjectId, TicketId};

use super::record::{TicketRef, VERSION};
use super::*;
use crate::engine::ContainerRef;

fn record() -> Record {
    let ticket = TicketRef { ticket_id: TicketId::random(), project_id: ProjectId::random() };
    let job = JobRef { ticket: Some(ticket), ..JobRef::unreadable(JobId::random()) };
    Record::claimed(job, None, 1_700_000_000)
}

#[tokio::test]
async fn a_written_record_is_found_again_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let record = record();
    ledger.write(&record).await.unwrap();
    let later = record.at(Stage::OnHost { keeper: None, notes: None, began: None });
    ledger.write(&later).await.unwrap();
    assert_eq!(ledger.load().unwrap().records, [later]);
    ledger.forget(record.job.job_id).await.unwrap();
    ledger.forget(record.job.job_id).await.unwrap();
    assert!(ledger.load().unwrap().records.is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_listed_does_not_say_that_a_job_is_not_held() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let record = record();
    ledger.write(&record).await.unwrap();
    assert!(ledger.holds(record.job.job_id).await.unwrap());
    assert!(!ledger.holds(JobId::random()).await.unwrap());
    fs::rename(dir.path().join("jobs"), dir.path().join("elsewhere")).unwrap();
    ledger.holds(record.job.job_id).await.unwrap_err();
}

#[tokio::test]
async fn every_truncation_of_a_record_is_set_aside_and_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let (good, bad) = (record(), record());
    ledger.write(&good).await.unwrap();
    ledger.write(&bad).await.unwrap();
    let path = ledger.path_of(bad.job.job_id);
    let whole = fs::read(&path).unwrap();
    // The last byte is a newline, without which the record is still whole.
    for length in 0..whole.len() - 1 {
        fs::write(&path, &whole[..length]).unwrap();
        let found = ledger.load().unwrap();
        assert!(found.records.contains(&good), "cut at {length}");
        let of_bad = found.records.iter().find(|r| r.job.job_id == bad.job.job_id).unwrap();
        assert!(matches!(of_bad.stage, Stage::InContainer { .. }), "cut at {length}");
        assert_eq!((found.records.len(), found.set_aside.len()), (2, 1), "cut at {length}");
        // Its job stays held: without a record it would be taken for garbage.
        assert_eq!(ledger.held().unwrap().len(), 2, "cut at {length}");
        assert!(ledger.load().unwrap().set_aside.is_empty(), "cut at {length}");
    }
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_set_aside_and_what_is_known_of_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let lease = Some(Lease { claim_id: ClaimId::random(), lease_sec: 90 });
    let container = Some(ContainerRef::of(JobId::random()));
    let gateway = Some(ContainerRef::named("gateway".to_owned()));
    let newer = Record { version: VERSION + 1, lease, container, gateway, ..record() };
    ledger.write(&newer).await.unwrap();
    let found = ledger.load().unwrap();
    assert_eq!(found.set_aside.len(), 1);
    let cancel_flag = CancelFlag::Ours;
    let expected = Record { version: VERSION, cancel_flag, ..newer };
    assert_eq!(found.records, ledger.load().unwrap().records);
    assert_eq!(found.records, [expected]);
}

#[tokio::test]
async fn a_job_that_is_held_is_not_claimed_over() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let record = record();
    assert_eq!(ledger.claim(&record).await.unwrap(), Held::Now);
    let running = record.at(Stage::OnHost { keeper: None, notes: None, began: None });
    ledger.write(&running).await.unwrap();
    assert_eq!(ledger.claim(&record).await.unwrap(), Held::Before);
    assert_eq!(ledger.load().unwrap().records, [running]);
}

#[tokio::test]
async fn whether_a_job_of_a_ticket_is_held_is_known_and_one_that_cannot_be_read_may_be_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let (ours, other) = (record(), record());
    let ticket = ours.job.ticket.unwrap().ticket_id;
    assert_ne!(other.job.ticket.unwrap().ticket_id, ticket);
    let is_held = async || ledger.holds_job_of(ticket).await.unwrap();
    ledger.write(&other).await.unwrap();
    assert!(!is_held().await);
    ledger.write(&ours).await.unwrap();
    assert!(is_held().await);
    ledger.forget(ours.job.job_id).await.unwrap();
    // As a record that is forgotten between listing and reading.
    symlink("gone", ledger.path_of(ours.job.job_id)).unwrap();
    assert!(!is_held().await);
    fs::write(ledger.path_of(other.job.job_id), "half").unwrap();
    assert!(is_held().await);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_noticed_by_the_probe() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    ledger.probe().await.unwrap();
    fs::remove_dir_all(dir.path().join("jobs")).unwrap();
    assert!(ledger.probe().await.is_err());
}

#[test]
fn a_record_of_the_version_before_is_read() {
    let text = r#"{"version":1,"claimed_at":5,
        "job":{"job_id":"93863a0a-985e-474b-a6b2-40a89654e6bf","ticket":null,"runs":"in_container"},
        "stage":{"name":"in_container","image":"x"}}"#;
    let record = Record::parse(text.as_bytes()).unwrap();
    assert_eq!(record.stage, Stage::InContainer { image: "x".to_owned(), began: None });
    assert_eq!((record.lease, record.cancel_flag), (None, CancelFlag::Unclear));
    let on_host = text.replace(r#""in_container","image":"x""#, r#""on_host","pid":7"#);
    let record = Record::parse(on_host.as_bytes()).unwrap();
    assert_eq!(record.stage, Stage::OnHost { keeper: None, notes: None, began: None });
}

#[tokio::test]
async fn what_a_killed_writer_left_is_removed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let record = record();
    Ledger::open(dir.path()).unwrap().write(&record).await.unwrap();
    let left = [dir.path().join(".tmpAbC123"), dir.path().join("jobs/.tmpXyZ789")];
    for path in &left {
        fs::write(path, "half").unwrap();
    }
    let ledger = Ledger::open(dir.path()).unwrap();
    assert!(!left.iter().any(|path| path.exists()));
    assert_eq!(ledger.load().unwrap().records, [record]);
}

#[tokio::test]
async fn a_second_unreadable_record_of_a_job_is_set_aside_beside_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let path = ledger.path_of(JobId::random());
    let mut kept = Vec::new();
    for text in ["the first", "the second"] {
        fs::write(&path, text).unwrap();
        kept.extend(ledger.load().unwrap().set_aside.into_iter().map(|(aside, _)| aside));
    }
    let texts: Vec<_> = kept.iter().map(|aside| fs::read_to_string(aside).unwrap()).collect();
    assert_eq!(texts, ["the first", "the second"]);
}
