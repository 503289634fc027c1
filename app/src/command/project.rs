//! `terarchitect-app project …`

use serde_json::json;

use super::{Answer, CommandError};
use crate::cli::{ProjectAdd, ProjectBudget, ProjectCommand};
use crate::dollars::Dollars;
use crate::model::{DayBudget, Project};
use crate::output::{pairs, table};
use crate::remote::Remote;

pub(super) async fn run(command: ProjectCommand, app: &Remote) -> Result<Answer, CommandError> {
    match command {
        ProjectCommand::Add(args) => add(args, app).await,
        ProjectCommand::List => list(app).await,
        ProjectCommand::Budget(args) => budget(args, app).await,
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
    let text = shown(app.read(&json)?);
    Ok(Answer { json, text })
}

async fn budget(args: ProjectBudget, app: &Remote) -> Result<Answer, CommandError> {
    let mut body = json!({});
    if let Some(tokens) = args.tokens {
        body["token_budget_per_day"] = json!((tokens > 0).then_some(tokens));
    }
    if let Some(money) = args.money {
        let money = (money > Dollars::default()).then_some(money);
        body["money_budget_per_day_usd"] = json!(money);
    }
    let json = app.patch(&format!("/api/projects/{}", args.id), body).await?;
    let text = shown(app.read(&json)?);
    Ok(Answer { json, text })
}

fn shown(project: Project) -> String {
    let DayBudget { tokens, money } = project.budget;
    pairs(&[
        ("project", Some(project.id.to_string())),
        ("name", Some(project.name)),
        ("repository", project.repo_url),
        ("mode", Some(project.execution.mode().to_string())),
        ("path", project.execution.path().map(str::to_owned)),
        ("tokens a day", tokens.map(|tokens| tokens.to_string())),
        ("money a day", money.map(|money| format!("{money} USD"))),
    ])
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
