//! When the review loop looks at pull requests, and when it starts jobs.

use super::{ConfigError, Environment, setting};
use crate::cli::ServeArgs;
use crate::review::{self, ReviewTerms, attempts, seconds};

pub(super) const POLL_SEC: &str = "TERARCHITECT_APP_REVIEW_POLL_SEC";
pub(super) const DEBOUNCE_SEC: &str = "TERARCHITECT_APP_REVIEW_DEBOUNCE_SEC";
pub(super) const ATTEMPTS: &str = "TERARCHITECT_APP_REVIEW_ATTEMPTS";
pub(super) const BACKOFF_SEC: &str = "TERARCHITECT_APP_REVIEW_BACKOFF_SEC";

/// Arguments win over the environment.
pub(super) fn resolve(
    args: &ServeArgs,
    environment: &Environment,
) -> Result<ReviewTerms, ConfigError> {
    let default = ReviewTerms::default();
    let length = |argument, name, text: &Option<String>| match argument {
        Some(length) => Ok(Some(length)),
        None => setting(name, text.as_deref(), seconds),
    };
    let poll = length(args.review_poll_sec, POLL_SEC, &environment.review_poll_sec)?;
    let debounce =
        length(args.review_debounce_sec, DEBOUNCE_SEC, &environment.review_debounce_sec)?;
    let backoff = length(args.review_backoff_sec, BACKOFF_SEC, &environment.review_backoff_sec)?;
    let max_attempts = match args.review_attempts {
        Some(count) => Some(count),
        None => setting(ATTEMPTS, environment.review_attempts.as_deref(), attempts)?,
    };
    Ok(ReviewTerms {
        poll: poll.map_or(default.poll, review::poll),
        debounce: debounce.unwrap_or(default.debounce),
        max_attempts: max_attempts.unwrap_or(default.max_attempts),
        max_per_day: default.max_per_day,
        backoff: backoff.unwrap_or(default.backoff),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::args;
    use super::*;

    #[test]
    fn the_terms_come_from_arguments_then_environment_then_defaults() {
        let environment = Environment {
            review_poll_sec: Some("0".to_owned()),
            review_attempts: Some("5".to_owned()),
            ..Environment::default()
        };
        let args = ServeArgs { review_debounce_sec: Some(Duration::from_millis(200)), ..args() };
        let expected = ReviewTerms {
            poll: Duration::from_secs(3_600),
            debounce: Duration::from_millis(200),
            max_attempts: 5,
            ..ReviewTerms::default()
        };
        assert_eq!(resolve(&args, &environment).unwrap(), expected);
        assert_eq!(
            resolve(&super::super::tests::args(), &Environment::default()).unwrap(),
            ReviewTerms::default()
        );
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_name() {
        let environment =
            Environment { review_backoff_sec: Some("soon".to_owned()), ..Environment::default() };
        let error = resolve(&args(), &environment).unwrap_err().to_string();
        assert!(error.starts_with(BACKOFF_SEC), "{error}");
    }
}
