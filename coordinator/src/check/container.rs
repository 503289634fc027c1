//! A container as a job would get it, from each image that jobs get: whether it starts, what runs in it, and
//! what it reaches.

use std::time::Instant;

use api_client::container_probe::{ContainerProbe, Opened, Overlay};
use api_client::contract::env;
use api_client::{ProjectId, error_chain};

use super::cure::cure;
use super::finding::Finding;
use super::{Depth, image, no_engine};
use crate::config::{AgentConfig, DockerMode, JobNetwork};
use crate::context::Context;
use crate::launch::{LaunchError, Part, Rehearsed, has_gateway, rehearse};

/// What is known already of what a container would reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Whether the app answers this host.
    pub(super) app: bool,
    /// Whether the forge's API does.
    pub(super) forge: bool,
    /// Of anything.
    pub(super) silence: Silence,
}

/// Whether the cause of a silence was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// It was.
    Explained,
    /// It was not.
    New,
}

/// The images of one set of settings, and a container from each.
pub(super) async fn look(
    ctx: &Context,
    project: Option<ProjectId>,
    agent: &AgentConfig,
    reach: Reach,
    depth: Depth,
) -> Vec<Finding> {
    let images = match ctx.images.needed(&agent.image, project) {
        Ok(images) => images,
        Err(error) => {
            return vec![Finding::failed(
                "images",
                error_chain(&error),
                "mend or remove that file",
            )];
        }
    };
    let mut findings = Vec::new();
    for name in images {
        match ctx.engine.has_image(&name).await {
            Ok(true) => {
                findings.push(Finding::ok("image", format!("{name} is there")));
                let tried = Tried { ctx, project, agent, image: &name };
                findings.extend(Box::pin(tried.all(reach, depth)).await);
            }
            Ok(false) => findings.push(image::missing(agent, &name)),
            Err(error) => findings.push(no_engine(&error)),
        }
    }
    findings
}

/// What is tried.
struct Tried<'t> {
    ctx: &'t Context,
    project: Option<ProjectId>,
    agent: &'t AgentConfig,
    image: &'t str,
}

impl Tried<'_> {
    async fn all(&self, reach: Reach, depth: Depth) -> Vec<Finding> {
        let begun = Instant::now();
        let output = match self.rehearsed(&Part::Version).await {
            Ok((code, output)) => (code == Some(0)).then_some(output),
            Err(finding) => return vec![finding],
        };
        let took = begun.elapsed().as_millis();
        let beside = if has_gateway(self.agent) { ", with its gateway" } else { "" };
        let found = format!("{} starts with a job's options{beside} ({took} ms)", self.image);
        let mut findings = vec![Finding::ok(self.what(), found)];
        let version = image::version(self.image, output.as_deref());
        let matches = version.cure.is_none();
        findings.push(version);
        if !matches {
            return findings;
        }
        findings.extend(self.probe(reach).await);
        if depth == Depth::Full {
            findings.push(self.doctor().await);
        }
        findings
    }

    fn what(&self) -> String {
        let of = self.project.map_or_else(String::new, |id| format!(" of project {}", id.short()));
        let mode = self.agent.docker_mode;
        let rights = match mode {
            DockerMode::Dind => ", privileged",
            DockerMode::DindCaps => ", with SYS_ADMIN",
            DockerMode::DindRootless | DockerMode::Dood | DockerMode::None => "",
        };
        format!("container{of}, {}{rights}", mode.name())
    }

    /// The exit code and the output of a part, or what stood in its way. No code: it came to no end.
    async fn rehearsed(&self, part: &Part) -> Result<(Option<i64>, String), Finding> {
        match rehearse(self.ctx, self.project, self.image, part).await {
            Ok(Rehearsed::Ended { code, output }) => Ok((Some(code), output)),
            Ok(Rehearsed::Started) => Ok((None, String::new())),
            Ok(Rehearsed::GivenUp) => {
                let image = self.image;
                let found =
                    format!("the engine did not start {image} in time, or the coordinator ends");
                let cure = "try again; the engine's own log says more";
                Err(Finding::failed(self.what(), found, cure))
            }
            Err(error) => {
                let cure = cure(&error, self.agent).unwrap_or_else(|| of_launch(&error));
                Err(Finding::failed(self.what(), error_chain(&error), cure))
            }
        }
    }

    /// What a job would reach from there, under the URLs that it would get.
    async fn probe(&self, reach: Reach) -> Vec<Finding> {
        let output = match self.rehearsed(&Part::Probe).await {
            Ok((_, output)) => output,
            Err(finding) => return vec![finding],
        };
        let Some(probe) = ContainerProbe::read(&output) else {
            let found = format!("agent-runner probe in {} gave no answer", self.image);
            let log = "docker run --rm IMAGE probe says more; build the image anew";
            return vec![Finding::failed("reach of containers", found, log)];
        };
        let is_new = |one: &&Opened| {
            let told = reach.silence == Silence::Explained
                || (one.setting == env::API_URL && !reach.app)
                || (one.setting == env::FORGE_API_URL && !reach.forge);
            one.problem.is_none() || !told
        };
        let opened = probe.opened.iter().filter(is_new);
        let mut findings: Vec<_> = opened.map(|one| self.opened(one)).collect();
        findings.extend(probe.overlay.map(|overlay| nested(&overlay)));
        findings
    }

    fn opened(&self, one: &Opened) -> Finding {
        let Opened { setting, url, problem } = one;
        let what = match setting.as_str() {
            env::API_URL => "app from containers".to_owned(),
            other => format!("{other} from containers"),
        };
        let Some(problem) = problem else { return Finding::ok(what, format!("{url} answers")) };
        let network = match &self.agent.network {
            JobNetwork::Own => "a network of the job's own".to_owned(),
            JobNetwork::Named(name) => format!("the network {name}"),
        };
        let found = format!("{url} cannot be reached from {network}: {problem}");
        let here = url.contains(crate::alias::HOST_ALIAS);
        let cure = if here {
            format!(
                "have it listen where containers reach it, not on localhost alone: on the address \
                 of the bridge (docker network inspect bridge) or on 0.0.0.0, open to docker0 in the \
                 firewall; or set {setting} to an address of this host"
            )
        } else {
            format!(
                "open the way from containers to it (firewall, DNS, proxy, DOCKER_NETWORK, \
                 AGENT_EGRESS), or set {setting} to a URL that they reach"
            )
        };
        Finding::failed(what, found, cure)
    }

    /// Whether the coding CLIs of the image work.
    async fn doctor(&self) -> Finding {
        let worker = self.agent.settings.get(env::WORKER_MODE);
        let worker = worker.map(|mode| mode.expose().to_owned());
        match self.rehearsed(&Part::Doctor { worker }).await {
            Ok((code, output)) => image::doctor(self.image, code, &output),
            Err(finding) => finding,
        }
    }
}

fn nested(overlay: &Overlay) -> Finding {
    let what = "nested overlay";
    match overlay {
        Overlay::Works => Finding::ok(what, "an inner Docker daemon has overlay2"),
        Overlay::Fails(problem) => {
            let found = format!("an inner Docker daemon is slow without overlay2: {problem}");
            let cure = "keep the engine's folder on ext4, or on XFS with ftype=1";
            Finding::note(what, found, cure)
        }
    }
}

/// Where nothing better is known.
fn of_launch(error: &LaunchError) -> String {
    let cure = match error {
        LaunchError::Gateway { .. } => {
            "the gateway runs the agent's image with the command `gateway`: build the image anew \
             (coordinator image build) from this version's Dockerfile.agent"
        }
        LaunchError::Engine(error) if error.to_string().contains("executable") => {
            "build the image anew (coordinator image build) from this version's Dockerfile.agent: its \
             entry point is to be agent-runner"
        }
        _ => "the engine's own log says more: journalctl -u docker",
    };
    cure.to_owned()
}
