//! `overhead`: what `agent-runner` adds to a job. From its start to the coding CLI's first moment, and
//! from the CLI's last to its own end, beside the bare steps that any agent has to make: the same git
//! commands and the same calls of app and forge, without anything around them.
//!
//! A measurement, which passes whatever it finds. The two ways take turns, so that both meet the same
//! load; only figures of one run compare. Run it by `tests/overhead`: with debug builds the figures mean
//! nothing.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends by panicking")]
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "what it prints is its purpose")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use api_client::wire::{LogEntry, TicketCompletion};
use api_client::{ProjectId, Secret, TicketId, WorkerApi};
use clap::Parser;
use integration_tests::forge::{ForgeOptions, RepoSource, TestForge, Token};
use integration_tests::harness::{App, KEY, program, repo_name};
use integration_tests::samples::Samples;
use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

/// What agent-runner adds to a job: before the coding CLI, and after it.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each way is measured.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Files in the repository.
    #[arg(long, default_value_t = 500)]
    files: u32,
}

const TOKEN: &str = "forge-token-of-the-measurement";

/// `claude` as a script: notes when it began, does its work, notes when it is done.
const CLAUDE: &str = "#!/bin/sh\n\
    [ \"$1\" != --version ] || exec echo '2.1.329 (Claude Code)'\n\
    date +%s%N > \"${0%/*}/began\"\n\
    cat > /dev/null\n\
    echo new > new.txt\n\
    echo '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"Done.\"}'\n\
    date +%s%N > \"${0%/*}/done\"\n";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let scene = Scene::start(arguments.files).await;
    let mut samples: [Around; 2] = Default::default();
    for run in 0..arguments.runs {
        // Whichever goes first may find the machine otherwise than the second.
        for way in [run % 2, (run + 1) % 2] {
            let (before, after) = match way {
                0 => scene.by_the_runner().await,
                _ => scene.bare().await,
            };
            let around = &mut samples[way as usize];
            around.before.push(before);
            around.after.push(after);
        }
        eprintln!("run {} of {}", run + 1, arguments.runs);
    }
    let [runner, bare] = &samples;
    println!("milliseconds                                      n  median     min     max");
    println!("start to the CLI's begin    agent-runner       {}", runner.before);
    println!("                            the bare steps     {}", bare.before);
    println!("the CLI's end to the end    agent-runner       {}", runner.after);
    println!("                            the bare steps     {}", bare.after);
    let ratio = |ours: &Samples, bare: &Samples| ours.median() / bare.median();
    println!(
        "before_ratio={:.3} after_ratio={:.3}",
        ratio(&runner.before, &bare.before),
        ratio(&runner.after, &bare.after)
    );
}

/// What is not the CLI's.
#[derive(Debug, Default)]
struct Around {
    before: Samples,
    after: Samples,
}

/// The servers, and where the CLI is.
struct Scene {
    app: App,
    api: WorkerApi,
    forge: TestForge,
    http: reqwest::Client,
    project: ProjectId,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn start(files: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::new(TOKEN).unwrap();
        let forge = TestForge::start(ForgeOptions::new(folder.path().join("forge"), token)).await;
        let forge = forge.unwrap();
        let source = repository(folder.path(), files).await;
        forge.create_repo(&repo_name(), RepoSource::From(&source)).await.unwrap();
        let app = App::start().await;
        let project = app.add_project(forge.clone_url(&repo_name()).as_str()).await;
        let url = Url::parse(&app.url()).unwrap();
        let api = WorkerApi::new(&url, Some(Secret::from(KEY)), "overhead").unwrap();
        let http = api_client::http::http_client("overhead").build().unwrap();
        let cli = folder.path().join("claude");
        fs::write(&cli, CLAUDE).unwrap();
        fs::set_permissions(&cli, fs::Permissions::from_mode(0o755)).unwrap();
        Self { app, api, forge, http, project, folder }
    }

    /// Milliseconds before and after the CLI, in a job of `agent-runner`.
    async fn by_the_runner(&self) -> (f64, f64) {
        let ticket = self.app.add_ticket(self.project).await;
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        let mut command = Command::new(program("agent-runner"));
        command.env_clear().env("PATH", path).env("HOME", self.folder.path());
        command.env("AGENT_ON_HOST", "1").env("LOG_LEVEL", "warn");
        command.env("TERARCHITECT_API_URL", self.app.url());
        command.env("TERARCHITECT_WORKER_API_KEY", KEY);
        command.env("PROJECT_ID", self.project.to_string());
        command.env("TICKET_ID", ticket.to_string());
        command.env("GITHUB_TOKEN", TOKEN).env("FORGE_API_URL", self.forge.api_url().as_str());
        command.env("WORKER_MODE", "claude-code").env("WORKER_API_KEY", "key-of-the-model");
        let began = now();
        let output = command.output().await.unwrap();
        let ended = now();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (self.stamp("began") - began, ended - self.stamp("done"))
    }

    /// The same by the bare steps.
    async fn bare(&self) -> (f64, f64) {
        let ticket = self.app.add_ticket(self.project).await;
        let branch = format!("ticket-{ticket}");
        let clone = tempfile::tempdir_in(self.folder.path()).unwrap();
        let tree = clone.path().join("tree");

        let began = now();
        self.api.worker_context(self.project, ticket).await.unwrap();
        for step in ["session_started", "context_loaded"] {
            self.log(ticket, step).await;
        }
        let mut url = self.forge.clone_url(&repo_name());
        url.set_username("x-access-token").unwrap();
        url.set_password(Some(TOKEN)).unwrap();
        git(clone.path(), &["clone", "--quiet", "--depth", "1", url.as_str(), "tree"]).await;
        git(&tree, &["fetch", "--quiet", "origin"]).await;
        git(&tree, &["checkout", "--quiet", "-b", &branch]).await;
        self.log(ticket, "branch_created").await;
        self.api.cancel_requested(self.project, ticket).await.unwrap();
        self.log(ticket, "worker_turn_0_prompt").await;
        let before = now() - began;

        fs::write(tree.join("new.txt"), "new\n").unwrap();

        let began = now();
        self.log(ticket, "worker_turn_0").await;
        git(&tree, &["add", "--all"]).await;
        git(&tree, &["commit", "--quiet", "--message", "test"]).await;
        self.log(ticket, "finalize").await;
        git(&tree, &["push", "--quiet", "--set-upstream", "origin", &branch]).await;
        let pull = self.open_pull_request(&branch).await;
        let completion = TicketCompletion {
            summary: "Done.".to_owned(),
            pr_url: pull["html_url"].as_str().map(str::to_owned),
            pr_number: pull["number"].as_u64(),
            review_comment_body: None,
        };
        self.api.complete_ticket(self.project, ticket, &completion).await.unwrap();
        (before, now() - began)
    }

    async fn log(&self, ticket: TicketId, step: &str) {
        let entry = LogEntry {
            session_id: "overhead".to_owned(),
            step: step.to_owned(),
            summary: step.to_owned(),
            raw_output: None,
        };
        self.api.post_log(self.project, ticket, &entry).await.unwrap();
    }

    async fn open_pull_request(&self, branch: &str) -> Value {
        let url = format!(
            "{}/repos/acme/demo/pulls",
            self.forge.api_url().as_str().trim_end_matches('/')
        );
        let body = json!({ "title": "test", "head": branch, "base": "main", "body": "test" });
        let request = self.http.post(url).bearer_auth(TOKEN).json(&body);
        let request = request.header("accept", "application/vnd.github+json");
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    fn stamp(&self, name: &str) -> f64 {
        let text = fs::read_to_string(self.folder.path().join(name)).unwrap();
        text.trim().parse::<f64>().unwrap() / 1e6
    }
}

/// A repository with this many small files.
async fn repository(folder: &Path, files: u32) -> PathBuf {
    let path = folder.join("source");
    fs::create_dir(&path).unwrap();
    for file in 0..files {
        fs::write(path.join(format!("file-{file}.txt")), format!("{file}\n").repeat(40)).unwrap();
    }
    git(&path, &["init", "--quiet", "--initial-branch", "main"]).await;
    git(&path, &["add", "--all"]).await;
    git(&path, &["commit", "--quiet", "--message", "first"]).await;
    path
}

async fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "a").env(format!("GIT_{role}_EMAIL"), "a@b.c");
    }
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Milliseconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3
}
