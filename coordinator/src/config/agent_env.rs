//! The settings that the coordinator hands on to every agent under their own names, when they are
//! given to it. They are explicit settings for the agent: they win over what the app sends.

use api_client::Secret;
use api_client::contract::{JobDocument, NO_PROXIES, PROXIES, env};

use super::network::proxy;
use super::parse;
use super::read::Reader;
use super::setting::{Kind, Setting};

/// Of settings that the agent of this version has no use for.
const NOT_USED: &str = "Handed on, so that a configuration of the original works unchanged; \
    `agent-runner` does not use it.";

/// Of the Director.
const DIRECTOR: &str = "See [the Director](agent.md#the-director).";
const PROMPTS: &str = "See [prompts](agent.md#prompts).";

/// Of times that the agent itself reads.
const SECONDS: &str = "The agent wants a whole number from 1 to 604800 (a week).";

/// Of the collector of agents.
const TRACES: &str = "Where it is not set, the coordinator sends what an agent tells of its run. See \
    [traces](logging.md#traces).";

/// Of proxies.
const PROXY: &str = "Becomes part of the agent's environment, in both spellings, where its own has no \
    proxy of that name; git and the coding CLIs use it too. In the environment it is the coordinator's \
    as well, in the file the agents' alone. See [networks](networks.md#proxies).";

macro_rules! agent_env {
    ($($kind:ident $name:literal $doc:literal $(more $more:ident)?,)*) => {
        /// All of them.
        pub(super) static ALL: &[Setting] =
            &[$(agent_env!(@one $kind $name $doc)$(.more($more))?),*];
    };
    (@one Token $name:literal $doc:literal) => {
        Setting::for_agent(
            $name,
            concat!("agent.env.", $name),
            Kind::Secret { file: "agent.github_token_file" },
            $doc,
        )
    };
    (@one Secret $name:literal $doc:literal) => {
        Setting::for_agent(
            $name,
            concat!("agent.env.", $name),
            Kind::Secret { file: concat!("agent.env.", $name, "_FILE") },
            $doc,
        )
    };
    (@one $kind:ident $name:literal $doc:literal) => {
        Setting::for_agent($name, concat!("agent.env.", $name), Kind::$kind, $doc)
    };
}

agent_env! {
    Token "GITHUB_TOKEN" "Token of the forge, for git and for pull requests.",
    Secret "GH_TOKEN" "The other name of GITHUB_TOKEN; each stands in where the other is not set.",
    Text "FORGE" "The forge: github, gitea (Forgejo too) or gitlab; where not set, by its address.",
    Url "FORGE_API_URL" "Base URL of the forge's REST API, where it is not the usual one.",
    Text "AGENT_RESCUE" "1 or 0: whether a run that cannot deliver saves its work on a branch.",
    Text "AGENT_PROJECT_MEMORY" "1 or 0: whether a run asks the project's memory and adds to it.",
    Text "AGENT_REVIEW_AUTHORS" "Whose comments review jobs answer: OWNER, MEMBER, COLLABORATOR, CONTRIBUTOR and logins, with commas between.",
    Secret "AGENT_REVIEW_KEY" "32 characters or more that seal what reviews note in pull requests; where it is not set, the token of the forge does, or a key that is made of the GitHub App's.",
    Text "GIT_USER_NAME" "Name of the author of commits.",
    Text "GIT_USER_EMAIL" "E-mail address of the author of commits.",
    Text "WORKER_MODE" "The coding CLI: opencode, claude-code, codex, gemini or aider.",
    Url "WORKER_LLM_URL" "Base URL of the worker's model endpoint.",
    Text "WORKER_MODEL" "Model of the worker.",
    Secret "WORKER_API_KEY" "Key of the worker's model endpoint.",
    Url "WORKER_FALLBACK_URL" "Base URL of the endpoint that stands in while the worker's gives no answer.",
    Secret "WORKER_FALLBACK_API_KEY" "Key of that endpoint.",
    Text "WORKER_FALLBACK_MODEL" "Model that is asked for there, where it has another name.",
    Number "WORKER_TIMEOUT_SEC" "Longest time for one turn of the worker, in seconds." more SECONDS,
    Number "WORKER_STALL_SEC" "Longest silence of the worker within a turn, in seconds." more SECONDS,
    Text "WORKER_MODELS" "Further models that may be asked, separated by commas; all where not set.",
    Number "WORKER_TOKEN_BUDGET" "Most tokens, in and out together, that the model may take in one job.",
    Number "WORKER_MONEY_BUDGET" "Most money that the model may cost in one job, in US dollars.",
    Number "WORKER_PRICE_INPUT" "Price of a million tokens that the model reads, in US dollars.",
    Number "WORKER_PRICE_OUTPUT" "Price of a million tokens that the model writes, in US dollars.",
    Text "AGENT_DIRECTOR" "1 or 0: whether a Director steers the worker; where not set, one does if its model can be asked (AGENT_MODEL with AGENT_LLM_URL or AGENT_API_KEY)."
        more DIRECTOR,
    Text "AGENT_PROVIDER" "Whose the Director's model is: openai, anthropic, openrouter or custom, which is chat completions at AGENT_LLM_URL."
        more DIRECTOR,
    Url "AGENT_LLM_URL" "Base URL of the Director's model endpoint." more DIRECTOR,
    Text "AGENT_MODEL" "Model of the Director; without it there is none." more DIRECTOR,
    Secret "AGENT_API_KEY" "Key of the Director's model endpoint." more DIRECTOR,
    Text "AGENT_FALLBACK_PROVIDER" "Whose the model is that stands in while the Director's gives no answer."
        more DIRECTOR,
    Url "AGENT_FALLBACK_URL" "Base URL of that model's endpoint.",
    Text "AGENT_FALLBACK_MODEL" "That model.",
    Secret "AGENT_FALLBACK_API_KEY" "Key of that endpoint.",
    Number "AGENT_PRICE_INPUT" "Price of a million tokens that the Director's model reads, in US dollars.",
    Number "AGENT_PRICE_OUTPUT" "Price of a million tokens that the Director's model writes, in US dollars.",
    Number "AGENT_TIMEOUT_SEC" "Longest time for one call of the Director's model, in seconds." more SECONDS,
    Number "AGENT_MAX_OUTPUT" "Most tokens of one answer of the Director.",
    Number "AGENT_MAX_CONTEXT" "Most tokens of one question to the Director.",
    Number "AGENT_MAX_TURNS" "Most turns of the worker under a Director.",
    Number "AGENT_MAX_PLAN_REVIEWS" "How often the Director looks at a plan at most.",
    Number "AGENT_TIME_BUDGET_SEC" "Longest time for all turns and checks of a job together, in seconds." more SECONDS,
    Text "AGENT_PROMPTS_DIR" "Folder, where the agent runs, with prompts that replace those of the runner."
        more PROMPTS,
    Secret "OPENAI_API_KEY" "Key of OpenAI, for workers that use it." more NOT_USED,
    Secret "ANTHROPIC_API_KEY" "Key of Anthropic, for workers that use it." more NOT_USED,
    Text "EMBEDDING_PROVIDER" "Provider of embeddings." more NOT_USED,
    Url "EMBEDDING_SERVICE_URL" "Base URL of the embedding service." more NOT_USED,
    Secret "EMBEDDING_API_KEY" "Key of the embedding service." more NOT_USED,
    Url "MEMORY_EMBEDDING_BASE_URL" "Base URL of the memory's embedding service." more NOT_USED,
    Text "MEMORY_EMBEDDING_MODEL" "Embedding model of the memory." more NOT_USED,
    Url "MEMORY_LLM_BASE_URL" "Base URL of the memory's model endpoint." more NOT_USED,
    Text "MEMORY_LLM_MODEL" "Model of the memory." more NOT_USED,
    Secret "MEMORY_LLM_API_KEY" "Key of the memory's model endpoint." more NOT_USED,
    Url "AGENT_OTLP_ENDPOINT" "Base URL of a collector that agents send traces to, by OTLP over HTTP." more TRACES,
    Text "HTTP_PROXY" "Proxy for http:// URLs." more PROXY,
    Text "http_proxy" "Proxy for http:// URLs, for programs that read the lower-case name."
        more PROXY,
    Text "HTTPS_PROXY" "Proxy for https:// URLs." more PROXY,
    Text "https_proxy" "Proxy for https:// URLs, for programs that read the lower-case name."
        more PROXY,
    Text "NO_PROXY" "Hosts that are reached without a proxy." more PROXY,
    Text "no_proxy" "Hosts reached without a proxy, for programs that read the lower-case name."
        more PROXY,
}

/// The setting that stands in for this one: the forge's token has two names.
pub(super) fn other_token(setting: &Setting) -> Option<&'static Setting> {
    let other = match setting.name {
        env::GITHUB_TOKEN => env::GH_TOKEN,
        env::GH_TOKEN => env::GITHUB_TOKEN,
        _ => return None,
    };
    ALL.iter().find(|setting| setting.name == other)
}

/// The document that starts every job's settings: what was given, and nothing else.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<JobDocument> {
    let mut document = JobDocument::default();
    let mut complete = true;
    for setting in ALL {
        match value(reader, setting) {
            Some(Some(value)) => document.set(setting.name, value),
            Some(None) => {}
            None => complete = false,
        }
    }
    for (name, other) in [(env::GITHUB_TOKEN, env::GH_TOKEN), (env::GH_TOKEN, env::GITHUB_TOKEN)] {
        if let (None, Some(token)) = (document.get(name), document.get(other).cloned()) {
            document.set(name, token);
        }
    }
    complete.then_some(document)
}

/// The proxies alone, and what is reached without.
pub(super) fn read_proxies(reader: &mut Reader<'_>) -> Option<JobDocument> {
    let mut document = JobDocument::default();
    let mut complete = true;
    for setting in ALL.iter().filter(|s| is_proxy(s.name) || NO_PROXIES.contains(&s.name)) {
        match value(reader, setting) {
            Some(Some(value)) => document.set(setting.name, value),
            Some(None) => {}
            None => complete = false,
        }
    }
    complete.then_some(document)
}

fn value(reader: &mut Reader<'_>, setting: &'static Setting) -> Option<Option<Secret>> {
    match setting.kind {
        Kind::Secret { .. } => reader.secret(setting),
        Kind::Text if is_proxy(setting.name) => reader.optional(setting, proxy),
        // The agent gets the operator's own spelling, not a normalised one.
        Kind::Url => {
            reader.optional(setting, |text| parse::http_url(text).map(|_url| Secret::from(text)))
        }
        Kind::Number => reader.optional(setting, |text| {
            parse::positive_number(text).map(|_number| Secret::from(text))
        }),
        Kind::Text | Kind::Switch | Kind::List | Kind::Duration | Kind::Size => {
            reader.optional(setting, |text| parse::line(text).map(Secret::from))
        }
    }
}

/// Whether a setting is the address of a proxy.
fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|(one, other)| [*one, *other].contains(&name))
}

#[cfg(test)]
mod tests {
    use api_client::contract::URL_SETTINGS;

    use super::*;

    #[test]
    fn the_urls_are_those_of_the_contract() {
        let mut ours: Vec<_> = ALL.iter().filter(|s| s.kind == Kind::Url).collect();
        ours.sort_by_key(|setting| setting.name);
        let mut contract: Vec<_> = URL_SETTINGS
            .into_iter()
            .filter(|name| ![env::API_URL, env::REPO_URL].contains(name))
            .collect();
        contract.sort_unstable();
        assert_eq!(ours.iter().map(|s| s.name).collect::<Vec<_>>(), contract);
    }
}
