//! Whether agents could run on this host, and how far they are bounded there.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::finding::{Finding, State};
use super::image;
use crate::config::{Config, HostConfig, HostFallback, HostLocal, HostScope};
use crate::launch::{not_bounded, scope};

const AGENTS: &str = "agents on this host";

/// How long the program may take to tell its version.
const LIMIT: Duration = Duration::from_secs(10);

/// How much of what it prints is read, in bytes.
const SAID_MAX: u64 = 64 << 10;

/// Runs on this host, where there can be any.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let HostConfig { fallback, local, .. } = config.host;
    if fallback == HostFallback::Never && local == HostLocal::Never {
        let found = "none runs here: HOST_FALLBACK=never, HOST_LOCAL=never";
        return vec![Finding::ok(AGENTS, found)];
    }
    let mut findings = vec![program(&config.host).await];
    let limits = &config.agent.limits;
    let place = scope(config, limits).await;
    let open = not_bounded(limits, place.as_ref().ok(), config.host.user.as_ref());
    let user = config.host.user.as_ref().map_or("the coordinator's user", |user| &user.name);
    findings.push(match place {
        Ok(_) if open.is_empty() => {
            Finding::ok(AGENTS, format!("as {user}, in a systemd scope"))
        }
        Ok(_) => Finding::note(
            AGENTS,
            format!("as {user}, in a systemd scope; not bounded: {}", open.join(", ")),
            "a scope of the machine's manager, which a coordinator as root asks, has all but the disk",
        ),
        Err(_) if config.host.scope == HostScope::Off || open.is_empty() => {
            Finding::ok(AGENTS, format!("as {user}, without a systemd scope"))
        }
        Err(why) => Finding::note(
            AGENTS,
            format!("as {user}, not bounded: {} (no systemd scope: {why})", open.join(", ")),
            "run the coordinator as root under systemd, or set HOST_FALLBACK=never",
        ),
    });
    findings
}

/// Whether the program is there, can be run, and is of our version. Where every job is run by it, all is lost
/// without.
async fn program(host: &HostConfig) -> Finding {
    let (what, shown) = ("agent-runner", host.runner.display());
    let problem = match version(host).await {
        Ok(output) => {
            let judged = image::version(&shown.to_string(), Some(&output));
            match judged.state {
                State::Ok => {
                    let found = format!("{shown}, for runs on this host: {}", judged.found);
                    return Finding::ok(what, found);
                }
                State::Note | State::Failed => judged.found,
            }
        }
        Err(problem) => format!("{shown} cannot be run: {problem}"),
    };
    let cure =
        "install this version's agent-runner beside the coordinator, or set AGENT_RUNNER_PATH";
    if host.fallback == HostFallback::Always {
        return Finding::failed(what, problem, cure);
    }
    let which = match (host.fallback, host.local) {
        (HostFallback::Never, _) => "local projects will fail",
        (_, HostLocal::Never) => "the fallback will fail",
        (_, _) => "local projects and the fallback will fail",
    };
    Finding::note(what, format!("{problem}: {which}"), cure)
}

/// What it says of itself.
async fn version(host: &HostConfig) -> Result<String, String> {
    let mut command = Command::new(&host.runner);
    command.arg("--version").env_clear().envs(&host.environment);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let said = async {
        let mut child = command.spawn()?;
        let mut said = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            // Any program may have been named by mistake.
            stdout.take(SAID_MAX).read_to_end(&mut said).await?;
        }
        child.wait().await?;
        Ok::<_, io::Error>(said)
    };
    match timeout(LIMIT, said).await {
        Ok(Ok(said)) => Ok(String::from_utf8_lossy(&said).into_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::config;
    use super::*;
    use crate::executable::executable;

    #[tokio::test]
    async fn where_no_agent_runs_on_this_host_none_is_missed() {
        let config = config(&[("HOST_FALLBACK", "never"), ("HOST_LOCAL", "never")]);
        let found = look(&config).await;
        assert_eq!(found.iter().map(|one| one.state).collect::<Vec<_>>(), [State::Ok]);
    }

    #[tokio::test]
    async fn a_program_that_is_not_ours_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("agent-runner");
        for (script, state) in [
            (format!("#!/bin/sh\necho agent-runner {}\n", env!("CARGO_PKG_VERSION")), State::Ok),
            ("#!/bin/sh\necho agent-runner 99.0.0\n".to_owned(), State::Note),
            ("#!/nonexistent\n".to_owned(), State::Note),
        ] {
            executable(&program, &script);
            let mut host = config(&[]).host;
            host.runner = program.clone();
            let found = super::program(&host).await;
            assert_eq!(found.state, state, "{script}: {found:?}");
        }
    }
}
