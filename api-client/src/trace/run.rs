//! The spans of an agent's run, from its outcome document. Pure.

use std::time::{Duration, SystemTime};

use super::{Attribute, Span, SpanEnd, SpanId, TraceId};
use crate::outcome::{OutcomeDocument, PhaseFacts, TurnFacts, Verdict};

/// Name of the phase of a turn.
const WORKER: &str = "worker";

/// Most spans of one run: an outcome may come from where nobody vouches for its length.
const SPANS_MAX: usize = 200;

/// Longest word that is taken from an outcome, in characters.
const NAME_MAX: usize = 40;

/// What is known of a run without its outcome, which may say what it likes.
#[derive(Clone, Debug)]
pub struct KnownRun {
    /// The trace that it is a part of.
    pub trace: TraceId,
    /// The span that it is a part of, where there is one.
    pub parent: Option<SpanId>,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Whose run it is.
    pub ids: Vec<(&'static str, Attribute)>,
}

/// The run and its phases, which are within.
#[must_use]
pub fn spans_of_run(outcome: &OutcomeDocument, known: KnownRun) -> Vec<Span> {
    let mut attributes = known.ids;
    attributes.extend(of_run(outcome));
    let run = Span {
        name: "run".to_owned(),
        trace: known.trace,
        id: SpanId::random(),
        parent: known.parent,
        began: known.began,
        ended: known.ended,
        end: match outcome.verdict {
            Verdict::Delivered | Verdict::NoChanges | Verdict::Parked => SpanEnd::Well,
            Verdict::ChecksFailed | Verdict::Partial | Verdict::Blocked | Verdict::Failed => {
                SpanEnd::Failed(word(&outcome.cause))
            }
        },
        attributes,
    };
    let mut turns = outcome.turns.iter();
    let mut spans: Vec<Span> = Vec::with_capacity(outcome.phases.len() + 1);
    for phase in outcome.phases.iter().take(SPANS_MAX) {
        let turn = if phase.name == WORKER { turns.next() } else { None };
        spans.push(of_phase(phase, turn, &run));
    }
    spans.insert(0, run);
    spans
}

fn of_phase(phase: &PhaseFacts, turn: Option<&TurnFacts>, run: &Span) -> Span {
    let at = |millis| run.began.checked_add(Duration::from_millis(millis)).unwrap_or(run.ended);
    let (began, ended) =
        (at(phase.began_millis), at(phase.began_millis.saturating_add(phase.millis)));
    Span {
        name: short(&phase.name),
        trace: run.trace,
        id: SpanId::random(),
        parent: Some(run.id),
        began: began.min(run.ended),
        ended: ended.min(run.ended),
        end: SpanEnd::Unset,
        attributes: turn.map(of_turn).unwrap_or_default(),
    }
}

fn of_run(outcome: &OutcomeDocument) -> Vec<(&'static str, Attribute)> {
    let mut attributes = vec![
        ("verdict", Attribute::from(word(&outcome.verdict))),
        ("cause", word(&outcome.cause).into()),
        ("tokens.input", outcome.tokens.input.into()),
        ("tokens.output", outcome.tokens.output.into()),
        ("runner.version", short(&outcome.runner_version).into()),
    ];
    attributes.extend(outcome.money_usd.map(|money| ("money.usd", money.into())));
    attributes.extend(outcome.worker.as_ref().map(|cli| ("worker", short(&cli.cli).into())));
    attributes
}

fn of_turn(turn: &TurnFacts) -> Vec<(&'static str, Attribute)> {
    vec![
        ("ending", short(&turn.ending).into()),
        ("tokens.input", turn.tokens.input.into()),
        ("tokens.output", turn.tokens.output.into()),
    ]
}

fn short(text: &str) -> String {
    text.chars().take(NAME_MAX).collect()
}

/// The name of a value as JSON has it.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::TraceParent;

    fn outcome(phases: &serde_json::Value) -> OutcomeDocument {
        let outcome = json!({"version": 1, "verdict": "delivered", "cause": "delivered",
            "summary": "a secret sentence", "runner_version": "v".repeat(1_000), "phases": phases,
            "job": "another-job", "ticket": "another-ticket",
            "worker": {"cli": "w".repeat(1_000), "version": null},
            "turns": [{"ending": "finished", "detail": "x", "millis": 5, "unknown_events": 0,
                "tokens": {"input": 1, "cached": 0, "output": 2}}]});
        serde_json::from_value(outcome).unwrap()
    }

    fn spans(phases: &serde_json::Value) -> Vec<Span> {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent: TraceParent = parent.parse().unwrap();
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let known = KnownRun {
            trace: parent.trace,
            parent: Some(parent.span),
            began,
            ended: began + Duration::from_secs(1),
            ids: vec![("job.id", "the-job".into())],
        };
        spans_of_run(&outcome(phases), known)
    }

    #[test]
    fn phases_are_below_the_run_and_a_turn_has_its_tokens() {
        let phases = json!([{"name": "clone", "began_millis": 10, "millis": 20},
            {"name": "worker", "began_millis": 40, "millis": 5}]);
        let spans = spans(&phases);
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["run", "clone", "worker"]);
        assert_eq!(spans[0].parent.unwrap().to_string(), "00f067aa0ba902b7");
        assert!(spans[1..].iter().all(|span| span.parent == Some(spans[0].id)));
        assert_eq!(spans[1].ended.duration_since(spans[1].began).unwrap().as_millis(), 20);
        assert!(spans[2].attributes.contains(&("tokens.output", Attribute::Number(2))));
        assert!(!format!("{spans:?}").contains("sentence"));
    }

    #[test]
    fn an_outcome_files_itself_under_no_other_job_and_says_no_more_than_words() {
        let spans = spans(&json!([]));
        let run = &spans[0].attributes;
        let ids: Vec<_> = run.iter().filter(|(name, _)| name.ends_with(".id")).collect();
        assert_eq!(ids, [&("job.id", Attribute::from("the-job"))]);
        assert!(run.contains(&("worker", "w".repeat(NAME_MAX).into())), "{run:?}");
        assert!(run.contains(&("runner.version", "v".repeat(NAME_MAX).into())), "{run:?}");
    }

    #[test]
    fn an_outcome_that_lies_about_its_length_makes_no_span_beyond_the_run() {
        let phase = json!({"name": "x".repeat(1_000), "began_millis": 900, "millis": 1u64 << 62});
        let spans = spans(&json!(vec![phase; 1_000]));
        assert_eq!(spans.len(), 1 + SPANS_MAX);
        assert!(
            spans.iter().all(|span| span.ended <= spans[0].ended && span.name.len() <= NAME_MAX)
        );
    }
}
