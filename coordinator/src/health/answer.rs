//! One answer for each path.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::assess::{VERSION, Verdict};
use super::sights::{health_of, readiness, sights};
use crate::context::Context;
use crate::metrics::page;
use crate::watchdog::alive;

const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers a request.
pub(super) async fn answer<B>(ctx: &Context, request: &Request<B>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = told(StatusCode::METHOD_NOT_ALLOWED, &problem("only GET is answered"));
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/live" => match alive(ctx) {
            Ok(()) => told(StatusCode::OK, &json!({ "version": VERSION, "live": true })),
            Err(hangs) => {
                let reason = hangs.to_string();
                let body = json!({ "version": VERSION, "live": false, "reason": reason });
                told(StatusCode::SERVICE_UNAVAILABLE, &body)
            }
        },
        "/ready" => {
            let ready = readiness(ctx);
            told(if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &ready)
        }
        "/health" => {
            let health = health_of(ctx).await;
            let status = match health.status {
                Verdict::Healthy | Verdict::Degraded => StatusCode::OK,
                Verdict::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
            };
            told(status, &health)
        }
        "/metrics" => response(StatusCode::OK, PROMETHEUS, page(&sights(ctx).await)),
        _ => {
            let known = problem("there are /live, /ready, /health and /metrics");
            told(StatusCode::NOT_FOUND, &known)
        }
    }
}

fn problem(words: &str) -> serde_json::Value {
    json!({ "version": VERSION, "problem": words })
}

fn told(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_string(body) {
        Ok(text) => response(status, JSON, text + "\n"),
        Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    }
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
