mod usage;

use api_client::wire::JobUsage;
use api_client::{ClaimId, TicketId};
use tempfile::TempDir;

use super::super::{Claim, ClaimedJob, NewProject, NewTicket, Pause, Store};
use super::*;
use crate::model::{Column, Execution, Priority};
use crate::queue::Outcome;

/// In the morning of a day.
const NOW: Timestamp = Timestamp::from_millis(20_000 * DAY + 8 * HOUR);
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A project with this budget, and so many jobs that wait.
struct Scene {
    store: Store,
    project: ProjectId,
    _folder: TempDir,
}

impl Scene {
    async fn new(budget: DayBudget, jobs: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("app.db")).unwrap();
        let new = NewProject {
            name: "demo".to_owned(),
            description: String::new(),
            repo_url: Some("https://github.com/acme/demo".to_owned()),
            execution: Execution::Docker,
            budget,
        };
        let project = store.create_project(new, NOW).await.unwrap().id;
        let scene = Self { store, project, _folder: folder };
        for _ in 0..jobs {
            scene.ticket().await;
        }
        scene
    }

    async fn ticket(&self) -> TicketId {
        let new = NewTicket {
            title: "t".to_owned(),
            description: String::new(),
            priority: Priority::Medium,
            column: Column::InProgress,
        };
        self.store.create_ticket(self.project, new, NOW).await.unwrap().unwrap().id
    }

    async fn claim(&self, now: Timestamp) -> Option<(ClaimId, Box<ClaimedJob>)> {
        let claim = ClaimId::random();
        match self.store.claim(None, Some(claim), now).await.unwrap() {
            Claim::Job(job) => Some((claim, job)),
            _ => None,
        }
    }

    /// A job that uses so much.
    async fn works(&self, usage: JobUsage, now: Timestamp) {
        let (claim, job) = self.claim(now).await.unwrap();
        self.done(claim, &job, usage, now).await;
    }

    async fn done(&self, claim: ClaimId, job: &ClaimedJob, usage: JobUsage, now: Timestamp) {
        let id = job.job.job_id;
        let settle = self.store.settle(id, Some(claim), Outcome::Completed, Some(usage), now);
        settle.await.unwrap();
    }
}

fn tokens(tokens: u64) -> DayBudget {
    DayBudget { tokens: Some(tokens), money: None }
}

fn used(tokens: u64) -> JobUsage {
    JobUsage { input: tokens - 2, cached: 1, output: 1, money_usd: None }
}

#[tokio::test]
async fn a_project_over_its_budget_gets_no_jobs_until_the_day_is_over() {
    let scene = Scene::new(tokens(1_000), 3).await;
    scene.works(used(400), NOW).await;
    scene.works(used(550), NOW).await;
    assert!(scene.claim(NOW).await.is_none(), "less than a tenth is left");
    assert!(scene.claim(NOW.next_day().plus(-1)).await.is_none());
    let waiting = scene.store.waiting(NOW).await.unwrap()[&scene.project];
    assert_eq!((waiting.jobs, waiting.over_budget), (0, 1));
    assert_eq!(waiting.budget_until, Some(NOW.next_day().utc()));
    let (_, job) = scene.claim(NOW.next_day()).await.unwrap();
    assert_eq!(job.allowance.tokens, Some(1_000), "the whole of the next day");
}

#[tokio::test]
async fn a_job_gets_what_is_left_and_what_runs_is_set_aside() {
    let scene = Scene::new(tokens(1_000), 3).await;
    scene.works(used(300), NOW).await;
    let (claim, job) = scene.claim(NOW).await.unwrap();
    assert_eq!(job.allowance.tokens, Some(700));
    assert!(scene.claim(NOW).await.is_none(), "all that is left may be used by the one that runs");
    let Claim::Job(again) = scene.store.claim(None, Some(claim), NOW).await.unwrap() else {
        panic!("it holds its job");
    };
    assert_eq!(again.allowance, job.allowance);
    scene.done(claim, &job, used(100), NOW).await;
    let (_, next) = scene.claim(NOW).await.unwrap();
    assert_eq!(next.allowance.tokens, Some(600));
}

#[tokio::test]
async fn the_settings_limit_a_job_further_so_that_several_can_run() {
    let scene = Scene::new(tokens(1_000), 3).await;
    let change = ("WORKER_TOKEN_BUDGET", Some(api_client::Secret::from("400")));
    scene.store.change_settings(vec![change], NOW).await.unwrap();
    let mut allowed = Vec::new();
    while let Some((_, job)) = scene.claim(NOW).await {
        allowed.push(job.allowance.tokens.unwrap());
    }
    assert_eq!(allowed, [400, 400, 200], "never more than the budget together");
}

#[tokio::test]
async fn money_is_counted_to_a_millionth_and_a_report_counts_once() {
    let budget = DayBudget { tokens: None, money: Some("1".parse().unwrap()) };
    let scene = Scene::new(budget, 3).await;
    let cost = JobUsage { money_usd: Some(0.1), ..JobUsage::default() };
    let (claim, job) = scene.claim(NOW).await.unwrap();
    for _ in 0..3 {
        scene.done(claim, &job, cost, NOW).await;
    }
    let (_, job) = scene.claim(NOW).await.unwrap();
    assert_eq!(job.allowance.money, Some("0.9".parse().unwrap()));
    assert_eq!(job.allowance.tokens, None);
}

#[tokio::test]
async fn what_a_parked_job_used_counts_and_so_does_what_it_uses_later() {
    let scene = Scene::new(tokens(1_000), 1).await;
    let (claim, job) = scene.claim(NOW).await.unwrap();
    let until = NOW.plus(HOUR);
    let pause = || Pause { until, reason: "full".to_owned(), usage: Some(used(200)) };
    for _ in 0..2 {
        scene.store.park(job.job.job_id, claim, pause(), NOW).await.unwrap();
    }
    assert!(scene.claim(NOW).await.is_none(), "it is not due");
    let waiting = scene.store.waiting(NOW).await.unwrap()[&scene.project];
    assert_eq!((waiting.jobs, waiting.parked), (0, 1));
    assert_eq!(waiting.parked_until, Some(until.utc()));
    let (_, job) = scene.claim(until).await.unwrap();
    assert_eq!((job.allowance.tokens, job.job.attempt), (Some(800), 1));
}

#[tokio::test]
async fn a_job_that_was_parked_while_the_clock_was_years_ahead_is_due() {
    let scene = Scene::new(tokens(1_000), 1).await;
    let ahead = NOW.plus(1_000 * DAY);
    let (claim, job) = scene.claim(ahead).await.unwrap();
    let usage = Some(used(1_000));
    let pause = Pause { until: ahead.plus(30 * DAY), reason: "full".to_owned(), usage };
    scene.store.park(job.job.job_id, claim, pause, ahead).await.unwrap();
    let soon = ahead.plus(-HOUR / 2);
    assert!(scene.claim(soon).await.is_none(), "it is not due by clocks like that");
    assert_eq!(scene.store.waiting(NOW).await.unwrap()[&scene.project].jobs, 1);
    assert!(scene.claim(NOW).await.is_some());
}

#[tokio::test]
async fn a_project_without_a_budget_is_not_limited() {
    let scene = Scene::new(DayBudget::default(), 2).await;
    scene.works(used(u64::MAX), NOW).await;
    assert_eq!(scene.claim(NOW).await.unwrap().1.allowance, Allowance::default());
}
