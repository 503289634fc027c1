//! From how an agent ended, and why it had to, to what the app is told. Pure.

use api_client::contract::AgentExit;

use crate::engine::ExitFacts;
use crate::ledger::Record;
use crate::outcome::{Cause, Outcome};
use crate::supervise::{AgentEnd, StopReason};

/// Which coordinator saw the agent begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    /// This one.
    Here,
    /// One before it.
    Earlier,
}

/// Whether someone else can have the job by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenure {
    /// Nobody can: the app knows no leases.
    ForGood,
    /// Its lease can be over; or it had one perhaps, and nothing tells.
    ForATerm,
}

impl Tenure {
    /// That of a job with this record, which may be one that stands in for another.
    pub(crate) const fn of(record: &Record) -> Self {
        if record.lease.is_some() || record.job.ticket.is_none() {
            Self::ForATerm
        } else {
            Self::ForGood
        }
    }
}

/// What an end amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The job has this outcome.
    Ended(Outcome),
    /// No agent ever had it: why.
    NeverBegan(String),
}

/// The one rule. What an agent delivered is delivered, whatever it was asked for meanwhile; a job
/// that is another's is not ours to report; else the reason for which the agent was stopped comes
/// before the way it ended.
pub(crate) fn verdict(
    end: AgentEnd,
    reason: Option<StopReason>,
    began: Began,
    tenure: Tenure,
) -> Verdict {
    let outcome = match (end, reason) {
        (_, Some(StopReason::Superseded)) => Outcome::Superseded,
        // Where nobody else can have the job, some other program ended so.
        (AgentEnd::Exited(facts) | AgentEnd::ExitedUnseen(facts), _)
            if superseded(&facts) && tenure == Tenure::ForATerm =>
        {
            Outcome::Superseded
        }
        (AgentEnd::Exited(facts) | AgentEnd::ExitedUnseen(facts), _) if facts.code == 0 => {
            Outcome::Completed
        }
        // An engine that stops takes the gateway with it, mostly a moment earlier.
        (AgentEnd::ExitedUnseen(facts), None | Some(StopReason::GatewayLost)) => {
            for_tenure(unseen(&facts), tenure)
        }
        (_, Some(reason)) => Outcome::Failed(stopped(reason)),
        (AgentEnd::NeverBegan(problem), None) => return Verdict::NeverBegan(problem),
        (AgentEnd::NoAgent(problem), None) => Outcome::Failed(Cause::NotStarted { problem }),
        (AgentEnd::Exited(facts), None) => for_tenure(Outcome::of_exit(&facts), tenure),
        (gone @ (AgentEnd::Gone | AgentEnd::KeeperGone), None) => Outcome::Failed(match began {
            Began::Here if gone == AgentEnd::KeeperGone => Cause::KeeperGone,
            Began::Here => Cause::ContainerGone,
            Began::Earlier => Cause::AdoptedGone,
        }),
    };
    Verdict::Ended(outcome)
}

/// An app that knows no leases knows no pause: there the job failed.
fn for_tenure(outcome: Outcome, tenure: Tenure) -> Outcome {
    match (outcome, tenure) {
        (Outcome::Parked(_), Tenure::ForGood) => {
            Outcome::Failed(Cause::Agent { exit: AgentExit::Parked })
        }
        (outcome, _) => outcome,
    }
}

/// The outcome of an agent that ended while the engine was away.
fn unseen(facts: &ExitFacts) -> Outcome {
    match Outcome::of_exit(facts) {
        // An engine that stops ends its containers by TERM, which the agent obeys, then by KILL.
        Outcome::Failed(
            Cause::Cancelled | Cause::AgentKilled { .. } | Cause::AgentCrashed { .. },
        ) => Outcome::Failed(Cause::EngineLost { code: facts.code }),
        outcome => outcome,
    }
}

fn superseded(facts: &ExitFacts) -> bool {
    AgentExit::from_code(facts.code) == Some(AgentExit::Superseded)
}

fn stopped(reason: StopReason) -> Cause {
    match reason {
        StopReason::Deadline(limit) => Cause::Deadline { limit_sec: limit.as_secs() },
        StopReason::Stalled(limit) => Cause::Stalled { limit_sec: limit.as_secs() },
        StopReason::DiskLimit(limit) => Cause::DiskLimit { limit_mib: limit >> 20 },
        StopReason::GatewayLost => Cause::GatewayLost,
        StopReason::Cancelled => Cause::Cancelled,
        StopReason::Interrupted => Cause::Interrupted,
        // Decided before; it has no cause that anyone is told.
        StopReason::Superseded => Cause::Interrupted,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api_client::JobId;

    use proptest::prelude::*;

    use super::*;
    use crate::ledger::JobRef;
    use crate::outcome::Pause;

    fn end() -> impl Strategy<Value = AgentEnd> {
        let facts = (prop_oneof![0i64..20, 125i64..150, any::<i64>()], any::<bool>()).prop_map(
            |(code, out_of_memory)| ExitFacts { code, out_of_memory, error: String::new() },
        );
        prop_oneof![
            facts.clone().prop_map(AgentEnd::Exited),
            facts.prop_map(AgentEnd::ExitedUnseen),
            Just(AgentEnd::NeverBegan("why".to_owned())),
            Just(AgentEnd::NoAgent("why".to_owned())),
            Just(AgentEnd::Gone),
            Just(AgentEnd::KeeperGone),
        ]
    }

    fn reason() -> impl Strategy<Value = Option<StopReason>> {
        let limit = Duration::from_secs(9);
        proptest::option::of(prop_oneof![
            Just(StopReason::Deadline(limit)),
            Just(StopReason::Stalled(limit)),
            Just(StopReason::GatewayLost),
            Just(StopReason::Cancelled),
            Just(StopReason::Interrupted),
            Just(StopReason::Superseded),
        ])
    }

    fn began() -> impl Strategy<Value = Began> {
        prop_oneof![Just(Began::Here), Just(Began::Earlier)]
    }

    fn tenure() -> impl Strategy<Value = Tenure> {
        prop_oneof![Just(Tenure::ForGood), Just(Tenure::ForATerm)]
    }

    fn delivered(end: &AgentEnd) -> bool {
        matches!(end, AgentEnd::Exited(facts) | AgentEnd::ExitedUnseen(facts) if facts.code == 0)
    }

    proptest! {
        #[test]
        fn a_job_is_completed_exactly_when_its_agent_delivered_and_it_was_still_ours(
            end in end(), reason in reason(), began in began(), tenure in tenure(),
        ) {
            let expected = delivered(&end) && reason != Some(StopReason::Superseded);
            let verdict = verdict(end, reason, began, tenure);
            prop_assert_eq!(verdict == Verdict::Ended(Outcome::Completed), expected);
        }

        #[test]
        fn an_agent_that_had_to_end_is_never_started_again(
            end in end(), reason in reason(), began in began(), tenure in tenure(),
        ) {
            let never_began = matches!(end, AgentEnd::NeverBegan(_));
            let again = matches!(verdict(end, reason, began, tenure), Verdict::NeverBegan(_));
            prop_assert_eq!(again, never_began && reason.is_none());
        }

        #[test]
        fn a_reason_to_stop_is_told_as_such(end in end(), began in began(), tenure in tenure()) {
            prop_assume!(!delivered(&end));
            prop_assume!(!matches!(&end,
                AgentEnd::Exited(facts) | AgentEnd::ExitedUnseen(facts) if superseded(facts)));
            let verdict = verdict(end, Some(StopReason::Cancelled), began, tenure);
            prop_assert_eq!(verdict, Verdict::Ended(Outcome::Failed(Cause::Cancelled)));
        }
    }

    #[test]
    fn an_engine_that_took_the_agent_with_it_is_told_from_an_agent_that_failed() {
        let unseen = |code| AgentEnd::ExitedUnseen(ExitFacts { code, ..ExitFacts::default() });
        let lost = |code| Verdict::Ended(Outcome::Failed(Cause::EngineLost { code }));
        assert_eq!(verdict(unseen(137), None, Began::Here, Tenure::ForGood), lost(137));
        assert_eq!(verdict(unseen(7), None, Began::Here, Tenure::ForGood), lost(7));
        let with_gateway =
            verdict(unseen(137), Some(StopReason::GatewayLost), Began::Here, Tenure::ForGood);
        assert_eq!(with_gateway, lost(137));
        let failed = Outcome::Failed(Cause::Agent { exit: AgentExit::CloneFailed });
        assert_eq!(verdict(unseen(3), None, Began::Here, Tenure::ForGood), Verdict::Ended(failed));
    }

    #[test]
    fn a_job_is_parked_where_the_app_knows_leases_and_nothing_else_ended_it() {
        let facts = ExitFacts { code: 17, ..ExitFacts::default() };
        let ended = |end, reason, tenure| verdict(end, reason, Began::Here, tenure);
        let parked = Verdict::Ended(Outcome::Parked(Pause::default()));
        for end in [AgentEnd::Exited(facts.clone()), AgentEnd::ExitedUnseen(facts.clone())] {
            assert_eq!(ended(end.clone(), None, Tenure::ForATerm), parked);
            let failed = Outcome::Failed(Cause::Agent { exit: AgentExit::Parked });
            assert_eq!(ended(end, None, Tenure::ForGood), Verdict::Ended(failed));
        }
        let cancelled =
            ended(AgentEnd::Exited(facts), Some(StopReason::Cancelled), Tenure::ForATerm);
        assert_eq!(cancelled, Verdict::Ended(Outcome::Failed(Cause::Cancelled)));
    }

    #[test]
    fn a_job_that_nobody_else_can_have_is_not_superseded_whatever_a_program_ends_with() {
        let facts = ExitFacts { code: 12, ..ExitFacts::default() };
        let ended = |tenure| verdict(AgentEnd::Exited(facts.clone()), None, Began::Here, tenure);
        assert_eq!(ended(Tenure::ForATerm), Verdict::Ended(Outcome::Superseded));
        let failed = Outcome::Failed(Cause::Agent { exit: AgentExit::Superseded });
        assert_eq!(ended(Tenure::ForGood), Verdict::Ended(failed));
    }

    #[test]
    fn a_record_that_stands_in_for_another_may_have_had_a_lease() {
        let lost = Record::claimed(JobRef::unreadable(JobId::random()), None, 0);
        assert_eq!(Tenure::of(&lost), Tenure::ForATerm);
    }
}
