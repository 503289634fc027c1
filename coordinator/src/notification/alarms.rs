//! What someone has to mend, as it is seen on the board, and the end of it.
//!
//! Invariant: what was raised is cleared when it is over, by this process or by the next one: what was
//! raised is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Event;
use crate::board::StatusView;
use crate::config::{NotifyConfig, NotifyOn};
use crate::context::Context;
use crate::gate::GateState;
use crate::ledger::{aside, write_json};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Claims that are held back for this long are an alarm; much that holds them passes by itself.
const HELD_FOR_SEC: u64 = 60;

/// After this an alarm that was not delivered is raised again, while it stands.
const AGAIN: Duration = Duration::from_secs(300);

/// What an earlier process has raised is not over before this one has looked for so long.
const SETTLED: Duration = Duration::from_secs(60);

/// How a breaker is shown that lets everything through.
const CLOSED: &str = "closed";

/// The alarm of claims that are held back.
const CLAIMS: &str = "claims";

/// The file of what was raised, in the state directory.
const FILE: &str = "alarms.json";

/// Alarms by what they are about.
type Alarms = BTreeMap<String, String>;

/// Tells of alarms until `end`.
pub(crate) async fn watch(ctx: &Context, end: &CancellationToken) {
    let path = ctx.state_dir.join(FILE);
    let mut seen = Seen::after(load(&path).await);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut unheard) = (Instant::now(), Unheard::default());
    while end.run_until_cancelled(looks.tick()).await.is_some() {
        let config = ctx.config();
        for key in unheard.due(ctx.notifier.take_undelivered(), &config.notify, Instant::now()) {
            seen.raised.remove(&key);
        }
        if config.notify.webhook.is_none() || !config.notify.on.contains(&NotifyOn::Alarm) {
            continue;
        }
        let events = seen.look(&ctx.board.snapshot(), ctx.gate.current(), began.elapsed());
        if events.is_empty() {
            continue;
        }
        for event in events {
            ctx.notifier.tell(&config.notify, event);
        }
        let (file, raised) = (path.clone(), seen.raised.clone());
        if let Err(error) = aside(&path, move || write_json(&file, &raised)).await {
            tracing::warn!(%error, "the next start will not know what was raised");
        }
    }
}

/// What an earlier process has raised. A file that cannot be read is of none.
async fn load(path: &Path) -> Alarms {
    let text = tokio::fs::read(path).await.unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// What was raised and is not cleared.
#[derive(Debug, Default)]
struct Seen {
    raised: Alarms,
    /// Those of them that this process has not seen itself.
    earlier: Alarms,
}

impl Seen {
    fn after(earlier: Alarms) -> Self {
        Self { raised: earlier.clone(), earlier }
    }

    /// What is new after a look, so long after the start.
    fn look(&mut self, status: &StatusView, gate: GateState, uptime: Duration) -> Vec<Event> {
        let mut now = alarms(status, gate, &self.raised);
        // What still stands is told again: nobody knows whether it was delivered then.
        self.raised.retain(|key, _| !(now.contains_key(key) && self.earlier.contains_key(key)));
        self.earlier.retain(|key, _| uptime < SETTLED && !now.contains_key(key));
        now.extend(self.earlier.clone());
        let events = changes(&self.raised, &now);
        self.raised = now;
        events
    }
}

/// Alarms that were not delivered: they are raised again, though not to a webhook that has just refused them.
#[derive(Debug, Default)]
struct Unheard {
    /// When each is due again.
    due: BTreeMap<String, Instant>,
    /// Where they were to be told.
    config: Option<NotifyConfig>,
}

impl Unheard {
    /// Notes those that failed meanwhile; takes those that are due: all, where they are told elsewhere now.
    fn due(
        &mut self,
        failed: BTreeSet<String>,
        config: &NotifyConfig,
        now: Instant,
    ) -> BTreeSet<String> {
        let elsewhere = self.config.replace(config.clone()).is_some_and(|before| before != *config);
        self.due.extend(failed.into_iter().map(|key| (key, now + AGAIN)));
        let all = std::mem::take(&mut self.due);
        let (due, later): (BTreeMap<_, _>, _) =
            all.into_iter().partition(|(_, at)| elsewhere || *at <= now);
        self.due = later;
        due.into_keys().collect()
    }
}

/// What is wrong. What was wrong before stays so until it is well again, and nobody sees that of claims
/// while the operator wants none.
fn alarms(status: &StatusView, gate: GateState, before: &Alarms) -> Alarms {
    let mut alarms = Alarms::new();
    let before_too = before.get(CLAIMS);
    let claims = match (&status.held, gate) {
        (_, GateState::Paused | GateState::Draining) => before_too.cloned(),
        (Some(held), GateState::Open) if held.age >= HELD_FOR_SEC || before_too.is_some() => {
            Some(format!("claims are held back: {}", held.text))
        }
        _ => None,
    };
    alarms.extend(claims.map(|text| (CLAIMS.to_owned(), text)));
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
fn changes(before: &Alarms, now: &Alarms) -> Vec<Event> {
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
        let (mut seen, mut told) = (Seen::default(), Vec::new());
        for state in [CLOSED, "open", "half-open", "open", CLOSED, CLOSED] {
            told.extend(seen.look(&open(state), GateState::Open, SETTLED));
        }
        assert!(matches!(&told[..], [Event::Raised { .. }, Event::Cleared { .. }]), "{told:?}");
    }

    #[test]
    fn an_alarm_that_was_refused_is_raised_again_in_minutes_or_when_it_is_told_elsewhere() {
        let to = |url: &str| NotifyConfig {
            webhook: Some(url.into()),
            on: BTreeSet::from([NotifyOn::Alarm]),
            secret: None,
        };
        let (mut unheard, key) = (Unheard::default(), BTreeSet::from(["outbox".to_owned()]));
        let begun = Instant::now();
        let mut due = |failed: &BTreeSet<String>, url: &str, secs: u64| {
            unheard.due(failed.clone(), &to(url), begun + Duration::from_secs(secs))
        };
        let none = BTreeSet::new();
        assert_eq!(due(&key, "https://a", 0), none);
        assert_eq!(due(&none, "https://a", 299), none);
        assert_eq!(due(&none, "https://a", 300), key);
        assert_eq!(due(&none, "https://a", 900), none);
        assert_eq!(due(&key, "https://a", 901), none);
        assert_eq!(due(&none, "https://b", 902), key);
    }

    #[test]
    fn a_pause_or_a_drain_ends_no_alarm() {
        let mut seen = Seen::default();
        let mut look = |status, gate| seen.look(&status, gate, SETTLED);
        assert_eq!(look(held(60), GateState::Open).len(), 1);
        // What is on the board then is the pause itself.
        assert_eq!(look(held(0), GateState::Paused), []);
        assert_eq!(look(StatusView::default(), GateState::Draining), []);
        assert_eq!(look(held(1), GateState::Open), []);
        assert!(matches!(
            look(StatusView::default(), GateState::Open)[..],
            [Event::Cleared { .. }]
        ));
    }

    #[test]
    fn what_an_earlier_process_raised_is_cleared_by_this_one_once_it_has_looked_for_a_while() {
        let raised: Alarms = [CLAIMS, "outbox"].map(|key| (key.to_owned(), "x".to_owned())).into();
        let mut seen = Seen::after(raised);
        let mut look = |status, uptime| seen.look(&status, GateState::Open, uptime);
        assert_eq!(look(StatusView::default(), Duration::ZERO), []);
        // Seen again, it is told again, for it may never have been delivered; and over it is when this one
        // has seen the end.
        let again = look(held(2), Duration::from_secs(2));
        assert!(matches!(&again[..], [Event::Raised { key, .. }] if key == CLAIMS), "{again:?}");
        assert_eq!(look(held(3), Duration::from_secs(3)), []);
        let keys = |events: Vec<Event>| match &events[..] {
            [Event::Cleared { key, .. }] => key.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(keys(look(StatusView::default(), Duration::from_secs(3))), CLAIMS);
        assert_eq!(look(StatusView::default(), SETTLED - LOOK), []);
        assert_eq!(keys(look(StatusView::default(), SETTLED)), "outbox");
    }
}
