//! The life of one job from its claim to its outcome on disk: launch, supervise, outcome. The
//! decision to fall back to the host is taken here and nowhere else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api_client::wire::{AgentEnv, ExecutionMode, Job};
use api_client::{ApiError, JobId, Redactor, delays, error_chain};
use backon::BackoffBuilder;
use tokio::time::sleep;

use crate::board::JobStage;
use crate::breaker::Dependency;
use crate::config::HostFallback;
use crate::context::Context;
use crate::engine::ContainerRef;
use crate::forge_token::{ForgeToken, NoToken, keep_fresh, mint, repository_of};
use crate::job::{Adopted, Claimed, Finished, Keeper, Place};
use crate::keeper::{latest, read_keeper};
use crate::launch::{LaunchError, start_container, start_on_host};
use crate::ledger::{Record, Runs, Stage};
use crate::outcome::{Cause, Outcome};
use crate::output::{Output, tail_of_file};
use crate::resume::resume;
use crate::slot::Slot;
use crate::supervise::{Watched, first_look, last_words_of_gateway, supervise};
use crate::verdict::{Began, Verdict, verdict};

/// Between two questions to the app once the growing delays are used up.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// How long a job waits for a range of addresses, and how often it looks.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(900);
const ADDRESS_RETRY: Duration = Duration::from_secs(10);

/// Why there is no container where the operator wants none.
const ALWAYS_ON_HOST: &str = "HOST_FALLBACK=always: jobs run on this host";

/// Where a job stands after its agent was watched.
#[derive(Debug)]
enum After {
    /// It ended, with this outcome and these last words.
    Ended { outcome: Outcome, tail: String },
    /// No agent began: why.
    NeverBegan { problem: String, tail: String },
    /// The coordinator leaves, and the job stays as its record has it.
    Detached,
}

impl After {
    /// An end of which there are no words.
    const fn ended(outcome: Outcome) -> Self {
        Self::Ended { outcome, tail: String::new() }
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
    } else if let Some(problem) = refused(ctx, &record, &job) {
        (record, After::ended(Outcome::Failed(Cause::NotStarted { problem })))
    } else {
        match token_of(ctx, &mut record, &job).await {
            Ok(token) => Box::pin(launch(ctx, &job, record, token)).await,
            Err(after) => (record, after),
        }
    };
    let finished = finish(ctx, record, after).await;
    drop(slot);
    finished
}

/// Why a job that is meant for this host may not run here.
fn refused(ctx: &Context, record: &Record, job: &Job) -> Option<String> {
    match record.job.runs {
        Runs::InContainer => None,
        Runs::OnHost => ctx.config().refuses_on_host(job.project_id, job.execution_mode),
    }
}

async fn launch(
    ctx: &Context,
    job: &Job,
    record: Record,
    token: Option<ForgeToken>,
) -> (Record, After) {
    match record.job.runs {
        Runs::InContainer => in_container(ctx, job, record, token).await,
        Runs::OnHost => {
            let chosen = (job.execution_mode == ExecutionMode::Docker).then_some(ALWAYS_ON_HOST);
            on_host(ctx, job, record, token, chosen).await
        }
    }
}

/// The token of a job's repository, where a GitHub App makes it.
async fn token_of(
    ctx: &Context,
    record: &mut Record,
    job: &Job,
) -> Result<Option<ForgeToken>, After> {
    record.token_for = repository_of(&ctx.config(), job);
    let Some(repository) = &record.token_for else { return Ok(None) };
    ctx.board.job_stage(job.job_id, JobStage::Launching);
    let made = mint(ctx, record, job, repository).await;
    made.map(Some).map_err(|none| match none {
        NoToken::Refused(error) => {
            if error.concerns_every_repository() {
                ctx.app_doubts.fetch_add(1, Ordering::Relaxed);
            }
            After::ended(Outcome::Failed(Cause::ForgeToken { problem: error_chain(&error) }))
        }
        NoToken::Detached => After::Detached,
        NoToken::Interrupted => After::ended(Outcome::Failed(Cause::Interrupted)),
        NoToken::Superseded => After::ended(Outcome::Superseded),
    })
}

/// Goes on with a job whose agent an earlier coordinator started, from wherever it stands.
pub(crate) async fn carry_on(ctx: &Context, adopted: Adopted) -> Option<Finished> {
    let Adopted { record, slot } = adopted;
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
        Place::Container(_) => Output::open_anew(log, &redactor).await,
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
    loop {
        match ctx.api().worker_context(ticket.project_id, ticket.ticket_id).await {
            Ok(context) => return ctx.redactor(&context.agent_settings),
            // Its ticket is gone, and so is everyone who could read its log there.
            Err(ApiError::Gone { .. }) => return own(),
            Err(error) => {
                tracing::warn!(job.id = %record.job.job_id, %error, "waiting for the app's settings");
                tokio::select! {
                    () = sleep(waits.next().unwrap_or(LONGEST_DELAY)) => {}
                    () = ctx.live.changed() => {}
                }
            }
        }
    }
}

/// Writes the outcome down, so that it will be reported whatever happens from here on.
async fn finish(ctx: &Context, record: Record, after: After) -> Option<Finished> {
    let (outcome, tail) = match after {
        After::Ended { outcome, tail } => (outcome, tail),
        After::NeverBegan { problem, tail } => {
            (Outcome::Failed(Cause::of_start_failure(problem)), tail)
        }
        After::Detached => return None,
    };
    let outcome = outcome.explained_by(&tail);
    if let (Outcome::Completed, Stage::InContainer { image, .. }, Some(ticket)) =
        (&outcome, &record.stage, &record.job.ticket)
        && let Err(error) = ctx.images.remember(ticket.project_id, image)
    {
        let error = error_chain(&error);
        tracing::warn!(error, "the image of the project was not recorded");
    }
    let record = record.at(Stage::Ended { outcome: outcome.clone() });
    if let Err(error) = ctx.ledger.write(&record).await {
        let error = error_chain(&error);
        tracing::error!(job.id = %record.job.job_id, error, "the outcome is kept in memory only");
    }
    let digest = record.digest.as_ref().map(tracing::field::display);
    tracing::info!(job.id = %record.job.job_id, image.digest = digest, "job {outcome}");
    Some(Finished { record, outcome, tail })
}

async fn in_container(
    ctx: &Context,
    job: &Job,
    record: Record,
    token: Option<ForgeToken>,
) -> (Record, After) {
    ctx.board.job_stage(job.job_id, JobStage::Launching);
    let problem = match Box::pin(start_in_time(ctx, job, &record, token.as_ref())).await {
        Ok((started, name)) => {
            ctx.breakers.note(Dependency::Launch, &ctx.board, true);
            let shown = ContainerRef::of(job.job_id);
            let digest = started.digest.as_ref().map(tracing::field::display);
            tracing::info!(
                job.id = %job.job_id, container.name = %shown, image.digest = digest,
                "agent started"
            );
            ctx.board.job_image(&started);
            let output =
                Output::open(ctx.log_path(job.job_id), &redactor(ctx, job, token.as_ref())).await;
            let place = Place::Container(name);
            match watch(ctx, &started, place, output, Began::Here, token.clone()).await {
                After::NeverBegan { problem, .. } => problem,
                after => return (started, after),
            }
        }
        Err(error @ LaunchError::StartedBefore) => {
            let outcome = Outcome::Failed(Cause::NotStarted { problem: error.to_string() });
            return (record, After::Ended { outcome, tail: String::new() });
        }
        Err(LaunchError::Ledger(error)) => {
            let outcome = Outcome::Failed(Cause::NotRecorded { problem: error_chain(&error) });
            return (record, After::Ended { outcome, tail: String::new() });
        }
        Err(error) if error.is_want_of_addresses() => {
            discard(ctx, job.job_id).await;
            if ctx.shutdown.detach.is_cancelled() {
                return (record, After::Detached);
            }
            let problem = error_chain(&error);
            return (record, After::NeverBegan { problem, tail: String::new() });
        }
        Err(error) => error_chain(&error),
    };
    discard(ctx, job.job_id).await;
    match ctx.config().fallback_for(job.project_id) {
        HostFallback::Never => {
            ctx.breakers.note(Dependency::Launch, &ctx.board, false);
            let tail = tail_of_file(&ctx.log_path(job.job_id)).await;
            (record, After::NeverBegan { problem, tail })
        }
        HostFallback::OnStartFailure | HostFallback::Always => {
            on_host(ctx, job, record, token, Some(&problem)).await
        }
    }
}

/// Starts the container. An engine without a free range of addresses has one again when another job
/// ends: that is waited for, and no reason to do without isolation.
async fn start_in_time(
    ctx: &Context,
    job: &Job,
    record: &Record,
    token: Option<&ForgeToken>,
) -> Result<(Record, ContainerRef), LaunchError> {
    let begun = Instant::now();
    let superseded = ctx.leases.superseded(job.job_id);
    loop {
        let started = start_container(ctx, job, record, token).await;
        let Err(error) = started else { return started };
        if !error.is_want_of_addresses() || begun.elapsed() > ADDRESS_PATIENCE {
            return Err(error);
        }
        tracing::warn!(job.id = %job.job_id, "waiting for a network: {}", error_chain(&error));
        ctx.breakers.note(Dependency::Launch, &ctx.board, false);
        tokio::select! {
            () = sleep(ADDRESS_RETRY) => {}
            () = ctx.shutdown.detach.cancelled() => return Err(error),
            () = ctx.shutdown.agents.cancelled() => return Err(error),
            () = superseded.cancelled() => return Err(error),
        }
    }
}

/// Runs the agent on the host. `no_container` says why a job that was meant for one has none.
async fn on_host(
    ctx: &Context,
    job: &Job,
    record: Record,
    token: Option<ForgeToken>,
    no_container: Option<&str>,
) -> (Record, After) {
    if ctx.shutdown.detach.is_cancelled() {
        return (record, After::Detached);
    }
    if let Some(problem) = no_container {
        tracing::warn!(
            job.id = %job.job_id,
            "no container ({problem}): the agent runs on the host, WITHOUT isolation"
        );
    }
    let start = start_on_host(ctx, job, &record, token.as_ref(), no_container);
    match Box::pin(start).await {
        Ok((started, keeper)) => {
            let pid = keeper.process.as_ref().map(|process| process.pid);
            tracing::info!(job.id = %job.job_id, pid, "agent started on the host");
            let output =
                Output::open(ctx.log_path(job.job_id), &redactor(ctx, job, token.as_ref())).await;
            let place = Place::Host(keeper);
            let after = watch(ctx, &started, place, output, Began::Here, token).await;
            (started, after)
        }
        Err(error) => {
            let host = error_chain(&error);
            let problem = match no_container {
                Some(container) => format!("{container}; and on the host: {host}"),
                None => host,
            };
            let tail = tail_of_file(&ctx.log_path(job.job_id)).await;
            (record, After::NeverBegan { problem, tail })
        }
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
    let secrets = output.more_secrets();
    let fresh = keep_fresh(ctx, record, &place, token, secrets.clone());
    let watched = tokio::select! {
        watched = Box::pin(supervise(ctx, record, &place, &mut output)) => watched,
        never = Box::pin(fresh) => match never {},
    };
    output.finish().await;
    let (end, reason) = match watched {
        Watched::Ended(end, reason) => (end, reason),
        Watched::Detached => return After::Detached,
    };
    let tail = match place {
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
    match verdict(end, reason, began, record.lease) {
        Verdict::Ended(outcome) => After::Ended { outcome, tail },
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

/// Hides what is secret in a job that this coordinator starts.
fn redactor(ctx: &Context, job: &Job, token: Option<&ForgeToken>) -> Redactor {
    ctx.redactor(&job.agent_env).and(token.map(ForgeToken::secret))
}

/// Removes a container whose agent never got its document. Where the engine cannot, the clean-up
/// after the report will.
async fn discard(ctx: &Context, job: JobId) {
    if let Err(error) = ctx.remove_container(job).await {
        tracing::debug!(job.id = %job, %error, "container removed later");
    }
}
