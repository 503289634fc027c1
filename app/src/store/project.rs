//! Projects.

use api_client::ProjectId;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Store, StoreError, budget, time, to_sql, typed};
use crate::clock::Timestamp;
use crate::dollars::Dollars;
use crate::model::{DayBudget, Execution, ExecutionMode, JobStatus, Project};

/// The parts of a project that a person gives, checked.
#[derive(Clone, Debug)]
pub(crate) struct NewProject {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) repo_url: Option<String>,
    pub(crate) execution: Execution,
    pub(crate) budget: DayBudget,
}

/// What became of a request to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Done,
    /// A job of it waits or runs: nothing was deleted.
    Active(JobStatus),
    Missing,
}

impl Store {
    pub(crate) async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT * FROM projects ORDER BY rowid")?;
            statement.query_map([], read_project)?.collect()
        })
        .await
    }

    pub(crate) async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        self.read(move |tx| find(tx, id)).await
    }

    pub(crate) async fn create_project(
        &self,
        new: NewProject,
        now: Timestamp,
    ) -> Result<Project, StoreError> {
        self.write(move |tx| {
            let id = ProjectId::random();
            save(tx, id, &new, now)?;
            Ok(project(id, new, now))
        })
        .await
    }

    /// Replaces a project by what `edit` makes of it; an error of `edit` changes nothing.
    pub(crate) async fn edit_project<E, F>(
        &self,
        id: ProjectId,
        edit: F,
    ) -> Result<Option<Result<Project, E>>, StoreError>
    where
        E: Send + 'static,
        F: FnOnce(&Project) -> Result<NewProject, E> + Send + 'static,
    {
        self.write(move |tx| {
            let Some(old) = find(tx, id)? else {
                return Ok(None);
            };
            let new = match edit(&old) {
                Ok(new) => new,
                Err(error) => return Ok(Some(Err(error))),
            };
            save(tx, id, &new, old.created_at)?;
            Ok(Some(Ok(project(id, new, old.created_at))))
        })
        .await
    }

    /// Deletes a project with all that belongs to it, unless a job of it waits or runs.
    pub(crate) async fn delete_project(&self, id: ProjectId) -> Result<Removal, StoreError> {
        self.write(move |tx| {
            let active = "SELECT status FROM jobs
                WHERE project_id = ?1 AND status IN ('running', 'pending')
                ORDER BY status DESC LIMIT 1";
            let status =
                tx.query_row(active, [id.to_string()], |row| typed(row, "status")).optional()?;
            if let Some(status) = status {
                return Ok(Removal::Active(status));
            }
            let deleted = tx.execute("DELETE FROM projects WHERE id = ?1", [id.to_string()])?;
            Ok(if deleted > 0 { Removal::Done } else { Removal::Missing })
        })
        .await
    }
}

/// One project, inside a transaction.
pub(super) fn find(tx: &Connection, id: ProjectId) -> rusqlite::Result<Option<Project>> {
    tx.prepare_cached("SELECT * FROM projects WHERE id = ?1")?
        .query_row([id.to_string()], read_project)
        .optional()
}

fn project(id: ProjectId, new: NewProject, created_at: Timestamp) -> Project {
    Project {
        id,
        name: new.name,
        description: new.description,
        repo_url: new.repo_url,
        execution: new.execution,
        budget: new.budget,
        created_at,
    }
}

fn save(
    tx: &Connection,
    id: ProjectId,
    new: &NewProject,
    created_at: Timestamp,
) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO projects
            (id, name, description, repo_url, execution_mode, project_path, token_budget_per_day,
             money_budget_per_day, created_at)
        VALUES (:id, :name, :description, :repo_url, :mode, :path, :tokens, :money, :created_at)
        ON CONFLICT (id) DO UPDATE SET
            name = :name, description = :description, repo_url = :repo_url,
            execution_mode = :mode, project_path = :path, token_budget_per_day = :tokens,
            money_budget_per_day = :money";
    tx.prepare_cached(sql)?.execute(named_params! {
        ":id": id.to_string(),
        ":name": new.name,
        ":description": new.description,
        ":repo_url": new.repo_url,
        ":mode": new.execution.mode().name(),
        ":path": new.execution.path(),
        ":tokens": to_sql(new.budget.tokens),
        ":money": to_sql(new.budget.money.map(Dollars::millionths)),
        ":created_at": created_at.millis(),
    })
}

fn read_project(row: &Row<'_>) -> rusqlite::Result<Project> {
    let execution = match typed(row, "execution_mode")? {
        ExecutionMode::Docker => Execution::Docker,
        ExecutionMode::Local => Execution::Local { project_path: row.get("project_path")? },
    };
    Ok(Project {
        id: typed(row, "id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        repo_url: row.get("repo_url")?,
        execution,
        budget: budget::read(row)?,
        created_at: time(row, "created_at")?,
    })
}
