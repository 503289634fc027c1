//! A coordinator's health and metrics, as whoever watches it asks for them.

use serde_json::Value;

use super::program::Running;
use super::wait::eventually;

/// What a coordinator says before its address.
const ANNOUNCED: &str = "health and metrics at ";

/// Asks one coordinator.
#[derive(Debug)]
pub struct Monitor {
    base: String,
    http: reqwest::Client,
}

impl Monitor {
    /// Of a coordinator with `HEALTH_LISTEN=127.0.0.1:0`, which says what address it was given.
    pub async fn of(coordinator: &mut Running) -> Self {
        let said = eventually("the address of the health server", async || {
            let log = coordinator.log();
            let (_, after) = log.split_once(ANNOUNCED)?;
            Some(after.split_once('\n')?.0.trim().to_owned())
        });
        let http = api_client::http::http_client("integration-tests").build().unwrap();
        Self { base: said.await, http }
    }

    /// Host and port.
    pub fn target(&self) -> &str {
        self.base.strip_prefix("http://").expect("an HTTP address")
    }

    /// Status and body of an answer.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The same of an answer in JSON.
    pub async fn json(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.get(path).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// The value of a series, given as the page writes it; none where there is no such.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let (status, page) = self.get("/metrics").await;
        assert_eq!(status, 200);
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }

    /// Waits until a series has a value.
    pub async fn reached(&self, series: &str, value: f64) {
        eventually(&format!("{series} {value}"), async || {
            (self.metric(series).await == Some(value)).then_some(())
        })
        .await;
    }

    /// Waits until a path is answered with this status, and returns what it says.
    pub async fn answers(&self, path: &str, status: u16) -> Value {
        eventually(&format!("{path} {status}"), async || {
            let (found, body) = self.json(path).await;
            (found == status).then_some(body)
        })
        .await
    }
}
