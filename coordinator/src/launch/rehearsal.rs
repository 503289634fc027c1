//! Starting what a job would get, with a command that does nothing: whether an engine gives a
//! container of these settings is known when it has given one, and not before.

use std::time::Duration;

use api_client::contract::{JobDocument, env};
use api_client::wire::{AgentEnv, ExecutionMode, Job, JobKind};
use api_client::{JobId, ProjectId, Secret, TicketId};
use futures_util::StreamExt;
use tokio::time::timeout;
use url::Url;

use super::LaunchError;
use super::cache::kept_layers;
use super::document::{job_document, to_alias};
use super::spec::{Surroundings, container_spec, view};
use super::surroundings::surround;
use crate::context::Context;
use crate::engine::{ContainerRef, ContainerSpec, ContainerState, EngineError, LogCursor, Until};
use crate::ledger::{JobRef, Record, Runs};

/// An engine that takes longer for one container has trouble that may pass.
const PATIENCE: Duration = Duration::from_secs(45);

/// What a program may print that is kept, in bytes.
const OUTPUT_MAX: usize = 64 << 10;

/// A network that has nothing but itself.
const NO_NETWORK: &str = "none";

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The container alone, on the engine's default network, and no longer than until it has started.
    Container,
    /// Its network and gateway as well, and `agent-runner --version` in it to its end.
    Version,
    /// The same with `agent-runner probe`, which gets the settings of a job.
    Probe {
        /// What it opens beside the URLs of those settings, as it is opened from this host.
        open: Vec<Url>,
    },
    /// The container without a network, and `agent-runner doctor` in it.
    Doctor {
        /// The coding CLI that is examined; none for all.
        worker: Option<String>,
    },
}

/// How far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rehearsed {
    /// The container has started; its end was not waited for, or did not come.
    Started,
    /// The program in it ended.
    Ended {
        /// Its exit code.
        code: i64,
        /// The beginning of what it printed.
        output: String,
    },
    /// The engine took too long, or the coordinator is to end: nothing is known.
    GivenUp,
}

impl Part {
    /// What `agent-runner` is asked for; none of it needs a job.
    fn command(&self) -> Vec<String> {
        let words = match self {
            Self::Container | Self::Version => vec!["--version"],
            Self::Probe { open } => return probe_of(open),
            Self::Doctor { worker: None } => vec!["doctor", "--json"],
            Self::Doctor { worker: Some(worker) } => vec!["doctor", "--json", "--worker", worker],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// When the program has ended at the latest.
    const fn end(&self) -> Duration {
        match self {
            Self::Container | Self::Version => Duration::from_secs(20),
            Self::Probe { .. } => Duration::from_secs(45),
            // Each of the CLIs has its own limit there.
            Self::Doctor { .. } => Duration::from_secs(300),
        }
    }
}

/// The words of a probe, with URLs as a container opens them.
fn probe_of(open: &[Url]) -> Vec<String> {
    let seen = |url: &Url| to_alias(url.clone()).unwrap_or_else(|| url.clone());
    let asked = open.iter().flat_map(|url| ["--open".to_owned(), String::from(seen(url))]);
    ["probe".to_owned()].into_iter().chain(asked).collect()
}

/// Tries it with the settings of a project, or with those of all that have none of their own. Nothing
/// is left of it, unless this is dropped half way: then it is a container with our label and no record,
/// which the next start, or housekeeping, removes.
pub(crate) async fn rehearse(
    ctx: &Context,
    project: Option<ProjectId>,
    image: &str,
    part: &Part,
) -> Result<Rehearsed, LaunchError> {
    let job = made_up_job(project);
    let started = timeout(PATIENCE + part.end(), Box::pin(play(ctx, &job, image, part)));
    let done = ctx.shutdown.claims.run_until_cancelled(started).await;
    let removed = ctx.remove_container(job.job_id).await;
    let Some(Ok(done)) = done else { return Ok(Rehearsed::GivenUp) };
    let done = done?;
    removed?;
    Ok(done)
}

async fn play(
    ctx: &Context,
    job: &Job,
    image: &str,
    part: &Part,
) -> Result<Rehearsed, LaunchError> {
    let config = ctx.config();
    let agent = config.agent_for(job.project_id);
    let record = Record::claimed(JobRef::of(job, Runs::InContainer), None, 0);
    let mut document = job_document(&record, job, &config, view(agent), None);
    let surroundings = match part {
        Part::Container | Part::Doctor { .. } => Surroundings::default(),
        Part::Version | Part::Probe { .. } => {
            surround(ctx, job, agent, image, &mut document).await?
        }
    };
    let mut spec = container_spec(job, &config, ctx.id, image.to_owned(), &document, surroundings);
    spec.command = part.command();
    if matches!(part, Part::Doctor { .. }) {
        spec.network = Some(NO_NETWORK.to_owned());
        spec.extra_hosts.clear();
    }
    leave_caches(ctx, &mut spec, part).await?;
    let container = ctx.engine.create(&ContainerRef::of(job.job_id), spec).await?;
    if let Some(runtime) = &agent.runtime {
        ctx.engine.check_runtime(&container, runtime).await?;
    }
    let input = ctx.engine.attach_input(&container).await?;
    ctx.engine.start(&container).await?;
    if *part == Part::Container {
        return Ok(Rehearsed::Started);
    }
    // An image that is not an agent's may wait for its input.
    input.deliver(&told(part, document)).await?;
    if timeout(part.end(), ctx.engine.ended(&container)).await.is_err() {
        return Ok(Rehearsed::Started);
    }
    Ok(match ctx.engine.state(&container).await? {
        ContainerState::Exited(facts) => {
            Rehearsed::Ended { code: facts.code, output: output(ctx, &container).await? }
        }
        ContainerState::Created { .. } | ContainerState::Running | ContainerState::Absent => {
            Rehearsed::Started
        }
    })
}

/// A cache is for jobs: none is made by this. One that is there is mounted where its program writes
/// nothing, since it may be of no use; but for the images of an inner daemon, which a job may want.
async fn leave_caches(
    ctx: &Context,
    spec: &mut ContainerSpec,
    part: &Part,
) -> Result<(), EngineError> {
    let layers = kept_layers(spec).map(str::to_owned);
    let mut there = Vec::new();
    if *part == Part::Version {
        for name in spec.mounts.iter().filter_map(|mount| mount.volume()) {
            if layers.as_deref() != Some(name) && ctx.engine.has_volume(name).await? {
                there.push(name.to_owned());
            }
        }
    }
    spec.mounts.retain(|mount| {
        mount.volume().is_none_or(|name| there.iter().any(|volume| volume == name))
    });
    Ok(())
}

/// What goes to the program's standard input: the settings of a job, where it looks at them, and none of
/// the secrets that it has no use for.
fn told(part: &Part, mut document: JobDocument) -> Secret {
    if !matches!(part, Part::Probe { .. }) {
        return Secret::from("");
    }
    let unused = [
        env::GITHUB_TOKEN,
        env::GH_TOKEN,
        env::WORKER_LLM_KEY,
        env::WORKER_FALLBACK_KEY,
        env::AGENT_LLM_KEY,
        env::AGENT_FALLBACK_KEY,
    ];
    for name in unused {
        document.remove(name);
    }
    document.to_stdin()
}

/// The beginning of what a container printed that has ended.
async fn output(ctx: &Context, container: &ContainerRef) -> Result<String, EngineError> {
    let mut pieces = ctx.engine.output(container, Until::TheEnd).await?;
    let mut said = Vec::new();
    let mut cursor = LogCursor::default();
    while let Some(piece) = pieces.next().await {
        said.extend(cursor.advance(piece?).map(|frame| frame.0).into_iter().flatten());
        if said.len() > OUTPUT_MAX {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn made_up_job(project: Option<ProjectId>) -> Job {
    Job {
        job_id: JobId::random(),
        ticket_id: TicketId::random(),
        project_id: project.unwrap_or_else(ProjectId::random),
        kind: JobKind::Ticket,
        repo_url: None,
        execution_mode: ExecutionMode::Docker,
        project_path: None,
        agent_env: AgentEnv::default(),
        lease: None,
    }
}
