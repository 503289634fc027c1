//! Asking the engine and the app how they are while nobody else asks them: a coordinator that is paused
//! or whose slots are all taken would not know. It runs only where someone looks: with `HEALTH_LISTEN`,
//! or under a watchdog.

use std::time::Duration;

use api_client::wire::QueueFacts;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::board::Queue;
use crate::config::ProjectFilter;
use crate::context::Context;
use crate::notify;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(15);

/// The app is asked for its queue this often.
const QUEUE_PERIOD: Duration = Duration::from_secs(30);

/// One that did not know the question is asked again after this time: it may be another one by then.
const UNKNOWN_PERIOD: Duration = Duration::from_secs(3_600);

/// Asks until told to end.
pub(crate) async fn run(ctx: &Context, end: &CancellationToken) {
    let health = ctx.config().health.is_some();
    if !health && notify::watchdog_time().is_none() {
        return;
    }
    let mut next_queue = Instant::now();
    loop {
        let look = async {
            ask_engine(ctx).await;
            if health && Instant::now() >= next_queue {
                next_queue = Instant::now() + ask_for_queue(ctx).await;
            } else if health && ctx.live.app_calls().ended_ago() > QUEUE_PERIOD {
                // What it answers does not matter here.
                let _answer = ctx.api().settings().await;
            }
            sleep(PERIOD).await;
        };
        if end.run_until_cancelled(look).await.is_none() {
            return;
        }
    }
}

async fn ask_engine(ctx: &Context) {
    if ctx.engine_calls().is_some_and(|calls| calls.ended_ago() >= PERIOD) {
        // The engine's own calls note what came of it.
        let _answer = ctx.engine.ping().await;
    }
}

/// Notes what waits, and tells when to ask again.
async fn ask_for_queue(ctx: &Context) -> Duration {
    match ctx.api().queue().await {
        Ok(Some(facts)) => {
            ctx.board.queue(Some(of_ours(&facts, &ctx.config().projects)));
            QUEUE_PERIOD
        }
        Ok(None) => {
            ctx.board.queue(None);
            UNKNOWN_PERIOD
        }
        // How long it is now is not known.
        Err(error) => {
            tracing::debug!(%error, "the app did not tell what waits");
            ctx.board.queue(None);
            QUEUE_PERIOD
        }
    }
}

/// What waits for the projects that are claimed for.
fn of_ours(facts: &QueueFacts, projects: &ProjectFilter) -> Queue {
    let ours = facts.projects.iter().filter(|(project, _)| match projects {
        ProjectFilter::All => true,
        ProjectFilter::Only(projects) => projects.contains(project),
    });
    ours.fold(Queue::default(), |queue, (_, waiting)| Queue {
        jobs: queue.jobs.saturating_add(waiting.jobs),
        oldest_sec: queue.oldest_sec.max(waiting.oldest_sec),
        parked: queue.parked.saturating_add(waiting.parked),
        parked_until: queue.parked_until.into_iter().chain(waiting.parked_until).min(),
        over_budget: queue.over_budget.saturating_add(waiting.over_budget),
    })
}

#[cfg(test)]
mod tests {
    use api_client::ProjectId;
    use api_client::wire::Waiting;

    use super::*;

    #[test]
    fn what_waits_for_others_is_not_our_backlog() {
        let (ours, others) = (ProjectId::random(), ProjectId::random());
        let facts = QueueFacts {
            projects: [
                (ours, Waiting { jobs: 2, oldest_sec: 5, ..Waiting::default() }),
                (others, Waiting { jobs: 90, oldest_sec: 700, ..Waiting::default() }),
            ]
            .into(),
        };
        let queue = |projects| of_ours(&facts, &projects);
        assert_eq!(
            queue(ProjectFilter::All),
            Queue { jobs: 92, oldest_sec: 700, ..Queue::default() }
        );
        let only = ProjectFilter::Only(vec![ours]);
        assert_eq!(queue(only), Queue { jobs: 2, oldest_sec: 5, ..Queue::default() });
    }
}
