//! The machine and its engine, as far as they may have to do with what went wrong. No names, no addresses.

use std::fs;
use std::thread::available_parallelism;

use api_client::error_chain;
use serde_json::{Value, json};

use crate::config::HostFallback;
use crate::context::Context;
use crate::engine::EngineFacts;

/// What can be told.
pub(super) async fn look(ctx: &Context) -> Value {
    let engine = if ctx.config().host.fallback == HostFallback::Always {
        json!({"problem": "not asked: every job runs on this host"})
    } else {
        match Box::pin(ctx.engine.facts()).await {
            Ok(facts) => of_engine(&facts),
            Err(error) => json!({"problem": error_chain(&error)}),
        }
    };
    json!({
        "architecture": std::env::consts::ARCH,
        "kernel": line_of("/proc/sys/kernel/osrelease", ""),
        "system": line_of("/etc/os-release", "PRETTY_NAME="),
        "processors": available_parallelism().ok(),
        "memory": line_of("/proc/meminfo", "MemTotal:"),
        "engine": engine,
    })
}

fn of_engine(facts: &EngineFacts) -> Value {
    let lacks: Vec<_> = facts.lacks.iter().map(|lack| format!("{lack:?}").to_lowercase()).collect();
    json!({
        "version": facts.version,
        "api": facts.api,
        "storage": facts.storage,
        "file_system": facts.file_system,
        "cgroups": facts.cgroups,
        "runtimes": facts.runtimes,
        "limits_not_enforced": lacks,
        "processors": facts.processors,
        "memory_bytes": facts.memory,
    })
}

/// What follows the beginning of a line in a file of the system.
fn line_of(path: &str, beginning: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    Some(line.trim().trim_matches('"').to_owned())
}
