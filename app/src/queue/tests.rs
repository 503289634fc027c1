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
    /// So many milliseconds from now, as its claimer says.
    Park(usize, i64),
    /// So much time goes by, in milliseconds.
    Wait(i64),
}

/// A job, the clock, and what was done with the job.
#[derive(Clone, Debug)]
struct World {
    job: JobState,
    now: Timestamp,
    due: Timestamp,
    parked: Vec<Timestamp>,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..3_usize).prop_map(Event::Claim),
        (0..3_usize).prop_map(Event::Report),
        Just(Event::Expire),
        Just(Event::Cancel),
        (0..3_usize, -HOUR..48 * HOUR).prop_map(|(claimer, wait)| Event::Park(claimer, wait)),
        (0..3 * HOUR).prop_map(Event::Wait),
    ]
}

const HOUR: i64 = 3_600_000;

fn world() -> World {
    let now = Timestamp::from_millis(0);
    let job = JobState { attempt: 0, ..job(JobStatus::Pending, None) };
    World { job, now, due: now, parked: Vec::new() }
}

/// As the store applies the rules.
fn apply(mut world: World, event: Event, claims: &[ClaimId]) -> World {
    let now = world.now;
    let job = &mut world.job;
    match event {
        Event::Claim(claimer) if holds(job, claims[claimer]) => job.status = JobStatus::Running,
        Event::Claim(claimer) if job.status == JobStatus::Pending && world.due <= now => {
            job.status = JobStatus::Running;
            // Each claim that brings a job is a new one.
            job.claim = Some(claims[claimer]);
            job.attempt += 1;
        }
        Event::Report(claimer) => {
            let end = settle(job, Some(claims[claimer]), &Outcome::Completed);
            job.status = end.unwrap_or(job.status);
        }
        Event::Expire if job.status == JobStatus::Running => {
            job.status = match expire(job, MAX_ATTEMPTS) {
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
        Event::Park(claimer, wait) => {
            let of_late = world.parked.iter().filter(|at| **at > now.plus(-PARKINGS_WITHIN));
            let of_late = u32::try_from(of_late.count()).unwrap();
            let in_all = u32::try_from(world.parked.len()).unwrap();
            let parkings = Parkings { of_late, in_all };
            match park(job, claims[claimer], now.plus(wait), parkings, now) {
                Parking::Until(until) => {
                    job.status = JobStatus::Pending;
                    job.claim = None;
                    job.attempt -= 1;
                    world.due = until;
                    world.parked.push(now);
                }
                Parking::Fail => job.status = JobStatus::Failed,
                Parking::Cancel => job.status = JobStatus::Cancelled,
                Parking::Refused => {}
            }
        }
        Event::Wait(millis) => world.now = now.plus(millis),
        Event::Claim(_) | Event::Expire => {}
    }
    world
}

fn played(events: Vec<Event>, claims: &[ClaimId], mut each: impl FnMut(&World, &World)) {
    let mut before = world();
    for event in events {
        let after = apply(before.clone(), event, claims);
        each(&before, &after);
        before = after;
    }
}

fn claims() -> [ClaimId; 3] {
    [ClaimId::random(), ClaimId::random(), ClaimId::random()]
}

proptest! {
    #[test]
    fn an_end_is_final_one_claim_at_most_holds_and_attempts_are_bounded(
        events in prop::collection::vec(event(), 0..60)
    ) {
        let claims = claims();
        played(events, &claims, |before, after| {
            if !is_active(before.job.status) {
                assert_eq!(after.job.status, before.job.status);
            }
            assert!(claims.iter().filter(|claim| holds(&after.job, **claim)).count() <= 1);
            assert!(after.job.attempt <= MAX_ATTEMPTS);
        });
    }

    #[test]
    fn a_claimer_is_fenced_from_the_moment_another_has_the_job(
        events in prop::collection::vec(event(), 0..60)
    ) {
        let claims = claims();
        played(events, &claims, |_, World { job, now, .. }| {
            for claim in claims.iter().filter(|claim| job.claim != Some(**claim)) {
                assert_eq!(settle(job, Some(*claim), &Outcome::Completed), None);
                assert_eq!(park(job, *claim, *now, Parkings::default(), *now), Parking::Refused);
            }
        });
    }

    #[test]
    fn a_pause_is_bounded_and_nobody_has_the_job_meanwhile(
        events in prop::collection::vec(event(), 0..120)
    ) {
        let claims = claims();
        played(events, &claims, |before, after| {
            if after.parked.len() > before.parked.len() {
                let ahead = after.due.millis() - after.now.millis();
                assert!((PAUSE_MIN..=PAUSE_MAX).contains(&ahead), "{ahead} ms");
                assert_eq!((after.job.status, after.job.claim), (JobStatus::Pending, None));
                assert_eq!(after.job.attempt + 1, before.job.attempt, "it was no attempt");
            }
            if before.job.claim.is_none() && after.job.claim.is_some() {
                assert!(before.due <= before.now, "it was not due");
            }
            let day = |at: &&Timestamp| at.millis() > after.now.millis() - PARKINGS_WITHIN;
            let of_late = after.parked.iter().filter(day).count();
            assert!(of_late <= usize::try_from(PARKINGS_MAX).unwrap());
        });
    }
}

#[test]
fn a_job_that_was_to_stop_is_not_parked_and_neither_is_one_that_was_too_often() {
    let (claim, now) = (ClaimId::random(), Timestamp::from_millis(0));
    let running = job(JobStatus::Running, Some(claim));
    let asked = JobState { cancel_requested: true, ..running };
    assert_eq!(park(&asked, claim, now, Parkings::default(), now), Parking::Cancel);
    let parked = |of_late, in_all| park(&running, claim, now, Parkings { of_late, in_all }, now);
    assert_eq!(parked(PARKINGS_MAX, PARKINGS_MAX), Parking::Fail);
    assert_eq!(parked(1, PARKINGS_IN_ALL), Parking::Fail);
    let last = parked(PARKINGS_MAX - 1, PARKINGS_IN_ALL - 1);
    assert_eq!(last, Parking::Until(now.plus(PAUSE_MIN)));
}
