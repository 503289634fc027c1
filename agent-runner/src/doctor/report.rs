//! What the doctor found, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::examination::{Diagnosis, Health};
use super::surroundings::{DockerEngine, Surroundings};

/// All that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The version of agent-runner.
    runner_version: &'static str,
    /// Whether a job could run with each CLI that is there or was asked for.
    pub(super) healthy: bool,
    #[serde(flatten)]
    surroundings: Surroundings,
    workers: Vec<Diagnosis>,
}

impl Report {
    /// Healthy is: git is there, and at least one CLI, and each that is there does its task. Where one is
    /// asked for by name, it is to be there.
    pub(super) fn new(surroundings: Surroundings, workers: Vec<Diagnosis>) -> Self {
        let passes = workers.iter().filter(|one| one.result == Health::Pass).count();
        let fails = workers.iter().any(|one| one.result == Health::Fail);
        let healthy = surroundings.git.is_some() && passes > 0 && !fails;
        Self { runner_version: env!("CARGO_PKG_VERSION"), healthy, surroundings, workers }
    }

    /// One JSON object.
    pub(super) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    /// A table.
    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let around = &self.surroundings;
        let missing = "not found";
        let engine = match around.docker_engine {
            DockerEngine::Installed => "an engine is installed",
            DockerEngine::Socket => "the socket of an engine is here",
            DockerEngine::None => "no engine",
        };
        writeln!(out, "agent-runner   {}", self.runner_version)?;
        writeln!(out, "git            {}", around.git.as_deref().unwrap_or(missing))?;
        writeln!(out, "Docker         {}; {engine}", around.docker.as_deref().unwrap_or(missing))?;
        writeln!(out, "worker's user  {}\n", around.worker_uid)?;
        writeln!(out, "{:<12} {:<10} {:>8} {:>8}  result", "worker", "version", "start", "total")?;
        for one in &self.workers {
            let version = one.version.as_deref().unwrap_or("-");
            let (start, total) = (seconds(one.start_millis), seconds(one.total_millis));
            let result = match one.result {
                Health::Pass => "pass",
                Health::Fail => "FAIL",
                Health::NotInstalled => "not installed",
            };
            let reason = one.reason.as_ref().map(|reason| format!(": {reason}"));
            let reason = reason.unwrap_or_default();
            let worker = one.worker;
            writeln!(out, "{worker:<12} {version:<10} {start:>8} {total:>8}  {result}{reason}")?;
        }
        Ok(())
    }
}

fn seconds(millis: Option<u64>) -> String {
    millis.map_or_else(
        || "-".to_owned(),
        |millis| format!("{}.{:02} s", millis / 1000, millis % 1000 / 10),
    )
}
