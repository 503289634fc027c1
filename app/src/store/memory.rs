//! The memory of projects: passages found by their words. A stand-in for search by meaning, with
//! the same answers.

use api_client::ProjectId;
use rusqlite::params;

use super::{Store, StoreError, project};

/// More words of a question than this are not looked up.
const QUESTION_MAX_WORDS: usize = 64;

/// A passage that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Passage {
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
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            if project::find(tx, project)?.is_none() {
                return Ok(false);
            }
            let sql = "INSERT INTO memory_docs (project_id, content) VALUES (?1, ?2)
                ON CONFLICT DO NOTHING";
            let mut statement = tx.prepare_cached(sql)?;
            for passage in &passages {
                statement.execute(params![project.to_string(), passage])?;
            }
            Ok(true)
        })
        .await
    }

    /// Up to `limit` passages for each question, best first; `None` when there is no such project.
    pub(crate) async fn recall(
        &self,
        project: ProjectId,
        questions: Vec<String>,
        limit: u32,
    ) -> Result<Option<Vec<Vec<Passage>>>, StoreError> {
        self.read(move |tx| {
            if project::find(tx, project)?.is_none() {
                return Ok(None);
            }
            let sql = "SELECT d.content, -bm25(memory_index)
                FROM memory_index JOIN memory_docs d ON d.seq = memory_index.rowid
                WHERE memory_index MATCH ?1 AND d.project_id = ?2
                ORDER BY bm25(memory_index), d.seq LIMIT ?3";
            let mut statement = tx.prepare_cached(sql)?;
            let mut answers = Vec::with_capacity(questions.len());
            for question in &questions {
                let Some(words) = any_word(question) else {
                    answers.push(Vec::new());
                    continue;
                };
                let rows = statement
                    .query_map(params![words, project.to_string(), limit], |row| {
                        Ok(Passage { text: row.get(0)?, score: row.get(1)? })
                    })?;
                answers.push(rows.collect::<Result<_, _>>()?);
            }
            Ok(Some(answers))
        })
        .await
    }
}

/// The full-text query "any of these words"; quoted, so that nothing of the question is syntax.
fn any_word(question: &str) -> Option<String> {
    let words: Vec<String> = question
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(QUESTION_MAX_WORDS)
        .map(|word| format!("\"{word}\""))
        .collect();
    (!words.is_empty()).then(|| words.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_question_is_search_syntax() {
        assert_eq!(
            any_word("NEAR(login, \"x\") OR -y*").unwrap(),
            "\"NEAR\" OR \"login\" OR \"x\" OR \"OR\" OR \"y\""
        );
        assert_eq!(any_word(" \"* \0 "), None);
    }
}
