//! Every URL of the server, and what all requests go through: access log, time limit, key.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};

use crate::auth;
use crate::error::ApiError;
use crate::routes::{
    URL, forge_event, health, hook, job, log, memory, openapi, project, setting, ticket, worker,
};
use crate::state::App;

/// Longest time for one request, its body included.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

macro_rules! routes {
    ($routes:ident $list:ident: $($method:ident $path:literal $handler:path;)*) => {
        /// Method and path of each of these routes.
        #[cfg(test)]
        const $list: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        fn $routes() -> Router<App> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

// The first part is the API of the original app, the second is ours. What each takes and answers is in
// docs/worker-api.openapi.json.
routes! {
    keyed_routes KEYED:
    post "/api/worker/jobs/start" worker::start;
    post "/api/worker/jobs/{job}/complete" worker::complete;
    post "/api/worker/jobs/{job}/fail" worker::fail;
    post "/api/worker/jobs/{job}/park" worker::park;
    get "/api/projects/{project}/tickets/{ticket}/worker-context" worker::context;
    post "/api/projects/{project}/tickets/{ticket}/logs" log::add;
    get "/api/projects/{project}/tickets/{ticket}/logs" log::list;
    post "/api/projects/{project}/tickets/{ticket}/complete" ticket::complete;
    post "/api/projects/{project}/tickets/{ticket}/cancel" ticket::cancel;
    get "/api/projects/{project}/tickets/{ticket}/cancel-requested" ticket::cancel_requested;
    post "/api/projects/{project}/memory/retrieve" memory::retrieve;
    post "/api/projects/{project}/memory/index" memory::index;
    get "/api/settings" setting::show;
    put "/api/settings" setting::change;

    post "/api/worker/jobs/{job}/heartbeat" worker::heartbeat;
    get "/api/worker/queue" worker::queue;
    post "/api/worker/jobs/{job}/retry" job::retry;
    post "/api/projects/{project}/tickets/{ticket}/checkpoints" hook::add_checkpoints;
    get "/api/projects/{project}/tickets/{ticket}/checkpoints" hook::list_checkpoints;
    post "/api/projects/{project}/tickets/{ticket}/follow-ups" hook::propose;
    get "/api/health" health::show;
    get "/api/openapi.json" openapi::show;
    get "/api/projects" project::list;
    post "/api/projects" project::create;
    get "/api/projects/{project}" project::show;
    patch "/api/projects/{project}" project::edit;
    delete "/api/projects/{project}" project::delete;
    get "/api/projects/{project}/tickets" ticket::list;
    post "/api/projects/{project}/tickets" ticket::create;
    get "/api/projects/{project}/tickets/{ticket}" ticket::show;
    patch "/api/projects/{project}/tickets/{ticket}" ticket::edit;
    delete "/api/projects/{project}/tickets/{ticket}" ticket::delete;
    post "/api/projects/{project}/tickets/{ticket}/reviews" job::enqueue_review;
    get "/api/projects/{project}/memory" memory::list;
    delete "/api/projects/{project}/memory" memory::delete_all;
    delete "/api/projects/{project}/memory/{memory}" memory::delete;
    get "/api/tickets/{ticket}" ticket::find;
    get "/api/jobs" job::list;
    get "/api/jobs/{job}" job::show;
}

// A forge does not have the key: its events are signed.
routes! {
    signed_routes SIGNED:
    post "/api/forge-events" forge_event::receive_event;
}

/// All routes, and what every request goes through.
pub(crate) fn router(app: App) -> Router {
    keyed_routes()
        .fallback(async || URL)
        .layer(from_fn_with_state(app.clone(), auth::require_key))
        .merge(signed_routes())
        .layer(from_fn(limit_time))
        .layer(from_fn(log_access))
        .with_state(app)
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => ApiError::TooSlow.into_response(),
    }
}

/// The path alone: no query, header or body is logged.
async fn log_access(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    let response = next.run(request).await;
    tracing::debug!(
        %method,
        path,
        status = response.status().as_u16(),
        ms = started.elapsed().as_millis(),
        "request"
    );
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_published_description_has_the_routes_that_there_are_and_no_others() {
        let document: Value = serde_json::from_str(openapi::DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
                methods.map(move |method| (method.as_str(), path.as_str()))
            })
            .collect();
        assert_eq!(described, KEYED.iter().chain(SIGNED).copied().collect());
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
