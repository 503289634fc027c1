//! `coordinator check`: proves before the first job what the settings need. What can only be known by
//! trying is tried: a container with the very options of a job is started, and removed again; the app and the
//! forge are asked what has no effect.
//!
//! Invariant: what rests on something that failed is not looked at, so that one cause is told once.

mod app;
mod certificates;
mod clock;
mod container;
mod cure;
mod disk;
mod facts;
mod files;
mod finding;
#[cfg(test)]
mod fixture;
mod forge;
mod host;
mod image;
mod proxy;
mod url;
mod way_out;

use std::path::Path;

use api_client::{ProjectId, error_chain};
use serde::{Deserialize, Serialize};

use self::container::Reach;
use self::proxy::Way;
use crate::config::{AgentConfig, Config, HostFallback};
use crate::context::Context;
use crate::control;
use crate::engine::{EngineError, EngineFacts};
use crate::health;
use crate::readiness::{Room, room};
pub(crate) use clock::seconds_of;
pub(crate) use cure::cure;
pub(crate) use files::{USUAL_ENV_FILE, env_file};
pub(crate) use finding::{Finding, Findings, Step, Tell, all_well, json, line};
pub(crate) use image::{Fit, fit};

/// How much is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Depth {
    /// Everything.
    #[default]
    Full,
    /// All but the coding CLIs of the images, which take minutes.
    Quick,
}

/// Whose settings are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checker {
    /// The running coordinator's own.
    Running,
    /// Those that were given here: none runs.
    Here,
}

/// Whose settings the findings are about.
pub(crate) fn who_checks(state_dir: &Path, checker: Checker) -> Finding {
    let what = "control socket";
    let found = match checker {
        Checker::Running => "a coordinator answers: these are its settings",
        Checker::Here => "no coordinator runs: these are the settings given here",
    };
    let socket = control::socket(state_dir);
    if socket.as_os_str().len() > control::LONGEST_PATH {
        let found = format!("{} is longer than {} bytes", socket.display(), control::LONGEST_PATH);
        let cure = "name a shorter path by COORDINATOR_STATE_DIR";
        return Finding::failed(what, found, cure);
    }
    Finding::ok(what, found)
}

/// Everything that is looked at, in the order in which one thing rests on the other; each is told as it is
/// found.
pub(crate) async fn check(
    ctx: &Context,
    depth: Depth,
    checker: Checker,
    tell: &Tell<'_>,
) -> Vec<Finding> {
    let config = ctx.config();
    let mut findings = Findings::new(tell);
    findings.begin("this host");
    findings.add([state_directory(ctx).await]);
    findings.add(disk::judge("state directory", &ctx.state_dir, config.limits.disk_floor));
    findings.add(files::judge(&config.secret_files, &ctx.state_dir));
    if checker == Checker::Here && Path::new(USUAL_ENV_FILE).exists() {
        let engine = config.engine.host.as_deref();
        findings.add(files::hidden_from_unit(&config.secret_files, engine));
    }
    findings.add(health_address(&config, checker).await);
    findings.add(host::look(&config).await);
    findings.add(certificates::judge(config.app.network.roots.as_ref(), crate::clock::now()));
    findings.begin("proxies");
    let way = Way::here(&config.proxies).await;
    findings.add(way.findings());
    findings.begin("the app");
    let mut app = Box::pin(app::look(ctx, &way)).await;
    findings.add(std::mem::take(&mut app.findings));
    findings.begin("the forge");
    let mut forge = Box::pin(forge::look(ctx, &app, &way)).await;
    findings.add(std::mem::take(&mut forge.findings));
    let mut clocks: Vec<_> = app.clock.take().into_iter().chain(forge.clock.take()).collect();
    if config.host.fallback == HostFallback::Always {
        findings.add([Finding::ok("engine", "HOST_FALLBACK=always: none is needed")]);
    } else {
        let reach = Reach { app: app.is_well, forge: &forge, way: &way };
        clocks.extend(Box::pin(containers(ctx, &reach, depth, &mut findings)).await);
    }
    findings.add(clock::judge(&clocks));
    findings.into_all()
}

/// The engine, and a container of each set of settings; the engine's clock.
async fn containers(
    ctx: &Context,
    reach: &Reach<'_>,
    depth: Depth,
    findings: &mut Findings<'_>,
) -> Option<clock::Reading> {
    let (config, what) = (ctx.config(), "containers");
    findings.begin("the engine");
    let facts = match ctx.engine.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            findings.add([no_engine(&error), Finding::skipped(what, "the engine does not answer")]);
            return None;
        }
    };
    findings.add(facts::judge(&facts, &config));
    findings.add(room_for_one(&facts, &config));
    let here = facts.folder.as_deref().filter(|folder| folder.is_dir());
    let floor = config.limits.disk_floor;
    findings.add(here.and_then(|folder| disk::judge("engine", folder, floor)));
    let keep = config.keep.cache_bytes;
    findings.add(here.and_then(|folder| disk::caches(folder, keep)));
    for (project, agent) in settings(&config) {
        Box::pin(container::look(ctx, project, agent, reach, depth, findings)).await;
    }
    engine_clock(&facts)
}

/// The settings of containers: those of all projects, and those of each that has its own.
fn settings(config: &Config) -> impl Iterator<Item = (Option<ProjectId>, &AgentConfig)> {
    let own = config.of_projects.iter().map(|(project, agent)| (Some(*project), agent));
    [(None, &config.agent)].into_iter().chain(own)
}

/// What is said where the state directory cannot even be opened.
pub(crate) fn no_state_directory(problem: String) -> Finding {
    let cure =
        "make it writable for the coordinator's user, or name another by COORDINATOR_STATE_DIR";
    Finding::failed("state directory", problem, cure)
}

async fn state_directory(ctx: &Context) -> Finding {
    let what = "state directory";
    let shown = ctx.state_dir.display();
    match ctx.ledger.probe().await {
        Ok(()) => Finding::ok(what, format!("{shown} can be written")),
        Err(error) => no_state_directory(error_chain(&error)),
    }
}

/// Whether the address is free; a coordinator that runs has it itself.
async fn health_address(config: &Config, checker: Checker) -> Option<Finding> {
    let listen = config.health.as_ref().filter(|_| checker == Checker::Here)?;
    let what = "HEALTH_LISTEN";
    Some(match health::could_listen(listen).await {
        Ok(()) => Finding::ok(what, "free"),
        Err(problem) => {
            let cure = "end what listens there (ss -ltnp), or name another address";
            Finding::failed(what, problem, cure)
        }
    })
}

fn engine_clock(facts: &EngineFacts) -> Option<clock::Reading> {
    let theirs = seconds_of(facts.time.as_deref()?)?;
    Some(clock::Reading::new("the engine's", theirs, crate::clock::now()))
}

fn no_engine(error: &EngineError) -> Finding {
    let cure = "start it (systemctl start docker), or name its address by DOCKER_HOST; its socket \
                is for root and the group docker (usermod -aG docker USER)";
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
