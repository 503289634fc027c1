//! What a probe in a container says of proxies and of the certificates beside the system's: one line. Pure.

use api_client::container_probe::{ContainerProbe, Opened, Trust};

use super::finding::Finding;
use super::proxy::Way;
use crate::config::AgentConfig;

const WHAT: &str = "proxies and CA in containers";

/// Judges both. A proxy of this host that is of no use here too was told of already.
pub(super) fn judge(probe: &ContainerProbe, agent: &AgentConfig, here: &Way) -> Finding {
    let told = |one: &Opened| {
        let own = match one.setting.as_str() {
            "HTTP_PROXY" => agent.proxies.http.is_some(),
            _ => agent.proxies.https.is_some(),
        };
        !own && here.is_broken(&one.setting)
    };
    let broken = probe.proxies.iter().find(|one| one.problem.is_some() && !told(one));
    if let Some(Opened { setting, url, problem: Some(problem) }) = broken {
        let found = format!("{setting} {url} is of no use there: {problem}");
        let cure = format!(
            "have it listen where containers reach it, or name another for them by AGENT_{setting} \
             (`direct` for none)"
        );
        return Finding::failed(WHAT, found, cure);
    }
    let trusted = match &probe.trust {
        Some(Trust::Fails(why)) => {
            let found = format!("the certificates of EXTRA_CA_FILE are not trusted there: {why}");
            let cure = "build the image from this version's Dockerfile.agent, with a /tmp that can be written to";
            return Finding::failed(WHAT, found, cure);
        }
        Some(Trust::Trusted(count)) => format!("{count} certificates of EXTRA_CA_FILE are trusted"),
        None => "no EXTRA_CA_FILE".to_owned(),
    };
    let taking = probe.proxies.iter().filter(|one| one.problem.is_none());
    let taking: Vec<_> =
        taking.map(|one| format!("{} {} takes connections", one.setting, one.url)).collect();
    let proxies = match (taking.is_empty(), probe.proxies.is_empty()) {
        (false, _) => taking.join(", "),
        (true, true) => "no proxy".to_owned(),
        (true, false) => "the proxy is of no use there either".to_owned(),
    };
    Finding::ok(WHAT, format!("{proxies}; {trusted}"))
}

#[cfg(test)]
mod tests {
    use api_client::Secret;
    use api_client::http::ProxySettings;

    use super::super::finding::State;
    use super::super::fixture::agent;
    use super::*;

    fn probe(problem: Option<&str>, trust: Option<Trust>) -> ContainerProbe {
        let proxy = Opened {
            setting: "HTTPS_PROXY".to_owned(),
            url: "http://host.docker.internal:3128/".to_owned(),
            problem: problem.map(str::to_owned),
        };
        ContainerProbe { proxies: vec![proxy], trust, ..ContainerProbe::default() }
    }

    #[tokio::test]
    async fn what_containers_have_of_proxies_and_certificates_is_one_line() {
        let (agent, none) = (agent(&[]), Way::here(&ProxySettings::default()).await);
        let judged = |probe| judge(&probe, &agent, &none);
        let fine = judged(probe(None, Some(Trust::Trusted(2))));
        assert_eq!(fine.state, State::Ok);
        assert!(fine.found.contains("takes connections; 2 certificates"), "{}", fine.found);
        assert_eq!(judged(ContainerProbe::default()).state, State::Ok);
        let refused = judged(probe(Some("refused"), None));
        assert_eq!(refused.state, State::Failed);
        assert!(refused.cure.unwrap().contains("AGENT_HTTPS_PROXY"));
        let untrusted = probe(None, Some(Trust::Fails("not set".to_owned())));
        assert_eq!(judged(untrusted).state, State::Failed);
    }

    #[tokio::test]
    async fn a_proxy_that_is_dead_here_as_well_is_told_of_once() {
        let proxy = Some(Secret::from("127.0.0.1:1"));
        let dead = Way::here(&ProxySettings { https: proxy, ..ProxySettings::default() }).await;
        let refused = || probe(Some("refused"), None);
        assert_eq!(judge(&refused(), &agent(&[]), &dead).state, State::Ok);
        let own = agent(&[("AGENT_HTTPS_PROXY", "http://proxy.example:1")]);
        assert_eq!(judge(&refused(), &own, &dead).state, State::Failed);
    }
}
