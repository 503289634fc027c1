//! Which coordinator this is: an id kept in the state directory, by which a coordinator knows its
//! own containers among those of others on the same engine.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::ledger::{Existing, write_durably};

/// The id of one state directory's coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoordinatorId(Uuid);

impl CoordinatorId {
    /// Reads the id, or makes it at the first start. A damaged file is an error: with another id
    /// the containers of before would be nobody's.
    pub(crate) fn load_or_make(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("coordinator-id");
        match fs::read_to_string(&path) {
            Ok(text) => Uuid::parse_str(text.trim()).map(Self).map_err(|_| {
                let problem = format!("{} does not hold a UUID", path.display());
                io::Error::new(io::ErrorKind::InvalidData, problem)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = Self(Uuid::new_v4());
                write_durably(state_dir, &path, format!("{id}\n").as_bytes(), Existing::Keep)
                    .map_err(io::Error::other)?;
                Ok(id)
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_keeps_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let id = CoordinatorId::load_or_make(dir.path()).unwrap();
        assert_eq!(CoordinatorId::load_or_make(dir.path()).unwrap(), id);
    }

    #[test]
    fn a_damaged_id_is_an_error_and_not_a_new_id() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("coordinator-id"), "x").unwrap();
        assert!(CoordinatorId::load_or_make(dir.path()).is_err());
    }
}
