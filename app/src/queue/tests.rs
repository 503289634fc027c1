use proptest::prelude::*;

use super::*;

const ENDED: [JobStatus; 3] = [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];
const MAX_ATTEMPTS: u32 = 3;

fn job(status: JobStatus, claim: Option<ClaimId>) -> JobState {
    JobState { status, attempt: 1, claim, cancel_requested: false }
}

#[test]
fn a_ticket_has_one_job_at_a_time() {
    assert!(may_enqueue(None));
    assert!(!may_enqueue(Some(JobStatus::Pending)));
    assert!(!may_enqueue(Some(JobStatus::Running)));
    assert!(ENDED.into_iter().all(|ended| may_enqueue(Some(ended))));
}

#[test]
fn without_a_claim_only_a_running_job_takes_a_report_and_only_once() {
    let why = Failure::default;
    for (outcome, end) in [
        (Outcome::Completed, JobStatus::Completed),
        (Outcome::Failed(why()), JobStatus::Failed),
        (Outcome::Cancelled(why()), JobStatus::Cancelled),
    ] {
        assert_eq!(settle(&job(JobStatus::Running, None), None, &outcome), Some(end));
        for refused in [end, JobStatus::Pending, JobStatus::Cancelled] {
            assert_eq!(settle(&job(refused, None), None, &outcome), None);
        }
    }
}

#[test]
fn a_claim_reports_its_own_job_also_after_its_lease_but_no_other() {
    let (ours, other) = (ClaimId::random(), ClaimId::random());
    for status in [JobStatus::Running, JobStatus::Pending] {
        let held = job(status, Some(ours));
        assert_eq!(settle(&held, Some(ours), &Outcome::Completed), Some(JobStatus::Completed));
        assert_eq!(settle(&held, Some(other), &Outcome::Completed), None);
        assert_eq!(settle(&job(status, None), Some(ours), &Outcome::Completed), None);
    }
}

#[test]
fn cancelling_withdraws_what_waits_and_asks_what_runs() {
    assert_eq!(cancel(Some(JobStatus::Pending)), Cancellation::Withdraw);
    assert_eq!(cancel(Some(JobStatus::Running)), Cancellation::Ask);
    assert_eq!(cancel(None), Cancellation::Nothing);
    for ended in ENDED {
        assert_eq!(cancel(Some(ended)), Cancellation::Nothing);
    }
}

#[test]
fn a_job_that_was_to_stop_is_not_tried_again() {
    let asked = JobState { cancel_requested: true, ..job(JobStatus::Running, None) };
    assert_eq!(expire(&asked, MAX_ATTEMPTS), Expiry::Cancel);
}

/// What three claimers, a person and the clock may do to one job.
#[derive(Clone, Copy, Debug)]
enum Event {
    Claim(usize),
    Report(usize),
    Expire,
    Cancel,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..3_usize).prop_map(Event::Claim),
        (0..3_usize).prop_map(Event::Report),
        Just(Event::Expire),
        Just(Event::Cancel),
    ]
}

/// As the store applies the rules.
fn apply(mut job: JobState, event: Event, claims: &[ClaimId]) -> JobState {
    match event {
        Event::Claim(claimer) if holds(&job, claims[claimer]) => job.status = JobStatus::Running,
        Event::Claim(claimer) if job.status == JobStatus::Pending => {
            job.status = JobStatus::Running;
            job.claim = Some(claims[claimer]);
            job.attempt += 1;
        }
        Event::Report(claimer) => {
            let end = settle(&job, Some(claims[claimer]), &Outcome::Completed);
            job.status = end.unwrap_or(job.status);
        }
        Event::Expire if job.status == JobStatus::Running => {
            job.status = match expire(&job, MAX_ATTEMPTS) {
                Expiry::Requeue => JobStatus::Pending,
                Expiry::Fail => JobStatus::Failed,
                Expiry::Cancel => JobStatus::Cancelled,
            };
        }
        Event::Cancel => match cancel(Some(job.status)) {
            Cancellation::Withdraw => job.status = JobStatus::Cancelled,
            Cancellation::Ask => job.cancel_requested = true,
            Cancellation::Nothing => {}
        },
        Event::Claim(_) | Event::Expire => {}
    }
    job
}

proptest! {
    #[test]
    fn an_end_is_final_one_claim_at_most_holds_and_attempts_are_bounded(
        events in prop::collection::vec(event(), 0..60)
    ) {
        let claims = [ClaimId::random(), ClaimId::random(), ClaimId::random()];
        let mut state = JobState { attempt: 0, ..job(JobStatus::Pending, None) };
        for event in events {
            let next = apply(state, event, &claims);
            if !is_active(state.status) {
                prop_assert_eq!(next.status, state.status);
            }
            prop_assert!(claims.iter().filter(|claim| holds(&next, **claim)).count() <= 1);
            prop_assert!(next.attempt <= MAX_ATTEMPTS);
            state = next;
        }
    }

    #[test]
    fn a_claimer_is_fenced_from_the_moment_another_has_the_job(
        events in prop::collection::vec(event(), 0..60)
    ) {
        let claims = [ClaimId::random(), ClaimId::random(), ClaimId::random()];
        let mut state = JobState { attempt: 0, ..job(JobStatus::Pending, None) };
        for event in events {
            state = apply(state, event, &claims);
            for claim in claims.iter().filter(|claim| state.claim != Some(**claim)) {
                prop_assert_eq!(settle(&state, Some(*claim), &Outcome::Completed), None);
            }
        }
    }
}
