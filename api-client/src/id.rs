//! Typed identifiers. All of them are UUIDs on the wire, so a parsed id is always safe as a
//! container name, a file name or a URL path segment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text was not a UUID.
#[derive(Debug, thiserror::Error)]
#[error("{what} must be a UUID, got {text:?}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random id (version 4).
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The first eight hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                let text = self.0.simple().to_string();
                text.chars().take(8).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text.trim())
                    .map(Self)
                    .map_err(|_| InvalidId { what: $what, text: text.chars().take(80).collect() })
            }
        }
    };
}

id! {
    /// One unit of work in the app's queue.
    JobId, "a job id"
}
id! {
    /// A ticket on a project's board.
    TicketId, "a ticket id"
}
id! {
    /// A project of the app.
    ProjectId, "a project id"
}

id! {
    /// One attempt to get a job, chosen by whoever claims.
    ClaimId, "a claim id"
}

id! {
    /// A passage of a project's memory.
    MemoryId, "a memory id"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_safe_as_a_file_name() {
        for text in ["../../etc/passwd", "", "x", "7635cc54-0000-0000-0000-00000000000/"] {
            assert!(JobId::from_str(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_prints_as_it_was_written() {
        let text = "93863a0a-985e-474b-a6b2-40a89654e6bf";
        let id: TicketId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.short(), "93863a0a");
    }

    #[test]
    fn the_error_names_what_was_expected() {
        let error = ProjectId::from_str("five").unwrap_err();
        assert_eq!(error.to_string(), "a project id must be a UUID, got \"five\"");
    }
}
