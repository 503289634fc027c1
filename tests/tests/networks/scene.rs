//! A company: its proxy and its authority, with app, forge and model behind it under names that nobody can
//! look up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use api_client::ProjectId;
use integration_tests::forge::{ForgeOptions, RepoName, RepoSource, TestForge, Token};
use integration_tests::harness::{
    App, CertificateAuthority, Coordinator, Engine, Home, InterceptingProxy, Job, Login,
    ProxyRecord, cli_image, eventually, repo_name, within,
};
use integration_tests::llm::{LlmOptions, Script, ScriptedLlm};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const APP_HOST: &str = "app.corp.example";
pub(crate) const FORGE_HOST: &str = "git.corp.example";
pub(crate) const MODEL_HOST: &str = "llm.corp.example";

pub(crate) const PASSWORD: &str = "proxy-p4ssw0rd-7d21";
const TOKEN: &str = "ghp_the-token-of-the-forge";
const MODEL_KEY: &str = "sk-the-real-key-of-the-model";

/// How long a job with a real CLI may take on a loaded machine.
const JOB_LIMIT: Duration = Duration::from_secs(300);

/// The file that holds what the worker's shell said.
const SEEN: &str = "seen.txt";

/// A network of the engine without a way out; removed when it is dropped.
pub(crate) struct ClosedNetwork(String);

/// A company with one project, whose coordinator was not started yet.
pub(crate) struct Company {
    pub(crate) home: Home,
    pub(crate) app: App,
    pub(crate) forge: TestForge,
    pub(crate) llm: ScriptedLlm,
    pub(crate) engine: Engine,
    pub(crate) proxy: InterceptingProxy,
    pub(crate) network: ClosedNetwork,
    project: ProjectId,
    repo: RepoName,
    folder: TempDir,
}

impl ClosedNetwork {
    pub(crate) fn make() -> Self {
        let name = format!("terarchitect-test-{}", Uuid::new_v4().simple());
        // A range of its own: those that the engine gives away are the jobs'.
        let range = format!("10.213.{}.0/24", Uuid::new_v4().as_bytes()[0]);
        done(&["network", "create", "--internal", "--subnet", &range, &name]);
        Self(name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// The address that this host has on it.
    pub(crate) fn address_of_host(&self) -> String {
        let form = "{{(index .IPAM.Config 0).Subnet}}";
        let range = text(&done(&["network", "inspect", "--format", form, &self.0]));
        range.replace(".0/24", ".1")
    }
}

impl Drop for ClosedNetwork {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.0]);
    }
}

impl Company {
    /// Opens it; none where there is no agent's image. The coordinator is told of proxy and authority.
    pub(crate) async fn open() -> Option<Self> {
        let engine = Engine::or_skip().await?;
        let image = cli_image(&engine).await?;
        let folder = TempDir::new().unwrap();
        let authority = CertificateAuthority::new("Corp Test Authority");
        let forge = forge(&folder).await;
        let repo = repo_name();
        let source = folder.path().join("source");
        git_repository(&source);
        forge.create_repo(&repo, RepoSource::From(&source)).await.unwrap();
        let llm = LlmOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            script: Script { api_key: Some(MODEL_KEY.to_owned()), ..Script::default() },
            log: None,
        };
        let llm = ScriptedLlm::start(llm).await.unwrap();
        let app = App::start().await;
        let clone = format!("https://{FORGE_HOST}/{}/{}.git", repo.owner(), repo.name());
        let project = app.add_project(&clone).await;
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let hosts = BTreeMap::from([
            (APP_HOST.to_owned(), (here, app.port()).into()),
            (FORGE_HOST.to_owned(), forge.address()),
            (MODEL_HOST.to_owned(), llm.address()),
        ]);
        let login = Login { user: "corp-user".to_owned(), password: PASSWORD.to_owned() };
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let proxy = InterceptingProxy::start(everywhere, login, &authority, hosts).await;
        let bundle = folder.path().join("corp-ca.pem");
        std::fs::write(&bundle, format!("# Corp\n{}", authority.pem())).unwrap();
        let mut home = Home::new(&format!("https://{APP_HOST}"));
        let forge_api = forge.api_url();
        for (name, value) in [
            ("HTTPS_PROXY", proxy_at(&proxy, "127.0.0.1").as_str()),
            ("EXTRA_CA_FILE", bundle.to_str().unwrap()),
            ("AGENT_IMAGE", image),
            ("HOST_FALLBACK", "never"),
            ("GITHUB_TOKEN", TOKEN),
            ("FORGE_API_URL", &format!("https://{FORGE_HOST}{}", forge_api.path())),
            ("WORKER_API_KEY", MODEL_KEY),
            ("WORKER_MODEL", "scripted-model"),
        ] {
            home.set(name, value);
        }
        let network = ClosedNetwork::make();
        let mut company =
            Self { home, app, forge, llm, engine, proxy, network, project, repo, folder };
        company.set_cli("claude-code");
        Some(company)
    }

    /// Chooses the coding CLI.
    pub(crate) fn set_cli(&mut self, cli: &str) {
        let path = match cli {
            "claude-code" | "gemini" => "",
            _ => "/v1",
        };
        self.home.set("WORKER_MODE", cli);
        self.home.set("WORKER_LLM_URL", &format!("https://{MODEL_HOST}{path}"));
    }

    /// Has the worker run this in its shell; what it prints is published.
    pub(crate) fn set_shell(&self, shell: &str) {
        let shell = Some(format!("{{ {shell}; }} > {SEEN} 2>&1"));
        let api_key = Some(MODEL_KEY.to_owned());
        self.llm.set_script(Script { api_key, shell, ..Script::default() }).unwrap();
    }

    /// The URL of the proxy, as it is reached at this address of this host.
    pub(crate) fn proxy_at(&self, host: &str) -> String {
        proxy_at(&self.proxy, host)
    }

    pub(crate) async fn add_job(&self) -> Job {
        self.app.add_job(self.project).await
    }

    /// Waits for the end of a job.
    pub(crate) async fn ended(&self, job: &Job) -> Job {
        within(JOB_LIMIT, "the end of a job", async || {
            let job = self.app.job(job.job_id).await;
            matches!(job.status.as_str(), "completed" | "failed" | "cancelled").then_some(job)
        })
        .await
    }

    /// What a worker's shell said, as its job published it.
    pub(crate) fn seen(&self, job: &Job) -> String {
        let place = format!("ticket-{}:{SEEN}", job.ticket_id);
        let repo = self.forge.repo_path(&self.repo);
        let shown = Command::new("git").arg("-C").arg(repo).args(["show", &place]).output();
        String::from_utf8(shown.unwrap().stdout).unwrap()
    }

    pub(crate) fn pulls(&self) -> usize {
        self.forge.pulls(&self.repo).len()
    }

    /// A file of the company, with this content.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// What this host of the company was asked through the proxy by somebody who is, or is not, this
    /// machine itself.
    pub(crate) fn asked(&self, host: &str, by_coordinator: bool) -> Vec<ProxyRecord> {
        let mut records = self.proxy.records();
        records.retain(|record| {
            record.target == format!("{host}:443") && record.from.is_loopback() == by_coordinator
        });
        records
    }
}

/// Waits for a line of a coordinator's log, and ends it.
pub(crate) async fn line_of(coordinator: Coordinator, part: &str) -> String {
    let line = eventually(part, async || {
        let log = coordinator.log();
        log.lines().find(|line| line.contains(part)).map(str::to_owned)
    })
    .await;
    coordinator.terminate().await;
    line
}

/// A forge that only this machine reaches, and that believes itself to be the company's.
async fn forge(folder: &TempDir) -> TestForge {
    let token = Token::new(TOKEN).unwrap();
    let external_url = Some(format!("https://{FORGE_HOST}").parse().unwrap());
    let options = ForgeOptions::new(folder.path().join("forge"), token);
    TestForge::start(ForgeOptions { external_url, ..options }).await.unwrap()
}

fn proxy_at(proxy: &InterceptingProxy, host: &str) -> String {
    proxy.url().replace("0.0.0.0", host)
}

fn git_repository(path: &PathBuf) {
    std::fs::create_dir(path).unwrap();
    std::fs::write(path.join("README"), "hello\n").unwrap();
    let author = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
    for arguments in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-qm", "begin"]]
    {
        let status = Command::new("git").args(author).args(arguments).current_dir(path).status();
        assert!(status.unwrap().success(), "git {arguments:?}");
    }
}

pub(crate) fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn done(arguments: &[&str]) -> Output {
    let output = docker(arguments);
    assert!(output.status.success(), "docker {arguments:?}: {output:?}");
    output
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
