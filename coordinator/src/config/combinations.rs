//! What settings that are each good come to together: what cannot hold, and what is rarely meant.

use api_client::contract::{PROXIES, env};

use super::environment::Environment;
use super::error::Problem;
use super::network::proxy_url;
use super::{
    AgentConfig, Config, DockerMode, DoodUse, EgressPolicy, HostFallback, JobNetwork, runner,
};

/// Settings of which each is good and which cannot hold together.
pub(super) fn contradictions(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut contradict = |names: &'static str, why: String| {
        if !problems.iter().any(|known: &Problem| known.to_string().contains(&why)) {
            problems.push(Problem::Contradiction { names, why });
        }
    };
    for agent in config.agents() {
        let at_once = config.schedule.max_concurrent.get();
        if agent.docker_mode == DockerMode::Dood && agent.dood == DoodUse::One && at_once > 1 {
            let why = format!(
                "MAX_CONCURRENT_AGENTS is {at_once}, and agents that share one Docker daemon can \
                 disturb each other's containers, ports and networks: set it to 1, or say \
                 AGENT_DOOD_SHARED=1"
            );
            contradict("AGENT_DOCKER_MODE=dood", why);
        }
        let Some(guard) = agent.guard() else { continue };
        if config.host.fallback == HostFallback::Always {
            let why =
                format!("HOST_FALLBACK=always runs jobs on this host, where {guard} means nothing");
            contradict("AGENT_EGRESS or AGENT_MODEL_GATEWAY", why);
        }
        if agent.network != JobNetwork::Own {
            let why = "the gateway needs a network of the job's own: leave DOCKER_NETWORK unset";
            contradict("AGENT_EGRESS or AGENT_MODEL_GATEWAY", why.to_owned());
        }
        let by_tls = |name: &&str| {
            let url = agent.settings.get(name).and_then(|url| proxy_url(url.expose()));
            url.is_some_and(|url| url.scheme() != "http")
        };
        let proxy = PROXIES.iter().flat_map(|(name, other)| [*name, *other]).find(by_tls);
        if let Some(name) = proxy.filter(|_| agent.egress.policy != EgressPolicy::Open) {
            let why = format!("the gateway asks a proxy by http:// alone: {name} says https://");
            contradict("AGENT_EGRESS", why);
        }
    }
    problems
}

/// Combinations that are allowed and rarely meant.
pub(super) fn advice(config: &Config, environment: &Environment) -> Vec<String> {
    let mut notices = Vec::new();
    let at_once = config.schedule.max_concurrent.get();
    if config.agents().any(|agent| agent.docker_mode == DockerMode::Dood) && at_once > 1 {
        notices.push(format!(
            "AGENT_DOCKER_MODE=dood with MAX_CONCURRENT_AGENTS={at_once}: the agents share one \
             Docker daemon and can disturb each other's containers, ports and networks"
        ));
    }
    let long_lived = |agent: &AgentConfig| agent.settings.get(env::GITHUB_TOKEN).is_some();
    if config.github_app.is_some() && config.agents().any(long_lived) {
        notices.push(
            "GITHUB_TOKEN is given beside GITHUB_APP_ID: agents get it for repositories of other \
             forges alone"
                .to_owned(),
        );
    }
    if config.app.network.identity.is_some() && config.app.url.scheme() == "http" {
        notices.push(
            "APP_CLIENT_CERT_FILE is not shown to anybody: TERARCHITECT_API_URL is http://"
                .to_owned(),
        );
    }
    if !runner::is_program(&config.host.runner) {
        notices.push(format!(
            "agent-runner was found neither beside the coordinator nor in PATH ({} is assumed): \
             jobs on this host cannot run until AGENT_RUNNER_PATH names it",
            config.host.runner.display()
        ));
    }
    if environment.get("COORDINATOR_REPO_ROOT").is_some_and(|root| !root.is_empty()) {
        notices.push(
            "COORDINATOR_REPO_ROOT is ignored: agents on this host are run by the agent-runner \
             program, whose path is AGENT_RUNNER_PATH"
                .to_owned(),
        );
    }
    notices
}
