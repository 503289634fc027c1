//! Pulls of images, whoever asks for them: one of an image at a time, which all who want it wait for,
//! and none within a minute of another, whether that one brought the image or not.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api_client::error_chain;

use crate::engine::Engine;
use crate::registry_login::{Login, login_for};

/// A registry is asked for an image no more often than this.
const PAUSE: Duration = Duration::from_secs(60);

/// What has been pulled, and what is.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<HashMap<String, Arc<Turn>>>);

/// How an image is pulled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pull<'a> {
    /// The image.
    pub(crate) image: &'a str,
    /// Folder of Docker's own configuration.
    pub(crate) logins: Option<&'a Path>,
    /// How long there may be no progress.
    pub(crate) patience: Duration,
}

/// One image. Whoever pulls it holds this until that is done: the others wait for just that.
type Turn = tokio::sync::Mutex<Option<Pulled>>;

#[derive(Debug)]
struct Pulled {
    at: Instant,
    problem: Option<String>,
}

impl Pulls {
    /// Pulls an image, or takes what came of a pull that is under way or was done a moment ago.
    ///
    /// # Errors
    /// Why it was not pulled, in words.
    pub(crate) async fn pull(&self, engine: &Engine, pull: Pull<'_>) -> Result<(), String> {
        let turn = self.turn(pull.image);
        let mut last = turn.lock().await;
        if let Some(pulled) = last.as_ref().filter(|pulled| pulled.at.elapsed() < PAUSE) {
            return pulled.problem.clone().map_or(Ok(()), Err);
        }
        let problem = pull_now(engine, pull).await.err();
        *last = Some(Pulled { at: Instant::now(), problem: problem.clone() });
        problem.map_or(Ok(()), Err)
    }

    /// The image is there: what came of an earlier pull does not count any more.
    pub(crate) fn forget(&self, image: &str) {
        let images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is being pulled just now has nothing to forget yet.
        if let Some(mut last) = images.get(image).and_then(|turn| turn.try_lock().ok()) {
            *last = None;
        }
    }

    fn turn(&self, image: &str) -> Arc<Turn> {
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(images.entry(image.to_owned()).or_default())
    }
}

/// What a registry says to a pull that is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// The image could be pulled.
    Offered,
    /// It could not; why, in words.
    Refused(String),
    /// The engine cannot ask.
    Unknown,
}

/// Asks the registry of an image whether it could be pulled, and fetches nothing.
pub(crate) async fn ask_registry(engine: &Engine, image: &str, logins: Option<&Path>) -> Offer {
    let (login, no_login) = match login(logins, image).await {
        Ok(login) => (login, None),
        Err(problem) => (None, Some(problem)),
    };
    match engine.ask_registry(image, login.as_ref()).await {
        Ok(true) => Offer::Offered,
        Ok(false) => Offer::Unknown,
        Err(error) => Offer::Refused(with_login_problem(error_chain(&error), no_login)),
    }
}

async fn pull_now(engine: &Engine, pull: Pull<'_>) -> Result<(), String> {
    let Pull { image, logins, patience } = pull;
    let (login, no_login) = match login(logins, image).await {
        Ok(login) => (login, None),
        Err(problem) => {
            tracing::warn!(image, "pulling without a login: {problem}");
            (None, Some(problem))
        }
    };
    tracing::info!(image, login = login.is_some(), "pulling the agent image");
    let begun = Instant::now();
    match engine.pull(image, login.as_ref(), patience).await {
        Ok(()) => {
            tracing::info!(image, "pulled in {:.1} s", begun.elapsed().as_secs_f64());
            Ok(())
        }
        Err(error) => Err(with_login_problem(error_chain(&error), no_login)),
    }
}

fn with_login_problem(problem: String, no_login: Option<String>) -> String {
    match no_login {
        Some(why) => format!("{problem}; no login: {why}"),
        None => problem,
    }
}

async fn login(folder: Option<&Path>, image: &str) -> Result<Option<Login>, String> {
    let Some(folder) = folder else { return Ok(None) };
    login_for(folder, image).await.map_err(|error| error_chain(&error))
}

#[cfg(test)]
mod tests;
