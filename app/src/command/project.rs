//! `terarchitect-app project …`

use serde_json::json;

use super::{Answer, CommandError};
use crate::cli::{ProjectAdd, ProjectCommand};
use crate::model::Project;
use crate::output::{pairs, table};
use crate::remote::Remote;

pub(super) async fn run(command: ProjectCommand, app: &Remote) -> Result<Answer, CommandError> {
    match command {
        ProjectCommand::Add(args) => add(args, app).await,
        ProjectCommand::List => list(app).await,
    }
}

async fn add(args: ProjectAdd, app: &Remote) -> Result<Answer, CommandError> {
    let body = json!({
        "name": args.name,
        "description": args.description,
        "repo_url": args.repo_url,
        "execution_mode": args.execution_mode,
        "project_path": args.path,
    });
    let json = app.post("/api/projects", body).await?;
    let project: Project = app.read(&json)?;
    let text = pairs(&[
        ("project", Some(project.id.to_string())),
        ("name", Some(project.name)),
        ("repository", project.repo_url),
        ("mode", Some(project.execution.mode().to_string())),
        ("path", project.execution.path().map(str::to_owned)),
    ]);
    Ok(Answer { json, text })
}

async fn list(app: &Remote) -> Result<Answer, CommandError> {
    let json = app.get("/api/projects").await?;
    let projects: Vec<Project> = app.read(&json)?;
    if projects.is_empty() {
        let text = "no projects".to_owned();
        return Ok(Answer { json, text });
    }
    let rows: Vec<_> = projects
        .into_iter()
        .map(|project| {
            let path = project.execution.path().map(str::to_owned);
            [
                project.id.to_string(),
                project.execution.mode().to_string(),
                project.name,
                project.repo_url.or(path).unwrap_or_default(),
            ]
        })
        .collect();
    let text = table(["PROJECT", "MODE", "NAME", "REPOSITORY"], &rows);
    Ok(Answer { json, text })
}
