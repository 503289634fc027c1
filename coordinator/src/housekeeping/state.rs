//! What runs of tickets left that were killed, in volumes with [`label::STATE`], once its time is over.
//!
//! Invariant: nothing is removed that a container has.

use std::time::Duration;

use crate::clock;
use crate::context::Context;
use crate::engine::{EngineError, Leftover, LeftoverKind};
use crate::launch::label;

/// The volumes that were made so long ago, with the time of a job beside, and that no container has; without an
/// age, all of the latter.
pub(super) async fn outdated(
    ctx: &Context,
    age: Option<Duration>,
) -> Result<Vec<Leftover>, EngineError> {
    let labels = [format!("{}={}", label::COORDINATOR, ctx.id), label::STATE.to_owned()];
    // It was made when a job of the ticket began.
    let age = age.map(|age| age + ctx.config().limits.job_timeout);
    let mut old = Vec::new();
    for (name, labels) in ctx.engine.labelled_volumes(&labels).await? {
        let made = labels.get(label::STATE).and_then(|made| made.parse().ok());
        if is_over(made.unwrap_or_default(), age, clock::now())
            && ctx.engine.users_of_volume(&name).await?.is_empty()
        {
            old.push(Leftover { kind: LeftoverKind::Volume, id: name.clone(), name, job: None });
        }
    }
    Ok(old)
}

/// Whether the time is over of what was made then; both in seconds since 1970.
fn is_over(made: u64, age: Option<Duration>, now: u64) -> bool {
    now.saturating_sub(made) >= age.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_has_its_time_and_none_where_nothing_is_kept() {
        let minute = Some(Duration::from_secs(60));
        assert!(!is_over(100, minute, 159) && is_over(100, minute, 160));
        assert!(!is_over(100, minute, 50), "a clock that was set back");
        assert!(is_over(100, None, 100));
    }
}
