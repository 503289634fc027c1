//! The life of one job from its claim to its outcome on disk: launch, supervise, outcome.

mod start;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use api_client::wire::AgentEnv;
use api_client::{ApiError, Redactor, delays, error_chain};
use backon::BackoffBuilder;
use tokio::time::sleep;

use self::start::begin;
use crate::board::JobStage;
use crate::collect::{Collected, collect};
use crate::context::Context;
use crate::engine::ContainerRef;
use crate::forge_token::{ForgeToken, keep_fresh};
use crate::history::{ended_job, keep, told};
use crate::job::{Adopted, Claimed, Finished, Keeper, Place};
use crate::keeper::{latest, read_keeper};
use crate::ledger::{Happened, Record, Stage};
use crate::outcome::{Cause, Outcome};
use crate::output::{Output, tail_of_file};
use crate::resume::resume;
use crate::slot::Slot;
use crate::supervise::{Watched, first_look, last_words_of_gateway, supervise};
use crate::unknown::Unknown;
use crate::verdict::{Began, Tenure, Verdict, verdict};

/// Between two questions to the app once the growing delays are used up.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Where a job stands after its agent was watched.
#[derive(Debug)]
enum After {
    /// It ended, with this outcome and these last words, and told this about itself.
    Ended { outcome: Outcome, tail: String, collected: Collected },
    /// No agent began: why.
    NeverBegan { problem: String, tail: String },
    /// The coordinator leaves, and the job stays as its record has it.
    Detached,
}

impl After {
    /// An end of which there are no words.
    fn ended(outcome: Outcome) -> Self {
        Self::Ended { outcome, tail: String::new(), collected: Collected::default() }
    }
}

/// Runs a claimed job. Nothing is returned when the job was left for the next start.
pub(crate) async fn carry_out(ctx: &Context, claimed: Claimed) -> Option<Finished> {
    let Claimed { job, mut record, slot } = claimed;
    if ctx.shutdown.detach.is_cancelled() && record.lease.is_some() {
        // The next start has it given again; without a lease it is now or never.
        return None;
    }
    record.cancel_flag = first_look(ctx, &record).await;
    let (record, after) = if ctx.shutdown.agents.is_cancelled() {
        (record, After::ended(Outcome::Failed(Cause::Interrupted)))
    } else {
        Box::pin(begin(ctx, &job, record)).await
    };
    let finished = finish(ctx, record, after).await;
    drop(slot);
    finished
}

/// Goes on with a job whose agent an earlier coordinator started, from wherever it stands.
pub(crate) async fn carry_on(ctx: &Context, adopted: Adopted) -> Option<Finished> {
    let Adopted { record, slot } = adopted;
    let record = record.noted(Happened::Adopted);
    let place = match &record.stage {
        Stage::OnHost { keeper, notes, .. } => {
            let dir = notes.clone().unwrap_or_else(|| latest(&ctx.host_dir(record.job.job_id)));
            let process = keeper.clone().or_else(|| read_keeper(&dir));
            Place::Host(Keeper { dir, process })
        }
        _ => {
            let name = || ContainerRef::of(record.job.job_id);
            Place::Container(record.container.clone().unwrap_or_else(name))
        }
    };
    let detached = ctx.shutdown.detach.clone();
    let redactor = detached.run_until_cancelled(redactor_again(ctx, &record, &place)).await?;
    let log = ctx.log_path(record.job.job_id);
    let output = match place {
        Place::Container(_) => {
            let output = Output::open_anew(log, &redactor).await;
            output.and_to(ctx.journal_of(&record)).await
        }
        Place::Host(_) => Output::open(log, &redactor).await,
    };
    match (watch(ctx, &record, place, output, Began::Earlier, None).await, record.lease) {
        // It can be had again from the app, and no agent has acted on it.
        (After::NeverBegan { problem, .. }, Some(_)) => {
            tracing::info!(job.id = %record.job.job_id, "to be started again: {problem}");
            Box::pin(resume(ctx, record, slot)).await
        }
        (after, _) => finish_in(ctx, record, after, slot).await,
    }
}

async fn finish_in(ctx: &Context, record: Record, after: After, slot: Slot) -> Option<Finished> {
    let finished = finish(ctx, record, after).await;
    drop(slot);
    finished
}

/// What hides the secrets of a job whose claim another process made: the app's settings are asked
/// for again, for as long as it takes. Without the app nothing could be reported either. A keeper
/// has its own.
async fn redactor_again(ctx: &Context, record: &Record, place: &Place) -> Redactor {
    let own = || ctx.redactor(&AgentEnv::default());
    let (Some(ticket), Place::Container(_)) = (record.job.ticket, place) else { return own() };
    let mut waits = delays(7).build();
    let mut unknown = Unknown::default();
    loop {
        match ctx.api().worker_context(ticket.project_id, ticket.ticket_id).await {
            Ok(context) => return ctx.redactor(&context.agent_settings),
            // Its ticket is gone, and so is everyone who could read its log there.
            Err(error @ ApiError::Gone { .. })
                if unknown.again(&error, Instant::now()).is_break() =>
            {
                return own();
            }
            Err(error) => {
                if !matches!(error, ApiError::Gone { .. }) {
                    unknown = Unknown::default();
                }
                tracing::warn!(job.id = %record.job.job_id, %error, "waiting for the app's settings");
                tokio::select! {
                    () = sleep(waits.next().unwrap_or(LONGEST_DELAY)) => {}
                    () = ctx.live.changed() => {}
                }
            }
        }
    }
}

/// What the app will be told.
async fn finish(ctx: &Context, record: Record, after: After) -> Option<Finished> {
    let (outcome, tail, collected) = match after {
        After::Ended { outcome, tail, collected } => (outcome, tail, collected),
        After::NeverBegan { problem, tail } => {
            let outcome = Outcome::Failed(Cause::of_start_failure(problem));
            (outcome, tail, Collected::default())
        }
        After::Detached => return None,
    };
    let until =
        collected.believed().and_then(|said| said.parked.as_ref()).map(|parked| parked.until);
    let outcome = outcome.explained_by(&tail).paused_until(until);
    let record = record.noted_ended();
    ctx.board.job_ended(&outcome, collected.believed());
    let said = collected.believed().map(told);
    // Before the record, which says that nothing is to be had of the container any more.
    keep(ctx, ended_job(ctx, &record, &outcome, collected)).await;
    let finished = Finished::on_disk(&ctx.ledger, &record, outcome, tail).await;
    let digest = record.digest.as_ref().map(tracing::field::display);
    tracing::info!(image.digest = digest, agent.said = said, "job {}", finished.outcome);
    remember_image(ctx, &record, &finished.outcome).await;
    Some(finished)
}

/// The project goes on with an image that delivered.
async fn remember_image(ctx: &Context, record: &Record, outcome: &Outcome) {
    if let (Outcome::Completed, Stage::InContainer { image, .. }, Some(ticket)) =
        (outcome, &record.stage, &record.job.ticket)
        && let config = ctx.config()
        && let choice = &config.agent_for(ticket.project_id).image
        && let Err(error) = ctx.images.remember(choice, ticket.project_id, image).await
    {
        let error = error_chain(&error);
        tracing::warn!(error, "the image of the project was not recorded");
    }
}

async fn watch(
    ctx: &Context,
    record: &Record,
    place: Place,
    mut output: Output,
    began: Began,
    token: Option<ForgeToken>,
) -> After {
    let _counted = matches!(place, Place::Host(_)).then(|| Counted::one(&ctx.host_runs));
    let stage = match place {
        Place::Container(_) => JobStage::InContainer,
        Place::Host(_) => JobStage::OnHost,
    };
    ctx.board.job_stage(record.job.job_id, stage);
    // Not when it was taken up: its own account counts from its begin.
    let began_at =
        record.timeline.agent_began().map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
    let began_at = began_at.unwrap_or_else(SystemTime::now);
    let secrets = output.more_secrets();
    let fresh = keep_fresh(ctx, record, &place, token, secrets.clone());
    let watching = async {
        tokio::select! {
            watched = Box::pin(supervise(ctx, record, &place, &mut output)) => watched,
            never = Box::pin(fresh) => match never {},
        }
    };
    // Beside it, as a disk that stalls is no reason to leave an agent alone; and to its end, as no earlier
    // record may come after a later one.
    let (watched, ()) = tokio::join!(watching, ctx.ledger.write_notes(record));
    output.finish().await;
    let (end, reason) = match watched {
        Watched::Ended(end, reason) => (end, reason),
        Watched::Detached => return After::Detached,
    };
    let ended_at = SystemTime::now();
    tracing::info!("agent ended: {end}");
    let tail = match &place {
        Place::Container(_) => {
            // The agent's own words: those of a gateway can be very many.
            let tail = output.tail();
            Box::pin(last_words_of_gateway(ctx, record, &mut output)).await;
            output.finish().await;
            tail
        }
        // Its keeper does not know the tokens that came later.
        Place::Host(_) => secrets.redact(&tail_of_file(&ctx.log_path(record.job.job_id)).await),
    };
    let collected = match end.exit() {
        Some(code) => {
            let collecting = Box::pin(collect(ctx, record.job.job_id, &place, code, &secrets));
            match ctx.shutdown.detach.run_until_cancelled(collecting).await {
                Some(collected) => collected,
                None => return After::Detached,
            }
        }
        None => Collected::default(),
    };
    let run = collected.believed().filter(|_| !ctx.config().agent_sends_traces(record));
    ctx.traces.agent(record, (began_at, ended_at), &end, run);
    match verdict(end, reason, began, Tenure::of(record)) {
        Verdict::Ended(outcome) => After::Ended { outcome, tail, collected },
        Verdict::NeverBegan(problem) => After::NeverBegan { problem, tail },
    }
}

/// Counts one agent for as long as it is watched.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
