//! Errors of the engine: what was attempted, on what, and whether the engine itself was reached.

use std::fmt;
use std::time::Duration;

use api_client::error_chain;
use bollard::errors::Error as BollardError;

/// A call to the engine that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The engine answered with an error.
    #[error("the engine could not {action} {object}: {message} (HTTP {status})")]
    Refused { action: &'static str, object: String, status: u16, message: String },
    /// The engine has no addresses left for one more network.
    #[error(
        "the engine has no address range left for one more network ({message}): remove networks that \
         nobody uses (`docker network prune`), or give it more by default-address-pools in its \
         daemon.json"
    )]
    NoAddresses { message: String },
    /// The engine took the request for a runtime and left it at that.
    #[error(
        "the engine does not run the container with the runtime {asked}, but with {given}: it takes \
         none over its API"
    )]
    RuntimeIgnored { asked: String, given: String },
    /// The engine was not reached, or the connection broke.
    #[error("the engine could not be reached to {action} {object}: {problem}; is Docker running?")]
    Unreachable { action: &'static str, object: String, problem: String },
    /// The engine was at work and came no further.
    #[error(
        "the engine could not {action} {object}: no progress for {} s ({far}); is its registry \
         reached from the engine's host?", limit.as_secs_f64()
    )]
    Stalled { action: &'static str, object: String, limit: Duration, far: String },
}

impl EngineError {
    pub(super) fn new(action: &'static str, object: &str, error: BollardError) -> Self {
        let object = object.to_owned();
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                let message = message.trim().to_owned();
                Self::Refused { action, object, status: status_code, message }
            }
            // A stream of progress that ends in an error, as a pull does.
            BollardError::DockerStreamError { error } => {
                Self::Refused { action, object, status: 200, message: error }
            }
            other => Self::Unreachable { action, object, problem: error_chain(&other) },
        }
    }

    pub(super) fn timed_out(action: &'static str, object: &str, limit: Duration) -> Self {
        let problem = format!("no answer within {} s", limit.as_secs());
        Self::Unreachable { action, object: object.to_owned(), problem }
    }

    pub(super) fn silent(action: &'static str, object: &str, limit: Duration) -> Self {
        let problem = format!("it said nothing for {} min", limit.as_secs() / 60);
        Self::Unreachable { action, object: object.to_owned(), problem }
    }

    pub(super) fn stalled(
        action: &'static str,
        object: &str,
        limit: Duration,
        far: &impl fmt::Display,
    ) -> Self {
        Self::Stalled { action, object: object.to_owned(), limit, far: far.to_string() }
    }

    /// Whether the engine has no image of that name.
    pub(crate) fn is_no_such_image(&self) -> bool {
        match self {
            Self::Refused { status: 404, message, .. } => {
                message.to_ascii_lowercase().contains("no such image")
            }
            _ => false,
        }
    }

    /// Whether the engine has no such call: Podman's words for what it leaves out of Docker's API.
    pub(super) fn is_not_offered(&self) -> bool {
        match self {
            Self::Refused { message, .. } => message.contains("is not supported"),
            _ => false,
        }
    }

    /// Whether the engine's storage cannot limit what a container takes of the disk.
    pub(super) fn is_about_disk_limits(&self) -> bool {
        match self {
            Self::Refused { message, .. } => {
                let message = message.to_ascii_lowercase();
                ["storage-opt", "storage opt", "pquota"].iter().any(|part| message.contains(part))
            }
            Self::NoAddresses { .. }
            | Self::RuntimeIgnored { .. }
            | Self::Unreachable { .. }
            | Self::Stalled { .. } => false,
        }
    }

    /// What the engine says of a network that it did not make.
    pub(super) fn of_network(self) -> Self {
        match self {
            Self::Refused { message, .. } if message.contains("address pool") => {
                Self::NoAddresses { message }
            }
            other => other,
        }
    }

    /// Whether there was no answer.
    pub(super) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    pub(super) const fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    pub(super) fn still_there(action: &'static str, object: &str) -> Self {
        let message = "it says that it did, and still has it".to_owned();
        Self::Refused { action, object: object.to_owned(), status: 200, message }
    }

    /// Whether the name is taken: 409, or 500 "already in use" from Podman.
    pub(crate) fn is_name_taken(&self) -> bool {
        match self {
            Self::Refused { status: 409, .. } => true,
            Self::Refused { status: 500, message, .. } => message.contains("already in use"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> EngineError {
        let error = BollardError::DockerResponseServerError {
            status_code: status,
            message: message.to_owned(),
        };
        EngineError::new("create container", "terarchitect-1", error)
    }

    #[test]
    fn a_taken_name_is_told_from_other_refusals_on_docker_and_podman() {
        assert!(refused(409, "Conflict").is_name_taken());
        assert!(refused(500, "the container name is already in use").is_name_taken());
        assert!(!refused(500, "no space left on device").is_name_taken());
    }

    #[test]
    fn a_want_of_addresses_is_told_with_its_cure() {
        let message = "could not find an available, non-overlapping IPv4 address pool among the \
                       defaults to assign to the network";
        let error = refused(404, message).of_network().to_string();
        assert!(error.contains("default-address-pools"), "{error}");
        let other = refused(403, "no").of_network();
        assert!(matches!(other, EngineError::Refused { status: 403, .. }));
    }

    #[test]
    fn the_message_says_what_was_attempted_on_what() {
        let text = refused(404, "No such image: x:latest").to_string();
        assert_eq!(
            text,
            "the engine could not create container terarchitect-1: No such image: x:latest (HTTP 404)"
        );
    }
}
