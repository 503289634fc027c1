//! The memory of projects: by words, and by meaning too where an embedding endpoint is set.
//!
//! Invariant: the endpoint is a help. Whatever it does, passages are kept and found by their words.

mod fusion;

use std::sync::Arc;
use std::time::Duration;

use api_client::{MemoryId, ProjectId};

use self::fusion::fused;
use crate::clock::Timestamp;
use crate::embedding::{BATCH_MAX, Embedded, Embedder};
use crate::model;
use crate::store::{Passage, Place, Removal, Store, StoreError};
use crate::vector::Vector;

/// Passages of each ranking that are looked at where there are two.
const CANDIDATES: usize = 50;

/// How long one request may take to have passages read by the model: those of an earlier time, when
/// there was none, too. Longer than one call of the endpoint may take, and shorter than agents wait (20 s).
const CATCH_UP_LIMIT: Duration = Duration::from_secs(12);

/// How far the model came with what it was to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Done,
    CutShort,
}

/// The memory of all projects.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    store: Store,
    embedder: Option<Arc<Embedder>>,
}

impl Memory {
    pub(crate) fn new(store: Store, embedder: Option<Embedder>) -> Self {
        Self { store, embedder: embedder.map(Arc::new) }
    }

    /// Keeps passages; one that is there already is not kept again. `false` when there is no such
    /// project.
    pub(crate) async fn index(
        &self,
        project: ProjectId,
        passages: Vec<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if !self.store.remember(project, passages, now).await? {
            return Ok(false);
        }
        if let Some(embedder) = &self.embedder {
            let caught_up = self.catch_up(project, embedder);
            // What is not read by then is read with the next passages.
            tokio::time::timeout(CATCH_UP_LIMIT, caught_up).await.unwrap_or(Ok(()))?;
        }
        Ok(true)
    }

    /// Up to `limit` passages for each question, best first; `None` when there is no such project.
    pub(crate) async fn retrieve(
        &self,
        project: ProjectId,
        questions: Vec<String>,
        limit: usize,
    ) -> Result<Option<Vec<Vec<Passage>>>, StoreError> {
        let Some(embedder) = &self.embedder else {
            return self.store.recall(project, questions, limit).await;
        };
        let depth = limit.max(CANDIDATES);
        let Some(by_words) = self.store.recall(project, questions.clone(), depth).await? else {
            return Ok(None);
        };
        let by_meaning = self.by_meaning(project, embedder, &questions, depth).await?;
        let Some(by_meaning) = by_meaning else {
            let cut = |mut passages: Vec<Passage>| {
                passages.truncate(limit);
                passages
            };
            return Ok(Some(by_words.into_iter().map(cut).collect()));
        };
        let both = by_words.into_iter().zip(by_meaning);
        Ok(Some(both.map(|(words, meaning)| fused([words, meaning], limit)).collect()))
    }

    /// A part of what is kept, newest first; `None` when there is no such project.
    pub(crate) async fn list(
        &self,
        project: ProjectId,
        limit: u32,
        offset: u32,
    ) -> Result<Option<Vec<model::Memory>>, StoreError> {
        self.store.memories(project, limit, offset).await
    }

    /// Deletes a passage.
    pub(crate) async fn forget(
        &self,
        project: ProjectId,
        id: MemoryId,
    ) -> Result<Removal, StoreError> {
        self.store.forget(project, id).await
    }

    /// Deletes all passages of a project.
    pub(crate) async fn forget_all(&self, project: ProjectId) -> Result<Removal, StoreError> {
        self.store.forget_all(project).await
    }

    /// Has the model read what it has not read yet, until it fails.
    async fn catch_up(&self, project: ProjectId, embedder: &Embedder) -> Result<(), StoreError> {
        let limit = u32::try_from(BATCH_MAX).unwrap_or(u32::MAX);
        loop {
            let unread = self.store.unread_passages(project, embedder.model(), limit).await?;
            if unread.is_empty() || self.read(unread, embedder).await? == Reading::CutShort {
                return Ok(());
            }
        }
    }

    /// Has the model read passages, in halves where it refuses them together. One that it refuses by
    /// itself is found by its words alone.
    async fn read(
        &self,
        passages: Vec<(Place, String)>,
        embedder: &Embedder,
    ) -> Result<Reading, StoreError> {
        let mut waiting = vec![passages];
        while let Some(mut batch) = waiting.pop() {
            let texts: Vec<String> = batch.iter().map(|(_, text)| text.clone()).collect();
            let vectors: Vec<Option<Vector>> = match embedder.embed(&texts).await {
                Embedded::Vectors(vectors) => vectors.into_iter().map(Some).collect(),
                Embedded::Refused if batch.len() > 1 => {
                    waiting.push(batch.split_off(batch.len() / 2));
                    waiting.push(batch);
                    continue;
                }
                Embedded::Refused if embedder.is_well().await => vec![None],
                Embedded::Refused | Embedded::Failing => return Ok(Reading::CutShort),
            };
            let read = batch.into_iter().zip(vectors);
            let read = read.map(|((place, text), vector)| (place, text, vector)).collect();
            self.store.keep_vectors(embedder.model(), read).await?;
        }
        Ok(Reading::Done)
    }

    /// None where the endpoint gives nothing.
    async fn by_meaning(
        &self,
        project: ProjectId,
        embedder: &Embedder,
        questions: &[String],
        limit: usize,
    ) -> Result<Option<Vec<Vec<Passage>>>, StoreError> {
        if questions.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let Embedded::Vectors(vectors) = embedder.embed(questions).await else { return Ok(None) };
        self.store.nearest(project, embedder.model(), vectors, limit).await.map(Some)
    }
}
