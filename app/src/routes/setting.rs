//! Settings.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};

use crate::body::Fields;
use crate::clock::Timestamp;
use crate::error::ApiError;
use crate::setting::changes;
use crate::state::App;

/// All settings; sensitive ones as true or false.
pub(crate) async fn show(State(app): State<App>) -> Result<Json<Map<String, Value>>, ApiError> {
    Ok(Json(app.store.settings().await?.public(app.key())))
}

/// Changes the settings that the body has; null or a blank unsets. Answers as [`show`].
pub(crate) async fn change(
    State(app): State<App>,
    fields: Fields,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let changes = changes(fields.into_rest())?;
    let names: Vec<&str> = changes.iter().map(|(name, _)| *name).collect();
    tracing::info!(?names, "settings changed");
    let settings = app.store.change_settings(changes, Timestamp::now());
    Ok(Json(settings.await?.public(app.key())))
}
