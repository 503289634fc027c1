//! The models that may be the Director, in their order: each is asked again as long as that may help, then
//! the next one.

use std::time::{Duration, Instant};

use api_client::http::http_client;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::endpoint::{Asked, Endpoint, Failure, KEY_NAMES, Then};
use super::error::DirectorError;
use super::wire::{Question, Said};
use crate::model_gateway::Account;
use crate::settings::DirectorSettings;

/// How often one model is asked the same.
const TRIES: usize = 6;

/// How often a question is changed for one model: three of its parts may be too much.
const ADAPTATIONS: usize = 4;

/// The longest time that a model's wish for a pause is followed; beyond it the next one is asked.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How long one model may take for one question, with all tries and pauses: at least so long, and twice the limit
/// of one call.
const SHARE_MIN: Duration = Duration::from_secs(600);

const USER_AGENT: &str = concat!("agent-runner/", env!("CARGO_PKG_VERSION"));

/// All models, of which one answers.
#[derive(Debug)]
pub(super) struct Chain {
    http: reqwest::Client,
    endpoints: Vec<Endpoint>,
    /// Who answered last.
    last: usize,
    limit: Duration,
    share_min: Duration,
    pauses: ExponentialBuilder,
    account: Account,
}

impl Chain {
    /// The models of these settings.
    ///
    /// # Errors
    /// When a key or the HTTP client cannot be used.
    pub(super) fn new(
        settings: &DirectorSettings,
        account: Account,
    ) -> Result<Self, DirectorError> {
        let http = http_client(USER_AGENT).build().map_err(DirectorError::Client)?;
        let [main, fallback] = KEY_NAMES;
        let mut endpoints = vec![Endpoint::new(&settings.main, main)?];
        for model in &settings.fallbacks {
            endpoints.push(Endpoint::new(model, fallback)?);
        }
        let pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_secs(2))
            .with_max_delay(Duration::from_secs(60))
            .with_max_times(TRIES - 1)
            .with_jitter();
        Ok(Self {
            http,
            endpoints,
            last: 0,
            limit: settings.call_limit,
            share_min: SHARE_MIN,
            pauses,
            account,
        })
    }

    /// The same, where one model has no more time than its calls may take.
    #[cfg(test)]
    pub(super) const fn within_its_calls(&mut self) {
        self.share_min = Duration::ZERO;
    }

    /// The same without long pauses between the tries.
    #[cfg(test)]
    pub(super) fn in_a_hurry(&mut self) {
        self.pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(1))
            .with_max_times(TRIES - 1);
    }

    /// The model that answered last, else the first.
    pub(super) fn model(&self) -> &str {
        self.endpoints.get(self.last).map_or("", |endpoint| endpoint.model.as_str())
    }

    /// Asks until one of them answers: each in its order, those that are to be left alone for a while once and
    /// after the others.
    ///
    /// # Errors
    /// When none does in its time, the budget is used up, or `stop` is cancelled.
    pub(super) async fn ask(
        &mut self,
        question: &Question<'_>,
        stop: &CancellationToken,
    ) -> Result<Said, DirectorError> {
        let (now, mut failures) = (Instant::now(), Vec::new());
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.breaker.question_begins(now));
        for (index, tries) in self.order(now) {
            let share = self.share();
            let asked = timeout(share, self.ask_one(index, question, tries));
            let asked = stop.run_until_cancelled(asked).await.ok_or_else(|| self.stopped())?;
            let asked = match asked {
                Ok(asked) => asked?,
                Err(_) => Err(format!("it gave none within {} s", share.as_secs())),
            };
            let Some(endpoint) = self.endpoints.get_mut(index) else { break };
            match asked {
                Ok(said) => {
                    endpoint.breaker.answered();
                    self.last = index;
                    return Ok(said);
                }
                Err(why) => {
                    endpoint.breaker.failed(Instant::now());
                    let failure = format!("{}: {why}", endpoint.name());
                    tracing::warn!("the Director's model gives no answer: {failure}");
                    failures.push(failure);
                }
            }
        }
        Err(self.nobody(failures))
    }

    /// What it comes to that none of them answered. Whoever lets us in first is asked then.
    fn nobody(&self, failures: Vec<String>) -> DirectorError {
        let resets = self.endpoints.iter().filter_map(|endpoint| endpoint.breaker.reset());
        match resets.min() {
            Some(reset) => {
                let wait = reset.saturating_duration_since(Instant::now());
                DirectorError::Limited { wait, failures }
            }
            None => DirectorError::NoAnswer { failures },
        }
    }

    /// Who is asked, and how often.
    fn order(&self, now: Instant) -> Vec<(usize, usize)> {
        let tries = |endpoint: &Endpoint| endpoint.breaker.tries(TRIES, now);
        let all = || self.endpoints.iter().enumerate();
        let at_once = all().filter_map(|(index, endpoint)| Some((index, tries(endpoint)?)));
        let later = all().filter(|(_, endpoint)| tries(endpoint).is_none());
        at_once.chain(later.map(|(index, _)| (index, 1))).collect()
    }

    /// How long each of them may take for a question.
    fn share(&self) -> Duration {
        self.limit.saturating_mul(2).max(self.share_min)
    }

    /// Asks one of them, so often; why it gave no answer. What it says of a limit is with its breaker at once, and not
    /// lost where its time is over meanwhile.
    async fn ask_one(
        &mut self,
        index: usize,
        question: &Question<'_>,
        tries: usize,
    ) -> Result<Result<Said, String>, DirectorError> {
        let mut pauses = self.pauses.build().take(tries - 1);
        let mut adaptations = 0;
        let (began, share) = (Instant::now(), self.share());
        let is_long = |wish| wish > PAUSE_MAX || wish > share.saturating_sub(began.elapsed());
        loop {
            let Some(endpoint) = self.endpoints.get_mut(index) else {
                return Ok(Err("there is no such model".to_owned()));
            };
            let asked = endpoint.ask(&self.http, question, self.limit, &self.account).await;
            let Failure { why, then } = match asked {
                Asked::Answered(said) => return Ok(Ok(said)),
                Asked::NoBudget(exhausted) => return Err(DirectorError::Budget(exhausted)),
                Asked::Failed(failure) => failure,
            };
            if let Then::Again(Some(wish)) = then {
                endpoint.breaker.limited(Instant::now(), wish);
            }
            match then {
                Then::AtOnce if adaptations < ADAPTATIONS => adaptations += 1,
                Then::Never | Then::AtOnce => return Ok(Err(why)),
                Then::Again(Some(wish)) if is_long(wish) => return Ok(Err(why)),
                Then::Again(wish) => {
                    let Some(pause) = pauses.next() else { return Ok(Err(why)) };
                    let pause = wish.unwrap_or(pause);
                    tracing::warn!(?pause, "the Director's model is asked again: {why}");
                    sleep(pause).await;
                }
            }
        }
    }

    fn stopped(&self) -> DirectorError {
        self.account.exhausted().map_or(DirectorError::Cancelled, DirectorError::Budget)
    }
}
