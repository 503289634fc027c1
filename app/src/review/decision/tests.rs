use super::*;
use crate::forge::CommentKind;

const SECOND: Duration = Duration::from_secs(1);

/// A second of the test.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn comment(number: u64, seconds: i64) -> Comment {
    Comment {
        id: CommentId { kind: CommentKind::Inline, number },
        author: Author::Person,
        body: format!("comment {number}"),
        written_at: at(seconds),
    }
}

fn by(author: Author, comment: Comment) -> Comment {
    Comment { author, ..comment }
}

fn failing(name: &str, commit: &str, seconds: i64) -> FailedCheck {
    let (name, commit) = (name.to_owned(), commit.to_owned());
    FailedCheck { name, commit, page: Some("https://ci/1".to_owned()), failed_at: at(seconds) }
}

/// An open pull request, seen at this second.
fn open(seconds: i64, comments: Vec<Comment>, failing: Vec<FailedCheck>) -> Pull {
    let conversation = Conversation { approval: Approval::Missing, comments, failing };
    Pull { seen_at: at(seconds), state: PullState::Open(conversation) }
}

fn approved(mut pull: Pull) -> Pull {
    if let PullState::Open(conversation) = &mut pull.state {
        conversation.approval = Approval::Given;
    }
    pull
}

fn attempt(status: JobStatus, seconds: i64, items: &[Item]) -> Attempt {
    let (blame, ended_at, items) = (Blame::Work, at(seconds), items.to_vec());
    Attempt { status, blame, ended_at, items }
}

fn after(attempts: Vec<Attempt>) -> History {
    History { active: Active::None, attempts }
}

fn inline(number: u64) -> Item {
    Item::Comment(comment(number, 0).id)
}

fn check(name: &str, commit: &str) -> Item {
    Item::Check { name: name.to_owned(), commit: commit.to_owned() }
}

/// With our time the same as the forge's.
fn decided(pull: &Pull, history: &History) -> Decision {
    decide(pull, history, &ReviewTerms::default(), pull.seen_at)
}

fn started(decision: Decision) -> Assignment {
    match decision {
        Decision::Start(assignment) => assignment,
        other => panic!("no job is started: {other:?}"),
    }
}

#[test]
fn a_review_of_seven_comments_is_one_job_with_the_oldest_after_the_debounce() {
    let comments: Vec<_> = (1..=7).rev().map(|n| comment(n, n.cast_signed() * 10)).collect();
    let seen = |seconds| decided(&open(seconds, comments.clone(), vec![]), &after(vec![]));
    assert_eq!(seen(70), Decision::Wait(30 * SECOND));
    assert_eq!(seen(99), Decision::Wait(SECOND));
    let job = started(seen(100));
    assert_eq!(job.items.len(), 7);
    assert_eq!((job.comment_body.as_str(), job.comment_number), ("comment 1", Some(1)));
}

#[test]
fn another_comment_puts_the_job_off() {
    let pull = open(35, vec![comment(1, 0), comment(2, 20)], vec![]);
    assert_eq!(decided(&pull, &after(vec![])), Decision::Wait(15 * SECOND));
}

#[test]
fn the_debounce_is_counted_by_the_forges_clock() {
    let pull = open(100, vec![comment(1, 50)], vec![]);
    let early = decide(&pull, &after(vec![]), &ReviewTerms::default(), at(-9_000));
    assert!(matches!(early, Decision::Start(_)), "{early:?}");
}

#[test]
fn outsiders_bots_and_ourselves_start_nothing_and_are_not_waited_for() {
    for author in [Author::Outsider, Author::Bot, Author::Ourselves] {
        let alone = open(100, vec![by(author, comment(1, 0))], vec![]);
        assert_eq!(decided(&alone, &after(vec![])), Decision::Rest, "{author:?}");
        let beside = open(100, vec![comment(2, 50), by(author, comment(3, 99))], vec![]);
        let job = started(decided(&beside, &after(vec![])));
        assert_eq!((job.items, job.comment_number), (vec![inline(2)], Some(2)), "{author:?}");
    }
}

#[test]
fn what_a_completed_job_covered_is_dealt_with_and_of_another_kind_it_is_not_the_same() {
    let done = after(vec![attempt(JobStatus::Completed, 50, &[inline(1)])]);
    let same = open(200, vec![comment(1, 0)], vec![]);
    assert_eq!(decided(&same, &done), Decision::Rest);
    let mut other = comment(1, 60);
    other.id.kind = CommentKind::Conversation;
    let job = started(decided(&open(200, vec![comment(1, 0), other.clone()], vec![]), &done));
    assert_eq!(job.items, [Item::Comment(other.id)]);
}

#[test]
fn a_job_that_a_person_cancelled_is_not_started_again_for_the_same() {
    let cancelled = after(vec![attempt(JobStatus::Cancelled, 50, &[inline(1)])]);
    assert_eq!(decided(&open(900, vec![comment(1, 0)], vec![]), &cancelled), Decision::Rest);
}

#[test]
fn a_failed_job_is_tried_again_after_pauses_that_double_and_no_more_than_thrice() {
    let failed = |times: &[i64]| {
        let attempts = times.iter().map(|at| attempt(JobStatus::Failed, *at, &[inline(1)]));
        after(attempts.collect())
    };
    let seen = |seconds, history| decided(&open(seconds, vec![comment(1, 0)], vec![]), &history);
    assert_eq!(seen(100, failed(&[90])), Decision::Wait(290 * SECOND));
    assert!(matches!(seen(390, failed(&[90])), Decision::Start(_)));
    assert_eq!(seen(210, failed(&[90, 200])), Decision::Wait(590 * SECOND));
    assert!(matches!(seen(800, failed(&[90, 200])), Decision::Start(_)));
    assert_eq!(seen(9_999, failed(&[90, 200, 400])), Decision::GiveUp(Limit::Tries));
}

#[test]
fn the_pause_is_counted_by_our_own_clock() {
    let failed = after(vec![attempt(JobStatus::Failed, 1_000, &[inline(1)])]);
    let pull = open(100, vec![comment(1, 0)], vec![]);
    let decide_at = |now| decide(&pull, &failed, &ReviewTerms::default(), at(now));
    assert_eq!(decide_at(1_001), Decision::Wait(299 * SECOND));
    assert!(matches!(decide_at(1_300), Decision::Start(_)));
}

#[test]
fn a_new_comment_is_tried_even_where_others_were_given_up() {
    let failures = [10, 20, 30].map(|at| attempt(JobStatus::Failed, at, &[inline(1)]));
    let history = after(failures.to_vec());
    let job = started(decided(&open(99, vec![comment(1, 0), comment(2, 50)], vec![]), &history));
    assert_eq!(job.items, [inline(1), inline(2)]);
}

#[test]
fn while_a_job_is_at_work_nothing_is_started_and_one_that_waits_gets_more() {
    let pull = open(100, vec![comment(1, 0)], vec![]);
    let with = |active| History { active, attempts: vec![] };
    assert_eq!(decided(&pull, &with(Active::AtWork)), Decision::Rest);
    let job = JobId::random();
    let extended = decided(&pull, &with(Active::Waiting(job)));
    assert_eq!(extended, Decision::Extend(job, vec![inline(1)]));
    let nothing = open(100, vec![], vec![]);
    assert_eq!(decided(&nothing, &with(Active::Waiting(job))), Decision::Rest);
}

#[test]
fn failing_checks_start_a_job_that_names_them() {
    let pull = open(100, vec![], vec![failing("test", "c1", 60), failing("lint", "c1", 50)]);
    let job = started(decided(&pull, &after(vec![])));
    let text = "These checks of the newest commit failed:\n- test (https://ci/1)\n\
        - lint (https://ci/1)";
    assert_eq!((job.comment_body.as_str(), job.comment_number), (text, None));
    assert_eq!(job.items, [check("test", "c1"), check("lint", "c1")]);
    let early = open(85, vec![], vec![failing("test", "c1", 60)]);
    assert_eq!(decided(&early, &after(vec![])), Decision::Wait(5 * SECOND));
}

#[test]
fn a_check_that_each_job_leaves_failing_is_given_up_after_three_also_on_other_commits() {
    let jobs = |count: i64| {
        let job = |n| attempt(JobStatus::Completed, n, &[check("test", &format!("c{n}"))]);
        after((1..=count).map(job).collect())
    };
    let pull = |commit| open(9_999, vec![], vec![failing("test", commit, 60)]);
    assert_eq!(decided(&pull("c1"), &jobs(1)), Decision::Rest, "it did what it could there");
    assert!(matches!(decided(&pull("c2"), &jobs(1)), Decision::Start(_)));
    assert_eq!(decided(&pull("c9"), &jobs(3)), Decision::GiveUp(Limit::Tries));
}

#[test]
fn merged_closed_and_approved_pull_requests_start_nothing() {
    let said = || vec![comment(1, 0)];
    for (state, expected) in
        [(PullState::Merged, Decision::Finish(Fate::Merged)), (PullState::Closed, Decision::Close)]
    {
        let pull = Pull { state, ..open(100, said(), vec![]) };
        let at_work = History { active: Active::AtWork, attempts: vec![] };
        assert_eq!(decided(&pull, &at_work), expected);
    }
    let quiet = approved(open(100, vec![by(Author::Bot, comment(1, 0))], vec![]));
    assert_eq!(decided(&quiet, &after(vec![])), Decision::Finish(Fate::Approved));
}

#[test]
fn an_approval_waits_for_what_is_still_to_be_dealt_with() {
    let pull = approved(open(100, vec![comment(1, 0)], vec![]));
    assert!(matches!(decided(&pull, &after(vec![])), Decision::Start(_)));
    let at_work = History { active: Active::AtWork, attempts: vec![] };
    assert_eq!(decided(&pull, &at_work), Decision::Rest);
    let done = after(vec![attempt(JobStatus::Completed, 50, &[inline(1)])]);
    assert_eq!(decided(&pull, &done), Decision::Finish(Fate::Approved));
    let failures = [10, 20, 30].map(|at| attempt(JobStatus::Failed, at, &[inline(1)]));
    let given_up = after(failures.to_vec());
    assert_eq!(decided(&pull, &given_up), Decision::Finish(Fate::Approved));
}

#[test]
fn a_long_comment_is_cut() {
    let mut long = comment(1, 0);
    long.body = "é".repeat(100_000);
    let job = started(decided(&open(100, vec![long], vec![]), &after(vec![])));
    assert_eq!(job.comment_body.chars().count(), COMMENT_MAX_CHARS);
}

#[test]
fn who_goes_on_talking_does_not_put_the_job_off_for_ever() {
    let talk = |until: u64| (0..=until / 20).map(|n| comment(n, (n * 20).cast_signed())).collect();
    let early = open(290, talk(280), vec![]);
    assert_eq!(decided(&early, &after(vec![])), Decision::Wait(10 * SECOND));
    let late = open(300, talk(300), vec![]);
    assert_eq!(started(decided(&late, &after(vec![]))).items.len(), 16);
    let tried = after(vec![attempt(JobStatus::Failed, 100, &[inline(1)])]);
    let new = open(9_010, vec![comment(1, 0), comment(2, 9_000)], vec![]);
    assert_eq!(decided(&new, &tried), Decision::Wait(20 * SECOND), "counted from the new comment");
}

#[test]
fn a_pull_request_has_no_more_than_so_many_jobs_in_a_day() {
    let done = |n: u64| attempt(JobStatus::Completed, n.cast_signed() * 60, &[inline(n)]);
    let jobs = |count| after((1..=count).map(done).collect());
    let said = |seconds| open(seconds, vec![comment(99, 5_000)], vec![]);
    assert!(matches!(decided(&said(6_000), &jobs(19)), Decision::Start(_)));
    assert_eq!(decided(&said(6_000), &jobs(20)), Decision::GiveUp(Limit::Day));
    assert!(matches!(decided(&said(86_400 + 60), &jobs(20)), Decision::Start(_)), "the next day");
    let approved = decided(&approved(said(6_000)), &jobs(20));
    assert_eq!(approved, Decision::Finish(Fate::Approved));
}

#[test]
fn a_job_that_could_not_be_run_is_no_attempt_and_is_paused_after() {
    let lost =
        |at| Attempt { blame: Blame::Surroundings, ..attempt(JobStatus::Failed, at, &[inline(1)]) };
    let history = after((1..=5).map(|n| lost(n * 10)).collect());
    let seen = |seconds| decided(&open(seconds, vec![comment(1, 0)], vec![]), &history);
    assert_eq!(seen(50), Decision::Wait(3_600 * SECOND));
    assert!(matches!(seen(3_650), Decision::Start(_)));
}

#[test]
fn a_job_is_given_no_more_than_an_agent_deals_with() {
    let comments = (1..=60).map(|n| comment(n, n.cast_signed())).collect();
    let pull = open(9_000, comments, vec![]);
    let first = started(decided(&pull, &after(vec![]))).items;
    assert_eq!((first.len(), &first[0]), (REVIEW_ASKED_MAX, &inline(1)));
    let done = after(vec![attempt(JobStatus::Completed, 9_000, &first)]);
    assert_eq!(started(decided(&pull, &done)).items.len(), 60 - REVIEW_ASKED_MAX);
}
