//! The forge token of a job, where a GitHub App makes it: made before the launch, for the job's
//! repository alone, and replaced in the running agent before it ends.
//!
//! Invariants: a token is on no disk, and goes nowhere but to the forge that the operator named. What a
//! container prints is searched for it before its agent has it; on this host the keeper writes the log
//! and knows the first token alone, so that later ones are hidden by the agent itself, and in what is
//! posted from that log. A record names the repository for which its agent has such a token, so that the
//! next coordinator goes on replacing it, the first time at once: when it was made died with the
//! coordinator that made it.

mod hand_over;

use std::convert::Infallible;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_client::contract::{JobDocument, env};
use api_client::wire::Job;
use api_client::{ProjectId, Secret, delays, error_chain};
use backon::BackoffBuilder;
use tokio::time::sleep;
use url::Url;

use crate::clock::Moment;
use crate::config::Config;
use crate::context::Context;
use crate::github_app::{AppError, GitHubApp, Minted, PUBLIC_API, Repository};
use crate::job::Place;
use crate::keeper::TEMPORARY;
use crate::ledger::Record;
use crate::output::MoreSecrets;

use hand_over::hand_over;

/// A machine that sleeps stops the clock of timers, and not that of tokens: after this time it is
/// looked again how much has passed.
const LOOK: Duration = Duration::from_secs(60);

/// Between two tries to replace a token once the growing delays are used up.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// A token that was made for a job.
#[derive(Clone, Debug)]
pub(crate) struct ForgeToken {
    minted: Minted,
    /// When it was made, by the clock that goes on while the machine sleeps, where there is one, and
    /// by another.
    at: (Option<Moment>, Instant),
    /// Where the operator says that the forge is that made it; none for the public one.
    api: Option<Url>,
    /// With what reviews seal their notes in the repository, whose tokens change.
    review_key: Secret,
}

/// Why a job has no token.
#[derive(Debug)]
pub(crate) enum NoToken {
    /// The forge did not give one.
    Refused(AppError),
    /// The coordinator leaves meanwhile.
    Detached,
    /// The coordinator stops, and its jobs with it.
    Interrupted,
    /// The job is another's by now.
    Superseded,
}

impl ForgeToken {
    /// What an agent gets with it that nobody is to see.
    pub(crate) fn secrets(&self) -> [&Secret; 2] {
        [&self.minted.token, &self.review_key]
    }

    /// Puts the token in the place of any other, and says where the agent is to take the next one. The
    /// agent shows it to the forge that made it: whoever may edit the app's settings could name another.
    pub(crate) fn put_into(&self, document: &mut JobDocument, socket: &Path) {
        if self.api.is_none() {
            document.set(env::FORGE_API_URL, PUBLIC_API);
        }
        // Apps are GitHub's.
        document.set(env::FORGE, "github");
        document.set(env::GITHUB_TOKEN, self.minted.token.clone());
        document.set(env::GH_TOKEN, self.minted.token.clone());
        // Only reviews seal anything. It is the operator's alone to say with what: the app's is left out.
        let is_review = document.get(env::PR_NUMBER).is_some();
        if is_review && document.get(env::AGENT_REVIEW_KEY).is_none_or(Secret::is_blank) {
            document.set(env::AGENT_REVIEW_KEY, self.review_key.clone());
        }
        document.set(env::REFRESH_SOCKET, socket.to_string_lossy().into_owned());
    }
}

/// Where an agent on this host takes a new token: in the folder that it has for temporary files, which
/// belongs to it and has another name there.
pub(crate) const SOCKET_IN_TEMPORARY: &str = "agent-runner/refresh";

/// The same as this process sees it; the agent's keeper has its notes in `notes`.
fn socket_on_host(notes: &Path) -> PathBuf {
    notes.join(TEMPORARY).join(SOCKET_IN_TEMPORARY)
}

/// The repository of a job, if a GitHub App makes its tokens.
pub(crate) fn repository_of(config: &Config, job: &Job) -> Option<Repository> {
    config.github_app.as_ref()?;
    Repository::at(job.repo_url.as_deref()?, forge_api(config, Some(job.project_id)).as_ref())
}

/// Makes the token of a job.
pub(crate) async fn mint(
    ctx: &Context,
    record: &Record,
    job: &Job,
    repository: &Repository,
) -> Result<ForgeToken, NoToken> {
    let superseded = ctx.leases.superseded(record.job.job_id);
    tokio::select! {
        biased;
        // Without a lease it is now or never.
        () = ctx.shutdown.detach.cancelled(), if record.lease.is_some() => Err(NoToken::Detached),
        () = superseded.cancelled() => Err(NoToken::Superseded),
        () = ctx.shutdown.agents.cancelled() => Err(NoToken::Interrupted),
        made = make(ctx, Some(job.project_id), repository) => made.map_err(NoToken::Refused),
    }
}

/// Whether the forge knows the App, if there is one.
pub(crate) async fn verify(ctx: &Context, config: &Arc<Config>) -> Result<(), AppError> {
    match app(ctx, config, None) {
        Err(AppError::NoApp) => Ok(()),
        Err(error) => Err(error),
        Ok(app) => Box::pin(app.verify()).await,
    }
}

/// Makes a token of the App in one try.
pub(crate) async fn try_once(
    ctx: &Context,
    project: Option<ProjectId>,
    repository: &Repository,
) -> Result<Secret, AppError> {
    let config = ctx.config();
    Ok(Box::pin(app(ctx, &config, project)?.mint_once(repository)).await?.token)
}

/// Replaces the token of a running agent again and again. `token` is the one it has, where this
/// coordinator made it.
pub(crate) async fn keep_fresh(
    ctx: &Context,
    record: &Record,
    place: &Place,
    mut token: Option<ForgeToken>,
    secrets: MoreSecrets,
) -> Infallible {
    let Some(repository) = &record.token_for else { return pending().await };
    let project = record.job.ticket.map(|ticket| ticket.project_id);
    loop {
        if let Some(token) = &token {
            used_up(token).await;
        }
        let mut waits = delays(7).build();
        let mut fresh = None;
        while let Err(problem) =
            replace(ctx, project, repository, place, &secrets, &mut fresh).await
        {
            tracing::warn!(
                job.id = %record.job.job_id,
                "the agent has no new token of the forge yet: {problem}"
            );
            sleep(waits.next().unwrap_or(LONGEST_DELAY)).await;
        }
        tracing::info!(job.id = %record.job.job_id, "the agent has a new token of the forge");
        token = fresh;
    }
}

/// Makes a token, unless there is one in `fresh` that is still good, and hands it to the agent.
async fn replace(
    ctx: &Context,
    project: Option<ProjectId>,
    repository: &Repository,
    place: &Place,
    secrets: &MoreSecrets,
    fresh: &mut Option<ForgeToken>,
) -> Result<(), String> {
    let token = match fresh.take().filter(|token| !left(token).is_zero()) {
        Some(token) => token,
        None => {
            let made = make(ctx, project, repository).await.map_err(|error| error_chain(&error))?;
            for secret in made.secrets() {
                secrets.tell(secret.clone());
            }
            made
        }
    };
    let token = fresh.insert(token);
    let handed = Box::pin(hand_over(ctx, place, &token.minted.token)).await;
    // It quotes what a program in the container said, which had the token.
    handed.map_err(|error| secrets.redact(&error_chain(&error)))
}

async fn make(
    ctx: &Context,
    project: Option<ProjectId>,
    repository: &Repository,
) -> Result<ForgeToken, AppError> {
    let at = (Moment::now(), Instant::now());
    let config = ctx.config();
    let app = app(ctx, &config, project)?;
    let minted = Box::pin(app.mint(repository)).await?;
    let review_key = app.review_key(repository)?;
    Ok(ForgeToken { minted, at, api: forge_api(&config, project), review_key })
}

/// The App as the settings have it now.
fn app(ctx: &Context, config: &Config, project: Option<ProjectId>) -> Result<GitHubApp, AppError> {
    let of_app = config.github_app.as_ref().ok_or(AppError::NoApp)?;
    let api = forge_api(config, project);
    let here = api.as_ref().and_then(|api| ctx.alias.rewrite(api));
    GitHubApp::new(of_app, &config.app.network, here.or(api))
}

/// Where the operator says that the forge's API is.
pub(crate) fn forge_api(config: &Config, project: Option<ProjectId>) -> Option<Url> {
    let agent = project.map_or(&config.agent, |project| config.agent_for(project));
    Url::parse(agent.settings.get(env::FORGE_API_URL)?.expose()).ok()
}

/// Waits until a token is to be replaced.
async fn used_up(token: &ForgeToken) {
    loop {
        let left = left(token);
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK)).await;
    }
}

/// How long it is until a token is to be replaced.
fn left(token: &ForgeToken) -> Duration {
    let (moment, instant) = &token.at;
    let age = moment.as_ref().and_then(Moment::elapsed).unwrap_or_default();
    token.minted.refresh_after.saturating_sub(age.max(instant.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(api: Option<&str>, document: &mut JobDocument) -> Option<String> {
        let minted = Minted { token: "ghs_new".into(), refresh_after: LOOK };
        let api = api.map(|api| Url::parse(api).unwrap());
        let review_key = "of-the-app".into();
        let token = ForgeToken { minted, at: (None, Instant::now()), api, review_key };
        token.put_into(document, Path::new("/run/refresh"));
        document.get(env::FORGE_API_URL).map(|url| url.expose().to_owned())
    }

    #[test]
    fn a_token_is_shown_to_the_forge_that_made_it_and_to_no_other() {
        let mut of_ticket = JobDocument::default();
        told(None, &mut of_ticket);
        assert_eq!(of_ticket.get(env::AGENT_REVIEW_KEY), None, "nothing is sealed");
        let mut of_app = JobDocument::default();
        of_app.set(env::FORGE_API_URL, "https://evil.example/api/v3");
        of_app.set(env::PR_NUMBER, "7");
        assert_eq!(told(None, &mut of_app).as_deref(), Some(PUBLIC_API));
        assert_eq!(of_app.get(env::GH_TOKEN), Some(&"ghs_new".into()));
        assert_eq!(of_app.get(env::FORGE), Some(&"github".into()));
        assert_eq!(of_app.get(env::AGENT_REVIEW_KEY), Some(&"of-the-app".into()));
        // As the agent sees the operator's.
        let here = "http://host.docker.internal:9/api/v3";
        let mut of_operator = JobDocument::default();
        of_operator.set(env::PR_NUMBER, "7");
        of_operator.set(env::AGENT_REVIEW_KEY, "of-the-operator");
        of_operator.set(env::FORGE_API_URL, here);
        let told = told(Some("http://localhost:9/api/v3"), &mut of_operator);
        assert_eq!(of_operator.get(env::AGENT_REVIEW_KEY), Some(&"of-the-operator".into()));
        assert_eq!(told.as_deref(), Some(here));
    }
}
