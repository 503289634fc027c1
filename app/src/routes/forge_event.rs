//! Events of a forge (webhooks), which say that there is something to look at.
//!
//! Invariant: nothing is looked at in an event before its signature is right, and nothing in it decides
//! anything: the forge is asked.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::URL;
use crate::error::ApiError;
use crate::forge::ForgeAddress;
use crate::receive::{BODY_MAX, receive};
use crate::review::webhook::{Subject, is_signed, subject};
use crate::setting::Settings;
use crate::state::App;
use crate::store::InReview;

/// Has the pull request of an event looked at: 202, whether there is one or not. 401 for a signature that
/// is wrong; 404 where no secret is set.
pub(crate) async fn receive_event(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let body = receive(body, BODY_MAX).await?;
    let nudge = app.nudge().ok_or(URL)?;
    let settings = app.store.settings().await?;
    let secret = settings.webhook_secret().ok_or(URL)?;
    if !is_signed(secret, &headers, &body) {
        tracing::warn!("an event with a wrong signature was refused");
        return Err(ApiError::WrongSignature);
    }
    // A form, or an event of nothing that is known here, is none of ours.
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(subject) = subject(&event) {
        let all = app.store.in_review().await?;
        for at in all.into_iter().filter(|at| is_about(&subject, at, &settings)) {
            nudge.look_at(at.ticket);
        }
    }
    Ok(StatusCode::ACCEPTED)
}

fn is_about(subject: &Subject, at: &InReview, settings: &Settings) -> bool {
    let (kind, api) = settings.forge();
    let named = ForgeAddress::new(&at.repo_url, kind, api)
        .is_ok_and(|address| address.is_called(&subject.repository));
    named && subject.numbers.contains(&at.pr_number)
}
