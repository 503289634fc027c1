//! The gateway beside an agent's container: what it lets through, what it is told, and what the agent
//! is told of it.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};

use api_client::contract::{
    DEFAULT_REGISTRIES, JobDocument, NO_PROXIES, PROXIES, URL_SETTINGS, default_model_hosts,
    director_host, env, gateway_port,
};
use api_client::wire::Job;
use api_client::{JobId, Secret};
use url::Url;
use uuid::Uuid;

use super::document::DOCUMENT_ON_STDIN;
use super::{label, way_out};
use crate::alias::HOST_ALIAS;
use crate::config::{
    AgentConfig, ContainerLimits, Egress, EgressPolicy, ModelGateway, OtherHosts, RootFolder,
};
use crate::engine::{ContainerSpec, NetworkId, Reach, Rights};
use crate::identity::CoordinatorId;

/// Memory of a gateway: it holds buffers of connections and nothing else.
const MEMORY: Option<NonZeroU64> = NonZeroU64::new(256 << 20);
/// Its threads.
const PIDS: Option<NonZeroU32> = NonZeroU32::new(64);
/// Its open files: two for each connection.
const FILES: Option<NonZeroU32> = NonZeroU32::new(8_192);
/// The user of the image that has no rights.
const USER: &str = "1000:1000";

/// It is on two networks and must not be a router between them, which a container is wherever its host
/// is one; and a program without rights must be able to answer for names on port 53.
const SYSCTLS: [(&str, &str); 2] =
    [("net.ipv4.ip_forward", "0"), ("net.ipv4.ip_unprivileged_port_start", "0")];

/// The end of the names of GitHub's hosts, whose REST API has a name of its own: `api.` before theirs.
const GITHUB: [&str; 2] = ["github.com", ".ghe.com"];

/// What a worker's settings say of its model.
const OF_MODEL: [&str; 11] = [
    env::WORKER_LLM_URL,
    env::WORKER_LLM_KEY,
    env::WORKER_MODE,
    env::WORKER_MODEL,
    env::WORKER_MODELS,
    env::WORKER_TOKEN_BUDGET,
    env::WORKER_MONEY_BUDGET,
    env::WORKER_TOKENS_LEFT,
    env::WORKER_MONEY_LEFT,
    env::WORKER_PRICE_INPUT,
    env::WORKER_PRICE_OUTPUT,
];

/// What they say of the one that stands in for it.
const OF_FALLBACK: [&str; 3] =
    [env::WORKER_FALLBACK_URL, env::WORKER_FALLBACK_KEY, env::WORKER_FALLBACK_MODEL];

/// What an agent needs a gateway for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gateway<'a> {
    agent: &'a AgentConfig,
}

impl<'a> Gateway<'a> {
    /// The gateway of these settings, if they ask for one.
    pub(super) fn of(agent: &'a AgentConfig) -> Option<Self> {
        let needed = agent.egress.policy != EgressPolicy::Open
            || agent.model_gateway == ModelGateway::Outside;
        needed.then_some(Self { agent })
    }

    /// Whether the agent's network has a way out beside it.
    pub(super) fn reach(self) -> Reach {
        match self.agent.egress.policy {
            EgressPolicy::Open => Reach::Out,
            EgressPolicy::AllowList | EgressPolicy::None => Reach::Within,
        }
    }

    /// Its container.
    pub(super) fn spec(
        self,
        job: &Job,
        id: CoordinatorId,
        image: String,
        network: &NetworkId,
    ) -> ContainerSpec {
        let (name, value) = DOCUMENT_ON_STDIN;
        ContainerSpec {
            image,
            command: vec!["gateway".to_owned()],
            env: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            labels: BTreeMap::from([
                (label::COORDINATOR.to_owned(), id.to_string()),
                (label::GATEWAY.to_owned(), job.job_id.to_string()),
            ]),
            user: Some(USER.to_owned()),
            rights: Rights::Nothing,
            runtime: None,
            limits: ContainerLimits {
                memory: MEMORY,
                swap: 0,
                nano_cpus: None,
                pids: PIDS,
                shm: NonZeroU64::new(1 << 20).unwrap_or(NonZeroU64::MIN),
                disk: None,
                nofile: FILES,
            },
            root: RootFolder::ReadOnly,
            in_memory: BTreeMap::new(),
            scratch_volumes: Vec::new(),
            mounts: Vec::new(),
            network: Some(network.as_str().to_owned()),
            extra_hosts: vec![format!("{HOST_ALIAS}:host-gateway")],
            name_servers: Vec::new(),
            sysctls: SYSCTLS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    /// What it is told, from what the agent would be told without it. `placeholder` is what the agent
    /// shows in the place of the model's key.
    pub(super) fn document(self, of_agent: &JobDocument, placeholder: &Secret) -> JobDocument {
        let mut document = JobDocument::default();
        // It goes out by the way that the agent would have without it.
        document.extend(way_out::proxies(of_agent));
        let Egress { policy, allow, others } = &self.agent.egress;
        document.set(env::AGENT_EGRESS, policy.name());
        if *policy != EgressPolicy::Open {
            let own = own_hosts(of_agent);
            let mut allowed = own.clone();
            if *policy == EgressPolicy::AllowList {
                allowed.extend(DEFAULT_REGISTRIES.iter().map(|&host| host.to_owned()));
                allowed.extend(allow.iter().cloned());
            }
            document.set(env::AGENT_EGRESS_ALLOW, allowed.join(","));
            document.set(env::AGENT_EGRESS_TRUSTED, own.join(","));
        }
        if *others == OtherHosts::Learned {
            document.set(env::AGENT_EGRESS_LEARN, "1");
        }
        if self.agent.model_gateway == ModelGateway::Outside {
            for name in OF_MODEL.into_iter().chain(OF_FALLBACK) {
                document.extend(of_agent.get(name).map(|value| (name, value.clone())));
            }
            document.set(env::MODEL_GATEWAY_KEY, placeholder.clone());
            let roots = of_agent.get(env::EXTRA_CA);
            document.extend(roots.map(|pem| (env::EXTRA_CA, pem.clone())));
        }
        document
    }

    /// Tells the agent of it, at this address.
    pub(super) fn tell(self, agent: &mut JobDocument, address: &str, placeholder: &Secret) {
        if self.reach() == Reach::Within {
            let proxy = format!("http://{address}:{}", gateway_port::PROXY);
            for name in PROXIES.iter().flat_map(|(name, other)| [*name, *other]) {
                agent.set(name, proxy.as_str());
            }
            // Without it, programs on Node look for no proxy.
            agent.set("NODE_USE_ENV_PROXY", "1");
            for name in NO_PROXIES {
                agent.set(name, format!("localhost,127.0.0.1,::1,{address}"));
            }
        }
        if self.agent.model_gateway == ModelGateway::Outside {
            way_out::except(agent, address);
            let path = agent
                .get(env::WORKER_LLM_URL)
                .and_then(|url| Url::parse(url.expose()).ok())
                .map(|url| url.path().to_owned())
                .unwrap_or_default();
            let url = format!("http://{address}:{}{path}", gateway_port::MODEL);
            agent.set(env::WORKER_LLM_URL, url);
            agent.set(env::WORKER_LLM_KEY, placeholder.clone());
            for name in OF_FALLBACK {
                agent.remove(name);
            }
        }
    }
}

/// Whether an agent of these settings has a gateway beside its container.
pub(crate) fn has_gateway(agent: &AgentConfig) -> bool {
    Gateway::of(agent).is_some()
}

/// The name of a job's gateway.
pub(crate) fn gateway_name(job: JobId) -> String {
    format!("terarchitect-gateway-{job}")
}

/// A name for a job's network, each time another: engines do not keep names apart, and then cannot
/// tell which of two is meant, even where it is asked for by its id.
pub(super) fn network_name(job: JobId) -> String {
    let one = Uuid::new_v4().simple().to_string();
    format!("terarchitect-{job}-{}", &one[..8])
}

/// The hosts that the job's own URLs name, with their ports; where the model has no URL, those that its
/// CLI goes to.
fn own_hosts(document: &JobDocument) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for name in URL_SETTINGS {
        let url = document.get(name).and_then(|url| Url::parse(url.expose()).ok());
        let Some(url) = url else { continue };
        if let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) {
            hosts.push(format!("{host}:{port}"));
            let [public, enterprise] = GITHUB;
            let apart = host == public || host.ends_with(enterprise);
            hosts.extend(apart.then(|| format!("api.{host}:443")));
        }
    }
    if document.get(env::WORKER_LLM_URL).is_none() {
        let mode = document.get(env::WORKER_MODE).map_or("", Secret::expose);
        hosts.extend(default_model_hosts(mode).iter().map(|&host| host.to_owned()));
    }
    hosts.extend(director_hosts(document));
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The usual hosts of the Director's models, where the agent has a Director and they have no URL. A blank is what is
/// not set.
fn director_hosts(document: &JobDocument) -> Vec<String> {
    let text = |name| document.get(name).map(Secret::expose).map(str::trim).unwrap_or_default();
    let is_set = |name| !text(name).is_empty();
    let usual = |model, url, key, provider| {
        let is_asked_there = is_set(model) && is_set(key) && !is_set(url);
        is_asked_there.then(|| director_host(text(provider))).flatten().map(str::to_owned)
    };
    let main = usual(env::AGENT_MODEL, env::AGENT_LLM_URL, env::AGENT_LLM_KEY, env::AGENT_PROVIDER);
    let has_url = is_set(env::AGENT_MODEL) && is_set(env::AGENT_LLM_URL);
    if text(env::AGENT_DIRECTOR) == "0" || !(has_url || main.is_some()) {
        return Vec::new();
    }
    let fallback = usual(
        env::AGENT_FALLBACK_MODEL,
        env::AGENT_FALLBACK_URL,
        env::AGENT_FALLBACK_KEY,
        env::AGENT_FALLBACK_PROVIDER,
    );
    main.into_iter().chain(fallback).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::config;
    use super::*;

    fn document(pairs: &[(&str, &str)]) -> JobDocument {
        let mut document = JobDocument::default();
        document.extend(pairs.iter().copied());
        document
    }

    fn text<'d>(document: &'d JobDocument, name: &str) -> Option<&'d str> {
        document.get(name).map(Secret::expose)
    }

    const AGENT: [(&str, &str); 7] = [
        ("WORKER_FALLBACK_URL", "https://other.example/v1"),
        ("WORKER_FALLBACK_API_KEY", "sk-other"),
        ("TERARCHITECT_API_URL", "http://host.docker.internal:5010/"),
        ("REPO_URL", "https://github.com/team/repo.git"),
        ("WORKER_LLM_URL", "https://llm.example/v1"),
        ("WORKER_API_KEY", "sk-real"),
        ("GITHUB_TOKEN", "ghp_real"),
    ];

    #[test]
    fn an_open_agent_with_the_key_inside_needs_no_gateway() {
        assert!(Gateway::of(&config(&[]).agent).is_none());
    }

    #[test]
    fn the_hosts_of_the_jobs_own_urls_are_allowed_and_may_be_private() {
        let config = config(&[("AGENT_EGRESS", "none"), ("AGENT_EGRESS_ALLOW", "more.example")]);
        let gateway = Gateway::of(&config.agent).unwrap();
        let told = gateway.document(&document(&AGENT), &Secret::from("placeholder"));
        let own = "api.github.com:443,github.com:443,host.docker.internal:5010,llm.example:443,other.example:443";
        assert_eq!(text(&told, env::AGENT_EGRESS_ALLOW), Some(own));
        assert_eq!(text(&told, env::AGENT_EGRESS_TRUSTED), Some(own));
        for secret in ["WORKER_API_KEY", "WORKER_FALLBACK_API_KEY", "GITHUB_TOKEN"] {
            assert_eq!(told.get(secret), None, "{secret}");
        }
    }

    #[test]
    fn the_directors_host_is_allowed_and_its_key_is_not_told_to_the_gateway() {
        let config = config(&[("AGENT_EGRESS", "none"), ("AGENT_MODEL_GATEWAY", "outside")]);
        let gateway = Gateway::of(&config.agent).unwrap();
        let allowed = |director: &[(&str, &str)]| {
            let told = gateway.document(&document(director), &Secret::from("placeholder"));
            assert_eq!(told.get(env::AGENT_LLM_KEY), None);
            assert_eq!(told.get(env::AGENT_FALLBACK_KEY), None);
            text(&told, env::AGENT_EGRESS_ALLOW).unwrap().to_owned()
        };
        let key = ("AGENT_API_KEY", "sk-1");
        let own = ("AGENT_LLM_URL", "http://judge.example:8080/v1");
        assert!(allowed(&[own, ("AGENT_MODEL", "m"), key]).contains("judge.example:8080"));
        let named = [("AGENT_PROVIDER", "openrouter"), key, ("AGENT_MODEL", "m")];
        for switch in [&[][..], &[("AGENT_DIRECTOR", "1")]] {
            assert!(allowed(&[&named, switch].concat()).contains("openrouter.ai:443"));
        }
        let fallback = [
            ("AGENT_FALLBACK_PROVIDER", "openrouter"),
            ("AGENT_FALLBACK_MODEL", "m"),
            ("AGENT_FALLBACK_API_KEY", "sk-2"),
        ];
        let with_url = [&fallback[..], &[own, ("AGENT_MODEL", "m")]].concat();
        assert!(allowed(&with_url).contains("openrouter.ai:443"));
        for none in [
            &[&named[..], &[("AGENT_DIRECTOR", "0")]].concat(),
            &[&named[..2], &[("AGENT_MODEL", " ")]].concat(),
            &named[..2],
            &[named[0], named[2]],
            &fallback,
        ] {
            assert!(!allowed(none).contains("openrouter"), "{none:?}");
        }
    }

    #[test]
    fn an_allow_list_has_the_registries_and_what_the_operator_adds() {
        let variables = [("AGENT_EGRESS", "allowlist"), ("AGENT_EGRESS_ALLOW", "more.example")];
        let config = config(&variables);
        let gateway = Gateway::of(&config.agent).unwrap();
        let told = gateway.document(&document(&AGENT), &Secret::from("placeholder"));
        let allowed: Vec<_> = text(&told, env::AGENT_EGRESS_ALLOW).unwrap().split(',').collect();
        assert!(allowed.contains(&"more.example") && allowed.contains(&DEFAULT_REGISTRIES[0]));
        assert!(!text(&told, env::AGENT_EGRESS_TRUSTED).unwrap().contains("more.example"));
    }

    #[test]
    fn with_the_gateway_outside_the_agent_never_has_the_models_key() {
        let config = config(&[("AGENT_MODEL_GATEWAY", "outside")]);
        let gateway = Gateway::of(&config.agent).unwrap();
        let mut agent = document(&AGENT);
        let placeholder = Secret::from("placeholder");
        let told = gateway.document(&agent, &placeholder);
        assert_eq!(text(&told, "WORKER_API_KEY"), Some("sk-real"));
        assert_eq!(text(&told, "WORKER_FALLBACK_API_KEY"), Some("sk-other"));
        assert_eq!(told.get("GITHUB_TOKEN"), None);
        gateway.tell(&mut agent, "172.30.0.2", &placeholder);
        assert_eq!(text(&agent, "WORKER_API_KEY"), Some("placeholder"));
        assert_eq!(text(&agent, "WORKER_LLM_URL"), Some("http://172.30.0.2:8088/v1"));
        for name in ["WORKER_FALLBACK_API_KEY", "WORKER_FALLBACK_URL", "HTTPS_PROXY"] {
            assert_eq!(agent.get(name), None, "{name}");
        }
    }
}
