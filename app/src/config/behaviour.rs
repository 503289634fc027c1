//! Which app the server behaves like, and on which terms it hands out jobs.

use super::{ConfigError, Environment, setting};
use crate::cli::ServeArgs;
use crate::lease::{LeaseTerms, lease_length, max_attempts};

pub(super) const LEASE_SEC: &str = "TERARCHITECT_APP_LEASE_SEC";
pub(super) const MAX_ATTEMPTS: &str = "TERARCHITECT_APP_MAX_ATTEMPTS";
pub(super) const ORIGINAL: &str = "TERARCHITECT_APP_ORIGINAL";

/// Which app the server is to behave like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Our own, which hands out jobs on these terms.
    Ours(LeaseTerms),
    /// The original, without anything that ours adds to what a coordinator sees.
    Original,
}

impl Behaviour {
    /// Arguments win over the environment, an argument of a lease over the wish for the original too.
    pub(super) fn resolve(
        args: &ServeArgs,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let named = args.lease_sec.is_some() || args.max_attempts.is_some();
        if args.original
            || (!named && setting(ORIGINAL, environment.original.as_deref(), switch)? == Some(true))
        {
            return Ok(Self::Original);
        }
        let default = LeaseTerms::default();
        let length = match args.lease_sec {
            Some(length) => Some(length),
            None => setting(LEASE_SEC, environment.lease_sec.as_deref(), lease_length)?,
        };
        let attempts = match args.max_attempts {
            Some(count) => Some(count),
            None => setting(MAX_ATTEMPTS, environment.max_attempts.as_deref(), max_attempts)?,
        };
        Ok(Self::Ours(LeaseTerms {
            length: length.unwrap_or(default.length),
            max_attempts: attempts.unwrap_or(default.max_attempts),
        }))
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text.trim() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("must be 1 or 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::args;
    use super::*;

    #[test]
    fn the_terms_of_a_lease_come_from_arguments_then_environment_then_defaults() {
        let environment = |lease: &str, original: &str| Environment {
            lease_sec: Some(lease.to_owned()),
            original: Some(original.to_owned()),
            ..Environment::default()
        };
        let terms = |millis, max_attempts| {
            Behaviour::Ours(LeaseTerms { length: Duration::from_millis(millis), max_attempts })
        };
        let named = || ServeArgs {
            lease_sec: Some(Duration::from_millis(500)),
            max_attempts: Some(5),
            ..args()
        };
        let original = || ServeArgs { original: true, ..args() };
        for (args, environment, expected) in [
            (args(), Environment::default(), terms(90_000, 3)),
            (args(), environment("0.2", "0"), terms(200, 3)),
            (args(), environment("0.2", "1"), Behaviour::Original),
            (named(), environment("0.2", "1"), terms(500, 5)),
            (original(), environment("0.2", "0"), Behaviour::Original),
        ] {
            assert_eq!(Behaviour::resolve(&args, &environment).unwrap(), expected);
        }
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_name() {
        for (environment, words) in [
            (Environment { lease_sec: Some("0".into()), ..Environment::default() }, LEASE_SEC),
            (Environment { lease_sec: Some("NaN".into()), ..Environment::default() }, LEASE_SEC),
            (
                Environment { max_attempts: Some("0".into()), ..Environment::default() },
                MAX_ATTEMPTS,
            ),
            (Environment { original: Some("perhaps".into()), ..Environment::default() }, ORIGINAL),
        ] {
            let error = Behaviour::resolve(&args(), &environment).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
