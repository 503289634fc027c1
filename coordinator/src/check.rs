//! `coordinator check`: proves before the first job what the settings need. What can only be known by
//! trying is tried: a container with the very options of a job is started, and removed again.

mod cure;
mod facts;
mod finding;
#[cfg(test)]
mod fixture;

use std::time::Instant;

use api_client::{ProjectId, error_chain};

use crate::config::{AgentConfig, Config, HostFallback, HostScope, PullPolicy};
use crate::context::Context;
use crate::engine::{EngineError, EngineFacts};
use crate::images::ImagesError;
use crate::launch::{Extent, LaunchError, Rehearsed, has_gateway, not_bounded, rehearse, scope};
use crate::readiness::{Room, room};
pub(crate) use cure::cure;
pub(crate) use finding::{Finding, all_well, json, text};

/// Everything that is looked at, in the order in which one thing rests on the other.
pub(crate) async fn check(ctx: &Context) -> Vec<Finding> {
    let config = ctx.config();
    let mut findings = vec![state_directory(ctx).await];
    findings.extend(on_host(&config).await);
    if config.host.fallback == HostFallback::Always {
        findings.push(Finding::ok("engine", "HOST_FALLBACK=always: none is needed"));
        return findings;
    }
    let facts = match ctx.engine.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            findings.push(no_engine(&error));
            return findings;
        }
    };
    findings.extend(facts::judge(&facts, &config));
    findings.extend(room_for_one(&facts, &config));
    for (project, agent) in settings(&config) {
        findings.extend(container(ctx, project, agent).await);
    }
    findings
}

/// The settings of containers: those of all projects, and those of each that has its own.
fn settings(config: &Config) -> impl Iterator<Item = (Option<ProjectId>, &AgentConfig)> {
    let own = config.of_projects.iter().map(|(project, agent)| (Some(*project), agent));
    [(None, &config.agent)].into_iter().chain(own)
}

async fn state_directory(ctx: &Context) -> Finding {
    let what = "state directory";
    let shown = ctx.state_dir.display();
    match ctx.ledger.probe().await {
        Ok(()) => Finding::ok(what, format!("{shown} can be written")),
        Err(error) => {
            let cure = "make room there, or name another by COORDINATOR_STATE_DIR";
            Finding::failed(what, error_chain(&error), cure)
        }
    }
}

/// Runs on this host, where there can be any.
async fn on_host(config: &Config) -> Vec<Finding> {
    let runner = &config.host.runner;
    let shown = runner.display();
    let cure = "install agent-runner beside the coordinator, or set AGENT_RUNNER_PATH";
    let mut findings = vec![if runner.is_file() {
        Finding::ok("agent-runner", format!("{shown} is there, for runs on this host"))
    } else if config.host.fallback == HostFallback::Always {
        Finding::failed("agent-runner", format!("{shown} is not there"), cure)
    } else {
        let found = format!("{shown} is not there: local projects and the fallback will fail");
        Finding::note("agent-runner", found, cure)
    }];
    let limits = &config.agent.limits;
    let place = scope(config, limits).await;
    let open = not_bounded(limits, place.as_ref().ok(), config.host.user.as_ref());
    let user = config.host.user.as_ref().map_or("the coordinator's user", |user| &user.name);
    findings.push(match place {
        Ok(_) if open.is_empty() => {
            Finding::ok("agents on this host", format!("as {user}, in a systemd scope"))
        }
        Ok(_) => Finding::note(
            "agents on this host",
            format!("as {user}, in a systemd scope; not bounded: {}", open.join(", ")),
            "a scope of the machine's manager, which a coordinator as root asks, has all but the disk",
        ),
        Err(_) if config.host.scope == HostScope::Off || open.is_empty() => {
            Finding::ok("agents on this host", format!("as {user}, without a systemd scope"))
        }
        Err(why) => Finding::note(
            "agents on this host",
            format!("as {user}, not bounded: {} (no systemd scope: {why})", open.join(", ")),
            "run the coordinator as root under systemd, or set HOST_FALLBACK=never",
        ),
    });
    findings
}

fn no_engine(error: &EngineError) -> Finding {
    let cure = "start it (systemctl start docker), or name its address by DOCKER_HOST; its socket \
                is for root and the group docker";
    Finding::failed("engine", error_chain(error), cure)
}

fn room_for_one(facts: &EngineFacts, config: &Config) -> Vec<Finding> {
    let judged = |Room { setting, need, left, .. }: Room| {
        let (need_mib, left_mib) = (need >> 20, left >> 20);
        let found = format!("a job may take {need_mib} MiB, and {left_mib} MiB are left");
        if left >= need {
            return Finding::ok(format!("room, {setting}"), found);
        }
        let cure = format!("make room on the engine's host, or lower {setting}");
        Finding::failed(format!("room, {setting}"), found, cure)
    };
    let of_projects = config.of_projects.keys().flat_map(|of| room(facts, config, Some(*of), &[]));
    let too_small = of_projects.filter(Room::is_too_small);
    room(facts, config, None, &[]).into_iter().chain(too_small).map(judged).collect()
}

/// The images of one set of settings, and a container from each.
async fn container(ctx: &Context, project: Option<ProjectId>, agent: &AgentConfig) -> Vec<Finding> {
    let images = match ctx.images.needed(&agent.image, project) {
        Ok(images) => images,
        Err(error) => return vec![no_map(&error)],
    };
    let mut findings = Vec::new();
    for image in images {
        match ctx.engine.has_image(&image).await {
            Ok(true) => {
                findings.push(Finding::ok("image", format!("{image} is there")));
                findings.push(rehearsed(ctx, project, agent, &image).await);
            }
            Ok(false) => findings.push(no_image(agent, &image)),
            Err(error) => findings.push(no_engine(&error)),
        }
    }
    findings
}

fn no_map(error: &ImagesError) -> Finding {
    Finding::failed("images", error_chain(error), "mend or remove that file")
}

fn no_image(agent: &AgentConfig, image: &str) -> Finding {
    let build = format!("docker build -f Dockerfile.agent -t {image} .");
    match agent.pull {
        PullPolicy::Never => {
            let found = format!("{image} is not there, and AGENT_PULL=never");
            Finding::failed("image", found, build)
        }
        PullPolicy::Always | PullPolicy::IfMissing => {
            let found = format!(
                "{image} is not there; whether it can be pulled, and run in a \
                                 container, is not known"
            );
            Finding::note("image", found, format!("docker pull {image}, or {build}"))
        }
    }
}

async fn rehearsed(
    ctx: &Context,
    project: Option<ProjectId>,
    agent: &AgentConfig,
    image: &str,
) -> Finding {
    let of = project.map_or_else(String::new, |project| format!(" of project {project}"));
    let what = format!("container{of}, {}", agent.docker_mode.name());
    let beside = if has_gateway(agent) { ", with its gateway" } else { "" };
    let begun = Instant::now();
    match rehearse(ctx, project, image, Extent::Everything).await {
        Ok(Rehearsed::Ended(0)) => {
            let took = begun.elapsed().as_millis();
            Finding::ok(what, format!("{image} starts with a job's options{beside} ({took} ms)"))
        }
        Ok(Rehearsed::Ended(code)) => other_entry_point(what, image, &format!("exit {code}")),
        Ok(Rehearsed::Started) => other_entry_point(what, image, "no end"),
        Ok(Rehearsed::GivenUp) => {
            let found =
                format!("the engine did not start {image} in time, or the coordinator ends");
            Finding::failed(what, found, "try again; the engine's own log says more")
        }
        Err(error) => {
            let cure = cure(&error, agent).unwrap_or_else(|| of_launch(&error).to_owned());
            Finding::failed(what, error_chain(&error), cure)
        }
    }
}

fn other_entry_point(what: String, image: &str, end: &str) -> Finding {
    let found = format!("{image} starts, and `agent-runner --version` in it has {end}");
    Finding::note(what, found, "build it from Dockerfile.agent: its entry point is another")
}

/// Where nothing better is known.
fn of_launch(error: &LaunchError) -> &'static str {
    match error {
        LaunchError::Gateway { .. } => {
            "the gateway runs the agent's image with the command `gateway`: build the image from \
             this version's Dockerfile.agent"
        }
        _ => "the engine's own log says more: journalctl -u docker",
    }
}
