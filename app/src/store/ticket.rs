//! Tickets and the board. Moving a ticket to In Progress puts a job in the queue in the same
//! transaction.

use api_client::wire::JobKind;
use api_client::{ProjectId, TicketId};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::project::Removal;
use super::{
    Store, StoreError, job, optional, parking, project, setting, time, to_sql, typed, unsigned,
};
use crate::clock::Timestamp;
use crate::model::{Column, JobStatus, LatestJob, Priority, Project, Review, Ticket, TicketStatus};
use crate::queue;
use crate::setting::Settings;

const BACKLOG_MAX: usize = 10;
const IN_PROGRESS_MAX: usize = 5;
const DONE_MAX: usize = 5;

/// Every ticket with its newest job, and with what was seen of its pull request.
const SELECT: &str = "SELECT t.*, j.id AS job_id, j.status AS job_status,
        r.state AS review_state, r.looked_at AS review_looked_at
    FROM tickets t LEFT JOIN jobs j
        ON j.seq = (SELECT max(seq) FROM jobs WHERE ticket_id = t.id)
    LEFT JOIN reviews r ON r.ticket_id = t.id AND r.pr_number = t.pr_number";

/// A new ticket, checked.
#[derive(Clone, Debug)]
pub(crate) struct NewTicket {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) priority: Priority,
    pub(crate) column: Column,
}

/// A change of a ticket; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct TicketEdit {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) priority: Option<Priority>,
    pub(crate) column: Option<Column>,
}

/// What the agent says when it is done.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) summary: Option<String>,
    pub(crate) pr_url: Option<String>,
    pub(crate) pr_number: Option<u64>,
}

/// What the worker context is made of.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) project: Project,
    pub(crate) current: Ticket,
    pub(crate) backlog: Vec<Ticket>,
    /// The current ticket first, if it is in progress.
    pub(crate) in_progress: Vec<Ticket>,
    pub(crate) done: Vec<Ticket>,
    pub(crate) settings: Settings,
}

impl Store {
    /// The tickets of a project in the order of creation; `None` when there is no such project.
    pub(crate) async fn tickets(
        &self,
        project: ProjectId,
    ) -> Result<Option<Vec<Ticket>>, StoreError> {
        self.read(move |tx| {
            if project::find(tx, project)?.is_none() {
                return Ok(None);
            }
            let sql = format!("{SELECT} WHERE t.project_id = ?1 ORDER BY t.rowid");
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map([project.to_string()], read_ticket)?;
            rows.collect::<Result<_, _>>().map(Some)
        })
        .await
    }

    pub(crate) async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, StoreError> {
        self.read(move |tx| find(tx, id)).await
    }

    /// `None` when there is no such project.
    pub(crate) async fn create_ticket(
        &self,
        project: ProjectId,
        new: NewTicket,
        now: Timestamp,
    ) -> Result<Option<Ticket>, StoreError> {
        self.write(move |tx| {
            if project::find(tx, project)?.is_none() {
                return Ok(None);
            }
            add(tx, project, new, now).map(Some)
        })
        .await
    }

    /// Changes a ticket. Setting its column to In Progress puts a job in the queue unless one waits
    /// or runs, whatever the column was: so a failed job is tried again, and a parked one is due at once.
    pub(crate) async fn edit_ticket(
        &self,
        project: ProjectId,
        id: TicketId,
        edit: TicketEdit,
        now: Timestamp,
    ) -> Result<Option<Ticket>, StoreError> {
        self.write(move |tx| match find_in(tx, project, id)? {
            Some(ticket) => apply(tx, ticket, edit, now).map(Some),
            None => Ok(None),
        })
        .await
    }

    /// Moves a ticket to review, whatever its column was; may be repeated. `false` when there is no
    /// such ticket. The pull request is kept unless a new one is named.
    pub(crate) async fn deliver(
        &self,
        project: ProjectId,
        id: TicketId,
        delivery: Delivery,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let Some(mut ticket) = find_in(tx, project, id)? else {
                return Ok(false);
            };
            ticket.status = TicketStatus::Completed;
            ticket.column_id = Column::InReview;
            ticket.updated_at = now;
            ticket.summary = delivery.summary.or(ticket.summary);
            if delivery.pr_url.is_some() {
                ticket.pr_url = delivery.pr_url;
                ticket.pr_number = delivery.pr_number;
            }
            save(tx, &ticket)?;
            Ok(true)
        })
        .await
    }

    /// Deletes a ticket with its jobs and logs, unless a job of it waits or runs.
    pub(crate) async fn delete_ticket(
        &self,
        project: ProjectId,
        id: TicketId,
    ) -> Result<Removal, StoreError> {
        self.write(move |tx| {
            let Some(ticket) = find_in(tx, project, id)? else {
                return Ok(Removal::Missing);
            };
            if let Some(job) = ticket.job.filter(|job| queue::is_active(job.status)) {
                return Ok(Removal::Active(job.status));
            }
            tx.execute("DELETE FROM tickets WHERE id = ?1", [id.to_string()])?;
            Ok(Removal::Done)
        })
        .await
    }

    /// The board around a ticket, with the limits of the original app.
    pub(crate) async fn board(
        &self,
        project: ProjectId,
        id: TicketId,
    ) -> Result<Option<Board>, StoreError> {
        self.read(move |tx| {
            let (Some(owner), Some(current)) =
                (project::find(tx, project)?, find_in(tx, project, id)?)
            else {
                return Ok(None);
            };
            let mut in_progress = column(tx, project, Column::InProgress, IN_PROGRESS_MAX)?;
            if current.column_id == Column::InProgress {
                in_progress.retain(|ticket| ticket.id != id);
                in_progress.insert(0, current.clone());
                in_progress.truncate(IN_PROGRESS_MAX);
            }
            Ok(Some(Board {
                project: owner,
                current,
                backlog: column(tx, project, Column::Backlog, BACKLOG_MAX)?,
                in_progress,
                done: column(tx, project, Column::Done, DONE_MAX)?,
                settings: setting::load(tx)?,
            }))
        })
        .await
    }
}

/// Adds a ticket to a project that is there, inside a transaction.
pub(super) fn add(
    tx: &Connection,
    project: ProjectId,
    new: NewTicket,
    now: Timestamp,
) -> rusqlite::Result<Ticket> {
    let ticket = Ticket {
        id: TicketId::random(),
        project_id: project,
        title: new.title,
        description: new.description,
        priority: new.priority,
        column_id: Column::Backlog,
        status: TicketStatus::Todo,
        summary: None,
        pr_url: None,
        pr_number: None,
        created_at: now,
        updated_at: now,
        job: None,
        review: None,
    };
    save(tx, &ticket)?;
    let place = TicketEdit { column: Some(new.column), ..TicketEdit::default() };
    apply(tx, ticket, place, now)
}

/// A ticket, if it belongs to the project; inside a transaction.
pub(super) fn find_in(
    tx: &Connection,
    project: ProjectId,
    id: TicketId,
) -> rusqlite::Result<Option<Ticket>> {
    Ok(find(tx, id)?.filter(|ticket| ticket.project_id == project))
}

pub(super) fn find(tx: &Connection, id: TicketId) -> rusqlite::Result<Option<Ticket>> {
    tx.prepare_cached(&format!("{SELECT} WHERE t.id = ?1"))?
        .query_row([id.to_string()], read_ticket)
        .optional()
}

/// The newest tickets of a column, oldest first.
fn column(
    tx: &Connection,
    project: ProjectId,
    column: Column,
    limit: usize,
) -> rusqlite::Result<Vec<Ticket>> {
    let sql = format!(
        "{SELECT} WHERE t.project_id = ?1 AND t.column_id = ?2
        ORDER BY t.updated_at DESC, t.rowid DESC LIMIT {limit}"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([&project.to_string(), column.name()], read_ticket)?;
    let mut tickets: Vec<Ticket> = rows.collect::<Result<_, _>>()?;
    tickets.reverse();
    Ok(tickets)
}

fn apply(
    tx: &Connection,
    mut ticket: Ticket,
    edit: TicketEdit,
    now: Timestamp,
) -> rusqlite::Result<Ticket> {
    let starts = edit.column == Some(Column::InProgress);
    ticket.title = edit.title.unwrap_or(ticket.title);
    ticket.description = edit.description.unwrap_or(ticket.description);
    ticket.priority = edit.priority.unwrap_or(ticket.priority);
    ticket.column_id = edit.column.unwrap_or(ticket.column_id);
    ticket.updated_at = now;
    if starts {
        parking::make_due(tx, ticket.id, now)?;
    }
    if starts && queue::may_enqueue(ticket.job.map(|job| job.status)) {
        ticket.status = TicketStatus::Todo;
        let job_id = job::enqueue(tx, &ticket, &JobKind::Ticket, now)?;
        ticket.job = Some(LatestJob { job_id, status: JobStatus::Pending });
    }
    save(tx, &ticket)?;
    Ok(ticket)
}

/// Puts a ticket back to work, inside a transaction that has given it a job.
pub(super) fn reopen(
    tx: &Connection,
    mut ticket: Ticket,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    ticket.status = TicketStatus::Todo;
    ticket.column_id = Column::InProgress;
    ticket.updated_at = now;
    save(tx, &ticket)
}

/// Moves a ticket to Done, inside a transaction.
pub(super) fn close(tx: &Connection, ticket: &Ticket, now: Timestamp) -> rusqlite::Result<usize> {
    let done = Ticket {
        column_id: Column::Done,
        status: TicketStatus::Completed,
        updated_at: now,
        ..ticket.clone()
    };
    save(tx, &done)
}

fn save(tx: &Connection, ticket: &Ticket) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO tickets
            (id, project_id, title, description, priority, column_id, status, summary, pr_url,
             pr_number, created_at, updated_at)
        VALUES (:id, :project_id, :title, :description, :priority, :column_id, :status, :summary,
             :pr_url, :pr_number, :created_at, :updated_at)
        ON CONFLICT (id) DO UPDATE SET
            title = :title, description = :description, priority = :priority,
            column_id = :column_id, status = :status, summary = :summary, pr_url = :pr_url,
            pr_number = :pr_number, updated_at = :updated_at";
    tx.prepare_cached(sql)?.execute(named_params! {
        ":id": ticket.id.to_string(),
        ":project_id": ticket.project_id.to_string(),
        ":title": ticket.title,
        ":description": ticket.description,
        ":priority": ticket.priority.name(),
        ":column_id": ticket.column_id.name(),
        ":status": ticket.status.name(),
        ":summary": ticket.summary,
        ":pr_url": ticket.pr_url,
        ":pr_number": to_sql(ticket.pr_number),
        ":created_at": ticket.created_at.millis(),
        ":updated_at": ticket.updated_at.millis(),
    })
}

fn read_ticket(row: &Row<'_>) -> rusqlite::Result<Ticket> {
    let job = match row.get::<_, Option<String>>("job_id")? {
        Some(_) => {
            Some(LatestJob { job_id: typed(row, "job_id")?, status: typed(row, "job_status")? })
        }
        None => None,
    };
    let review = match optional(row, "review_state")? {
        Some(state) => Some(Review { state, looked_at: time(row, "review_looked_at")? }),
        None => None,
    };
    Ok(Ticket {
        id: typed(row, "id")?,
        project_id: typed(row, "project_id")?,
        title: row.get("title")?,
        description: row.get("description")?,
        priority: typed(row, "priority")?,
        column_id: typed(row, "column_id")?,
        status: typed(row, "status")?,
        summary: row.get("summary")?,
        pr_url: row.get("pr_url")?,
        pr_number: unsigned(row, "pr_number")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        job,
        review,
    })
}
