//! What every request passes first: it is recorded, and a fault may strike.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::Forge;
use super::fault::{Fault, Moment};

/// Records, applies faults, and answers 503 to what is running at shutdown.
pub(super) async fn pass(
    State(forge): State<Arc<Forge>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().to_string();
    if path.starts_with("/_test/") {
        return next.run(request).await;
    }
    let number = forge.requests.arrived(&request);
    let fault = forge.faults.take(request.method(), &path);
    let response = tokio::select! {
        () = forge.cancel.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        response = answer(fault, &path, request, next) => response,
    };
    forge.requests.answered(number, response.status());
    response
}

async fn answer(fault: Option<Fault>, path: &str, request: Request, next: Next) -> Response {
    let Some(fault) = fault else {
        return next.run(request).await;
    };
    match fault.moment {
        // A client that is still sending would see a broken connection
        // instead of the status, so all it sends is read first.
        Moment::Before => drain(request.into_body()).await,
        Moment::After => drain(next.run(request).await.into_body()).await,
    }
    tokio::time::sleep(fault.delay()).await;
    fault.answer(path)
}

async fn drain(body: Body) {
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        if let Err(error) = chunk {
            tracing::debug!(%error, "a body ended early while a fault discarded it");
            return;
        }
    }
}
