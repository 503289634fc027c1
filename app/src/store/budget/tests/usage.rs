//! What is counted for a claim, by its report or without one.

use std::time::{Duration, Instant};

use super::*;
use crate::lease::{LeaseTerms, Leases};
use crate::model::Hook;
use crate::queue::Failure;
use crate::store::{Hold, NewCheckpoint, NewLog, Parked, Settled};

/// After the claim, before the report.
const MEANWHILE: Timestamp = NOW.plus(60_000);
const LATER: Timestamp = NOW.plus(HOUR);

impl Scene {
    /// What the day has left, for a job that would be claimed now.
    async fn left(&self, now: Timestamp) -> Allowance {
        let project = self.project;
        self.store.read(move |tx| left(tx, project, now)).await.unwrap()
    }

    async fn tokens_left(&self) -> u64 {
        self.left(LATER).await.tokens.unwrap()
    }

    /// The run of a job tells these tokens, one checkpoint after the other.
    async fn tells(&self, job: &ClaimedJob, tokens: &[u64], now: Timestamp) {
        let checkpoint = |tokens: &u64| NewCheckpoint {
            hook: Hook::Turn,
            turn: None,
            note: String::new(),
            tokens: Some(*tokens),
        };
        let (ticket, all) = (job.job.ticket_id, tokens.iter().map(checkpoint).collect());
        let added = self.store.add_checkpoints(self.project, ticket, "s".to_owned(), all, now);
        assert!(added.await.unwrap());
    }

    /// The agent of a job writes that it began, and its checkpoints are lost.
    async fn begins(&self, job: &ClaimedJob) {
        let entry = NewLog {
            session_id: "s".to_owned(),
            step: "context_loaded".to_owned(),
            summary: String::new(),
            raw_output: None,
            success: None,
        };
        let added = self.store.add_log(self.project, job.job.ticket_id, entry, MEANWHILE);
        assert!(added.await.unwrap().is_some());
    }

    async fn reports(&self, claim: ClaimId, job: &ClaimedJob, usage: Option<JobUsage>) -> Settled {
        let failed = Outcome::Failed(Failure::default());
        self.store.settle(job.job.job_id, Some(claim), failed, usage, LATER).await.unwrap()
    }

    /// The lease of a claim runs out.
    async fn expires(&self, claim: ClaimId, now: Timestamp) {
        let (leases, start) = (Leases::new(LeaseTerms::default()), Instant::now());
        leases.renew(claim, start);
        let over = start + leases.terms.length + Duration::from_secs(1);
        let expired = self.store.expire_leases(leases, (over, now)).await.unwrap();
        assert_eq!(expired.len(), 1);
    }
}

#[tokio::test]
async fn a_late_report_of_a_superseded_claim_counts_once_beside_that_of_the_next() {
    let scene = Scene::new(tokens(1_000), 1).await;
    let (late, job) = scene.claim(NOW).await.unwrap();
    scene.expires(late, MEANWHILE).await;
    let (next, again) = scene.claim(MEANWHILE).await.unwrap();
    for _ in 0..2 {
        let told = scene.reports(late, &job, Some(used(300))).await;
        assert!(matches!(told, Settled::Refused(_)), "{told:?}");
    }
    scene.reports(next, &again, Some(used(100))).await;
    assert_eq!(scene.tokens_left().await, 600);
    scene.reports(late, &job, Some(used(300))).await;
    assert_eq!(scene.tokens_left().await, 600, "also once the job has ended");
}

#[tokio::test]
async fn a_late_pause_of_a_superseded_claim_is_counted_as_well() {
    let scene = Scene::new(tokens(1_000), 1).await;
    let (late, job) = scene.claim(NOW).await.unwrap();
    scene.expires(late, MEANWHILE).await;
    let (next, again) = scene.claim(MEANWHILE).await.unwrap();
    let pause = Pause { until: LATER, reason: "full".to_owned(), usage: Some(used(300)) };
    let told = scene.store.park(job.job.job_id, late, pause, MEANWHILE).await.unwrap();
    assert!(matches!(told, Parked::Refused(_)), "{told:?}");
    scene.reports(next, &again, Some(used(100))).await;
    assert_eq!(scene.tokens_left().await, 600);
}

#[tokio::test]
async fn a_claim_that_never_had_the_job_is_not_believed() {
    let scene = Scene::new(tokens(1_000), 2).await;
    let (first, one) = scene.claim(NOW).await.unwrap();
    scene.reports(first, &one, Some(used(100))).await;
    let (second, two) = scene.claim(NOW).await.unwrap();
    for stranger in [ClaimId::random(), first] {
        let told = scene.reports(stranger, &two, Some(used(300))).await;
        assert!(matches!(told, Settled::Refused(_)), "{told:?}");
    }
    scene.reports(second, &two, Some(used(100))).await;
    assert_eq!(scene.tokens_left().await, 800);
}

#[tokio::test]
async fn a_job_that_ends_without_figures_counts_what_its_run_told_at_last() {
    let scene = Scene::new(tokens(1_000), 1).await;
    let (claim, job) = scene.claim(NOW).await.unwrap();
    scene.tells(&job, &[0, 100, 400], MEANWHILE).await;
    scene.reports(claim, &job, None).await;
    assert_eq!(scene.tokens_left().await, 600);
}

#[tokio::test]
async fn a_run_that_told_only_that_it_began_counts_with_all_that_was_set_aside() {
    let scene = Scene::new(tokens(1_000), 2).await;
    let (claim, job) = scene.claim(NOW).await.unwrap();
    scene.begins(&job).await;
    scene.reports(claim, &job, None).await;
    assert_eq!(scene.tokens_left().await, 0);
    assert!(scene.claim(LATER).await.is_none());
    scene.reports(claim, &job, Some(used(200))).await;
    assert_eq!(scene.tokens_left().await, 800, "its report came after all");
    scene.reports(claim, &job, Some(used(900))).await;
    assert_eq!(scene.tokens_left().await, 800, "which stands");
}

#[tokio::test]
async fn a_claim_whose_agent_never_began_costs_nothing() {
    let scene = Scene::new(tokens(1_000), 1).await;
    let (claim, job) = scene.claim(NOW).await.unwrap();
    scene.expires(claim, MEANWHILE).await;
    assert_eq!(scene.tokens_left().await, 1_000, "nobody heard of it");
    let (claim, _) = scene.claim(MEANWHILE).await.unwrap();
    scene.reports(claim, &job, None).await;
    assert_eq!(scene.tokens_left().await, 1_000, "it could not be started");
}

#[tokio::test]
async fn a_claim_that_is_taken_back_counts_until_it_goes_on_or_reports() {
    let scene = Scene::new(tokens(1_000), 2).await;
    let (claim, job) = scene.claim(NOW).await.unwrap();
    scene.tells(&job, &[100], MEANWHILE).await;
    scene.expires(claim, MEANWHILE).await;
    assert_eq!(scene.tokens_left().await, 900);
    assert_eq!(scene.store.hold(job.job.job_id, claim).await.unwrap(), Hold::Held);
    assert_eq!(scene.tokens_left().await, 0, "all of the day is set aside for it, and no more");
    scene.tells(&job, &[300], MEANWHILE).await;
    scene.expires(claim, MEANWHILE).await;
    assert_eq!(scene.tokens_left().await, 700);
    scene.reports(claim, &job, Some(used(350))).await;
    assert_eq!(scene.tokens_left().await, 650);
}

#[tokio::test]
async fn what_an_earlier_run_of_the_job_told_is_not_counted_for_the_next() {
    let scene = Scene::new(tokens(1_000), 1).await;
    let (first, job) = scene.claim(NOW).await.unwrap();
    scene.tells(&job, &[400], MEANWHILE).await;
    scene.expires(first, MEANWHILE).await;
    let (second, again) = scene.claim(LATER).await.unwrap();
    assert_eq!(again.allowance.tokens, Some(600));
    scene.reports(second, &again, None).await;
    assert_eq!(scene.tokens_left().await, 600);
}

#[tokio::test]
async fn money_of_which_no_run_tells_counts_as_it_was_set_aside_once_it_used_tokens() {
    let budget = DayBudget { tokens: None, money: Some("1".parse().unwrap()) };
    let scene = Scene::new(budget, 2).await;
    let change = ("WORKER_MONEY_BUDGET", Some(api_client::Secret::from("0.25")));
    scene.store.change_settings(vec![change], NOW).await.unwrap();
    let (claim, job) = scene.claim(NOW).await.unwrap();
    scene.tells(&job, &[0], MEANWHILE).await;
    scene.reports(claim, &job, None).await;
    assert_eq!(scene.left(LATER).await.money, Some("1".parse().unwrap()));
    let (claim, job) = scene.claim(NOW).await.unwrap();
    scene.tells(&job, &[100], MEANWHILE).await;
    scene.reports(claim, &job, None).await;
    assert_eq!(scene.left(LATER).await.money, Some("0.75".parse().unwrap()));
}
