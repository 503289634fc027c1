//! The examples for CI, done as their systems do them, with the real agent image: the script of a step by
//! `bash`, or by a shell in the container. Forge and model are those of the tests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use integration_tests::forge::{ForgeKind, ForgeOptions, RepoName, RepoSource, TestForge, Token};
use integration_tests::harness::{Engine, cli_image};
use integration_tests::llm::{LlmOptions, Script, ScriptedLlm};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use yaml_rust2::Yaml;

use crate::examples::example;

const TOKEN: &str = "the-token-of-the-forge";

/// The folder of a job in a container.
const BUILDS: &str = "/builds/demo";

/// What a CI system has for a job.
struct Ci {
    folder: TempDir,
    forge: TestForge,
    llm: ScriptedLlm,
    repo: RepoName,
    image: &'static str,
}

impl Ci {
    /// Nothing without an engine, or without the agent's image.
    async fn or_skip(kind: ForgeKind) -> Option<Self> {
        let engine = Engine::or_skip().await?;
        let image = cli_image(&engine).await?;
        let listen = SocketAddr::new(engine.host_address().await, 0);
        let folder = tempfile::tempdir().unwrap();
        let token = Token::new(TOKEN).unwrap();
        let options = ForgeOptions::new(folder.path().join("forge"), token);
        let forge = TestForge::start(ForgeOptions { kind, listen, ..options }).await.unwrap();
        let repo: RepoName = "acme/demo".parse().unwrap();
        let source = source_in(folder.path()).await;
        forge.create_repo(&repo, RepoSource::From(&source)).await.unwrap();
        let llm = ScriptedLlm::start(LlmOptions { listen, ..LlmOptions::new(Script::default()) });
        let llm = llm.await.unwrap();
        Some(Self { folder, forge, llm, repo, image })
    }

    /// The values of a mapping of variables, as the system fills them in, and where the model is.
    fn variables(&self, of: &Yaml) -> BTreeMap<String, String> {
        let given = of.as_hash().unwrap().iter();
        let given = given.map(|(name, value)| {
            (name.as_str().unwrap().to_owned(), self.filled_in(value.as_str().unwrap()))
        });
        let endpoints = [
            ("WORKER_LLM_URL", self.llm.url().to_string()),
            ("FORGE_API_URL", self.forge.api_url().to_string()),
        ];
        given.chain(endpoints.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    fn filled_in(&self, value: &str) -> String {
        let url = self.forge.clone_url(&self.repo).to_string();
        [
            ("${{ github.server_url }}/${{ github.repository }}", url.as_str()),
            ("$CI_PROJECT_URL", url.trim_end_matches(".git")),
            ("${{ secrets.AGENT_TOKEN || github.token }}", TOKEN),
            ("${{ secrets.AGENT_TOKEN }}", TOKEN),
            ("$AGENT_TOKEN", TOKEN),
            ("${{ secrets.WORKER_API_KEY }}", "sk-a-key-of-the-model"),
            ("${{ inputs.task }}", "Write the file"),
            ("${{ github.workspace }}", BUILDS),
            ("$CI_PROJECT_DIR", BUILDS),
            ("ghcr.io/acme/terarchitect-agent:0.1.0", self.image),
            ("${{ github.run_id }}-${{ github.run_attempt }}", &uuid::Uuid::new_v4().to_string()),
        ]
        .into_iter()
        .fold(value.to_owned(), |text, (expression, value)| text.replace(expression, value))
    }

    /// The script of a step on the CI system's machine.
    async fn on_the_machine(&self, script: &str, variables: &BTreeMap<String, String>) {
        let mut command = Command::new("bash");
        command.args(["-e", "-c", script]).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var("PATH").unwrap()).envs(variables);
        succeeds(command).await;
    }

    /// The script of a job in a container of the agent's image, whose entry point is a shell. What it
    /// prints of the outcome is returned.
    async fn in_container(&self, script: &str, variables: &BTreeMap<String, String>) -> Value {
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--workdir", BUILDS, "--entrypoint", "sh"]).envs(variables);
        for name in variables.keys() {
            command.args(["--env", name]);
        }
        let script = format!("set -e\n{{ {script}; }} >&2\ncat {BUILDS}/outcome.json");
        command.arg(self.image).args(["-c", &script]);
        serde_json::from_slice(&succeeds(command).await).unwrap()
    }

    fn check(&self, outcome: &Value) {
        assert_eq!(outcome["verdict"], "delivered", "{outcome}");
        assert_eq!(self.forge.pulls(&self.repo).len(), 1);
    }
}

/// A repository with one commit.
async fn source_in(folder: &Path) -> PathBuf {
    let source = folder.join("source");
    let script = "git init -q -b main $0 && cd $0 && echo hello > README && git add . && \
                  git -c user.name=P -c user.email=p@example.org commit -q -m first";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(&source);
    succeeds(command).await;
    source
}

async fn succeeds(mut command: Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn the_example_for_github_delivers_and_leaves_the_outcome() {
    let Some(ci) = Ci::or_skip(ForgeKind::GitHub).await else { return };
    let document = example("github-actions.yml");
    let job = &document["jobs"]["agent"];
    let steps: Vec<_> = job["steps"].as_vec().unwrap().iter().collect();
    let of_job = ci.variables(&job["env"]);
    let mut variables = of_job.clone();
    variables.extend(ci.variables(&steps[0]["env"]));
    let summary = ci.folder.path().join("summary");
    variables.insert("GITHUB_STEP_SUMMARY".to_owned(), summary.display().to_string());
    // The endpoints are those of the test; in the example they are the usual ones.
    let script = steps[0]["run"].as_str().unwrap();
    let script = script.replace("-e TASK ", "-e TASK -e WORKER_LLM_URL -e FORGE_API_URL ");
    ci.on_the_machine(&script, &variables).await;
    let url = std::fs::read_to_string(summary).unwrap();
    assert!(url.starts_with("Pull request: http") && url.trim_end().ends_with("/pull/1"), "{url}");
    ci.on_the_machine(steps[1]["run"].as_str().unwrap(), &of_job).await;
    let outcome = std::fs::read(ci.folder.path().join("outcome.json")).unwrap();
    let outcome: Value = serde_json::from_slice(&outcome).unwrap();
    ci.check(&outcome);
    assert_eq!(outcome["image"], ci.image);
}

#[tokio::test]
async fn the_example_for_gitlab_delivers_and_leaves_the_outcome() {
    let Some(ci) = Ci::or_skip(ForgeKind::GitLab).await else { return };
    let document = example("gitlab-ci.yml");
    let job = &document["agent"];
    let mut variables = ci.variables(&job["variables"]);
    variables.insert("TASK".to_owned(), "Write the file".to_owned());
    variables.insert("WORKER_API_KEY".to_owned(), "sk-a-key-of-the-model".to_owned());
    let outcome = ci.in_container(job["script"][0].as_str().unwrap(), &variables).await;
    ci.check(&outcome);
}

#[tokio::test]
async fn the_example_for_gitea_delivers_and_leaves_the_outcome() {
    let Some(ci) = Ci::or_skip(ForgeKind::Gitea).await else { return };
    let document = example("gitea-actions.yml");
    let step = &document["jobs"]["agent"]["steps"][0];
    let variables = ci.variables(&step["env"]);
    let outcome = ci.in_container(step["run"].as_str().unwrap(), &variables).await;
    ci.check(&outcome);
}
