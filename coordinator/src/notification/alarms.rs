//! What someone has to mend, as it is seen on the board, and the end of it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Event;
use crate::board::StatusView;
use crate::context::Context;
use crate::gate::GateState;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Claims that are held back for this long are an alarm; much that holds them passes by itself.
const HELD_FOR_SEC: u64 = 60;

/// How a breaker is shown that lets everything through.
const CLOSED: &str = "closed";

/// Tells of alarms until `end`.
pub(crate) async fn watch(ctx: &Context, end: &CancellationToken) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = BTreeMap::new();
    while end.run_until_cancelled(looks.tick()).await.is_some() {
        let config = ctx.config();
        if config.notify.webhook.is_none() {
            continue;
        }
        let status = ctx.board.snapshot();
        let now = alarms(&status, ctx.gate.current(), &known);
        for event in changes(&known, &now) {
            ctx.notifier.tell(&config.notify, event);
        }
        known = now;
    }
}

/// What is wrong, by what it is about. What was wrong before stays so until it is well again.
fn alarms(
    status: &StatusView,
    gate: GateState,
    before: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut alarms = BTreeMap::new();
    if let (Some(held), GateState::Open) = (&status.held, gate)
        && (held.age >= HELD_FOR_SEC || before.contains_key("claims"))
    {
        alarms.insert("claims".to_owned(), format!("claims are held back: {}", held.text));
    }
    for (dependency, state) in status.breakers.iter().filter(|(_, state)| *state != CLOSED) {
        let text =
            format!("the circuit breaker of {dependency} is {state}: it failed again and again");
        alarms.insert(format!("breaker {dependency}"), text);
    }
    if !status.alarms.is_empty() {
        let text = format!("outcomes cannot be delivered: {}", status.alarms.join("; "));
        alarms.insert("outbox".to_owned(), text);
    }
    alarms
}

/// What is new, and what is over. A text that changes while something is wrong is no news.
fn changes(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<Event> {
    let raised = now.iter().filter(|(key, _)| !before.contains_key(*key));
    let cleared = before.iter().filter(|(key, _)| !now.contains_key(*key));
    let pair = |(key, text): (&String, &String)| (key.clone(), text.clone());
    let raised = raised.map(pair).map(|(key, text)| Event::Raised { key, text });
    raised.chain(cleared.map(pair).map(|(key, text)| Event::Cleared { key, text })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::HeldView;
    use crate::idle::Condition;

    fn held(age: u64) -> StatusView {
        let (text, condition) = ("no engine".to_owned(), Condition::default());
        let held = Some(HeldView { text, age, condition });
        StatusView { held, ..StatusView::default() }
    }

    #[test]
    fn what_passes_soon_and_what_the_operator_wants_is_no_alarm() {
        let none = BTreeMap::new();
        assert_eq!(alarms(&held(59), GateState::Open, &none), none);
        assert_eq!(alarms(&held(600), GateState::Paused, &none), none);
        assert_eq!(alarms(&held(60), GateState::Open, &none).len(), 1);
    }

    #[test]
    fn an_alarm_is_raised_once_however_its_words_change_and_cleared_once() {
        let open = |state: &str| {
            let breakers = [("app".to_owned(), state.to_owned())].into();
            StatusView { breakers, alarms: Vec::new(), ..StatusView::default() }
        };
        let (mut known, mut told) = (BTreeMap::new(), Vec::new());
        for state in [CLOSED, "open", "half-open", "open", CLOSED, CLOSED] {
            let now = alarms(&open(state), GateState::Open, &known);
            told.extend(changes(&known, &now));
            known = now;
        }
        assert!(matches!(&told[..], [Event::Raised { .. }, Event::Cleared { .. }]), "{told:?}");
    }
}
