//! The settings of the app: which names there are, what they may hold, and under which names the
//! agent gets them.
//!
//! Invariant: a sensitive value leaves through `agent_env` and `agent_settings` alone, which need
//! the worker key; everywhere else it shows as set or not set.

use std::collections::BTreeMap;

use api_client::contract::is_secret_name;
use api_client::{InvalidReviewAuthors, ReviewAuthors, Secret};
use serde_json::{Map, Value};

use crate::dollars::Dollars;
use crate::model::DayBudget;

/// Longest value, in characters.
const VALUE_MAX_CHARS: usize = 8_192;

/// The server's own key: shown among the settings, handed to agents, never changed through the API.
pub(crate) const SERVER_KEY: &str = "TERARCHITECT_WORKER_API_KEY";

/// What the forge signs its events with.
const WEBHOOK_SECRET: &str = "FORGE_WEBHOOK_SECRET";
/// The token with which agents, and the review loop, go to the forge.
const FORGE_TOKEN: &str = "github_agent_token";
/// Whose words start review jobs, and are answered in them.
const REVIEW_AUTHORS: &str = "AGENT_REVIEW_AUTHORS";

use Context::{Always, Never, WhenSet};

/// What a setting may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    /// A whole number above zero.
    Count,
    /// US dollars.
    Dollars,
    /// Those who may start review jobs.
    Authors,
}

/// How a setting shows in the worker context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    /// Blank when not set, as in the original app.
    Always,
    /// The original app leaves it out; an agent started by hand needs it.
    WhenSet,
    Never,
}

/// A setting and its names towards the agent.
struct Known {
    name: &'static str,
    form: Form,
    /// Its names in a claimed job's `agent_env`.
    env: &'static [&'static str],
    context: Context,
}

const fn text(name: &'static str, env: &'static [&'static str], context: Context) -> Known {
    Known { name, form: Form::Text, env, context }
}

const fn count(name: &'static str, env: &'static [&'static str], context: Context) -> Known {
    Known { name, form: Form::Count, env, context }
}

const fn money(name: &'static str, env: &'static [&'static str], context: Context) -> Known {
    Known { name, form: Form::Dollars, env, context }
}

const fn authors(name: &'static str, env: &'static [&'static str], context: Context) -> Known {
    Known { name, form: Form::Authors, env, context }
}

/// Names of the original app, but for those that begin with `FORGE`, the budgets of a job, and who may
/// start review jobs, which are ours.
const KNOWN: [Known; 29] = [
    text("AGENT_API_KEY", &["AGENT_API_KEY"], Always),
    text("AGENT_LLM_URL", &["AGENT_LLM_URL"], Always),
    text("AGENT_MODEL", &["AGENT_MODEL"], Always),
    text("AGENT_PROVIDER", &["AGENT_PROVIDER"], Always),
    authors(REVIEW_AUTHORS, &[REVIEW_AUTHORS], WhenSet),
    text("EMBEDDING_API_KEY", &["EMBEDDING_API_KEY"], Always),
    text("EMBEDDING_PROVIDER", &["EMBEDDING_PROVIDER"], Always),
    text("EMBEDDING_SERVICE_URL", &["EMBEDDING_SERVICE_URL"], Always),
    text("FORGE", &["FORGE"], WhenSet),
    text("FORGE_API_URL", &["FORGE_API_URL"], WhenSet),
    text(WEBHOOK_SECRET, &[], Never),
    text("GIT_USER_EMAIL", &["GIT_USER_EMAIL"], WhenSet),
    text("GIT_USER_NAME", &["GIT_USER_NAME"], WhenSet),
    count("MAX_CONCURRENT_AGENTS", &[], Never),
    text("MEMORY_EMBEDDING_BASE_URL", &["MEMORY_EMBEDDING_BASE_URL"], Always),
    text("MEMORY_EMBEDDING_MODEL", &["MEMORY_EMBEDDING_MODEL"], Always),
    text("MEMORY_LLM_API_KEY", &["MEMORY_LLM_API_KEY"], Always),
    text("MEMORY_LLM_BASE_URL", &["MEMORY_LLM_BASE_URL"], Always),
    text("MEMORY_LLM_MODEL", &["MEMORY_LLM_MODEL"], Always),
    text("MIDDLE_AGENT_DEBUG", &["MIDDLE_AGENT_DEBUG"], Always),
    text("WORKER_API_KEY", &["WORKER_API_KEY"], Always),
    text("WORKER_LLM_URL", &["WORKER_LLM_URL"], Always),
    text("WORKER_MODE", &["WORKER_MODE"], WhenSet),
    text("WORKER_MODEL", &["WORKER_MODEL"], Always),
    money("WORKER_MONEY_BUDGET", &["WORKER_MONEY_BUDGET"], WhenSet),
    count("WORKER_TIMEOUT_SEC", &["WORKER_TIMEOUT_SEC"], Always),
    count("WORKER_TOKEN_BUDGET", &["WORKER_TOKEN_BUDGET"], WhenSet),
    text(FORGE_TOKEN, &["GITHUB_TOKEN", "GH_TOKEN"], Always),
    text("openai_api_key", &["OPENAI_API_KEY"], Always),
];

/// A change of a setting that cannot be made; the message names the setting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSetting {
    #[error("{0:?} is not a setting of this app")]
    Unknown(String),
    #[error("{SERVER_KEY} is the server's own key: give it to `terarchitect-app serve`")]
    ServerKey,
    #[error("{0} must be a string, a whole number, or null to unset it")]
    Type(&'static str),
    #[error("{0} must be a whole number above zero, or null to unset it")]
    Count(&'static str),
    #[error("{0} must be US dollars above zero with up to six decimals, or null to unset it")]
    Dollars(&'static str),
    #[error("{0} {1}")]
    Authors(&'static str, InvalidReviewAuthors),
    #[error("{0} must be at most {VALUE_MAX_CHARS} characters")]
    TooLong(&'static str),
}

/// A checked change: the setting's name with its new value, or `None` to unset it.
pub(crate) type Change = (&'static str, Option<Secret>);

/// Checks the body of a settings update as a whole: a bad one changes nothing.
pub(crate) fn changes(body: Map<String, Value>) -> Result<Vec<Change>, InvalidSetting> {
    body.into_iter().map(|(name, value)| change(&name, value)).collect()
}

fn change(name: &str, value: Value) -> Result<Change, InvalidSetting> {
    if name == SERVER_KEY {
        return Err(InvalidSetting::ServerKey);
    }
    let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
        return Err(InvalidSetting::Unknown(name.chars().take(80).collect()));
    };
    let text = match value {
        Value::Null => return Ok((known.name, None)),
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(InvalidSetting::Type(known.name));
        }
    };
    if text.is_empty() {
        return Ok((known.name, None));
    }
    if text.chars().count() > VALUE_MAX_CHARS {
        return Err(InvalidSetting::TooLong(known.name));
    }
    if known.form == Form::Count && !text.parse::<u32>().is_ok_and(|number| number > 0) {
        return Err(InvalidSetting::Count(known.name));
    }
    let is_money = |text: &str| text.parse::<Dollars>().is_ok_and(|sum| sum > Dollars::default());
    if known.form == Form::Dollars && !is_money(&text) {
        return Err(InvalidSetting::Dollars(known.name));
    }
    if known.form == Form::Authors {
        let authors = text.parse::<ReviewAuthors>();
        authors.map_err(|error| InvalidSetting::Authors(known.name, error))?;
    }
    Ok((known.name, Some(Secret::from(text))))
}

/// The settings that are set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(BTreeMap<String, Secret>);

impl Settings {
    pub(crate) fn new(stored: impl IntoIterator<Item = (String, Secret)>) -> Self {
        Self(stored.into_iter().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    /// The token for the forge.
    pub(crate) fn forge_token(&self) -> Option<&Secret> {
        self.0.get(FORGE_TOKEN)
    }

    /// Who may start review jobs; the list was checked when it was set.
    pub(crate) fn review_authors(&self) -> ReviewAuthors {
        self.get(REVIEW_AUTHORS).and_then(|list| list.parse().ok()).unwrap_or_default()
    }

    /// What the forge signs its events with.
    pub(crate) fn webhook_secret(&self) -> Option<&Secret> {
        self.0.get(WEBHOOK_SECRET)
    }

    /// Which forge it is, and where its API is, as far as they are set.
    pub(crate) fn forge(&self) -> (Option<&str>, Option<&str>) {
        (self.get("FORGE"), self.get("FORGE_API_URL"))
    }

    /// All names for people: sensitive ones as true or false, others as text or null.
    pub(crate) fn public(&self, server_key: Option<&Secret>) -> Map<String, Value> {
        let shown = KNOWN.iter().map(|known| {
            let value = self.get(known.name);
            let value = if is_secret_name(known.name) {
                Value::Bool(value.is_some())
            } else {
                value.into()
            };
            (known.name.to_owned(), value)
        });
        let own = (SERVER_KEY.to_owned(), Value::Bool(server_key.is_some()));
        shown.chain([own]).collect()
    }

    /// What a claimed job carries: only what is set. Secret.
    pub(crate) fn agent_env(&self, server_key: Option<&Secret>) -> Map<String, Value> {
        let set = KNOWN.iter().flat_map(|known| {
            let value = self.get(known.name);
            let named = |value: &str| known.env.iter().map(|env| pair(env, value)).collect();
            value.map_or_else(Vec::new, named)
        });
        let own = server_key.map(|key| pair(SERVER_KEY, key.expose()));
        set.chain(own).collect()
    }

    /// What any one job may use.
    pub(crate) fn job_budget(&self) -> DayBudget {
        DayBudget {
            tokens: self.get("WORKER_TOKEN_BUDGET").and_then(|text| text.parse().ok()),
            money: self.get("WORKER_MONEY_BUDGET").and_then(|text| text.parse().ok()),
        }
    }

    /// What the worker context carries. Secret.
    pub(crate) fn agent_settings(&self) -> Map<String, Value> {
        let shown = KNOWN.iter().filter_map(|known| {
            let value = self.get(known.name);
            match known.context {
                Always => Some(pair(known.name, value.unwrap_or_default())),
                WhenSet => value.map(|value| pair(known.name, value)),
                Never => None,
            }
        });
        shown.collect()
    }
}

fn pair(name: &str, value: &str) -> (String, Value) {
    (name.to_owned(), Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::new(pairs.iter().map(|(n, v)| ((*n).to_owned(), Secret::from(*v))))
    }

    #[test]
    fn the_agent_env_holds_only_what_is_set() {
        assert!(Settings::default().agent_env(None).is_empty());
        let env = settings(&[("github_agent_token", "ghp_fake"), ("WORKER_MODE", "opencode")])
            .agent_env(Some(&Secret::from("worker-key")));
        let expected = json!({"GITHUB_TOKEN": "ghp_fake", "GH_TOKEN": "ghp_fake",
            "WORKER_MODE": "opencode", "TERARCHITECT_WORKER_API_KEY": "worker-key"});
        assert_eq!(Value::Object(env), expected);
    }

    #[test]
    fn the_context_carries_every_name_of_the_original_blank_when_not_set() {
        let shown = settings(&[("openai_api_key", "sk-fake")]).agent_settings();
        assert_eq!(shown.len(), 19);
        assert_eq!(shown["openai_api_key"], "sk-fake");
        assert_eq!(shown["WORKER_MODEL"], "");
        for absent in ["WORKER_MODE", "GIT_USER_NAME", "GITHUB_TOKEN"] {
            assert!(!shown.contains_key(absent), "{absent}");
        }
        let mode = settings(&[("WORKER_MODE", "claude-code"), ("MAX_CONCURRENT_AGENTS", "3")]);
        assert_eq!(mode.agent_settings()["WORKER_MODE"], "claude-code");
        assert_eq!(mode.agent_settings().len(), 20);
    }

    #[test]
    fn sensitive_settings_show_only_whether_they_are_set() {
        let stored = settings(&[("WORKER_API_KEY", "sk-fake"), ("WORKER_MODEL", "m-1")]);
        let shown = stored.public(Some(&Secret::from("worker-key")));
        assert_eq!(shown["WORKER_API_KEY"], true);
        assert_eq!(shown["github_agent_token"], false);
        assert_eq!(shown["WORKER_MODEL"], "m-1");
        assert_eq!(shown["MAX_CONCURRENT_AGENTS"], Value::Null);
        assert_eq!(shown[SERVER_KEY], true);
        assert!(!Value::Object(shown).to_string().contains("fake"));
        assert!(!format!("{stored:?}").contains("fake"));
    }

    #[test]
    fn numbers_are_kept_as_strings_and_blanks_unset() {
        let change = |value| changes(body(json!({"MAX_CONCURRENT_AGENTS": value}))).unwrap();
        let name = "MAX_CONCURRENT_AGENTS";
        assert_eq!(change(json!(5)), [(name, Some(Secret::from("5")))]);
        assert_eq!(change(json!(" 5 ")), [(name, Some(Secret::from("5")))]);
        assert_eq!(change(json!("")), [(name, None)]);
        assert_eq!(change(json!(null)), [(name, None)]);
    }

    #[test]
    fn a_bad_change_names_its_setting() {
        let refusal = |value| changes(body(value)).unwrap_err().to_string();
        for (value, name) in [
            (json!({"MAX_CONCURRENT_AGENTS": 0}), "MAX_CONCURRENT_AGENTS"),
            (json!({"MAX_CONCURRENT_AGENTS": "abc"}), "MAX_CONCURRENT_AGENTS"),
            (json!({"WORKER_MODEL": true}), "WORKER_MODEL"),
            (json!({"AGENT_REVIEW_AUTHORS": "OWNER,NONE"}), "AGENT_REVIEW_AUTHORS"),
            (json!({"WORKER_MODL": "x"}), "WORKER_MODL"),
            (json!({"TERARCHITECT_WORKER_API_KEY": "x"}), SERVER_KEY),
            (json!({"WORKER_MODEL": "x".repeat(9_000)}), "WORKER_MODEL"),
        ] {
            let words = refusal(value);
            assert!(words.contains(name), "{words}");
        }
    }
}
