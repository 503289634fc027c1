//! What may go and what may not.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::files::FileKind;
use super::*;
use crate::config::{self, Environment, Flags};
use crate::context::Mode;
use crate::daemon::Daemon;
use crate::engine::LeftoverKind;
use crate::ledger::{JobRef, Record};

fn keep() -> KeepConfig {
    KeepConfig {
        orphan_grace: Duration::from_secs(300),
        state_age: None,
        log_age: Some(Duration::from_secs(1_000)),
        log_bytes: 500,
        cache_bytes: 0,
    }
}

fn file() -> impl Strategy<Value = JobFile> {
    (any::<bool>(), 0u64..2_000, 0u64..400).prop_map(|(log, age, bytes)| {
        let kind = if log { FileKind::Log } else { FileKind::Notes };
        let bytes = if log { bytes } else { 0 };
        let modified = now() - Duration::from_secs(age);
        JobFile { job: JobId::random(), path: "x".into(), kind, modified, bytes }
    })
}

fn leftover() -> impl Strategy<Value = (Leftover, Duration)> {
    (0u64..600).prop_map(|age| {
        let job = JobId::random();
        let leftover = Leftover {
            kind: LeftoverKind::Container,
            id: job.to_string(),
            name: job.to_string(),
            job: Some(job),
            ticket: None,
        };
        (leftover, Duration::from_secs(age))
    })
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

prop_compose! {
    /// A survey, and some of its jobs.
    fn survey()(
        files in proptest::collection::vec((file(), any::<bool>()), 0..12),
        leftovers in proptest::collection::vec((leftover(), any::<bool>()), 0..8),
    ) -> (Survey, HashSet<JobId>) {
        let held = files.iter().filter(|(_, held)| *held).map(|(file, _)| file.job)
            .chain(leftovers.iter().filter(|(_, held)| *held).filter_map(|((l, _), _)| l.job))
            .collect();
        let survey = Survey {
            files: files.into_iter().map(|(file, _)| file).collect(),
            leftovers: leftovers.into_iter().map(|(leftover, _)| leftover).collect(),
        };
        (survey, held)
    }
}

proptest! {
    #[test]
    fn nothing_of_a_held_job_is_removed((survey, held) in survey()) {
        let plan = plan(&survey, &held, &keep(), now());
        prop_assert!(plan.files.iter().all(|file| !held.contains(&file.job)));
        prop_assert!(plan.leftovers.iter().all(|l| !held.contains(&l.job.unwrap())));
    }

    #[test]
    fn an_object_without_a_record_goes_exactly_after_its_grace((survey, held) in survey()) {
        let plan = plan(&survey, &held, &keep(), now());
        for (leftover, age) in &survey.leftovers {
            let due = *age >= keep().orphan_grace && !held.contains(&leftover.job.unwrap());
            prop_assert_eq!(plan.leftovers.contains(leftover), due);
        }
    }

    #[test]
    fn what_is_kept_of_settled_jobs_is_within_the_bounds((survey, held) in survey()) {
        let plan = plan(&survey, &held, &keep(), now());
        let kept: Vec<_> = survey.files.iter()
            .filter(|file| !held.contains(&file.job) && !plan.files.contains(file)).collect();
        prop_assert!(kept.iter().map(|file| file.bytes).sum::<u64>() <= keep().log_bytes);
        let old = |file: &&JobFile| now().duration_since(file.modified).unwrap().as_secs() > 1_000;
        prop_assert!(!kept.iter().any(|file| old(file) || file.is_note()));
    }

    #[test]
    fn of_two_logs_the_newer_is_never_removed_before_the_older((survey, held) in survey()) {
        let plan = plan(&survey, &held, &keep(), now());
        let settled = |file: &&JobFile| !held.contains(&file.job) && !file.is_note();
        let newest_gone = plan.files.iter().filter(settled).map(|file| file.modified).max();
        let oldest_kept = survey.files.iter().filter(settled)
            .filter(|file| !plan.files.contains(file)).map(|file| file.modified).min();
        if let (Some(gone), Some(kept)) = (newest_gone, oldest_kept) {
            prop_assert!(gone <= kept);
        }
    }
}

/// A daemon without an engine, and the log of a job that is older than logs are kept.
struct Fixture {
    log: PathBuf,
    job: JobId,
    ctx: Arc<Context>,
    _daemon: Daemon,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new(fallback: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = format!("unix://{}/no-engine.sock", dir.path().display());
        let environment = Environment::of([
            ("TERARCHITECT_API_URL", "http://localhost:9"),
            ("COORDINATOR_STATE_DIR", dir.path().to_str().unwrap()),
            ("DOCKER_HOST", engine.as_str()),
            ("HOST_FALLBACK", fallback),
            ("LOG_KEEP_AGE", "1h"),
        ]);
        let config = config::load(&Flags::default(), &environment).unwrap().config;
        let daemon = Daemon::new(config, Mode::Forever).unwrap();
        let (ctx, job) = (daemon.context(), JobId::random());
        let log = ctx.log_path(job);
        let file = File::create(&log).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(7_200)).unwrap();
        Self { log, job, ctx, _daemon: daemon, _dir: dir }
    }

    async fn sweep(&self, deed: Deed) -> Swept {
        sweep(&self.ctx, Occasion::Asked, deed).await.unwrap()
    }

    async fn hold(&self) {
        let record = Record::claimed(JobRef::unreadable(self.job), None, 0);
        self.ctx.ledger.write(&record).await.unwrap();
    }
}

#[tokio::test]
async fn old_logs_go_while_the_engine_is_away_and_the_operator_is_told_that_it_is() {
    let fixture = Fixture::new("never");
    let swept = fixture.sweep(Deed::Remove).await;
    assert!(!fixture.log.exists());
    assert_eq!(swept.removed.len(), 1, "{swept:?}");
    assert!(swept.failed[0].starts_with("containers, networks and volumes: "), "{swept:?}");
}

#[tokio::test]
async fn where_no_engine_is_needed_none_is_missed() {
    let swept = Fixture::new("always").sweep(Deed::Remove).await;
    assert_eq!((swept.removed.len(), swept.failed.len()), (1, 0), "{swept:?}");
}

#[tokio::test]
async fn a_dry_run_tells_what_would_go_and_leaves_it() {
    let fixture = Fixture::new("always");
    let shown = fixture.sweep(Deed::Show).await;
    assert!(fixture.log.exists());
    assert_eq!(fixture.sweep(Deed::Remove).await, shown);
}

#[tokio::test]
async fn a_job_that_is_claimed_after_the_look_keeps_its_files() {
    let fixture = Fixture::new("always");
    let plan = Plan { files: job_files(&fixture.ctx.state_dir), leftovers: Vec::new() };
    assert_eq!(plan.files.len(), 1);
    fixture.hold().await;
    let mut swept = Swept::default();
    carry_out(&fixture.ctx, plan, Deed::Remove, &mut swept).await.unwrap();
    assert!(fixture.log.exists());
    assert_eq!(swept, Swept::default());
}
