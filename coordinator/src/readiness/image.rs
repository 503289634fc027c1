//! Whether the images are there that a job may need, pulled where the operator wants them pulled.

use std::collections::BTreeMap;

use api_client::ProjectId;

use super::NotReady;
use crate::config::{AgentConfig, Config, HostFallback, PullPolicy};
use crate::context::Context;
use crate::pulls::Pull;

/// An image without which nothing is claimed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoImage {
    #[error(
        "the image {image} is not there and cannot be pulled; build it with \
         `coordinator image build --tag {image}`, or set AGENT_IMAGE ({problem})"
    )]
    Missing { image: String, problem: String },
    #[error(
        "the image {image} is not there, and AGENT_PULL=never: bring it to the engine, or set \
         AGENT_PULL or AGENT_IMAGE"
    )]
    NotPulled { image: String },
    #[error(
        "the image {image} could not be pulled anew, as AGENT_PULL=always wants it ({problem})"
    )]
    NotRenewed { image: String, problem: String },
}

impl NoImage {
    /// Whether there is none of that name, not even an old one.
    pub(crate) const fn is_missing(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::NotPulled { .. } => true,
            Self::NotRenewed { .. } => false,
        }
    }
}

/// Whether there are the images that a job of this project needs, or one of any project that has no
/// image of its own.
pub(crate) async fn check_images(
    ctx: &Context,
    project: Option<ProjectId>,
) -> Result<(), NotReady> {
    let config = ctx.config();
    if config.host.fallback == HostFallback::Always {
        return Ok(());
    }
    let agents: Vec<_> = match project {
        Some(project) => vec![config.agent_for(project)],
        None => config.agents().collect(),
    };
    let mut images: BTreeMap<String, &AgentConfig> = BTreeMap::new();
    for agent in agents {
        let needed = ctx.images.needed(&agent.image, project).map_err(NotReady::ProjectImages)?;
        for image in needed {
            // Of two that want the same image, the one that wants it newest.
            let chosen = images.entry(image).or_insert(agent);
            if agent.pull == PullPolicy::Always {
                *chosen = agent;
            }
        }
    }
    for (image, agent) in images {
        let general = image == config.agent.image.general();
        match check_image(ctx, &config, agent, image).await {
            Err(NotReady::Image(missing)) if project.is_none() && !general => {
                tracing::debug!(error = %missing, "only the projects with this image lack it");
            }
            checked => checked?,
        }
    }
    Ok(())
}

/// How an image of these settings is pulled.
fn pull_of<'a>(config: &'a Config, agent: &AgentConfig, image: &'a str) -> Pull<'a> {
    let logins = config.engine.docker_config.as_deref();
    Pull { image, logins, patience: agent.pull_patience }
}

async fn check_image(
    ctx: &Context,
    config: &Config,
    agent: &AgentConfig,
    image: String,
) -> Result<(), NotReady> {
    let is_there = async || ctx.engine.has_image(&image).await.map_err(NotReady::Engine);
    match agent.pull {
        PullPolicy::Always => {}
        PullPolicy::IfMissing | PullPolicy::Never if is_there().await? => {
            ctx.pulls.forget(&image);
            return Ok(());
        }
        PullPolicy::IfMissing => {}
        PullPolicy::Never => return Err(NoImage::NotPulled { image }.into()),
    }
    let pulled = ctx.pulls.pull(&ctx.engine, pull_of(config, agent, &image)).await;
    let there = is_there().await?;
    match (pulled, agent.pull) {
        (Ok(()), _) if there => Ok(()),
        // Somebody has built it meanwhile.
        (Err(_), PullPolicy::IfMissing) if there => Ok(()),
        (Err(problem), PullPolicy::Always) if there => {
            Err(NoImage::NotRenewed { image, problem }.into())
        }
        (Ok(()), _) => {
            let problem = "the pull brought no image of that name".to_owned();
            Err(NoImage::Missing { image, problem }.into())
        }
        (Err(problem), _) => Err(NoImage::Missing { image, problem }.into()),
    }
}
