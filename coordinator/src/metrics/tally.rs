//! What has happened since the coordinator started, counted.

use std::collections::BTreeMap;
use std::time::Duration;

use api_client::contract::AgentExit;
use api_client::outcome::{OutcomeDocument, TokenFacts};
use serde_json::Value;

use super::histogram::Histogram;
use crate::collect::on_one_line;
use crate::outcome::{Cause, CauseKind, Outcome};

/// Upper bounds of the phases of a job, in seconds.
const PHASE_BOUNDS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0];

/// So many models are told apart: their names come from the agents.
const MODELS_MAX: usize = 20;

/// Longest name of a model, in characters.
const MODEL_MAX_CHARS: usize = 80;

/// What any further model, and any word that is not known, counts as.
const OTHER: &str = "other";

/// How a turn of a coding CLI can end, as `docs/agent.md` lists it.
const ENDINGS: [&str; 16] = [
    "finished",
    "hung_after_end",
    "refused",
    "needs_input",
    "auth_failed",
    "rate_limited",
    "model_unavailable",
    "context_overflow",
    "tools_broken",
    "crashed",
    "killed",
    "timed_out",
    "stalled",
    "budget_exhausted",
    "cancelled",
    OTHER,
];

/// A part of a job's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// From the claim until its agent runs.
    Start,
    /// From when its container is begun with until its agent runs.
    Launch,
    /// Its agent.
    Run,
    /// From the end of its agent until all is settled.
    Report,
}

/// What a round of questions for a job brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    Job,
    /// A job that cannot be carried out.
    Lost,
    Nothing,
    /// Nothing, and some projects could not be asked for.
    Partly,
    /// Nothing could be asked.
    Held,
    /// The app did not answer as it should.
    Trouble,
}

/// What was tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Telling the app an outcome.
    Report,
    /// Renewing a lease.
    Lease,
    /// Starting a container.
    Launch,
    /// Removing a container.
    Removal,
    /// A job, from its beginning.
    Job,
}

/// How a job ended: outcome, cause, and what its agent's exit was called.
pub(super) type Ended = (&'static str, &'static str, String);

/// The counts.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(super) ended: BTreeMap<Ended, u64>,
    pub(super) phases: [Histogram; Phase::ALL.len()],
    pub(super) claims: [u64; Claimed::ALL.len()],
    pub(super) retries: [u64; Retry::ALL.len()],
    pub(super) turns: BTreeMap<&'static str, u64>,
    pub(super) models: BTreeMap<String, Spent>,
}

/// What a model was used for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    pub(super) money_usd: f64,
}

impl Phase {
    pub(super) const ALL: [Self; 4] = [Self::Start, Self::Launch, Self::Run, Self::Report];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Launch => "launch",
            Self::Run => "run",
            Self::Report => "report",
        }
    }
}

impl Claimed {
    pub(super) const ALL: [Self; 6] =
        [Self::Job, Self::Lost, Self::Nothing, Self::Partly, Self::Held, Self::Trouble];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Lost => "lost",
            Self::Nothing => "nothing",
            Self::Partly => "partly",
            Self::Held => "held",
            Self::Trouble => "trouble",
        }
    }
}

impl Retry {
    pub(super) const ALL: [Self; 5] =
        [Self::Report, Self::Lease, Self::Launch, Self::Removal, Self::Job];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Lease => "lease",
            Self::Launch => "launch",
            Self::Removal => "removal",
            Self::Job => "job",
        }
    }
}

/// Everything that can be known beforehand begins at 0, so that the first time is seen as a change.
impl Default for Tally {
    fn default() -> Self {
        let failed =
            CauseKind::ALL.map(CauseKind::name).into_iter().filter(|name| *name != "agent");
        let causes = failed.map(|cause| ("failed", cause, String::new()));
        let exits = AgentExit::ALL.into_iter().skip(1);
        let exits = exits.map(|exit| ("failed", "agent", word(exit)));
        let others =
            ["completed", "parked", "superseded"].map(|outcome| (outcome, "", String::new()));
        Self {
            ended: causes.chain(exits).chain(others).map(|ended| (ended, 0)).collect(),
            phases: Phase::ALL.map(|_| Histogram::new(PHASE_BOUNDS)),
            claims: Claimed::ALL.map(|_| 0),
            retries: Retry::ALL.map(|_| 0),
            turns: ENDINGS.into_iter().map(|ending| (ending, 0)).collect(),
            models: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// A job ended so; `document` is what its agent says, where that is believed.
    pub(crate) fn ended(&mut self, outcome: &Outcome, document: Option<&OutcomeDocument>) {
        let ended = match outcome {
            Outcome::Completed => ("completed", "", String::new()),
            Outcome::Parked(_) => ("parked", "", String::new()),
            Outcome::Superseded => ("superseded", "", String::new()),
            Outcome::Failed(cause @ Cause::Agent { exit }) => ("failed", cause.name(), word(*exit)),
            Outcome::Failed(cause) => ("failed", cause.name(), String::new()),
        };
        *self.ended.entry(ended).or_default() += 1;
        if let Some(document) = document {
            self.spent(document);
        }
    }

    /// A phase of a job took this long.
    pub(crate) fn took(&mut self, phase: Phase, time: Duration) {
        let of = Phase::ALL.into_iter().zip(&mut self.phases).find(|(of, _)| *of == phase);
        if let Some((_, histogram)) = of {
            histogram.observe(time);
        }
    }

    /// A round brought this.
    pub(crate) fn claimed(&mut self, claimed: Claimed) {
        let of = Claimed::ALL.into_iter().zip(&mut self.claims).find(|(of, _)| *of == claimed);
        if let Some((_, count)) = of {
            *count += 1;
        }
    }

    /// This was tried again.
    pub(crate) fn retried(&mut self, retry: Retry) {
        let of = Retry::ALL.into_iter().zip(&mut self.retries).find(|(of, _)| *of == retry);
        if let Some((_, count)) = of {
            *count += 1;
        }
    }

    fn spent(&mut self, document: &OutcomeDocument) {
        for turn in &document.turns {
            let known = ENDINGS.into_iter().find(|ending| *ending == turn.ending);
            *self.turns.entry(known.unwrap_or(OTHER)).or_default() += 1;
        }
        let model = document.worker.as_ref().and_then(|worker| worker.model.as_deref());
        self.spent_on(model.unwrap_or("unknown"), document.tokens, document.money_usd);
        if let Some(director) = &document.director {
            self.spent_on(&director.model, director.tokens, director.money_usd);
        }
    }

    /// Adds what one model used.
    fn spent_on(&mut self, model: &str, tokens: TokenFacts, money_usd: Option<f64>) {
        let model = on_one_line(model, MODEL_MAX_CHARS);
        let known = self.models.contains_key(&model) || self.models.len() < MODELS_MAX;
        let model = if known { model } else { OTHER.to_owned() };
        let spent = self.models.entry(model).or_default();
        spent.input = spent.input.saturating_add(tokens.input);
        spent.cached = spent.cached.saturating_add(tokens.cached);
        spent.output = spent.output.saturating_add(tokens.output);
        let money = money_usd.filter(|money| money.is_finite() && *money > 0.0);
        spent.money_usd += money.unwrap_or(0.0);
    }
}

/// What an exit of the agent is called, as in its document.
fn word(exit: AgentExit) -> String {
    match serde_json::to_value(exit) {
        Ok(Value::String(word)) => word,
        Ok(_) | Err(_) => OTHER.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use api_client::outcome::DirectorFacts;

    use super::*;

    fn document(model: &str, ending: &str) -> OutcomeDocument {
        serde_json::from_value(serde_json::json!({
            "version": 1, "verdict": "delivered", "cause": "delivered", "summary": "s",
            "runner_version": "1", "money_usd": 0.25,
            "worker": {"cli": "opencode", "model": model},
            "tokens": {"input": 10, "cached": 2, "output": 3},
            "turns": [{"ending": ending, "detail": "", "millis": 1,
                       "tokens": {"input": 10, "cached": 2, "output": 3}}],
        }))
        .unwrap()
    }

    #[test]
    fn however_many_models_agents_name_few_are_told_apart_and_no_token_is_lost() {
        let mut tally = Tally::default();
        for number in 0..500 {
            let document = document(&format!("model-{number}\n"), "finished");
            tally.ended(&Outcome::Completed, Some(&document));
        }
        assert_eq!(tally.models.len(), MODELS_MAX + 1);
        assert_eq!(tally.models.values().map(|spent| spent.input).sum::<u64>(), 5_000);
        assert!(tally.models.keys().all(|model| !model.contains('\n')));
    }

    #[test]
    fn what_a_director_used_counts_for_its_own_model() {
        let mut tally = Tally::default();
        let mut document = document("m", "finished");
        document.director = Some(DirectorFacts {
            model: "judge".to_owned(),
            calls: 2,
            tokens: TokenFacts { input: 7, cached: 0, output: 3 },
            money_usd: Some(0.5),
            plan: None,
            assessments: 1,
        });
        tally.ended(&Outcome::Completed, Some(&document));
        assert_eq!((tally.models["judge"].input, tally.models["judge"].output), (7, 3));
        assert!((tally.models["judge"].money_usd - 0.5).abs() < 1e-9);
        assert_eq!(tally.models["m"].input, 10);
    }

    #[test]
    fn a_word_that_is_not_known_makes_no_new_series() {
        let mut tally = Tally::default();
        let (turns, ended) = (tally.turns.len(), tally.ended.len());
        tally.ended(&Outcome::Completed, Some(&document("m", "made up")));
        tally.ended(&Outcome::Completed, Some(&document("m", "rate_limited")));
        assert_eq!((tally.turns.len(), tally.ended.len()), (turns, ended));
        assert_eq!((tally.turns[OTHER], tally.turns["rate_limited"]), (1, 1));
    }

    #[test]
    fn every_way_to_end_is_there_before_it_happens() {
        let mut tally = Tally::default();
        let known = tally.ended.len();
        for exit in AgentExit::ALL.into_iter().skip(1) {
            tally.ended(&Outcome::Failed(Cause::Agent { exit }), None);
        }
        tally.ended(&Outcome::Failed(Cause::OutOfMemory), None);
        tally.ended(&Outcome::Superseded, None);
        assert_eq!(tally.ended.len(), known);
    }
}
