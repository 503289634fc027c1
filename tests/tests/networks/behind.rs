//! Behind the company's proxy, without a route past it.

use integration_tests::harness::{CertificateAuthority, eventually};

use crate::scene::{APP_HOST, Company, FORGE_HOST, MODEL_HOST, PASSWORD, line_of};

/// Asks the app over https by programs of several kinds. None of them is told anything.
const PROGRAMS: &str = "curl -sS -m 20 -o /dev/null -w 'curl %{http_code}\\n' https://app.corp.example/
    node -e 'fetch(\"https://app.corp.example/\").then(r => console.log(\"node\", r.status), console.log)'
    python3 -c 'import urllib.request as u, urllib.error as e
try: print(\"python\", u.urlopen(\"https://app.corp.example/\").status)
except e.HTTPError as x: print(\"python\", x.code)'
    npm view no-such-package --registry https://app.corp.example/ --fetch-retries 0 2>&1 | grep -m1 -o E401
    git ls-remote https://git.corp.example/acme/demo.git 2>&1 | tail -1
    curl -sS -m 5 --noproxy '*' https://1.1.1.1/ 2>&1 | head -1
    docker pull -q git.corp.example/x/y:1 2>&1 | tail -1";

async fn told_by(company: &Company, job: api_client::JobId) -> String {
    eventually("the job's containers", async || {
        let agent = company.engine.inspect(job).await?;
        Some(format!("{agent:?} {:?}", company.engine.inspect_gateway(job).await))
    })
    .await
}

/// That nothing which people can look at has the proxy's password.
fn assert_hidden(company: &Company, shown: &str, log: &str) {
    assert!(!shown.contains(PASSWORD) && !log.contains(PASSWORD), "{shown} {log}");
    for (path, content) in company.home.files() {
        if path.extension().is_some_and(|end| end == "log") {
            let text = String::from_utf8_lossy(&content);
            assert!(!text.contains(PASSWORD), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_job_without_a_route_past_the_proxy_goes_through_it_with_all_that_it_starts() {
    let Some(mut company) = Company::open().await else { return };
    let agents = company.proxy_at(&company.network.address_of_host());
    let network = company.network.name().to_owned();
    company.home.set("DOCKER_NETWORK", &network).set("AGENT_HTTPS_PROXY", &agents);
    company.home.set("AGENT_DOCKER_MODE", "dind");
    company.set_shell(PROGRAMS);
    let job = company.add_job().await;
    let coordinator = company.home.start();
    let shown = told_by(&company, job.job_id).await;
    let ended = company.ended(&job).await;
    let log = company.home.job_log(job.job_id);
    assert_eq!((ended.status.as_str(), company.pulls()), ("completed", 1), "{log}");
    assert_hidden(&company, &shown, &log);

    let seen = company.seen(&job);
    for said in ["curl 401", "node 401", "python 401", "E401", "could not read Username"] {
        assert!(seen.contains(said), "{said}: {seen}");
    }
    assert!(seen.contains("curl: (7)") || seen.contains("curl: (28)"), "a route: {seen}");
    assert!(!seen.contains("x509"), "{seen}");
    for host in [APP_HOST, FORGE_HOST, MODEL_HOST] {
        let of_agent = company.asked(host, false);
        assert!(of_agent.iter().any(|record| record.status == 200), "{host}: {of_agent:?}");
    }
    assert!(!company.asked(APP_HOST, true).is_empty(), "the coordinator's own");
    let forge: Vec<_> =
        company.asked(FORGE_HOST, false).into_iter().flat_map(|record| record.inside).collect();
    for what in ["/info/refs?service=git-receive-pack", "/pulls", "GET /v2/"] {
        assert!(forge.iter().any(|line| line.contains(what)), "{what}: {forge:?}");
    }
    coordinator.terminate().await;
}

#[tokio::test]
async fn behind_an_allow_list_the_gateway_goes_through_the_proxy_in_the_agents_place() {
    let Some(mut company) = Company::open().await else { return };
    company.home.set("AGENT_EGRESS", "allowlist").set("AGENT_MODEL_GATEWAY", "outside");
    company.set_shell("curl -sS -m 20 https://evil.corp.example/; env");
    let job = company.add_job().await;
    let coordinator = company.home.start();
    let shown = told_by(&company, job.job_id).await;
    let ended = company.ended(&job).await;
    let log = company.home.job_log(job.job_id);
    assert_eq!((ended.status.as_str(), company.pulls()), ("completed", 1), "{log}");
    assert_hidden(&company, &shown, &log);
    assert!(!company.seen(&job).contains(PASSWORD), "the gateway alone has it");
    assert!(log.contains("egress: refused CONNECT evil.corp.example:443"), "{log}");
    for host in [APP_HOST, FORGE_HOST, MODEL_HOST] {
        assert!(!company.asked(host, false).is_empty(), "{host}: {:?}", company.proxy.records());
    }
    assert!(company.asked("evil.corp.example", false).is_empty());
    coordinator.terminate().await;
}

#[tokio::test]
async fn each_coding_cli_works_behind_the_proxy() {
    let Some(mut company) = Company::open().await else { return };
    let agents = company.proxy_at(&company.network.address_of_host());
    let network = company.network.name().to_owned();
    company.home.set("DOCKER_NETWORK", &network).set("AGENT_HTTPS_PROXY", &agents);
    company.home.set("AGENT_HTTP_PROXY", &agents);
    for (number, cli) in ["opencode", "codex", "gemini", "aider"].into_iter().enumerate() {
        company.set_cli(cli);
        let job = company.add_job().await;
        let coordinator = company.home.start();
        let ended = company.ended(&job).await;
        let log = company.home.job_log(job.job_id);
        assert_eq!(
            (ended.status.as_str(), company.pulls()),
            ("completed", number + 1),
            "{cli}: {log}"
        );
        coordinator.terminate().await;
    }
    // The CLIs ask the gateway on their own machine, which alone asks the proxy.
    let to_loopback = |target: &str| target.contains("127.0.0.1") || target.contains("localhost");
    let records = company.proxy.records();
    assert!(!records.iter().any(|record| to_loopback(&record.target)), "{records:?}");
}

#[tokio::test]
async fn a_missing_or_another_authority_is_one_line_that_names_the_setting() {
    let Some(mut company) = Company::open().await else { return };
    let another = CertificateAuthority::new("Another Authority");
    let another = company.write("another.pem", another.pem());
    for bundle in ["", another.to_str().unwrap()] {
        company.home.set("EXTRA_CA_FILE", bundle);
        let line = line_of(company.home.start(), "EXTRA_CA_FILE").await;
        assert!(line.contains("UnknownIssuer"), "{line}");
    }
    let (code, said) = {
        company.home.set("EXTRA_CA_FILE", "/nowhere/ca.pem");
        company.home.command(&["config"]).await
    };
    assert!(code == Some(2) && said.contains("EXTRA_CA_FILE"), "{code:?}: {said}");
}

#[tokio::test]
async fn a_proxy_that_does_not_know_the_password_is_one_line() {
    let Some(mut company) = Company::open().await else { return };
    let open = company.proxy.open_url().replace("0.0.0.0", "127.0.0.1");
    company.home.set("HTTPS_PROXY", &open);
    line_of(company.home.start(), "http://user:password@host:port").await;
    assert!(company.proxy.records().iter().all(|record| record.status == 407));
}
