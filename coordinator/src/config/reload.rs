//! Taking up a changed configuration while the coordinator runs.

use super::{Config, setting};

/// The configuration that holds from now on, and the names of the settings that were changed and
/// take effect only at a restart.
pub(crate) fn reloaded(now: &Config, new: Config) -> (Config, Vec<&'static str>) {
    let mut fixed = Vec::new();
    let mut keep = |changed: bool, name| {
        if changed {
            fixed.push(name);
        }
    };
    keep(now.app.url != new.app.url, setting::API_URL.name);
    keep(now.engine.host != new.engine.host, setting::ENGINE_HOST.name);
    keep(now.state_dir != new.state_dir, setting::STATE_DIR.name);
    keep(now.log.format != new.log.format, setting::LOG_FORMAT.name);
    keep(now.breaker != new.breaker, setting::BREAKER_FAILURES.name);
    keep(now.shutdown != new.shutdown, setting::ON_STOP.name);
    let mut next = new;
    next.app.url.clone_from(&now.app.url);
    next.engine.clone_from(&now.engine);
    next.state_dir.clone_from(&now.state_dir);
    next.log.format = now.log.format;
    next.breaker.clone_from(&now.breaker);
    next.shutdown.clone_from(&now.shutdown);
    (next, fixed)
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Flags, load};
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let url = ("TERARCHITECT_API_URL", "http://app.example:5010");
        let environment = Environment::of([url].into_iter().chain(variables.iter().copied()));
        load(&Flags::default(), &environment).unwrap().config
    }

    #[test]
    fn what_cannot_change_is_named_and_kept_and_the_rest_changes() {
        let now = config(&[("COORDINATOR_STATE_DIR", "/a"), ("JOB_TIMEOUT", "1h")]);
        let new = config(&[("COORDINATOR_STATE_DIR", "/b"), ("JOB_TIMEOUT", "2h")]);
        let (next, fixed) = reloaded(&now, new);
        assert_eq!(fixed, ["COORDINATOR_STATE_DIR"]);
        assert_eq!(next.state_dir, now.state_dir);
        assert_eq!(next.limits.job_timeout.as_secs(), 7_200);
    }
}
