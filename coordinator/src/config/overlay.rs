//! The settings of an agent: those of the app, overridden by those of the operator. Pure.

use api_client::contract::{JobDocument, env, is_secret};
use api_client::tls::ClientIdentity;
use api_client::wire::AgentEnv;
use api_client::{ProjectId, Secret};

use super::Config;

/// What the coordinator alone says about a job: names that are not the app's to set.
const FACTS: [&str; 29] = [
    env::API_URL,
    env::JOB_ID,
    env::JOB_KIND,
    env::TICKET_ID,
    env::PROJECT_ID,
    env::REPO_URL,
    env::TASK,
    env::PR_NUMBER,
    env::COMMENT_BODY,
    env::GITHUB_COMMENT_ID,
    env::AGENT_WORKSPACE,
    env::DOCKER_RUN_ERROR,
    env::JOB_DOCUMENT,
    env::CLAIM_ID,
    env::REFRESH_SOCKET,
    env::MODEL_GATEWAY_KEY,
    env::AGENT_STATE_DIR,
    env::OUTCOME_FILE,
    env::TRANSCRIPT_FILE,
    env::AGENT_IMAGE,
    env::AGENT_REVIEW_KEY,
    env::AGENT_PROMPTS_DIR,
    env::AGENT_CACHE_DOCKER,
    env::AGENT_CACHE_GIT,
    env::EXTRA_CA,
    env::APP_CLIENT_CERT,
    env::APP_CLIENT_KEY,
    env::TRACEPARENT,
    env::AGENT_OTLP_ENDPOINT,
];

/// Limits of which the smaller counts, whoever sets it.
const BUDGETS: [&str; 2] = [env::WORKER_TOKEN_BUDGET, env::WORKER_MONEY_BUDGET];

impl Config {
    /// What an agent is told beside the facts of its job.
    pub(crate) fn settings_over(&self, project: ProjectId, of_app: &AgentEnv) -> JobDocument {
        let mut settings = JobDocument::default();
        let others = of_app.iter().filter(|(name, _)| !FACTS.contains(name));
        settings.extend(others.map(|(name, value)| (name, value.clone())));
        settings.extend(
            self.agent_for(project).settings.iter().map(|(name, value)| (name, value.clone())),
        );
        for name in BUDGETS {
            // What is left of a project's day is the app's to say, what a job may use the operator's.
            let given =
                [settings.get(name), of_app.get(name)].map(|value| value.map(Secret::expose));
            if let [Some(operator), Some(app)] = given
                && let (Ok(most), Ok(left)) = (operator.parse::<f64>(), app.parse::<f64>())
                && left < most
            {
                let left = app.to_owned();
                settings.set(name, left);
            }
        }
        if let Some(key) = &self.app.key {
            settings.set(env::WORKER_API_KEY, key.clone());
        }
        settings
    }

    /// Every secret that the coordinator knows: its own, those of all agents, and those of the app's
    /// settings for a job.
    pub(crate) fn secrets<'s>(&'s self, of_app: &'s AgentEnv) -> impl Iterator<Item = &'s Secret> {
        let secret = |(name, value): &(&str, &Secret)| is_secret(name, value);
        let of_app = of_app.iter().filter(secret).map(|(_, value)| value);
        let app = self.github_app.as_ref().map(|app| &app.key);
        let of_agents = self.agents().flat_map(|agent| agent.settings.secrets());
        let client = self.app.network.identity.as_ref().map(ClientIdentity::key);
        let own = [&self.traces.headers, &self.notify.webhook, &self.notify.secret];
        let own = own.into_iter().flatten().chain(&self.traces.header_secrets);
        of_agents.chain(of_app).chain(&self.app.key).chain(app).chain(client).chain(own)
    }
}
