//! Every metric, declared once: `docs/monitoring.md` and what is in `packaging/monitoring` are held
//! against this table by tests.

/// What is fixed about one metric.
#[derive(Debug)]
pub(crate) struct Family {
    /// Its name, with the unit.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// One sentence for people.
    pub(crate) help: &'static str,
}

/// What its samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number that only grows while the process lives.
    Counter,
    /// A number of now.
    Gauge,
    /// Times by how long they were.
    Histogram,
}

macro_rules! families {
    ($($id:ident = $kind:ident $name:literal $help:literal;)*) => {
        $(pub(super) static $id: Family =
            Family { name: $name, kind: Kind::$kind, help: $help };)*
        /// All of them.
        #[cfg(test)]
        pub(super) static ALL: &[&Family] = &[$(&$id),*];
    };
}

families! {
    BUILD = Gauge "terarchitect_build_info"
        "Always 1; the version of the coordinator is in the label.";
    READY = Gauge "terarchitect_ready"
        "1 while jobs are claimed where there are slots and jobs, else 0.";
    HELD = Gauge "terarchitect_held_seconds"
        "For how long nothing is claimed, or not for all projects; 0 while that is not so.";
    GATE = Gauge "terarchitect_gate"
        "1 for what the operator wants: open, paused or draining.";
    ROUND_AGE = Gauge "terarchitect_claim_round_age_seconds"
        "Time since the last round of questions for a job ended, or since the start.";
    CLAIMS = Counter "terarchitect_claims_total"
        "Rounds of questions for a job, by what they brought.";
    JOBS_ENDED = Counter "terarchitect_jobs_ended_total"
        "Jobs that ended, by outcome, cause and, where the agent itself said so, its exit.";
    JOBS = Gauge "terarchitect_jobs"
        "Jobs that are held, by the stage at which they are.";
    OLDEST_JOB = Gauge "terarchitect_oldest_job_seconds"
        "For how long the agent that began first has run; 0 while none runs.";
    PHASES = Histogram "terarchitect_job_phase_duration_seconds"
        "How long a phase of a job took: start (claim to running agent), launch, run, report.";
    SLOTS = Gauge "terarchitect_slots"
        "How many jobs may run at once.";
    SLOTS_USED = Gauge "terarchitect_slots_used"
        "How many do.";
    QUEUE = Gauge "terarchitect_queue_jobs"
        "Jobs that wait in the app for the projects of this coordinator, where the app tells.";
    QUEUE_AGE = Gauge "terarchitect_queue_oldest_seconds"
        "For how long the oldest of them has waited, where the app tells.";
    QUEUE_PARKED = Gauge "terarchitect_queue_parked_jobs"
        "Jobs beside these that wait for the limit of a provider to be over, where the app tells.";
    QUEUE_OVER_BUDGET = Gauge "terarchitect_queue_over_budget_jobs"
        "Jobs beside these that wait for the next day's budget of their project, where the app tells.";
    RETRIES = Counter "terarchitect_retries_total"
        "What had to be tried again, by what it was.";
    BREAKERS = Gauge "terarchitect_breaker"
        "1 for the state of the circuit breaker of a dependency: closed, open or half-open.";
    OUTBOX = Gauge "terarchitect_outbox_jobs"
        "Outcomes that the app was told and has not taken.";
    OUTBOX_AGE = Gauge "terarchitect_outbox_oldest_seconds"
        "For how long the oldest of them has waited; 0 while none does.";
    ALARMS = Gauge "terarchitect_alarms"
        "What someone has to mend, as `coordinator status` lists it.";
    UP = Gauge "terarchitect_dependency_up"
        "1 while the last call to a dependency was answered, else 0.";
    KEY_REFUSED = Gauge "terarchitect_app_key_refused"
        "1 while the app refuses the worker key, else 0.";
    ENGINE_CALLS = Histogram "terarchitect_engine_request_duration_seconds"
        "How long calls to the Docker Engine took, by operation.";
    ENGINE_UNANSWERED = Counter "terarchitect_engine_requests_unanswered_total"
        "Calls to the Docker Engine that got no answer, by operation.";
    APP_CALLS = Histogram "terarchitect_app_request_duration_seconds"
        "How long calls to the app took, by operation.";
    APP_UNANSWERED = Counter "terarchitect_app_requests_unanswered_total"
        "Calls to the app that got no usable answer, by operation.";
    TOKENS = Counter "terarchitect_tokens_total"
        "Tokens of ended jobs, by model and kind, as their agents told.";
    MONEY = Counter "terarchitect_money_usd_total"
        "What ended jobs cost in US dollars, by model, as their agents told.";
    TURNS = Counter "terarchitect_agent_turns_total"
        "Turns of the coding CLI of ended jobs, by how they ended.";
    WORKSPACE = Gauge "terarchitect_workspace_bytes"
        "What the containers of running jobs take of the disk, where AGENT_DISK has it measured.";
    CACHE = Gauge "terarchitect_cache_bytes"
        "What the caches that no job used take, where CACHE_KEEP_MIB has them measured, hourly.";
    LOGS = Gauge "terarchitect_logs_bytes"
        "What the logs of jobs take together.";
    DISK_FREE = Gauge "terarchitect_disk_free_bytes"
        "Free space for the state directory and for the engine on this host.";
    DISK_FLOOR = Gauge "terarchitect_disk_floor_bytes"
        "Below this nothing is claimed (DISK_FLOOR_MIB); 0 for no floor.";
    LEFT_OUT = Counter "terarchitect_left_out_total"
        "What people or machines were not told, since a queue was full or nobody took it, by what it was.";
    RESIDENT = Gauge "process_resident_memory_bytes"
        "Memory of the coordinator itself.";
    STARTED = Gauge "process_start_time_seconds"
        "When the coordinator started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const PAGE: &str = include_str!("../../../docs/monitoring.md");
    const RULES: &str = include_str!("../../../packaging/monitoring/terarchitect.rules.yml");
    const RULES_TEST: &str =
        include_str!("../../../packaging/monitoring/terarchitect.rules.test.yml");
    const DASHBOARD: &str = include_str!("../../../packaging/monitoring/grafana-dashboard.json");

    /// Every word of a text that looks like the name of one of our metrics.
    fn named(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = |word: &&str| word.starts_with("terarchitect_") || word.starts_with("process_");
        words.filter(ours).collect()
    }

    /// The names of the samples of all metrics, each with that of its metric.
    fn samples() -> BTreeMap<String, &'static Family> {
        let ends = |family: &Family| match family.kind {
            Kind::Histogram => ["_bucket", "_sum", "_count"].as_slice(),
            Kind::Counter | Kind::Gauge => &[""],
        };
        let of = |family: &&'static Family| {
            let family = *family;
            ends(family).iter().map(move |end| (format!("{}{end}", family.name), family))
        };
        ALL.iter().flat_map(of).collect()
    }

    #[test]
    fn the_page_has_a_row_for_every_metric_and_no_other() {
        let rows: Vec<_> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
        for family in ALL {
            let begins = format!("| `{}` |", family.name);
            let row = rows.iter().find(|row| row.starts_with(&begins));
            let row = row.unwrap_or_else(|| panic!("docs/monitoring.md lacks {}", family.name));
            let kind = format!("{:?}", family.kind).to_ascii_lowercase();
            assert!(row.contains(&format!("| {kind} |")), "{}: {kind}", family.name);
            assert!(row.contains(family.help), "{}: {}", family.name, family.help);
        }
        let (known, samples): (BTreeSet<_>, _) =
            (ALL.iter().map(|family| family.name).collect(), samples());
        for name in named(PAGE) {
            assert!(known.contains(name) || samples.contains_key(name), "{name} is no metric");
        }
    }

    #[test]
    fn rules_and_dashboard_name_metrics_that_there_are() {
        let samples = samples();
        for (file, text) in [("rules", RULES), ("test", RULES_TEST), ("dashboard", DASHBOARD)] {
            let named = named(text);
            assert!(named.len() > 5, "{file}");
            for name in named {
                assert!(samples.contains_key(name), "{file}: {name} is no sample of a metric");
            }
        }
    }

    #[test]
    fn names_tell_the_unit_and_counters_are_called_so() {
        for family in ALL {
            let total = family.name.ends_with("_total");
            assert_eq!(total, family.kind == Kind::Counter, "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
        }
    }
}
