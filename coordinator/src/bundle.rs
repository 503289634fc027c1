//! `coordinator bundle`: what is on record of one job, put together for whoever is to find out what went wrong.
//! `docs/commands.md` describes the archive, `docs/security.md` what may be in it.
//!
//! Invariant: nothing gets into the archive but by way of [`redact`], whatever was redacted before: secrets
//! that became known later are taken out as well.

mod facts;
mod files;
mod pack;
mod redact;

use std::io;

use api_client::JobId;
use api_client::bundle::{BUNDLE_VERSION, MANIFEST, OUTCOME, TRANSCRIPT};
use api_client::outcome::WorkerFacts;
use api_client::wire::AgentEnv;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::clock;
use crate::context::Context;
use crate::explain::find::{Found, look};
use crate::explain::{JobFiles, Live, explain};

use self::pack::Member;
pub(crate) use self::pack::name_of;
use self::redact::Redaction;

/// Names of what is for people alone.
const EXPLAINED: &str = "explain.json";
const ENDED: &str = "ended.json";
const SETTINGS: &str = "settings.json";
const HOST: &str = "host.json";
const LOG: &str = "log.txt";

/// What may be left out, as it has words of the worker and pieces of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    Log,
    Transcript,
}

/// A bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bundle {
    pub(crate) manifest: Manifest,
    /// The archive, in base64.
    archive: String,
}

/// What is in a bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    pub(crate) job: JobId,
    /// In seconds since 1970.
    made_at: u64,
    coordinator_version: String,
    /// As the agent's outcome tells it.
    runner_version: Option<String>,
    /// The coding CLI, in the same way.
    worker: Option<WorkerFacts>,
    /// In how many places something was redacted when the bundle was made.
    pub(crate) redacted: usize,
    pub(crate) members: Vec<MemberFacts>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// One file of a bundle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MemberFacts {
    pub(crate) name: String,
    what: String,
    bytes: usize,
    sha256: String,
    redacted: usize,
}

/// Something that is not in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    pub(crate) name: String,
    pub(crate) why: String,
}

/// No bundle was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error("cannot read what is kept of the job in the state directory")]
    Read(#[source] io::Error),
    #[error("cannot write {what} of the bundle as JSON")]
    Json {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("cannot put the archive together")]
    Pack(#[source] io::Error),
    #[error("the archive did not arrive whole")]
    NotWhole,
    #[error("it was given up")]
    GivenUp,
}

impl Bundle {
    /// The archive.
    pub(crate) fn archive(&self) -> Result<Vec<u8>, BundleError> {
        STANDARD.decode(&self.archive).map_err(|_| BundleError::NotWhole)
    }
}

/// One takes a hundred megabytes while it is made.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// Puts together what is on record of a job. `live` is what the running coordinator says, if one runs.
pub(crate) async fn make(
    ctx: &Context,
    job: JobId,
    leave_out: &[Part],
    live: Live,
) -> Result<Bundle, BundleError> {
    let alone = ONE_AT_A_TIME.acquire().await.map_err(|_| BundleError::GivenUp)?;
    let host = facts::look(ctx).await;
    let redaction = Redaction::new(ctx.redactor(&AgentEnv::default()));
    let mut draft = Draft::new(redaction, leave_out);
    let (state_dir, settings) = (ctx.state_dir.clone(), ctx.live.settings());
    let made = tokio::task::spawn_blocking(move || {
        // Also when who asked for it has gone.
        let _alone = alone;
        let found = look(&state_dir, job);
        let files = JobFiles::look(&state_dir, job);
        let page = explain(&found, &files, &live, clock::now_millis());
        draft.json(EXPLAINED, "the job on one page: course, cause, what is kept", &page)?;
        draft.ended(&found)?;
        draft.settings(settings.as_deref())?;
        draft.json(HOST, "the machine and its engine", &host)?;
        draft.file(
            LOG,
            "what the agent printed, as kept",
            Part::Log,
            files::log(&state_dir, job),
        )?;
        let transcript = files::transcript(&state_dir, job);
        draft.file(
            TRANSCRIPT,
            "what the coding CLI wrote, by turns",
            Part::Transcript,
            transcript,
        )?;
        draft.finish(&found)
    });
    made.await.map_err(|_| BundleError::GivenUp)?
}

/// A bundle in the making.
struct Draft {
    redaction: Redaction,
    leave_out: Vec<Part>,
    members: Vec<(MemberFacts, Vec<u8>)>,
    left_out: Vec<LeftOut>,
}

impl Draft {
    fn new(redaction: Redaction, leave_out: &[Part]) -> Self {
        let (members, left_out) = (Vec::new(), Vec::new());
        Self { redaction, leave_out: leave_out.to_vec(), members, left_out }
    }

    /// The job's end, and what its agent says it came to.
    fn ended(&mut self, found: &Found) -> Result<(), BundleError> {
        let Some(ended) = &found.ended else {
            self.leave(ENDED, "the job has not ended, or is not kept any more");
            self.leave(OUTCOME, "the job has not ended, or is not kept any more");
            return Ok(());
        };
        let mut ended = ended.clone();
        match ended.document.take() {
            Some(document) => self.json(OUTCOME, "what the agent says it came to", &document)?,
            None => {
                let why = ended.doubt.as_deref().unwrap_or("the agent left none");
                self.leave(OUTCOME, why);
            }
        }
        self.json(ENDED, "how the job ended", &ended)
    }

    fn settings(&mut self, settings: Option<&str>) -> Result<(), BundleError> {
        let Some(settings) = settings else {
            self.leave(SETTINGS, "the coordinator keeps none");
            return Ok(());
        };
        let settings: Value = serde_json::from_str(settings)
            .map_err(|source| BundleError::Json { what: SETTINGS, source })?;
        self.json(SETTINGS, "the effective settings, secrets not among them", &settings)
    }

    /// Adds a text, or says why it is not there.
    fn file(
        &mut self,
        name: &'static str,
        what: &str,
        part: Part,
        text: io::Result<Option<String>>,
    ) -> Result<(), BundleError> {
        if self.leave_out.contains(&part) {
            self.leave(name, "left out by the operator");
            return Ok(());
        }
        let Some(text) = text.map_err(BundleError::Read)? else {
            let why =
                "none is kept: the job is of an earlier version, never began, or is too long ago";
            self.leave(name, why);
            return Ok(());
        };
        let (text, redacted) = match part {
            Part::Transcript => self.redaction.json_lines(&text),
            Part::Log => self.redaction.text(&text),
        };
        self.add(name, what, text.into_bytes(), redacted);
        Ok(())
    }

    fn json(
        &mut self,
        name: &'static str,
        what: &str,
        value: &impl Serialize,
    ) -> Result<(), BundleError> {
        let failed = |source| BundleError::Json { what: name, source };
        let mut value = serde_json::to_value(value).map_err(failed)?;
        let redacted = self.redaction.value(&mut value);
        let mut text = serde_json::to_vec_pretty(&value).map_err(failed)?;
        text.push(b'\n');
        self.add(name, what, text, redacted);
        Ok(())
    }

    fn add(&mut self, name: &str, what: &str, content: Vec<u8>, redacted: usize) {
        let facts = MemberFacts {
            name: name.to_owned(),
            what: what.to_owned(),
            bytes: content.len(),
            sha256: pack::sha256(&content),
            redacted,
        };
        self.members.push((facts, content));
    }

    fn leave(&mut self, name: &str, why: &str) {
        let (why, _) = self.redaction.text(why);
        self.left_out.push(LeftOut { name: name.to_owned(), why });
    }

    fn finish(self, found: &Found) -> Result<Bundle, BundleError> {
        let document = found.ended.as_ref().and_then(|ended| ended.document.as_deref());
        let manifest = Manifest {
            version: BUNDLE_VERSION,
            job: found.job,
            made_at: clock::now(),
            coordinator_version: env!("CARGO_PKG_VERSION").to_owned(),
            runner_version: document.map(|document| self.redacted(&document.runner_version)),
            worker: document.and_then(|document| document.worker.as_ref()).map(|worker| {
                WorkerFacts {
                    cli: self.redacted(&worker.cli),
                    version: worker.version.as_deref().map(|text| self.redacted(text)),
                    model: worker.model.as_deref().map(|text| self.redacted(text)),
                }
            }),
            redacted: self.members.iter().map(|(facts, _)| facts.redacted).sum(),
            members: self.members.iter().map(|(facts, _)| facts.clone()).collect(),
            left_out: self.left_out.clone(),
        };
        let failed = |source| BundleError::Json { what: MANIFEST, source };
        let head = serde_json::to_vec_pretty(&manifest).map_err(failed)?;
        let mut members = vec![Member { name: MANIFEST, content: &head }];
        let others = self.members.iter();
        members.extend(others.map(|(facts, content)| Member { name: &facts.name, content }));
        let archive =
            pack::pack(found.job, manifest.made_at, &members).map_err(BundleError::Pack)?;
        Ok(Bundle { manifest, archive: STANDARD.encode(archive) })
    }

    fn redacted(&self, text: &str) -> String {
        self.redaction.text(text).0
    }
}
