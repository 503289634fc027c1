//! Debian's Prometheus in a container with the network of this host, and its `promtool`.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::dashboard::Span;
use crate::harness::{Running, eventually};

/// The image that `tests/monitoring` makes.
pub const PROMETHEUS_IMAGE: &str = "terarchitect-test-prometheus";

/// How long an alert may take to fire, or to be over.
const PATIENCE: Duration = Duration::from_secs(100);

/// Runs `promtool` with this folder at `/m`, and returns what it said, or what was wrong.
///
/// # Errors
/// What it complains of.
pub async fn promtool(folder: &Path, arguments: &str) -> Result<String, String> {
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "-v", &format!("{}:/m:ro", folder.display()), "-w", "/m"]);
    command.args([PROMETHEUS_IMAGE, "sh", "-c", &format!("promtool {arguments}")]);
    let done = command.stdin(Stdio::null()).output().await.expect("docker runs");
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if done.status.success() { Ok(said) } else { Err(said) }
}

/// A Prometheus that asks one target every second.
#[derive(Debug)]
pub struct Prometheus {
    name: String,
    url: String,
    http: reqwest::Client,
    _running: Running,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it with these rules.
    pub async fn start(target: &str, rules: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\n\
             rule_files: [/m/rules.yml]\n\
             scrape_configs:\n  - job_name: terarchitect\n    static_configs:\n      \
             - targets: [\"{target}\"]\n"
        );
        for (name, text) in [("rules.yml", rules), ("prometheus.yml", &config)] {
            std::fs::write(folder.path().join(name), text).expect("a file in a folder of ours");
        }
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().unwrap().port();
        let name = format!("terarchitect-test-prometheus-{port}");
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--name", &name, "--network", "host", "--user", "0"]);
        command.args(["-v", &format!("{}:/m:ro", folder.path().display()), PROMETHEUS_IMAGE]);
        command.args([
            "prometheus",
            "--config.file=/m/prometheus.yml",
            "--storage.tsdb.path=/tmp/tsdb",
        ]);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let running = Running::start(command, &folder.path().join("prometheus.log"));
        let http = api_client::http::http_client("integration-tests").build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let prometheus = Self { name, url, http, _running: running, _folder: folder };
        eventually("a target that answers", async || {
            let up = prometheus.query("up == 1").await?;
            (!up.as_array()?.is_empty()).then_some(())
        })
        .await;
        prometheus
    }

    /// The result of an expression; none where it does not answer.
    pub async fn query(&self, expression: &str) -> Option<Value> {
        let url = format!("{}/api/v1/query", self.url);
        let mut url: url::Url = url.parse().ok()?;
        url.query_pairs_mut().append_pair("query", expression);
        let answer: Value = self.http.get(url).send().await.ok()?.json().await.ok()?;
        Some(answer["data"]["result"].clone())
    }

    /// What an expression was over that time, in 100 steps at most.
    ///
    /// # Errors
    /// What Prometheus says of it.
    pub async fn range(&self, expression: &str, span: Span) -> Result<Vec<Value>, String> {
        let step = ((span.end - span.begin) / 100.0).max(1.0).to_string();
        let (begin, end) = (span.begin.to_string(), span.end.to_string());
        let asked = [("query", expression), ("start", &begin), ("end", &end), ("step", &step)];
        let url = url::Url::parse_with_params(&format!("{}/api/v1/query_range", self.url), asked);
        let url = url.map_err(|error| error.to_string())?;
        let answer = self.http.get(url).send().await.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        match answer["data"]["result"].as_array() {
            Some(series) => Ok(series.clone()),
            None => Err(answer["error"].to_string()),
        }
    }

    /// Waits until an alert fires, or does not any more; how long that took, or none within patience.
    pub async fn comes_to(&self, alert: &str, firing: Wanted) -> Option<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let fires = self.firing().await.is_some_and(|all| all.iter().any(|one| one == alert));
            if fires == (firing == Wanted::Firing) {
                return Some(begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        None
    }

    /// The names of the alerts that fire.
    pub async fn firing(&self) -> Option<Vec<String>> {
        let url = format!("{}/api/v1/alerts", self.url);
        let answer: Value = self.http.get(url).send().await.ok()?.json().await.ok()?;
        let alerts = answer["data"]["alerts"].as_array()?.iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        Some(
            firing
                .filter_map(|one| Some(one["labels"]["alertname"].as_str()?.to_owned()))
                .collect(),
        )
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It fires.
    Firing,
    /// It does not.
    Over,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let mut removal = std::process::Command::new("docker");
        let _removed = removal.args(["rm", "-f", &self.name]).stdout(Stdio::null()).status();
    }
}
