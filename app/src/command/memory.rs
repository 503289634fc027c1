//! `terarchitect-app memory …`

use api_client::{MemoryId, ProjectId};
use serde_json::json;

use super::{Answer, CommandError};
use crate::cli::MemoryCommand;
use crate::model::Memory;
use crate::output::table;
use crate::remote::Remote;

/// Characters of a passage that a list shows.
const SHOWN_MAX_CHARS: usize = 100;

pub(super) async fn run(command: MemoryCommand, app: &Remote) -> Result<Answer, CommandError> {
    match command {
        MemoryCommand::List { project, limit, offset } => {
            list(&format!("{}?limit={limit}&offset={offset}", path(project)), app).await
        }
        MemoryCommand::Delete { project, all: true, .. } => delete_all(project, app).await,
        MemoryCommand::Delete { project, memories, .. } => delete(project, &memories, app).await,
    }
}

async fn list(path: &str, app: &Remote) -> Result<Answer, CommandError> {
    let json = app.get(path).await?;
    let memories: Vec<Memory> = app.read(&json)?;
    if memories.is_empty() {
        let text = "no memories".to_owned();
        return Ok(Answer { json, text });
    }
    let rows: Vec<_> = memories
        .into_iter()
        .map(|memory| {
            [
                memory.id.to_string(),
                memory.created_at.map_or("-".into(), |time| time.to_string()),
                beginning(&memory.content),
            ]
        })
        .collect();
    let text = table(["MEMORY", "KEPT", "TEXT"], &rows);
    Ok(Answer { json, text })
}

async fn delete_all(project: ProjectId, app: &Remote) -> Result<Answer, CommandError> {
    app.delete(&path(project)).await?;
    let text = "the project remembers nothing any more".to_owned();
    Ok(Answer { json: json!({ "deleted": "all" }), text })
}

async fn delete(
    project: ProjectId,
    memories: &[MemoryId],
    app: &Remote,
) -> Result<Answer, CommandError> {
    for memory in memories {
        app.delete(&format!("{}/{memory}", path(project))).await?;
    }
    let text = match memories.len() {
        1 => "1 memory deleted".to_owned(),
        count => format!("{count} memories deleted"),
    };
    Ok(Answer { json: json!({ "deleted": memories }), text })
}

fn path(project: ProjectId) -> String {
    format!("/api/projects/{project}/memory")
}

fn beginning(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
