//! When the claims of running jobs end unless they are renewed.
//!
//! Invariants: deadlines live in memory, by the monotonic clock, so no jump of the wall clock ends a
//! lease; a claim that this process has not heard of yet (after a start) has a whole lease from the
//! first look at it; time in which the server itself stood still counts for no one.
//!
//! A claim is renewed here *before* the database is asked whether it holds its job. So a sweep
//! between the two either sees the renewal, or ends the lease before the database is asked, which
//! then gives the job back to the claim.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api_client::ClaimId;

const SWEEP_MIN: Duration = Duration::from_millis(10);
const SWEEP_MAX: Duration = Duration::from_secs(1);

/// The longest lease: a day, in seconds.
const LENGTH_MAX: f64 = 86_400.0;
/// The shortest, which is for tests.
const LENGTH_MIN: f64 = 0.05;

const ATTEMPTS_MAX: u32 = 1_000;

/// For how long a claim holds, and how often a job is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseTerms {
    /// A claim that is not renewed for this long may lose its job.
    pub(crate) length: Duration,
    /// A job whose lease expires with this many claims is failed.
    pub(crate) max_attempts: u32,
}

impl LeaseTerms {
    /// The length as clients are told it: whole seconds, rounded down so that they renew in time,
    /// but at least one.
    pub(crate) fn seconds(&self) -> u64 {
        self.length.as_secs().max(1)
    }

    /// How often to look for leases that have expired.
    pub(crate) fn sweep_every(&self) -> Duration {
        (self.length / 4).clamp(SWEEP_MIN, SWEEP_MAX)
    }

    /// Looks further apart than this mean that the server stood still.
    fn standstill(&self) -> Duration {
        (self.length / 2).max(2 * SWEEP_MAX)
    }
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self { length: Duration::from_secs(90), max_attempts: 3 }
    }
}

/// Reads the length of a lease: seconds, which may have decimals.
pub(crate) fn lease_length(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok().filter(|s| (LENGTH_MIN..=LENGTH_MAX).contains(s));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("must be {LENGTH_MIN} to {LENGTH_MAX} seconds"))
}

/// Reads how often a job is handed out.
pub(crate) fn max_attempts(text: &str) -> Result<u32, String> {
    let count = text.trim().parse().ok().filter(|count| (1..=ATTEMPTS_MAX).contains(count));
    count.ok_or_else(|| format!("must be a whole number from 1 to {ATTEMPTS_MAX}"))
}

/// The leases of all running jobs; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    pub(crate) terms: LeaseTerms,
    deadlines: Arc<Mutex<Deadlines>>,
}

#[derive(Debug, Default)]
struct Deadlines {
    by_claim: HashMap<ClaimId, Instant>,
    looked: Option<Instant>,
}

impl Leases {
    pub(crate) fn new(terms: LeaseTerms) -> Self {
        Self { terms, deadlines: Arc::default() }
    }

    /// Gives a claim a whole lease from now, whether or not it holds a job: one that does not is
    /// forgotten with the next look.
    pub(crate) fn renew(&self, claim: ClaimId, now: Instant) {
        self.with(|deadlines| deadlines.by_claim.insert(claim, now + self.terms.length));
    }

    /// Which of the claims that hold a running job have expired.
    pub(crate) fn expired(&self, held: &[ClaimId], now: Instant) -> Vec<ClaimId> {
        self.with(|deadlines| deadlines.expired(held, now, &self.terms))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Deadlines) -> T) -> T {
        // A panic under the lock leaves at worst a claim out, which then gets a fresh lease.
        work(&mut self.deadlines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Deadlines {
    fn expired(&mut self, held: &[ClaimId], now: Instant, terms: &LeaseTerms) -> Vec<ClaimId> {
        let stood_still =
            self.looked.is_some_and(|looked| now.duration_since(looked) > terms.standstill());
        self.looked = Some(now);
        let fresh = now + terms.length;
        let deadline = |claim: &ClaimId| match self.by_claim.get(claim) {
            Some(deadline) if !stood_still => (*claim, *deadline),
            Some(_) | None => (*claim, fresh),
        };
        let kept: HashMap<_, _> = held.iter().map(deadline).collect();
        self.by_claim = kept;
        let over = self.by_claim.iter().filter(|(_, deadline)| **deadline <= now);
        over.map(|(claim, _)| *claim).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: LeaseTerms = LeaseTerms { length: Duration::from_secs(90), max_attempts: 3 };

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_is_not_renewed_expires_and_one_that_is_does_not() {
        let (leases, start) = (Leases::new(TERMS), Instant::now());
        let (silent, alive) = (ClaimId::random(), ClaimId::random());
        leases.renew(silent, start);
        for second in 0..200 {
            let now = after(start, second);
            if second % 30 == 0 {
                leases.renew(alive, now);
            }
            let expected = if second < 90 { vec![] } else { vec![silent] };
            assert_eq!(leases.expired(&[silent, alive], now), expected, "after {second} s");
        }
    }

    #[test]
    fn a_claim_of_an_earlier_process_has_a_whole_lease_from_the_first_look() {
        let (leases, start) = (Leases::new(TERMS), Instant::now());
        let claim = ClaimId::random();
        let ends = (0..200).find(|s| !leases.expired(&[claim], after(start, *s)).is_empty());
        assert_eq!(ends, Some(90));
    }

    #[test]
    fn time_in_which_the_server_stood_still_ends_no_lease() {
        let (leases, start) = (Leases::new(TERMS), Instant::now());
        let claim = ClaimId::random();
        leases.renew(claim, start);
        assert!(leases.expired(&[claim], start).is_empty());
        let resumed = 3_600;
        let ends =
            (resumed..).find(|s| !leases.expired(&[claim], after(start, *s)).is_empty()).unwrap();
        assert_eq!(ends, resumed + 90);
    }

    #[test]
    fn what_holds_no_job_is_forgotten() {
        let (leases, now) = (Leases::new(TERMS), Instant::now());
        for _ in 0..100 {
            leases.renew(ClaimId::random(), now);
        }
        assert!(leases.expired(&[], now).is_empty());
        assert!(leases.with(|deadlines| deadlines.by_claim.is_empty()));
    }

    #[test]
    fn clients_are_told_no_more_than_the_lease_unless_it_is_below_a_second() {
        let told = |length| LeaseTerms { length, max_attempts: 3 }.seconds();
        assert_eq!(told(Duration::from_secs(90)), 90);
        assert_eq!(told(Duration::from_millis(2_900)), 2);
        assert_eq!(told(Duration::from_millis(200)), 1);
    }

    proptest! {
        #[test]
        fn no_lease_expires_within_its_length_of_a_renewal(
            steps in prop::collection::vec((0..120_000_u64, any::<bool>()), 1..60)
        ) {
            let (leases, claim) = (Leases::new(TERMS), ClaimId::random());
            let (mut now, mut renewed) = (Instant::now(), Instant::now());
            leases.renew(claim, now);
            for (pause, renews) in steps {
                now += Duration::from_millis(pause);
                if renews {
                    leases.renew(claim, now);
                    renewed = now;
                }
                let over = leases.expired(&[claim], now);
                prop_assert!(over.is_empty() || now.duration_since(renewed) >= TERMS.length);
            }
        }
    }
}
