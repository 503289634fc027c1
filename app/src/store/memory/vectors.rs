//! What passages mean to an embedding model, and the passages that mean most nearly the same as a
//! question. Every passage of the project is compared: there are few enough.

use std::cmp::Reverse;

use api_client::ProjectId;
use rusqlite::{Connection, params};

use super::Passage;
use crate::store::{Store, StoreError, typed};
use crate::vector::Vector;

/// The place of a passage in the database, while its vector is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(i64);

impl Store {
    /// Up to `limit` passages that this model has not read yet, newest first.
    pub(crate) async fn unread_passages(
        &self,
        project: ProjectId,
        model: String,
        limit: u32,
    ) -> Result<Vec<(Place, String)>, StoreError> {
        self.read(move |tx| {
            let sql = "SELECT d.seq, d.content FROM memory_docs d
                LEFT JOIN memory_vectors v ON v.doc_seq = d.seq AND v.model = ?2
                WHERE d.project_id = ?1 AND v.doc_seq IS NULL ORDER BY d.seq DESC LIMIT ?3";
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement.query_map(params![project.to_string(), model, limit], |row| {
                Ok((Place(row.get(0)?), row.get(1)?))
            })?;
            rows.collect()
        })
        .await
    }

    /// Keeps what this model made of passages, in the place of what another one did; none of one that it
    /// does not take, so that it is not asked for that again. A passage that was deleted meanwhile is left
    /// out.
    pub(crate) async fn keep_vectors(
        &self,
        model: String,
        vectors: Vec<(Place, String, Option<Vector>)>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            // By the text too: another passage may be in the place by now.
            let sql = "INSERT OR REPLACE INTO memory_vectors (doc_seq, model, vector)
                SELECT seq, ?3, ?4 FROM memory_docs WHERE seq = ?1 AND content = ?2";
            let mut statement = tx.prepare_cached(sql)?;
            for (place, text, vector) in vectors {
                let numbers = vector.map(|vector| vector.to_bytes()).unwrap_or_default();
                statement.execute(params![place.0, text, model, numbers])?;
            }
            Ok(())
        })
        .await
    }

    /// Up to `limit` passages for each question, as this model has read them, nearest first.
    pub(crate) async fn nearest(
        &self,
        project: ProjectId,
        model: String,
        questions: Vec<Vector>,
        limit: usize,
    ) -> Result<Vec<Vec<Passage>>, StoreError> {
        self.read(move |tx| {
            let all = vectors_of(tx, project, &model)?;
            let answers = questions.iter().map(|question| {
                let near = ranked(question, &all, limit);
                near.into_iter().map(|(place, score)| passage(tx, place, score)).collect()
            });
            answers.collect()
        })
        .await
    }
}

/// The places of the nearest, and how near they are: 1 for the same, 0 for nothing in common.
fn ranked(question: &Vector, all: &[(Place, Vector)], limit: usize) -> Vec<(Place, f64)> {
    let mut near: Vec<(Place, f64)> = all
        .iter()
        .filter_map(|(place, vector)| Some((*place, question.cosine(vector)?)))
        .filter(|(_, cosine)| *cosine > 0.0)
        .collect();
    near.sort_by(|a, b| b.1.total_cmp(&a.1).then(Reverse(a.0.0).cmp(&Reverse(b.0.0))));
    near.truncate(limit);
    near
}

fn vectors_of(
    tx: &Connection,
    project: ProjectId,
    model: &str,
) -> rusqlite::Result<Vec<(Place, Vector)>> {
    let sql = "SELECT v.doc_seq, v.vector FROM memory_vectors v
        JOIN memory_docs d ON d.seq = v.doc_seq WHERE d.project_id = ?1 AND v.model = ?2";
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map(params![project.to_string(), model], |row| {
        Ok((Place(row.get(0)?), Vector::from_bytes(&row.get::<_, Vec<u8>>(1)?)))
    })?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    Ok(rows.into_iter().filter_map(|(place, vector)| Some((place, vector?))).collect())
}

fn passage(tx: &Connection, place: Place, score: f64) -> rusqlite::Result<Passage> {
    let sql = "SELECT id, content FROM memory_docs WHERE seq = ?1";
    tx.prepare_cached(sql)?.query_row([place.0], |row| {
        Ok(Passage { id: typed(row, "id")?, text: row.get("content")?, score })
    })
}
