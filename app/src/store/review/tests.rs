use api_client::ClaimId;

use super::*;
use crate::forge::{Approval, Author, Comment, Conversation, Pull, PullState};
use crate::model::{DayBudget, Execution, Priority};
use crate::queue::{Failure, Outcome};
use crate::store::{
    Claim, Delivery, Filter, NewProject, NewReview, NewTicket, Queued, Settled, TicketEdit,
};

struct Scene {
    store: Store,
    seen: InReview,
    _folder: tempfile::TempDir,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn comment(kind: CommentKind, number: u64) -> Comment {
    let id = CommentId { kind, number };
    Comment { id, author: Author::Person, body: format!("c{number}"), written_at: at(0) }
}

fn open(comments: Vec<Comment>) -> PullState {
    PullState::Open(Conversation { approval: Approval::Missing, comments, failing: vec![] })
}

fn of_demo() -> NewProject {
    NewProject {
        name: "demo".to_owned(),
        description: String::new(),
        repo_url: Some("https://github.com/acme/demo".to_owned()),
        execution: Execution::Docker,
        budget: DayBudget::default(),
    }
}

impl Scene {
    /// A ticket in review with pull request 7.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("app.db")).unwrap();
        let project = store.create_project(of_demo(), at(0)).await.unwrap().id;
        let seen = in_review(&store, project).await;
        Self { store, seen, _folder: folder }
    }

    async fn look(&self, state: PullState, seconds: i64) -> Option<Decision> {
        let pull = Pull { seen_at: at(seconds), state };
        let look = Look { pull, begun: at(seconds), ended: at(seconds) };
        self.store.take_look(self.seen.clone(), look, ReviewTerms::default()).await.unwrap()
    }

    async fn claim(&self) -> Job {
        match self.store.claim(None, None, at(1_000)).await.unwrap() {
            Claim::Job(claimed) => claimed.job,
            other => panic!("no job: {other:?}"),
        }
    }

    async fn end(&self, job: JobId, outcome: Outcome) {
        let settled =
            self.store.settle(job, None::<ClaimId>, outcome, None, at(1_000)).await.unwrap();
        assert!(matches!(settled, Settled::Done(_)));
    }

    async fn jobs(&self) -> Vec<Job> {
        let filter = Filter { status: None, project: None, ticket: None, limit: 100 };
        self.store.jobs(filter).await.unwrap()
    }

    async fn ticket(&self) -> Ticket {
        self.store.ticket(self.seen.ticket).await.unwrap().unwrap()
    }

    async fn steps(&self) -> Vec<String> {
        let logs = self.store.logs(self.seen.project, self.seen.ticket).await.unwrap().unwrap();
        logs.into_iter().map(|log| log.step).collect()
    }
}

async fn in_review(store: &Store, project: ProjectId) -> InReview {
    let new = NewTicket {
        title: "t".to_owned(),
        description: String::new(),
        priority: Priority::Low,
        column: Column::Backlog,
    };
    let ticket = store.create_ticket(project, new, at(0)).await.unwrap().unwrap().id;
    let pr_url = Some("https://github.com/acme/demo/pull/7".to_owned());
    let delivery = Delivery { summary: None, pr_url, pr_number: Some(7) };
    assert!(store.deliver(project, ticket, delivery, at(0)).await.unwrap());
    let all = store.in_review().await.unwrap();
    all.into_iter().find(|at| at.ticket == ticket).unwrap()
}

#[tokio::test]
async fn a_comment_becomes_one_job_and_is_dealt_with_once_that_is_completed() {
    let scene = Scene::new().await;
    let said = || open(vec![comment(CommentKind::Inline, 70)]);
    assert!(matches!(scene.look(said(), 100).await, Some(Decision::Start(_))));
    assert!(matches!(scene.look(said(), 100).await, Some(Decision::Extend(..))));
    let job = scene.claim().await;
    let kind = JobKind::Review {
        pr_number: 7,
        comment_body: "c70".to_owned(),
        github_comment_id: Some(70),
    };
    assert_eq!(job.kind, kind);
    assert_eq!(scene.look(said(), 200).await, Some(Decision::Rest), "while it is at work");
    scene.end(job.job_id, Outcome::Completed).await;
    assert_eq!(scene.look(said(), 9_999).await, Some(Decision::Rest), "it is dealt with");
    assert_eq!(scene.jobs().await.len(), 1);
    let review = scene.ticket().await.review.unwrap();
    assert_eq!((review.state, review.looked_at), (ReviewState::Open, at(9_999)));
}

#[tokio::test]
async fn the_numbers_of_three_kinds_of_comments_do_not_collide() {
    let scene = Scene::new().await;
    let of = |kind| comment(kind, 70);
    for kind in [CommentKind::Inline, CommentKind::Conversation, CommentKind::Review] {
        let decision = scene.look(open(vec![of(kind)]), 2_000).await;
        assert!(matches!(decision, Some(Decision::Start(_))), "{kind:?}: {decision:?}");
        let job = scene.claim().await.job_id;
        scene.end(job, Outcome::Completed).await;
    }
}

#[tokio::test]
async fn a_failed_job_deals_with_nothing_and_three_are_the_end() {
    let scene = Scene::new().await;
    let said = || open(vec![comment(CommentKind::Inline, 70)]);
    for _ in 0..3 {
        assert!(matches!(scene.look(said(), 9_999).await, Some(Decision::Start(_))));
        let job = scene.claim().await.job_id;
        scene.end(job, Outcome::Failed(Failure::default())).await;
        assert!(!matches!(scene.look(said(), 1_001).await, Some(Decision::Start(_))));
    }
    for _ in 0..2 {
        assert_eq!(scene.look(said(), 99_999).await, Some(Decision::GiveUp(Limit::Tries)));
    }
    assert_eq!(scene.steps().await, ["review_given_up"], "it is said once");
    assert_eq!(scene.jobs().await.len(), 3);
}

#[tokio::test]
async fn a_job_that_is_tried_again_by_hand_deals_with_the_same() {
    let scene = Scene::new().await;
    let said = || open(vec![comment(CommentKind::Inline, 70)]);
    scene.look(said(), 100).await;
    let job = scene.claim().await.job_id;
    scene.end(job, Outcome::Failed(Failure::default())).await;
    let again = scene.store.retry(job, at(1_000)).await.unwrap();
    assert!(matches!(again, Queued::Job(_)));
    let job = scene.claim().await.job_id;
    scene.end(job, Outcome::Completed).await;
    assert_eq!(scene.look(said(), 9_999).await, Some(Decision::Rest));
}

#[tokio::test]
async fn a_merge_finishes_the_ticket_and_withdraws_the_job_that_waits() {
    let scene = Scene::new().await;
    scene.look(open(vec![comment(CommentKind::Inline, 70)]), 100).await;
    scene.look(PullState::Merged, 101).await;
    let ticket = scene.ticket().await;
    assert_eq!(
        (ticket.column_id, ticket.review.unwrap().state),
        (Column::Done, ReviewState::Merged)
    );
    assert_eq!(scene.jobs().await[0].status, JobStatus::Cancelled);
    assert_eq!(scene.steps().await, ["pr_merged"]);
    assert!(scene.store.in_review().await.unwrap().is_empty());
    assert_eq!(scene.look(PullState::Merged, 102).await, None, "it is not in review any more");
}

#[tokio::test]
async fn a_merge_asks_the_job_that_runs_to_stop() {
    let scene = Scene::new().await;
    scene.look(open(vec![comment(CommentKind::Inline, 70)]), 100).await;
    let job = scene.claim().await;
    scene.look(PullState::Merged, 101).await;
    let stopping = scene.store.cancel_requested(job.project_id, job.ticket_id).await.unwrap();
    assert_eq!(stopping, Some(true));
}

#[tokio::test]
async fn a_closed_pull_request_is_left_alone_until_it_is_opened_again() {
    let scene = Scene::new().await;
    let said = || open(vec![comment(CommentKind::Inline, 70)]);
    scene.look(said(), 100).await;
    scene.look(PullState::Closed, 101).await;
    let ticket = scene.ticket().await;
    assert_eq!(
        (ticket.column_id, ticket.review.unwrap().state),
        (Column::InReview, ReviewState::Closed)
    );
    assert_eq!(scene.jobs().await[0].status, JobStatus::Cancelled);
    scene.look(PullState::Closed, 102).await;
    scene.look(said(), 103).await;
    assert_eq!(scene.steps().await, ["pr_closed", "pr_reopened"]);
    assert_eq!(scene.jobs().await[0].status, JobStatus::Pending, "the same comment");
}

#[tokio::test]
async fn what_the_job_that_ran_was_given_is_dealt_with_once_the_pull_request_is_open_again() {
    let scene = Scene::new().await;
    let said = || open(vec![comment(CommentKind::Inline, 70)]);
    scene.look(said(), 100).await;
    let job = scene.claim().await.job_id;
    scene.look(PullState::Closed, 101).await;
    scene.end(job, Outcome::Cancelled(Failure::default())).await;
    assert!(matches!(scene.look(said(), 2_000).await, Some(Decision::Start(_))));
}

#[tokio::test]
async fn a_merge_leaves_the_job_of_the_ticket_itself_alone() {
    let scene = Scene::new().await;
    let (project, ticket) = (scene.seen.project, scene.seen.ticket);
    let column = Some(Column::InProgress);
    let start = TicketEdit { title: None, description: None, priority: None, column };
    scene.store.edit_ticket(project, ticket, start, at(1)).await.unwrap();
    scene.claim().await;
    let pr_url = Some("https://github.com/acme/demo/pull/7".to_owned());
    let delivery = Delivery { summary: None, pr_url, pr_number: Some(7) };
    assert!(scene.store.deliver(project, ticket, delivery, at(2)).await.unwrap());
    scene.look(PullState::Merged, 100).await;
    assert_eq!(scene.store.cancel_requested(project, ticket).await.unwrap(), Some(false));
}

#[tokio::test]
async fn a_job_whose_lease_expired_is_given_nothing_more() {
    let scene = Scene::new().await;
    scene.look(open(vec![comment(CommentKind::Inline, 70)]), 100).await;
    let job = scene.claim().await.job_id;
    let again = "UPDATE jobs SET status = 'pending'";
    scene.store.write(move |tx| tx.execute(again, [])).await.unwrap();
    let more = [70, 71].map(|number| comment(CommentKind::Inline, number)).to_vec();
    assert_eq!(scene.look(open(more.clone()), 200).await, Some(Decision::Rest));
    scene.store.write(|tx| tx.execute("UPDATE jobs SET status = 'running'", [])).await.unwrap();
    scene.end(job, Outcome::Completed).await;
    assert!(matches!(scene.look(open(more), 2_000).await, Some(Decision::Start(_))));
}

#[tokio::test]
async fn a_completed_job_without_items_has_dealt_with_its_comment() {
    let scene = Scene::new().await;
    let review =
        NewReview { pr_number: 7, comment_body: "c70".to_owned(), github_comment_id: Some(70) };
    let (project, ticket) = (scene.seen.project, scene.seen.ticket);
    scene.store.enqueue_review(project, ticket, review, at(1)).await.unwrap();
    let job = scene.claim().await.job_id;
    scene.end(job, Outcome::Completed).await;
    let of = |number| open(vec![comment(CommentKind::Conversation, number)]);
    assert_eq!(scene.look(of(70), 2_000).await, Some(Decision::Rest));
    assert!(matches!(scene.look(of(71), 2_000).await, Some(Decision::Start(_))));
}

#[tokio::test]
async fn a_lost_job_is_no_attempt() {
    let scene = Scene::new().await;
    let said = || open(vec![comment(CommentKind::Inline, 70)]);
    for _ in 0..4 {
        assert!(matches!(scene.look(said(), 9_999).await, Some(Decision::Start(_))));
        let job = scene.claim().await.job_id;
        let cause = Some("engine_lost".to_owned());
        scene.end(job, Outcome::Failed(Failure { reason: None, cause })).await;
    }
}

#[tokio::test]
async fn two_tickets_with_one_pull_request_never_have_two_jobs_for_it() {
    let mut scene = Scene::new().await;
    let said = || open(vec![comment(CommentKind::Inline, 70)]);
    scene.look(said(), 100).await;
    let job = scene.claim().await.job_id;
    let again = scene.store.create_project(of_demo(), at(0)).await.unwrap().id;
    for project in [again, scene.seen.project] {
        scene.seen = in_review(&scene.store, project).await;
        assert_eq!(scene.look(said(), 100).await, Some(Decision::Rest));
    }
    scene.end(job, Outcome::Completed).await;
    assert_eq!(scene.look(said(), 9_999).await, Some(Decision::Rest), "it is dealt with");
}

#[tokio::test]
async fn nobody_can_ask_for_a_second_job_for_one_pull_request() {
    let scene = Scene::new().await;
    let project = scene.seen.project;
    let elsewhere = NewProject { name: "again".to_owned(), ..of_demo() };
    let elsewhere = scene.store.create_project(elsewhere, at(0)).await.unwrap().id;
    let fork = Some("https://github.com/eve/demo".to_owned());
    let fork = NewProject { name: "fork".to_owned(), repo_url: fork, ..of_demo() };
    let fork = scene.store.create_project(fork, at(0)).await.unwrap().id;
    let ask = async |of: &InReview, pr_number: u64| {
        let review = NewReview { pr_number, comment_body: "c".to_owned(), github_comment_id: None };
        scene.store.enqueue_review(of.project, of.ticket, review, at(1)).await.unwrap()
    };
    let Queued::Job(failed) = ask(&scene.seen, 7).await else { panic!("the first") };
    let job = scene.claim().await.job_id;
    for of in [project, elsewhere] {
        let other = in_review(&scene.store, of).await;
        let refused = ask(&other, 7).await;
        assert!(matches!(refused, Queued::Refused(active) if active.job_id == job), "{refused:?}");
        assert!(matches!(ask(&other, 8).await, Queued::Job(_)), "another pull request");
        scene.end(scene.claim().await.job_id, Outcome::Completed).await;
    }
    let other = in_review(&scene.store, fork).await;
    assert!(matches!(ask(&other, 7).await, Queued::Job(_)), "one of another repository");
    scene.end(scene.claim().await.job_id, Outcome::Completed).await;
    scene.end(job, Outcome::Failed(Failure::default())).await;

    let other = in_review(&scene.store, elsewhere).await;
    assert!(matches!(ask(&other, 7).await, Queued::Job(_)), "the first has ended");
    let refused = scene.store.retry(failed.job_id, at(2)).await.unwrap();
    assert!(matches!(refused, Queued::Refused(_)), "nor by trying again: {refused:?}");
}

#[tokio::test]
async fn a_look_that_comes_too_late_changes_nothing() {
    let scene = Scene::new().await;
    let (project, ticket) = (scene.seen.project, scene.seen.ticket);
    let pr_url = Some("https://github.com/acme/demo/pull/8".to_owned());
    let other = Delivery { summary: None, pr_url, pr_number: Some(8) };
    assert!(scene.store.deliver(project, ticket, other, at(1)).await.unwrap());
    assert_eq!(scene.look(PullState::Merged, 100).await, None);
    assert_eq!(scene.ticket().await.column_id, Column::InReview);
    assert_eq!(scene.ticket().await.review, None);
}

#[tokio::test]
async fn a_look_that_began_before_a_job_ended_is_taken_again() {
    let scene = Scene::new().await;
    scene.look(open(vec![comment(CommentKind::Inline, 70)]), 100).await;
    let job = scene.claim().await.job_id;
    scene.end(job, Outcome::Completed).await;
    let more = || open(vec![comment(CommentKind::Inline, 71)]);
    assert_eq!(scene.look(more(), 1_000).await, Some(Decision::Wait(Duration::ZERO)));
    assert!(matches!(scene.look(more(), 1_001).await, Some(Decision::Start(_))));
}
