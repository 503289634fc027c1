//! A forge with one repository, a model that knows one key, and a run of the agent.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use integration_tests::forge::{ForgeOptions, RepoName, RepoSource, TestForge, Token};
use integration_tests::harness::program;
use integration_tests::llm::{LlmOptions, Script, ScriptedLlm};
use tempfile::TempDir;

/// What the model accepts, and nothing else.
pub(crate) const KEY: &str = "sk-the-real-key-of-the-model";
const TOKEN: &str = "ghp_the-token-of-the-forge";

/// What a `claude` of ours begins with: it takes the prompt, and can ask the model for `$1`.
const CLAUDE: &str = r#"#!/bin/sh
set -u
cat > /dev/null
HERE=$(dirname "$0")
ask() {
    curl --silent --no-buffer --noproxy '*' -H "x-api-key: $ANTHROPIC_API_KEY" \
        "$ANTHROPIC_BASE_URL/v1/messages" --data \
        '{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
}
done_well() {
    echo '{"type":"result","is_error":false,"result":"All done."}'
}
"#;

pub(crate) struct Scene {
    pub(crate) forge: TestForge,
    pub(crate) model: ScriptedLlm,
    pub(crate) folder: TempDir,
    repo: RepoName,
}

impl Scene {
    pub(crate) async fn new(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = ForgeOptions::new(folder.path().join("forge"), Token::new(TOKEN).unwrap());
        let forge = TestForge::start(options).await.unwrap();
        let repo = RepoName::new("acme", "demo").unwrap();
        let seed = folder.path().join("seed");
        let made = Command::new("sh")
            .args([
                "-c",
                "git init -q -b main $0 && cd $0 && echo hello > README && git add . && \
                git -c user.name=P -c user.email=p@example.org commit -q -m first",
            ])
            .arg(&seed)
            .status();
        assert!(made.unwrap().success());
        forge.create_repo(&repo, RepoSource::From(&seed)).await.unwrap();
        let script = Script { api_key: Some(KEY.to_owned()), ..script };
        let model = ScriptedLlm::start(LlmOptions::new(script)).await.unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        Self { forge, model, folder, repo }
    }

    /// Makes `claude` a script that does this.
    pub(crate) fn claude(&self, script: &str) {
        let path = self.path("bin/claude");
        fs::write(&path, format!("{CLAUDE}\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs the agent to its end.
    pub(crate) async fn run(&self, mode: &str, settings: &[(&str, &str)]) -> Output {
        let path = std::env::var("PATH").unwrap();
        let mut command = tokio::process::Command::new(program("agent-runner"));
        command
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("TMPDIR", self.folder.path())
            .env("TASK", "Add HELLO.md")
            .env("REPO_URL", self.forge.clone_url(&self.repo).as_str())
            .env("FORGE_API_URL", self.forge.api_url().as_str())
            .env("GITHUB_TOKEN", TOKEN)
            .env("WORKER_MODE", mode)
            .env("WORKER_LLM_URL", self.model.url().as_str())
            .env("WORKER_MODEL", "scripted-model")
            .env("WORKER_API_KEY", KEY)
            .envs(settings.iter().copied())
            .kill_on_drop(true);
        command.output().await.unwrap()
    }

    /// The branches of the remote.
    pub(crate) fn branches(&self) -> usize {
        let repo = self.forge.repo_path(&self.repo);
        let listed = Command::new("git").arg("-C").arg(repo).args(["branch", "--list"]).output();
        String::from_utf8(listed.unwrap().stdout).unwrap().lines().count()
    }

    pub(crate) fn pulls(&self) -> usize {
        self.forge.pulls(&self.repo).len()
    }

    /// What a script left beside itself.
    pub(crate) fn left(&self, name: &str) -> String {
        fs::read_to_string(self.path("bin").join(name)).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn end(self) {
        self.model.shutdown().await.unwrap();
        self.forge.shutdown().await.unwrap();
    }
}

/// Whether a real CLI is there; a test without one is left out.
pub(crate) fn installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if !found {
        eprintln!("SKIPPED: {name} is not in PATH");
    }
    found
}

/// The log of a run, with its exit code.
pub(crate) fn log(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
