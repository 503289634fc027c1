//! Whether agents could run on this host, and how far they are bounded there.

use super::finding::Finding;
use crate::config::{Config, HostFallback, HostScope};
use crate::launch::{not_bounded, scope};

/// Runs on this host, where there can be any.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
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
