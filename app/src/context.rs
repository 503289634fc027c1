//! The worker context: pure, from the board to JSON. This app draws no architecture graph and keeps
//! no notes, so those parts are there and empty.

use serde_json::{Value, json};

use crate::model::Ticket;
use crate::store::Board;

/// What an agent may do here beyond what the original app takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offers {
    /// It may propose follow-up tickets.
    FollowUps,
    /// As the original app, which says nothing of it.
    Nothing,
}

/// The context of the board's current ticket. Secret: it holds the agent settings.
pub(crate) fn worker_context(board: &Board, offers: Offers) -> Value {
    let project = &board.project;
    let no_graph = json!({ "nodes": [], "edges": [] });
    let in_progress = board.in_progress.iter().map(|ticket| {
        let mut shown = brief(ticket);
        if ticket.id == board.current.id {
            shown["_current_ticket"] = Value::Bool(true);
        }
        shown
    });
    let mut context = json!({
        "project_id": project.id,
        "project_name": project.name,
        "project_description": project.description,
        "repo_url": project.repo_url,
        "github_url": project.repo_url,
        "current_ticket": current(&board.current),
        "backlog_tickets": board.backlog.iter().map(brief).collect::<Vec<_>>(),
        "in_progress_tickets": in_progress.collect::<Vec<_>>(),
        "done_tickets": board.done.iter().map(brief).collect::<Vec<_>>(),
        "graph": no_graph,
        "graph_relevant_to_current_ticket": no_graph,
        "notes": [],
        "agent_settings": board.settings.agent_settings(),
    });
    match offers {
        Offers::FollowUps => context["offers"] = json!(["follow_ups"]),
        Offers::Nothing => {}
    }
    context
}

fn current(ticket: &Ticket) -> Value {
    let mut shown = brief(ticket);
    shown["_current_ticket"] = Value::Bool(true);
    for list in ["associated_node_ids", "associated_nodes_labeled", "associated_edges_labeled"] {
        shown[list] = json!([]);
    }
    shown
}

fn brief(ticket: &Ticket) -> Value {
    json!({
        "id": ticket.id,
        "title": ticket.title,
        "description": ticket.description,
        "priority": ticket.priority,
        "column_id": ticket.column_id,
        "status": ticket.status,
    })
}
