//! The memory of projects: passages, found by their words. What finds them by their meaning is in
//! [`vectors`].
//!
//! Invariants: a passage is found in its own project alone; the same text is kept once for each project;
//! nothing of a question is search syntax.

mod vectors;

use std::collections::BTreeSet;

use api_client::{MemoryId, ProjectId};
use rusqlite::{Connection, Row, params};

pub(crate) use self::vectors::Place;

use super::{Removal, Store, StoreError, optional_time, project, typed};
use crate::clock::Timestamp;
use crate::model::Memory;

/// Passages that are kept for each project. Of more the oldest are forgotten. A search looks at every one
/// that has a word of the question, and nobody else has the database meanwhile: with 10,000 of 2 KB and 64
/// common words, 2 s were measured.
const PASSAGES_MAX: u32 = 2_000;

/// More different words of a question than this are not looked up.
const QUESTION_MAX_WORDS: usize = 64;

/// A passage that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Passage {
    pub(crate) id: MemoryId,
    pub(crate) text: String,
    /// The higher the better; comparable within one answer only.
    pub(crate) score: f64,
}

impl Store {
    /// Adds passages; one that is there already is not added again. `false` when there is no such
    /// project.
    pub(crate) async fn remember(
        &self,
        project: ProjectId,
        passages: Vec<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            if project::find(tx, project)?.is_none() {
                return Ok(false);
            }
            let sql = "INSERT INTO memory_docs (id, project_id, content, created_at)
                VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
            let mut statement = tx.prepare_cached(sql)?;
            for passage in &passages {
                let id = MemoryId::random().to_string();
                statement.execute(params![id, project.to_string(), passage, now.millis()])?;
            }
            forget_oldest(tx, project, PASSAGES_MAX)?;
            Ok(true)
        })
        .await
    }

    /// Up to `limit` passages for each question, best first and, of equals, newest first; `None` when
    /// there is no such project.
    pub(crate) async fn recall(
        &self,
        project: ProjectId,
        questions: Vec<String>,
        limit: usize,
    ) -> Result<Option<Vec<Vec<Passage>>>, StoreError> {
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            // One at a time, so that others have the database in between.
            let found = self.read(move |tx| {
                if project::find(tx, project)?.is_none() {
                    return Ok(None);
                }
                by_words(tx, project, &question, limit).map(Some)
            });
            let Some(found) = found.await? else { return Ok(None) };
            answers.push(found);
        }
        Ok(Some(answers))
    }

    /// A part of what is kept, newest first; `None` when there is no such project.
    pub(crate) async fn memories(
        &self,
        project: ProjectId,
        limit: u32,
        offset: u32,
    ) -> Result<Option<Vec<Memory>>, StoreError> {
        self.read(move |tx| {
            if project::find(tx, project)?.is_none() {
                return Ok(None);
            }
            let sql = "SELECT id, content, created_at FROM memory_docs
                WHERE project_id = ?1 ORDER BY seq DESC LIMIT ?2 OFFSET ?3";
            let mut statement = tx.prepare_cached(sql)?;
            let rows =
                statement.query_map(params![project.to_string(), limit, offset], read_memory)?;
            rows.collect::<Result<_, _>>().map(Some)
        })
        .await
    }

    /// Deletes a passage.
    pub(crate) async fn forget(
        &self,
        project: ProjectId,
        id: MemoryId,
    ) -> Result<Removal, StoreError> {
        self.write(move |tx| {
            let sql = "DELETE FROM memory_docs WHERE project_id = ?1 AND id = ?2";
            let deleted = tx.execute(sql, [project.to_string(), id.to_string()])?;
            Ok(if deleted > 0 { Removal::Done } else { Removal::Missing })
        })
        .await
    }

    /// Deletes all passages of a project.
    pub(crate) async fn forget_all(&self, project: ProjectId) -> Result<Removal, StoreError> {
        self.write(move |tx| {
            if project::find(tx, project)?.is_none() {
                return Ok(Removal::Missing);
            }
            tx.execute("DELETE FROM memory_docs WHERE project_id = ?1", [project.to_string()])?;
            Ok(Removal::Done)
        })
        .await
    }
}

fn by_words(
    tx: &Connection,
    project: ProjectId,
    question: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Passage>> {
    let Some(words) = any_word(question) else {
        return Ok(Vec::new());
    };
    let sql = "SELECT d.id, d.content, -bm25(memory_index) AS score
        FROM memory_index JOIN memory_docs d ON d.seq = memory_index.rowid
        WHERE memory_index MATCH ?1 AND d.project_id = ?2
        ORDER BY bm25(memory_index), d.seq DESC LIMIT ?3";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map(params![words, project.to_string(), limit], |row| {
        Ok(Passage { id: typed(row, "id")?, text: row.get("content")?, score: row.get("score")? })
    })?;
    rows.collect()
}

/// The full-text query "any of these words"; quoted, so that nothing of the question is syntax.
fn any_word(question: &str) -> Option<String> {
    let mut seen = BTreeSet::new();
    let words: Vec<String> = question
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && seen.insert(word.to_lowercase()))
        .take(QUESTION_MAX_WORDS)
        .map(|word| format!("\"{word}\""))
        .collect();
    (!words.is_empty()).then(|| words.join(" OR "))
}

fn forget_oldest(tx: &Connection, project: ProjectId, keep: u32) -> rusqlite::Result<()> {
    let sql = "DELETE FROM memory_docs WHERE project_id = ?1 AND seq <= (
        SELECT seq FROM memory_docs WHERE project_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
    let forgotten = tx.execute(sql, params![project.to_string(), keep])?;
    if forgotten > 0 {
        tracing::info!(project.id = %project, forgotten, "the oldest passages are forgotten");
    }
    Ok(())
}

fn read_memory(row: &Row<'_>) -> rusqlite::Result<Memory> {
    Ok(Memory {
        id: typed(row, "id")?,
        content: row.get("content")?,
        created_at: optional_time(row, "created_at")?,
    })
}

#[cfg(test)]
mod tests;
