//! A forge with one repository, and runs of the agent on it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use integration_tests::forge::{
    ForgeKind, ForgeOptions, PullRequest, RepoName, RepoSource, TestForge, Token,
};
use integration_tests::harness::program;
use tempfile::TempDir;

const TOKEN: &str = "the-token-of-the-forge";

/// A `claude` that takes the prompt, adds a line to a file and says so.
const CLAUDE: &str = r#"#!/bin/sh
cat > "$(dirname "$0")/prompt"
echo hello >> HELLO.md
. "$(dirname "$0")/more"
printf '%s\n' '{"type":"assistant","message":{"content":[{"type":"text","text":"All done.\n\n/merge"}]}}'
printf '%s\n' '{"type":"result","subtype":"success","is_error":false,"result":"All done."}'
"#;

pub(crate) struct Scene {
    pub(crate) forge: TestForge,
    pub(crate) kind: ForgeKind,
    pub(crate) folder: TempDir,
    pub(crate) repo: RepoName,
}

impl Scene {
    /// A forge of this kind with a repository whose default branch holds these files.
    pub(crate) async fn new(kind: ForgeKind, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::new(TOKEN).unwrap();
        let options =
            ForgeOptions { kind, ..ForgeOptions::new(folder.path().join("forge"), token) };
        let forge = TestForge::start(options).await.unwrap();
        // Groups within groups are GitLab's alone.
        let repo = match kind {
            ForgeKind::GitLab => "acme/web/demo",
            ForgeKind::GitHub | ForgeKind::Gitea => "acme/demo",
        };
        let repo: RepoName = repo.parse().unwrap();
        let scene = Self { forge, kind, folder, repo };
        let seed = scene.path("seed");
        fs::create_dir(&seed).unwrap();
        for (name, text) in [("README", "hello\n")].iter().chain(files) {
            let file = seed.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let made = Command::new("sh")
            .args([
                "-c",
                "cd $0 && git init -q -b main && git add . && \
                git -c user.name=P -c user.email=p@example.org commit -q -m first",
            ])
            .arg(&seed)
            .status();
        assert!(made.unwrap().success());
        scene.forge.create_repo(&scene.repo, RepoSource::From(&seed)).await.unwrap();
        fs::create_dir(scene.path("bin")).unwrap();
        scene.claude_does(":");
        let claude = scene.path("bin/claude");
        fs::write(&claude, CLAUDE).unwrap();
        fs::set_permissions(&claude, Permissions::from_mode(0o755)).unwrap();
        scene
    }

    /// Runs the agent to its end, always for the same branch.
    pub(crate) async fn run(&self, settings: &[(&str, &str)]) -> Output {
        let path = std::env::var("PATH").unwrap();
        let mut command = tokio::process::Command::new(program("agent-runner"));
        command
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("TMPDIR", self.folder.path())
            .env("TASK", "Add HELLO.md")
            .env("JOB_ID", "8c1f0c1e-0d2b-4a6e-9d4e-5b1f6c7d8e9f")
            .env("REPO_URL", self.forge.clone_url(&self.repo).as_str())
            .env("FORGE", self.kind.name())
            .env("GITHUB_TOKEN", TOKEN)
            .env("WORKER_MODE", "claude-code")
            .env("WORKER_API_KEY", "sk-a-key-of-the-model")
            .envs(settings.iter().copied())
            .kill_on_drop(true);
        command.output().await.unwrap()
    }

    /// What `claude` does beside adding a line.
    pub(crate) fn claude_does(&self, script: &str) {
        fs::write(self.path("bin/more"), script).unwrap();
    }

    /// What `claude` was asked last.
    pub(crate) fn prompt(&self) -> String {
        fs::read_to_string(self.path("bin/prompt")).unwrap()
    }

    pub(crate) fn pulls(&self) -> Vec<PullRequest> {
        self.forge.pulls(&self.repo)
    }

    /// What git says on the remote.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let repo = self.forge.repo_path(&self.repo);
        let output = Command::new("git").arg("-C").arg(repo).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) async fn end(self) {
        self.forge.shutdown().await.unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The log of a run, with its exit code.
pub(crate) fn log(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
