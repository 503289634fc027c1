//! Delivering notifications, one after the other, each tried until it is taken or cannot be.

use std::time::Duration;

use api_client::http::{Network, describe};
use api_client::wire::AgentEnv;
use api_client::{Secret, delays};
use backon::BackoffBuilder;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Event;
use super::payload::{About, body, name};
use super::queue::Queue;
use super::signature::signature;
use crate::clock::now;
use crate::context::Context;
use crate::history::kept;
use crate::renewed::Renewed;

/// Name of this program and its version.
const USER_AGENT: &str = concat!("terarchitect-coordinator/", env!("CARGO_PKG_VERSION"));

/// Longest time for one try.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often one is tried: over about four minutes.
const TRIES: usize = 8;

/// Longest pause that the receiver can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// A notification, as it is sent each time it is tried.
#[derive(Debug)]
struct Notification {
    event: &'static str,
    delivery: String,
    body: String,
}

/// A try that failed.
#[derive(Debug)]
enum Refusal {
    /// Another may do better: after this time, where the receiver said one.
    Passing(String, Option<Duration>),
    /// It will not.
    Lasting(String),
}

/// Delivers what comes, until `end`; then what is left, each in one try.
pub(super) async fn run(ctx: &Context, events: &Queue, end: &CancellationToken) {
    let mut http = match client(ctx) {
        Ok(http) => http,
        Err(problem) => {
            tracing::error!("no notifications: {problem}");
            return;
        }
    };
    while let Some(event) = next(events, end).await {
        let notification = written(ctx, &event).await;
        if let Err(problem) = deliver(ctx, &mut http, &notification, end).await {
            ctx.notifier.not_delivered(event);
            tracing::warn!("a notification ({}) is not delivered: {problem}", notification.event);
        }
        let left_out = ctx.notifier.left_out.tell();
        if left_out > 0 {
            tracing::warn!("{left_out} notifications are left out: newer ones waited as well");
        }
    }
}

/// Delivers one in one try.
pub(super) async fn once(ctx: &Context, event: &Event) -> Result<(), String> {
    let (mut http, end) = (client(ctx)?, CancellationToken::new());
    end.cancel();
    deliver(ctx, &mut http, &written(ctx, event).await, &end).await
}

fn client(ctx: &Context) -> Result<Renewed<Client>, String> {
    let client = Renewed::new(ctx.config().app.network.anonymous(), new_client);
    client.map_err(|error| format!("cannot set up HTTP: {}", describe(error)))
}

fn new_client(network: &Network) -> Result<Client, reqwest::Error> {
    network.client(USER_AGENT)?.timeout(TIMEOUT).build()
}

async fn next(events: &Queue, end: &CancellationToken) -> Option<Event> {
    match end.run_until_cancelled(events.next()).await {
        Some(event) => Some(event),
        None => events.next_now(),
    }
}

async fn written(ctx: &Context, event: &Event) -> Notification {
    let ended = match event {
        Event::JobEnded(end) => kept(ctx, &end.record).await,
        _ => None,
    };
    let redactor = ctx.redactor(&AgentEnv::default());
    let about = About {
        coordinator: &ctx.id.to_string(),
        at: now(),
        ended: ended.as_ref(),
        redact: &|text| redactor.redact(text).into_owned(),
    };
    Notification {
        event: name(event),
        delivery: Uuid::new_v4().to_string(),
        body: body(event, &about).to_string(),
    }
}

async fn deliver(
    ctx: &Context,
    http: &mut Renewed<Client>,
    notification: &Notification,
    end: &CancellationToken,
) -> Result<(), String> {
    let mut waits = delays(TRIES).build();
    loop {
        let config = ctx.config();
        // It may have been taken away meanwhile.
        let Some(webhook) = &config.notify.webhook else { return Ok(()) };
        let http = http.by(config.app.network.anonymous(), new_client).map_err(describe)?;
        let tried = send(http, webhook, config.notify.secret.as_ref(), notification).await;
        let (problem, asked) = match tried {
            Ok(()) => return Ok(()),
            Err(Refusal::Lasting(problem)) => return Err(problem),
            Err(Refusal::Passing(problem, asked)) => (problem, asked),
        };
        let Some(wait) = waits.next().filter(|_| !end.is_cancelled()) else { return Err(problem) };
        tracing::debug!("a notification is tried again: {problem}");
        let wait = asked.map_or(wait, |asked| asked.clamp(wait, LONGEST_RETRY_AFTER));
        let _over = end.run_until_cancelled(sleep(wait)).await;
    }
}

async fn send(
    http: &Client,
    webhook: &Secret,
    secret: Option<&Secret>,
    notification: &Notification,
) -> Result<(), Refusal> {
    let timestamp = now();
    let mut request = http
        .post(webhook.expose())
        .header(CONTENT_TYPE, "application/json")
        .header("X-Terarchitect-Event", notification.event)
        .header("X-Terarchitect-Delivery", &notification.delivery)
        .header("X-Terarchitect-Timestamp", timestamp);
    if let Some(secret) = secret {
        let signature = signature(secret, timestamp, &notification.body);
        request = request.header("X-Terarchitect-Signature", signature);
    }
    let answer = request.body(notification.body.clone()).send().await;
    let answer = answer.map_err(|error| Refusal::Passing(describe(error), None))?;
    let status = answer.status();
    let problem = || format!("the webhook answered {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        408 | 429 | 500..=599 => {
            let asked = answer.headers().get(reqwest::header::RETRY_AFTER);
            let asked = asked.and_then(|asked| asked.to_str().ok()?.trim().parse().ok());
            Err(Refusal::Passing(problem(), asked.map(Duration::from_secs)))
        }
        _ => Err(Refusal::Lasting(problem())),
    }
}
