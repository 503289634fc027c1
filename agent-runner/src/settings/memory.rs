//! Whether a run has to do with the project's memory.

use api_client::contract::env;

use super::{Layers, SettingsError};

/// Whether a run asks the project's memory and adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryUse {
    /// Where the app has one.
    On,
    /// It does not.
    Off,
}

impl MemoryUse {
    /// On where nothing is said.
    ///
    /// # Errors
    /// When the setting is neither `1` nor `0`.
    pub(super) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let found = layers.find(env::AGENT_PROJECT_MEMORY);
        Ok(match found.map(|memory| memory.switch()).transpose()? {
            Some(true) | None => Self::On,
            Some(false) => Self::Off,
        })
    }
}
