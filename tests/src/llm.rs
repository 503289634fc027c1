//! A model provider for tests: it answers the coding CLIs by a script, over
//! the protocols they speak, with no model inside.
//!
//! - `POST …/chat/completions` — OpenAI chat, JSON or SSE
//! - `POST …/responses` — OpenAI Responses, JSON or SSE
//! - `POST …/messages[/count_tokens]` — Anthropic Messages, JSON or SSE
//! - `POST …/models/{m}:{generateContent,streamGenerateContent,countTokens}` — Gemini
//! - `GET …/models[/{m}]`, `HEAD /` — what clients look at first
//! - `/_test/…` — the script and the record of requests
//!
//! Only the end of a path counts, so any base URL works.
//!
//! A request that offers tools, in a conversation with fewer tool results than
//! the script's `turns`, is answered by a call of the tool that writes a file;
//! any other request gets text, and one without a conversation an error. The conversation is all in the request, so any
//! number of them can run at once.
//!
//! Invariant: each wire reads a request into one neutral view and writes one
//! neutral answer; what to answer is decided in one place and knows no wire.

mod aider;
mod anthropic;
mod chat;
mod decide;
mod gemini;
mod record;
mod responses;
mod script;
mod sequence;
mod serve;
#[cfg(test)]
mod tests;
mod tool;
mod view;
mod wire;
mod workdir;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use record::LlmRequest;
pub use script::{Rule, Scenario, Script, ScriptError};
pub use sequence::Said;

use crate::server::{Bound, OwnedServer, ServerError};

/// What is recorded as the answer to a request without a conversation.
const NOTHING_ASKED: &str = "nothing asked";

/// What a scripted model needs to start.
#[derive(Debug)]
pub struct LlmOptions {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What to answer.
    pub script: Script,
    /// Also append each request here, one JSON object a line.
    pub log: Option<PathBuf>,
}

impl LlmOptions {
    /// A model on a free loopback port.
    pub fn new(script: Script) -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script, log: None }
    }
}

/// Why a scripted model could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// Binding, serving or stopping failed.
    #[error("the scripted model's server failed")]
    Server(#[from] ServerError),
    /// The script makes no sense.
    #[error("the script cannot be used")]
    Script(#[from] ScriptError),
    /// The request log could not be opened.
    #[error("cannot append to the request log {path}")]
    Log {
        /// The file asked for.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A running scripted model. End it with [`ScriptedLlm::shutdown`].
#[derive(Debug)]
pub struct ScriptedLlm {
    llm: Arc<Llm>,
    server: OwnedServer,
}

/// What the handlers share.
#[derive(Debug)]
struct Llm {
    script: Mutex<Script>,
    requests: record::Requests,
    cancel: CancellationToken,
}

impl ScriptedLlm {
    /// Checks the script and starts to answer.
    pub async fn start(options: LlmOptions) -> Result<Self, LlmError> {
        options.script.check()?;
        let requests = match options.log {
            Some(path) => record::Requests::with_log(&path)
                .map_err(|source| LlmError::Log { path: path.display().to_string(), source })?,
            None => record::Requests::default(),
        };
        let bound = Bound::new(options.listen).await?;
        let cancel = CancellationToken::new();
        let script = Mutex::new(options.script);
        let llm = Arc::new(Llm { script, requests, cancel: cancel.clone() });
        let server = bound.serve("scripted model", serve::router(&llm), cancel);
        Ok(Self { llm, server })
    }

    /// The base URL for clients on this host; OpenAI clients add `/v1`.
    pub fn url(&self) -> Url {
        self.server.url()
    }

    /// Where it listens, for building a URL that containers can reach.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The requests so far, oldest first, without those to `/_test/`.
    pub fn requests(&self) -> Vec<LlmRequest> {
        self.llm.requests.all()
    }

    /// Those of them that asked something.
    pub fn conversations(&self) -> Vec<LlmRequest> {
        self.requests().into_iter().filter(LlmRequest::asks).collect()
    }

    /// Replaces the script for the requests to come.
    pub fn set_script(&self, script: Script) -> Result<(), ScriptError> {
        script.check()?;
        *self.llm.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
        Ok(())
    }

    /// Forgets the requests, and starts `fail_first` afresh.
    pub fn reset(&self) {
        self.llm.requests.clear();
    }

    /// Stops answering, also to requests that hang, and joins the task.
    pub async fn shutdown(self) -> Result<(), LlmError> {
        Ok(self.server.shutdown().await?)
    }
}

impl Llm {
    fn script(&self) -> Script {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_script(&self, changes: &Map<String, Value>) -> Result<Script, ScriptError> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let next = script.with(changes)?;
        next.check()?;
        *script = next.clone();
        Ok(next)
    }
}
