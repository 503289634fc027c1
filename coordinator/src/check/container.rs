//! A container as a job would get it, from each image that jobs get: whether it starts, what runs in it, and
//! what it reaches.

use std::time::Instant;

use api_client::container_probe::{ContainerProbe, Opened, Overlay};
use api_client::contract::env;
use api_client::{ProjectId, error_chain};
use url::Url;

use super::cure::cure;
use super::finding::{Finding, Findings, State};
use super::forge::ForgeLook;
use super::image::{CLIS, IMAGE};
use super::proxy::Way;
use super::{Depth, certificates, image, no_engine, way_out};
use crate::alias::HOST_ALIAS;
use crate::config::{AgentConfig, DockerMode, JobNetwork, PullPolicy};
use crate::context::Context;
use crate::launch::{LaunchError, Part, Rehearsed, has_gateway, rehearse};
use crate::pulls::{Offer, ask_registry};

/// What is known already of what a container would reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach<'r> {
    /// Whether the app answers this host, and lets it in.
    pub(super) app: bool,
    /// The forges.
    pub(super) forge: &'r ForgeLook,
    /// The proxies of this host.
    pub(super) way: &'r Way,
}

/// The images of one set of settings, and a container from each.
pub(super) async fn look(
    ctx: &Context,
    project: Option<ProjectId>,
    agent: &AgentConfig,
    reach: &Reach<'_>,
    depth: Depth,
    findings: &mut Findings<'_>,
) {
    let images = match ctx.images.needed(&agent.image, project) {
        Ok(images) => images,
        Err(error) => {
            let cure = "mend or remove that file";
            findings.add([Finding::failed("images", error_chain(&error), cure)]);
            return;
        }
    };
    for name in images {
        findings.begin(format!("the image {name}"));
        match ctx.engine.has_image(&name).await {
            Ok(true) => {
                findings.add([Finding::ok(IMAGE, format!("{name} is there"))]);
                if agent.pull == PullPolicy::Always {
                    findings.add(image::not_renewed(&name, offer(ctx, &name).await));
                }
                let tried = Tried { ctx, project, agent, image: &name };
                Box::pin(tried.all(reach, depth, findings)).await;
            }
            Ok(false) => {
                let offer = match agent.pull {
                    PullPolicy::Never => None,
                    PullPolicy::IfMissing | PullPolicy::Always => Some(offer(ctx, &name).await),
                };
                findings.add([image::missing(agent, &name, offer)]);
            }
            Err(error) => findings.add([no_engine(&error)]),
        }
    }
}

/// What the registry says to a pull. It is not made: an image can take minutes.
async fn offer(ctx: &Context, image: &str) -> Offer {
    let config = ctx.config();
    ask_registry(&ctx.engine, image, config.engine.docker_config.as_deref()).await
}

/// What is tried.
struct Tried<'t> {
    ctx: &'t Context,
    project: Option<ProjectId>,
    agent: &'t AgentConfig,
    image: &'t str,
}

impl Tried<'_> {
    async fn all(&self, reach: &Reach<'_>, depth: Depth, findings: &mut Findings<'_>) {
        findings.begin(format!("a container of {}, as a job gets it", self.image));
        let begun = Instant::now();
        let output = match self.rehearsed(&Part::Version).await {
            Ok((code, output)) => (code == Some(0)).then_some(output),
            Err(finding) => return findings.add([finding]),
        };
        let took = begun.elapsed().as_millis();
        let beside = if has_gateway(self.agent) { ", with its gateway" } else { "" };
        let found = format!("{} starts with a job's options{beside} ({took} ms)", self.image);
        findings.add([Finding::ok(self.what(), found)]);
        let version = image::version(self.image, output.as_deref());
        let is_of_use = version.state != State::Failed;
        findings.add([version]);
        if !is_of_use {
            let why = "the agent-runner in the image is of no use here";
            return findings.add([Finding::skipped("reach of containers", why)]);
        }
        findings.begin("what that container reaches");
        findings.add(self.probe(reach).await);
        if depth == Depth::Quick {
            return;
        }
        // Each CLI does a task, which takes a minute and more for all of them.
        findings.add([if findings.all_well() {
            findings.begin("the coding CLIs of the image, each with a task: up to five minutes");
            self.doctor().await
        } else {
            Finding::skipped(CLIS, "it takes minutes, and something failed before")
        }]);
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
    async fn probe(&self, reach: &Reach<'_>) -> Vec<Finding> {
        let output = match self.rehearsed(&Part::Probe { open: self.opened_there(reach) }).await {
            Ok((_, output)) => output,
            Err(finding) => return vec![finding],
        };
        let Some(probe) = ContainerProbe::read(&output) else {
            let found = format!("agent-runner probe in {} gave no answer", self.image);
            let cure = "docker run --rm IMAGE probe says more; an image of another version is to be built \
                        anew";
            return vec![Finding::failed("reach of containers", found, cure)];
        };
        let except = env_text(self.agent, env::NO_PROXY).map(|all| format!("{all},{HOST_ALIAS}"));
        let way = Way::in_container(&probe.proxies, except.or_else(|| Some(HOST_ALIAS.to_owned())));
        let mut findings = vec![way_out::judge(&probe, self.agent, reach.way)];
        findings.extend(probe.opened.iter().filter_map(|one| self.opened(one, reach, &way)));
        findings.extend(probe.overlay.map(|overlay| nested(&overlay)));
        findings
    }

    /// One URL for each server that the projects of these settings name.
    fn opened_there(&self, reach: &Reach<'_>) -> Vec<Url> {
        let config = self.ctx.config();
        let is_ours = |project: &ProjectId| match self.project {
            Some(own) => own == *project,
            None => !config.of_projects.contains_key(project),
        };
        let mut open: Vec<Url> = Vec::new();
        for (_, url) in reach.forge.opened.iter().filter(|(project, _)| is_ours(project)) {
            if !open.iter().any(|other| other.origin() == url.origin()) {
                open.push(url.clone());
            }
        }
        open
    }

    /// What is said of one URL; nothing where the cause of its silence was told before.
    fn opened(&self, one: &Opened, reach: &Reach<'_>, way: &Way) -> Option<Finding> {
        let Opened { setting, url, problem } = one;
        let what = match setting.as_str() {
            env::API_URL => "app from containers".to_owned(),
            other => format!("{other} from containers"),
        };
        let Some(problem) = problem else {
            return Some(Finding::ok(what, format!("{url} answers")));
        };
        let told = match setting.as_str() {
            env::API_URL => !reach.app,
            env::FORGE_API_URL | FORGE => reach.forge.silent,
            _ => false,
        };
        if told {
            return None;
        }
        if let Some(proxy) = Url::parse(url).ok().and_then(|url| way.broken_for(&url)) {
            let why = format!("{proxy}, by which containers ask for {url}, is of no use there");
            return Some(Finding::skipped(what, why));
        }
        let network = match &self.agent.network {
            JobNetwork::Own => "a network of the job's own".to_owned(),
            JobNetwork::Named(name) => format!("the network {name}"),
        };
        let found = format!("{url} cannot be reached from {network}: {problem}");
        let here = url.contains(HOST_ALIAS);
        let cure = if let Some(cure) = certificates::cure(problem) {
            cure.to_owned()
        } else if here {
            format!(
                "have it listen where containers reach it, not on localhost alone: on the address \
                 of the bridge (docker network inspect bridge) or on 0.0.0.0, open to docker0 in the \
                 firewall; or set {} to an address of this host",
                named(setting)
            )
        } else {
            format!(
                "open the way from containers to it (firewall, DNS, proxy, NO_PROXY, DOCKER_NETWORK, \
                 AGENT_EGRESS), or set {} to a URL that they reach",
                named(setting)
            )
        };
        Some(Finding::failed(what, found, cure))
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

/// What a probe calls the servers that it was asked to open.
const FORGE: &str = "forge";

/// Where the URL of a thing stands.
fn named(setting: &str) -> &str {
    if setting == FORGE { "the project's repository URL in the app" } else { setting }
}

fn env_text(agent: &AgentConfig, name: &str) -> Option<String> {
    let value = agent.settings.get(name).filter(|value| !value.is_blank())?;
    Some(value.expose().trim().to_owned())
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
