//! Which pull request a review job is of, and whose comments it answers.

use api_client::contract::env;
use api_client::{ReviewAuthors, Secret};

use super::{Layers, SettingsError};
use crate::cli::Kind;

/// The least of a key, in bytes.
const KEY_MIN: usize = 32;

/// Those whose comments the review answers: those of the setting, else the usual ones.
///
/// # Errors
/// When the setting names nobody, or everybody.
pub(super) fn authors(layers: &Layers) -> Result<ReviewAuthors, SettingsError> {
    let found = layers.find(env::AGENT_REVIEW_AUTHORS).map(|authors| authors.parse());
    Ok(found.transpose()?.unwrap_or_default())
}

/// What seals the notes that it leaves in the pull request: the forge's token, where there is nothing else. Whoever
/// knows it can put words into the agent's mouth, so it is not the app's to choose.
///
/// # Errors
/// When it is so short that somebody could find it out: everybody can read the notes and their seals.
pub(super) fn key(layers: &Layers, token: &Secret) -> Result<Secret, SettingsError> {
    let Some(key) = layers.handed_over(env::AGENT_REVIEW_KEY) else { return Ok(token.clone()) };
    match key.secret().expose().len() >= KEY_MIN {
        true => Ok(key.secret()),
        false => Err(key.invalid(&format!("must have {KEY_MIN} characters or more"))),
    }
}

/// The number of the pull request that a review is of.
pub(super) fn pull_request(layers: &Layers, kind: Kind) -> Result<Option<u64>, SettingsError> {
    if kind != Kind::Review {
        return Ok(None);
    }
    let found = layers.required(env::PR_NUMBER, "the number of the pull request to answer")?;
    Ok(Some(u64::from(found.number(u32::MAX)?)))
}
