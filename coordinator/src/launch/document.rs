//! What a job's agent is told: settings of the app, overridden by those of the operator, and the
//! facts of the job. Pure.

use std::net::IpAddr;

use api_client::contract::{DOCKER_RUN_ERROR_MAX_CHARS, JobDocument, URL_SETTINGS, env};
use api_client::wire::{ExecutionMode, Job, JobKind};
use url::{Host, Url};

use super::way_out;
use crate::alias::{AliasHere, HOST_ALIAS};
use crate::config::Config;
use crate::ledger::Record;
use crate::traces::parent_of_agent;

/// How the agent sees this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// From the host itself, where containers' name for it may mean nothing.
    Host(AliasHere),
    /// From a container in the host's network.
    HostNetwork,
    /// From a container with a network of its own.
    Container,
}

/// The document of a job. `run_error` says why it does not run in a container as it should.
pub(crate) fn job_document(
    record: &Record,
    job: &Job,
    config: &Config,
    view: View,
    run_error: Option<&str>,
) -> JobDocument {
    let mut document = config.settings_over(job.project_id, &job.agent_env);
    document.set(env::API_URL, config.app.url.as_str());
    document.set(env::JOB_ID, job.job_id.to_string());
    if let Some(claim) = record.claim_id() {
        document.set(env::CLAIM_ID, claim.to_string());
    }
    document.set(env::JOB_KIND, job.kind.name());
    document.set(env::TICKET_ID, job.ticket_id.to_string());
    document.set(env::PROJECT_ID, job.project_id.to_string());
    if config.traces.endpoint.is_some() {
        document.set(env::TRACEPARENT, parent_of_agent(record).to_string());
    }
    if let Some(url) = &job.repo_url {
        document.set(env::REPO_URL, url.as_str());
    }
    if let (ExecutionMode::Local, Some(path)) = (job.execution_mode, &job.project_path) {
        document.set(env::AGENT_WORKSPACE, path.to_string_lossy().into_owned());
    }
    if let JobKind::Review { pr_number, comment_body, github_comment_id } = &job.kind {
        document.set(env::PR_NUMBER, pr_number.to_string());
        document.set(env::COMMENT_BODY, comment_body.as_str());
        if let Some(id) = github_comment_id {
            document.set(env::GITHUB_COMMENT_ID, id.to_string());
        }
    }
    if let Some(error) = run_error {
        let error: String = error.chars().take(DOCKER_RUN_ERROR_MAX_CHARS).collect();
        document.set(env::DOCKER_RUN_ERROR, error);
    }
    match view {
        View::Container => rewrite_urls(&mut document, to_alias),
        View::Host(alias) => rewrite_urls(&mut document, |url| alias.rewrite(&url)),
        View::HostNetwork => {}
    }
    way_out::tell(&mut document, &config.app.network, view);
    document
}

/// The names that may be seen in `docker inspect`, so that an operator can tell jobs apart.
pub(super) const VISIBLE: [&str; 4] = [env::JOB_ID, env::JOB_KIND, env::TICKET_ID, env::PROJECT_ID];

/// Rewrites the settings that are URLs which the agent opens, and nothing else.
fn rewrite_urls(document: &mut JobDocument, seen: impl Fn(Url) -> Option<Url>) {
    for name in URL_SETTINGS {
        let url = document.get(name).and_then(|url| Url::parse(url.expose()).ok());
        if let Some(rewritten) = url.and_then(&seen) {
            document.set(name, String::from(rewritten));
        }
    }
}

/// A URL whose host is this machine's loopback, with the alias for it; nothing for all others.
pub(super) fn to_alias(mut url: Url) -> Option<Url> {
    let loopback = match url.host()? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => IpAddr::V4(address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(address).is_loopback(),
    };
    if !loopback {
        return None;
    }
    url.set_host(Some(HOST_ALIAS)).ok()?;
    Some(url)
}

/// The subcommand of the runner for a kind of job.
pub(super) fn runner_command(job: &Job) -> Vec<String> {
    vec![job.kind.name().to_owned()]
}

/// What the runner must find in its environment to read the document from standard input.
pub(super) const DOCUMENT_ON_STDIN: (&str, &str) = (env::JOB_DOCUMENT, "stdin");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use api_client::Secret;

    use super::super::fixture::{config, job};
    use super::*;
    use crate::ledger::{JobRef, Runs};

    fn document_of(job: &Job, config: &Config, view: View, error: Option<&str>) -> JobDocument {
        let record = Record::claimed(JobRef::of(job, Runs::InContainer), None, 0);
        job_document(&record, job, config, view, error)
    }

    const HERE: View = View::Host(AliasHere::Resolves);

    fn text<'a>(document: &'a JobDocument, name: &str) -> &'a str {
        document.get(name).map_or("(absent)", Secret::expose)
    }

    #[test]
    fn a_loopback_host_is_rewritten_in_url_settings_and_in_nothing_else() {
        let comment = "see http://localhost:3000 and fix it";
        let job = job(&format!(
            r#""kind":"review","pr_number":9,"comment_body":"{comment}",
               "repo_url":"http://127.0.0.1:8080/acme/demo.git",
               "agent_env":{{"WORKER_LLM_URL":"http://[::1]:4000/v1","GIT_USER_NAME":"localhost"}}"#
        ));
        let config = config(&[("TERARCHITECT_API_URL", "http://localhost:5010/app")]);
        let document = document_of(&job, &config, View::Container, None);
        assert_eq!(text(&document, env::API_URL), "http://host.docker.internal:5010/app");
        assert_eq!(
            text(&document, env::REPO_URL),
            "http://host.docker.internal:8080/acme/demo.git"
        );
        assert_eq!(text(&document, env::WORKER_LLM_URL), "http://host.docker.internal:4000/v1");
        assert_eq!(text(&document, env::GIT_USER_NAME), "localhost");
        assert_eq!(text(&document, env::COMMENT_BODY), comment);
        let on_host = document_of(&job, &config, HERE, None);
        assert_eq!(text(&on_host, env::API_URL), "http://localhost:5010/app");
    }

    #[test]
    fn the_operators_settings_override_those_of_the_app() {
        let job = job(r#""kind":"ticket","agent_env":{"GITHUB_TOKEN":"of-the-app","A":"kept"}"#);
        let config = config(&[("GITHUB_TOKEN", "of-the-operator")]);
        let document = document_of(&job, &config, View::Container, None);
        assert_eq!(text(&document, env::GITHUB_TOKEN), "of-the-operator");
        assert_eq!(text(&document, "A"), "kept");
    }

    #[test]
    fn of_a_budget_that_both_set_the_smaller_one_counts() {
        let operator = [("WORKER_TOKEN_BUDGET", "5000"), ("WORKER_MONEY_BUDGET", "2.5")];
        for (app, tokens, money) in
            [(["4000", "0.75"], "4000", "0.75"), (["90000", "10"], "5000", "2.5")]
        {
            let [of_tokens, of_money] = app;
            let job = job(&format!(
                r#""kind":"ticket","agent_env":{{"WORKER_TOKEN_BUDGET":"{of_tokens}",
                   "WORKER_MONEY_BUDGET":"{of_money}"}}"#
            ));
            let document = document_of(&job, &config(&operator), HERE, None);
            assert_eq!(text(&document, env::WORKER_TOKEN_BUDGET), tokens);
            assert_eq!(text(&document, env::WORKER_MONEY_BUDGET), money);
            let alone = document_of(&job, &config(&[]), HERE, None);
            assert_eq!(text(&alone, env::WORKER_TOKEN_BUDGET), of_tokens);
        }
    }

    #[test]
    fn the_app_cannot_set_facts_of_the_job() {
        let job = job(r#""kind":"ticket","agent_env":{"AGENT_WORKSPACE":"/etc","TASK":"x",
               "AGENT_REFRESH_SOCKET":"/tmp/x","CLAIM_ID":"x","MODEL_GATEWAY_KEY":"x",
               "AGENT_OUTCOME_FILE":"/etc/x","AGENT_TRANSCRIPT_FILE":"/etc/x","AGENT_IMAGE":"x","AGENT_CACHE_GIT":"1",
               "AGENT_CACHE_DOCKER":"1"}"#);
        let document = document_of(&job, &config(&[]), HERE, None);
        for name in [
            env::AGENT_WORKSPACE,
            env::TASK,
            env::REFRESH_SOCKET,
            env::CLAIM_ID,
            env::MODEL_GATEWAY_KEY,
            env::OUTCOME_FILE,
            env::TRANSCRIPT_FILE,
            env::AGENT_IMAGE,
            env::AGENT_CACHE_GIT,
            env::AGENT_CACHE_DOCKER,
        ] {
            assert_eq!(document.get(name), None, "{name}");
        }
    }

    #[test]
    fn only_local_execution_names_a_path_of_the_host() {
        let path = r#""kind":"ticket","project_path":"/srv/demo","execution_mode""#;
        let local = document_of(&job(&format!(r#"{path}:"local""#)), &config(&[]), HERE, None);
        assert_eq!(text(&local, env::AGENT_WORKSPACE), "/srv/demo");
        let docker = document_of(&job(&format!(r#"{path}:"docker""#)), &config(&[]), HERE, None);
        assert_eq!(docker.get(env::AGENT_WORKSPACE), None);
    }

    #[test]
    fn the_docker_error_is_cut_to_what_the_agent_takes() {
        let error = "é".repeat(9_000);
        let job = job(r#""kind":"ticket""#);
        let document = document_of(&job, &config(&[]), HERE, Some(&error));
        assert_eq!(text(&document, env::DOCKER_RUN_ERROR).chars().count(), 8_000);
    }

    proptest! {
        #[test]
        fn a_url_of_another_host_is_never_touched(host in "[a-z]{1,9}\\.example", path in "/[a-z/]{0,9}") {
            let url = Url::parse(&format!("https://{host}{path}?next=http://localhost")).unwrap();
            prop_assert_eq!(to_alias(url), None);
        }
    }
}
