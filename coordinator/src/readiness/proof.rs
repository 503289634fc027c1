//! Proofs that the engine gives the containers that the settings ask for. Each is had once for its
//! settings and its image, and holds for an hour as long as the engine answers.

use std::time::{Duration, Instant};

use api_client::{ProjectId, error_chain};

use super::NotReady;
use crate::check::cure;
use crate::config::{AgentConfig, Config, DockerMode};
use crate::context::Context;
use crate::launch::{Part, Rehearsed, rehearse};

/// What was given is believed for this long: an engine can come back as another one, or with other
/// settings, between two questions.
const GOOD_FOR: Duration = Duration::from_secs(3600);

/// What failed is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// The proofs that were had.
#[derive(Debug, Default)]
pub(super) struct Proofs(Vec<Proof>);

#[derive(Debug)]
struct Proof {
    agent: AgentConfig,
    image: String,
    at: Instant,
    result: Proven,
}

#[derive(Clone, Debug)]
enum Proven {
    /// A container was started.
    Given,
    /// None was, for a reason that may pass: the job itself will show.
    Unknown,
    /// None was, and none will be until someone mends it.
    Refused { problem: String, cure: String },
}

impl Proofs {
    /// Forgets them: the engine may be another one by now.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Has those of a project's containers, or of all.
    pub(super) async fn have(
        &mut self,
        ctx: &Context,
        project: Option<ProjectId>,
    ) -> Result<(), NotReady> {
        let config = ctx.config();
        self.0.retain(|proof| config.agents().any(|agent| *agent == proof.agent));
        for (of, agent) in wanted(&config, project) {
            let images = ctx.images.needed(&agent.image, of);
            for image in images.map_err(NotReady::ProjectImages)? {
                let general = of.is_none() && image == config.agent.image.general();
                match self.have_one(ctx, of, agent, image).await {
                    // Of some projects alone: their jobs are told.
                    Err(NotReady::Mode { .. }) if project.is_none() && !general => {}
                    proven => proven?,
                }
            }
        }
        Ok(())
    }

    async fn have_one(
        &mut self,
        ctx: &Context,
        project: Option<ProjectId>,
        agent: &AgentConfig,
        image: String,
    ) -> Result<(), NotReady> {
        let result = match self.known(agent, &image) {
            Some(result) => result,
            None => {
                let result = prove(ctx, project, agent, &image).await;
                self.0.retain(|proof| proof.agent != *agent || proof.image != image);
                let (agent, at) = (agent.clone(), Instant::now());
                self.0.push(Proof { agent, image, at, result: result.clone() });
                result
            }
        };
        match result {
            Proven::Given | Proven::Unknown => Ok(()),
            Proven::Refused { problem, cure } => {
                let mode = agent.docker_mode.name();
                Err(NotReady::Mode { mode, problem, cure })
            }
        }
    }

    fn known(&self, agent: &AgentConfig, image: &str) -> Option<Proven> {
        let of_these = |proof: &&Proof| proof.agent == *agent && proof.image == image;
        let proof = self.0.iter().find(of_these)?;
        let good_for = match proof.result {
            Proven::Given => GOOD_FOR,
            Proven::Unknown | Proven::Refused { .. } => TRY_AGAIN,
        };
        (proof.at.elapsed() < good_for).then(|| proof.result.clone())
    }
}

/// The settings that need a proof. A plain container is given by every engine.
fn wanted(config: &Config, project: Option<ProjectId>) -> Vec<(Option<ProjectId>, &AgentConfig)> {
    let own = config.of_projects.iter().map(|(project, agent)| (Some(*project), agent));
    let all = [(None, &config.agent)].into_iter().chain(own);
    let of_project = project.map(|project| config.agent_for(project));
    all.filter(|(_, agent)| of_project.is_none_or(|one| one == *agent))
        .filter(|(_, agent)| agent.docker_mode != DockerMode::None || agent.runtime.is_some())
        .collect()
}

async fn prove(
    ctx: &Context,
    project: Option<ProjectId>,
    agent: &AgentConfig,
    image: &str,
) -> Proven {
    match rehearse(ctx, project, image, &Part::Container).await {
        Ok(Rehearsed::Started | Rehearsed::Ended { .. }) => Proven::Given,
        Ok(Rehearsed::GivenUp) => Proven::Unknown,
        Err(error) => {
            let problem = error_chain(&error);
            match cure(&error, agent) {
                Some(cure) => Proven::Refused { problem, cure },
                None => {
                    tracing::debug!(error = problem, "whether the mode is given is not known");
                    Proven::Unknown
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Flags};

    fn config(variables: &[(&str, &str)]) -> Config {
        let url = ("TERARCHITECT_API_URL", "http://app.example:5010");
        let environment = Environment::of([url].into_iter().chain(variables.iter().copied()));
        config::load(&Flags::default(), &environment).unwrap().config
    }

    #[test]
    fn a_mode_that_needs_nothing_of_the_engine_needs_no_proof() {
        assert!(wanted(&config(&[("AGENT_DOCKER_MODE", "none")]), None).is_empty());
        for variables in [
            [("AGENT_DOCKER_MODE", "none"), ("AGENT_RUNTIME", "runsc")],
            [("AGENT_DOCKER_MODE", "dind"), ("AGENT_CACHE_VOLUME", "")],
        ] {
            assert_eq!(wanted(&config(&variables), None).len(), 1, "{variables:?}");
        }
    }

    #[test]
    fn a_proof_holds_for_its_settings_and_its_image_alone() {
        let agent = config(&[]).agent;
        let other = config(&[("AGENT_PIDS", "7")]).agent;
        let image = "image:1".to_owned();
        let (at, result) = (Instant::now(), Proven::Given);
        let mut proofs = Proofs(vec![Proof { agent: agent.clone(), image, at, result }]);
        assert!(proofs.known(&agent, "image:1").is_some());
        assert!(proofs.known(&agent, "image:2").is_none());
        assert!(proofs.known(&other, "image:1").is_none());
        proofs.clear();
        assert!(proofs.known(&agent, "image:1").is_none());
    }
}
