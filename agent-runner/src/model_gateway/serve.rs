//! What becomes of a request: judged, passed on with the real key, answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api_client::http;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::time::timeout;

use super::Gate;
use super::answer::{self, Body, Stream};
use super::call::Call;
use super::limit::wait_of;
use super::provider::{self, Provider};
use super::refusal::Refusal;
use super::request::{self, KeyPlace, Outgoing};
use super::wire::{Operation, Route, Wire};

/// Largest request that is read, in bytes.
const REQUEST_MAX: usize = 32 << 20;

/// How long a request may take to arrive.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// Longest wait for a provider's limit that is left to the caller.
const WAIT_OF_CALLERS: Duration = Duration::from_secs(60);

/// Answers one request, whatever it is.
pub(super) async fn serve(gate: Arc<Gate>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let refusal = match pass_on(&gate, &head, body).await {
        Ok(response) => return response,
        Err(refusal) => refusal,
    };
    let wire = Wire::of_client(head.uri.path(), &head.headers);
    tracing::info!(status = refusal.status.as_u16(), "model call refused: {}", refusal.message);
    refused(&gate, wire, &refusal)
}

async fn pass_on(
    gate: &Arc<Gate>,
    head: &Parts,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let place = request::key_place(head, &gate.placeholder)?;
    let route = Route::of(gate.main.base().path(), &head.method, head.uri.path())?;
    if let Some(how) = gate.ledger.how() {
        return Err(Refusal::budget(&how));
    }
    let Ok(turn) = Arc::clone(&gate.turns).acquire_owned().await else {
        return Err(gate.exhausted());
    };
    let outgoing = request::outgoing(&route, read(body).await?)?;
    // A list asks for no model.
    if route.operation != Operation::ListModels {
        gate.admits(&outgoing.model)?;
    }
    let call = Call::begin(&gate.ledger, route, &outgoing, turn);
    let mut call = call.map_err(|how| Refusal::budget(&how))?;
    let answer = ask(gate, &mut call, (head, place), &outgoing).await;
    match answer.and_then(uncompressed) {
        Ok(upstream) => Ok(respond(gate, call, upstream, &outgoing).await),
        Err(refusal) => Ok(refused_in(gate, call, &refusal)),
    }
}

/// The beginning of an answer: the provider's, or, where that one gives none, of the one that stands in.
async fn ask(
    gate: &Gate,
    call: &mut Call,
    asked: (&Parts, KeyPlace),
    outgoing: &Outgoing,
) -> Result<reqwest::Response, Refusal> {
    let main = gate.main.base();
    let request = |to: &Provider| to.request(&gate.client, main, asked, outgoing);
    let answer = answered(gate, call, request(&gate.main)).await;
    let Some(fallback) = &gate.fallback else { return answer };
    let Some(why) = provider::failure(&answer) else { return answer };
    tracing::warn!(why, "the model's fallback is asked");
    call.goes_to(fallback.role(), outgoing.expected);
    answered(gate, call, request(fallback)).await
}

/// The beginning of a provider's answer.
async fn answered(
    gate: &Gate,
    call: &mut Call,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, Refusal> {
    let unreachable = |error| {
        let message = format!("the provider cannot be reached: {}", http::describe(error));
        Refusal::new(StatusCode::BAD_GATEWAY, message)
    };
    let upstream = tokio::select! {
        biased;
        () = gate.ledger.exhausted().cancelled() => return Err(gate.exhausted()),
        upstream = timeout(gate.silence.before, request.send()) => upstream,
    };
    let upstream = upstream.map_err(|_| Gate::silent(gate.silence.before))?.map_err(|error| {
        call.costs_nothing();
        unreachable(error)
    })?;
    let wait = wait_of(upstream.status(), upstream.headers(), SystemTime::now());
    call.answered(upstream.status(), wait);
    Ok(upstream)
}

fn uncompressed(upstream: reqwest::Response) -> Result<reqwest::Response, Refusal> {
    let encoding = upstream.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        let message = "the provider's answer is compressed, though that was not asked for";
        return Err(Refusal::new(StatusCode::BAD_GATEWAY, message));
    }
    Ok(upstream)
}

/// The provider's answer for the caller, as it comes where that is possible.
async fn respond(
    gate: &Arc<Gate>,
    mut call: Call,
    upstream: reqwest::Response,
    outgoing: &Outgoing,
) -> Response<Body> {
    let status = upstream.status();
    let headers = answer::headers(gate, upstream.headers());
    let framing = answer::framing(&call, &headers).filter(|_| status.is_success());
    let body = match framing {
        Some(framing) => {
            let gate = Arc::clone(gate);
            Stream::new(gate, call, upstream, framing, outgoing.added_usage).into_body()
        }
        None => match answer::read_whole(gate, &mut call, upstream).await {
            Ok(body) => answer::whole(body),
            Err(refusal) => return refused_in(gate, call, &refusal),
        },
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if status == StatusCode::TOO_MANY_REQUESTS && gate.ledger.wait() > Some(WAIT_OF_CALLERS) {
        // The run pauses as a whole: a caller that waits would only hold it up.
        response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let late = || Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time");
    let body = timeout(REQUEST_LIMIT, Limited::new(body, REQUEST_MAX).collect()).await;
    let body = body.map_err(|_| late())?.map_err(|error| {
        let message = format!("the request cannot be read (at most {REQUEST_MAX} bytes): {error}");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    })?;
    Ok(body.to_bytes())
}

/// The end of a call that was let through.
fn refused_in(gate: &Gate, mut call: Call, refusal: &Refusal) -> Response<Body> {
    call.refuse(refusal);
    refused(gate, call.route().wire, refusal)
}

fn refused(gate: &Gate, wire: Wire, refusal: &Refusal) -> Response<Body> {
    let body = answer::redacted(&gate.redactor, wire.error(refusal).to_string().into());
    let mut response = Response::new(answer::whole(body));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if refusal.is_budget {
        // The SDKs of both providers that have one ask this before they try again.
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}
