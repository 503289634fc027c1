//! What an engine says of itself against what the settings ask of it. Pure.

use super::cure::add_runtime;
use super::finding::Finding;
use crate::config::{AgentConfig, Config, DockerMode};
use crate::engine::{EngineFacts, Lack};

/// The first words that boot a Linux with all controllers, on machines that leave some out.
const BOOT: &str = "boot the engine's host with cgroup_enable=memory swapaccount=1, or leave the \
                    setting out";

/// All that follows from the facts alone.
pub(super) fn judge(facts: &EngineFacts, config: &Config) -> Vec<Finding> {
    let mut findings = vec![engine(facts)];
    findings.extend(runtimes(facts, config));
    findings.extend(limits(facts, config));
    findings.extend(processors(facts, config));
    findings.extend(disk(facts, config));
    findings.extend(control_groups(facts, config));
    findings
}

fn engine(facts: &EngineFacts) -> Finding {
    let EngineFacts { version, api, storage, file_system, cgroups, .. } = facts;
    let below = if file_system.is_empty() { "" } else { " on " };
    let cgroups = cgroups.map_or_else(|| "unknown".to_owned(), |version| format!("v{version}"));
    let found =
        format!("version {version}, API {api}, {storage}{below}{file_system}, cgroups {cgroups}");
    Finding::ok("engine", found)
}

fn runtimes(facts: &EngineFacts, config: &Config) -> Vec<Finding> {
    let mut named: Vec<_> = config.agents().filter_map(|agent| agent.runtime.as_ref()).collect();
    named.sort();
    named.dedup();
    let judged = |runtime: &String| {
        let what = "AGENT_RUNTIME";
        if facts.runtimes.contains(runtime) {
            return Finding::ok(what, format!("{runtime} is known to the engine"));
        }
        let known = facts.runtimes.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let found = format!("the engine does not know {runtime}; it knows {known}");
        Finding::failed(what, found, add_runtime(runtime))
    };
    named.into_iter().map(judged).collect()
}

/// Limits that an engine takes and does not enforce.
fn limits(facts: &EngineFacts, config: &Config) -> Vec<Finding> {
    let any = |asks: fn(&AgentConfig) -> bool| config.agents().any(asks);
    let asked = [
        ("AGENT_MEMORY", Lack::Memory, any(|agent| agent.limits.memory.is_some())),
        ("AGENT_MEMORY_SWAP", Lack::Swap, any(|agent| agent.limits.memory.is_some())),
        ("AGENT_CPUS", Lack::Processors, any(|agent| agent.limits.nano_cpus.is_some())),
        ("AGENT_PIDS", Lack::Processes, any(|agent| agent.limits.pids.is_some())),
    ];
    let judged = |(name, lack, asked): (&str, Lack, bool)| match (asked, lack) {
        (false, _) => None,
        (true, lack) if !facts.lacks.contains(&lack) => {
            Some(Finding::ok(name, "the engine enforces it"))
        }
        (true, Lack::Swap) => {
            Some(Finding::note(name, "the engine's kernel does not limit swap space", BOOT))
        }
        (true, Lack::Memory | Lack::Processors | Lack::Processes) => {
            Some(Finding::failed(name, "the engine's kernel does not enforce it", BOOT))
        }
    };
    asked.into_iter().filter_map(judged).collect()
}

fn processors(facts: &EngineFacts, config: &Config) -> Option<Finding> {
    const BILLION: u64 = 1_000_000_000;
    let most = config.agents().filter_map(|agent| agent.limits.nano_cpus).max()?.get();
    let has = facts.processors;
    (has > 0 && most > has.saturating_mul(BILLION)).then(|| {
        let found = format!("the engine's host has {has} processors");
        Finding::failed("AGENT_CPUS", found, format!("set it to {has} or less"))
    })
}

/// The disk space of a container is limited by btrfs, by ZFS, and by overlay2 on XFS with project quotas; of
/// those the engine does not say whether it has them.
fn disk(facts: &EngineFacts, config: &Config) -> Option<Finding> {
    config.agents().any(|agent| agent.limits.disk.is_some()).then(|| {
        let EngineFacts { storage, file_system, .. } = facts;
        if matches!(storage.as_str(), "btrfs" | "zfs") {
            return Finding::ok("AGENT_DISK", format!("{storage} limits it"));
        }
        if storage == "overlay2" && file_system == "xfs" {
            let found = "limited by the engine if its disk is mounted with pquota, else watched";
            return Finding::ok("AGENT_DISK", found);
        }
        Finding::note(
            "AGENT_DISK",
            format!(
                "{storage} on {file_system} cannot limit it: it is watched, and a job that takes \
                 more is stopped"
            ),
            "for a hard limit keep the engine's folder on XFS, mounted with pquota",
        )
    })
}

/// What was never seen to work is said.
fn control_groups(facts: &EngineFacts, config: &Config) -> Option<Finding> {
    let caps = config.agents().any(|agent| agent.docker_mode == DockerMode::DindCaps);
    (caps && facts.cgroups == Some(2)).then(|| {
        let found = "dind-caps with version 2 of control groups: the inner daemon has the groups \
                     only where the engine mounts them writable";
        Finding::note("cgroups", found, "if inner containers do not start: AGENT_DOCKER_MODE=dind")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::finding::{State, all_well};
    use super::super::fixture::config;
    use super::*;

    fn facts() -> EngineFacts {
        EngineFacts {
            version: "20.10".to_owned(),
            api: "1.41".to_owned(),
            storage: "overlay2".to_owned(),
            file_system: "extfs".to_owned(),
            cgroups: Some(1),
            runtimes: BTreeSet::from(["runc".to_owned()]),
            processors: 2,
            ..EngineFacts::default()
        }
    }

    fn of<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
        findings.iter().find(|finding| finding.what == what).unwrap()
    }

    #[test]
    fn an_engine_that_has_all_passes_and_is_described() {
        let findings = judge(&facts(), &config(&[("AGENT_MEMORY", "4g")]));
        assert!(all_well(&findings), "{findings:?}");
        let found = &of(&findings, "engine").found;
        assert_eq!(found, "version 20.10, API 1.41, overlay2 on extfs, cgroups v1");
    }

    #[test]
    fn what_the_engine_lacks_fails_only_where_it_is_asked_for() {
        let lacks = BTreeSet::from([Lack::Memory, Lack::Swap]);
        let facts = EngineFacts { lacks, ..facts() };
        assert!(all_well(&judge(&facts, &config(&[]))));
        let findings = judge(&facts, &config(&[("AGENT_MEMORY", "4g")]));
        assert_eq!(of(&findings, "AGENT_MEMORY").state, State::Failed);
        assert_eq!(of(&findings, "AGENT_MEMORY_SWAP").state, State::Note);
    }

    #[test]
    fn a_runtime_or_a_number_of_processors_that_is_not_there_fails_with_the_cure() {
        let variables = [("AGENT_RUNTIME", "runsc"), ("AGENT_CPUS", "3")];
        let findings = judge(&facts(), &config(&variables));
        let runtime = of(&findings, "AGENT_RUNTIME");
        assert_eq!(runtime.state, State::Failed);
        assert!(runtime.found.contains("it knows runc"), "{runtime:?}");
        assert!(runtime.cure.as_ref().unwrap().contains("daemon.json"), "{runtime:?}");
        let failed = |finding: &&Finding| finding.state == State::Failed;
        let failed: Vec<_> = findings.iter().filter(failed).map(|f| f.what.as_str()).collect();
        assert_eq!(failed, ["AGENT_RUNTIME", "AGENT_CPUS"]);
    }

    #[test]
    fn disk_space_that_is_only_watched_is_said() {
        let findings = judge(&facts(), &config(&[("AGENT_DISK", "10g")]));
        assert_eq!(of(&findings, "AGENT_DISK").state, State::Note);
        let btrfs = EngineFacts { storage: "btrfs".to_owned(), ..facts() };
        let findings = judge(&btrfs, &config(&[("AGENT_DISK", "10g")]));
        assert_eq!(of(&findings, "AGENT_DISK").state, State::Ok);
        let xfs = EngineFacts { file_system: "xfs".to_owned(), ..facts() };
        let findings = judge(&xfs, &config(&[("AGENT_DISK", "10g")]));
        assert_eq!(of(&findings, "AGENT_DISK").state, State::Ok);
    }
}
