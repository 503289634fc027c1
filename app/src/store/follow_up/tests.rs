use super::*;
use crate::model::{Column, DayBudget, Execution};
use crate::store::{NewProject, NewTicket, Removal};

struct Scene {
    store: Store,
    project: ProjectId,
    origin: TicketId,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("app.db")).unwrap();
        let project = project(&store).await;
        let new = NewTicket {
            title: "Add login".to_owned(),
            description: String::new(),
            priority: Priority::High,
            column: Column::Backlog,
        };
        let now = Timestamp::from_millis(0);
        let origin = store.create_ticket(project, new, now).await.unwrap().unwrap().id;
        Self { store, project, origin, _folder: folder }
    }

    async fn propose(&self, session: &str, proposals: &[(&str, &str)]) -> Proposed {
        let proposals = proposals
            .iter()
            .map(|(title, text)| Proposal { title: (*title).to_owned(), text: (*text).to_owned() });
        let now = Timestamp::from_millis(0);
        let (session, proposals) = (session.to_owned(), proposals.collect());
        let done = self.store.propose(self.project, self.origin, session, proposals, now);
        done.await.unwrap().unwrap()
    }
}

async fn project(store: &Store) -> ProjectId {
    let new = NewProject {
        name: "demo".to_owned(),
        description: String::new(),
        repo_url: Some("https://github.com/acme/demo".to_owned()),
        execution: Execution::Docker,
        budget: DayBudget::default(),
    };
    store.create_project(new, Timestamp::from_millis(0)).await.unwrap().id
}

async fn another(store: &Store, project: ProjectId) -> TicketId {
    let new = NewTicket {
        title: "t".to_owned(),
        description: String::new(),
        priority: Priority::Low,
        column: Column::Backlog,
    };
    store.create_ticket(project, new, Timestamp::from_millis(0)).await.unwrap().unwrap().id
}

#[tokio::test]
async fn a_proposal_is_a_ticket_in_the_backlog_that_says_where_it_comes_from_and_has_no_job() {
    let scene = Scene::new().await;
    let proposed = scene.propose("s", &[("Rotate keys", "They never are.")]).await;
    let ticket = scene.store.ticket(proposed.created[0]).await.unwrap().unwrap();
    assert_eq!((ticket.column_id, ticket.job), (Column::Backlog, None));
    assert_eq!((ticket.title.as_str(), ticket.priority), ("Rotate keys", Priority::Medium));
    assert!(ticket.description.starts_with("They never are.\n\n---\n\nProposed by an agent"));
    assert!(ticket.description.contains(&scene.origin.to_string()), "{}", ticket.description);
}

#[tokio::test]
async fn the_same_is_proposed_once_also_where_a_person_deleted_it() {
    let scene = Scene::new().await;
    let first = scene.propose("s", &[("Rotate keys", "They never are.")]).await;
    let same = scene.propose("t", &[("rotate  KEYS", "They never\nare. ")]).await;
    assert_eq!(same, Proposed { known: 1, ..Proposed::default() });
    let removed = scene.store.delete_ticket(scene.project, first.created[0]).await.unwrap();
    assert_eq!(removed, Removal::Done);
    let again = scene.propose("u", &[("Rotate keys", "They never are.")]).await;
    assert_eq!(again.created.len(), 0);
    let other = scene.propose("u", &[("Rotate keys", "Each month.")]).await;
    assert_eq!(other.created.len(), 1, "another text is another proposal");
}

#[tokio::test]
async fn what_a_ticket_of_a_person_says_is_not_proposed_again() {
    let scene = Scene::new().await;
    let new = NewTicket {
        title: "Rotate keys".to_owned(),
        description: "They never\nare.".to_owned(),
        priority: Priority::Low,
        column: Column::Backlog,
    };
    scene.store.create_ticket(scene.project, new, Timestamp::from_millis(0)).await.unwrap();
    let all = [("rotate keys", "They never are."), ("Rotate keys", "Each month.")];
    let proposed = scene.propose("s", &all).await;
    assert_eq!((proposed.known, proposed.created.len()), (1, 1), "another text is another ticket");
    assert_eq!(scene.propose("t", &[("add LOGIN", "")]).await.known, 1, "nor what the run is for");
}

#[tokio::test]
async fn the_runs_of_a_ticket_add_three_together_however_often_they_ask() {
    let mut scene = Scene::new().await;
    let two = [("a", "1"), ("b", "2")];
    assert_eq!(scene.propose("s", &two).await.created.len(), 2);
    let more = [("c", "3"), ("d", "4"), ("e", "5"), ("a", "1")];
    let proposed = scene.propose("s", &more).await;
    assert_eq!((proposed.created.len(), proposed.refused, proposed.known), (1, 2, 1));
    assert_eq!(scene.propose("t", &[("d", "4")]).await.refused, 1, "nor may another run of it");
    scene.origin = another(&scene.store, scene.project).await;
    assert_eq!(
        scene.propose("t", &[("d", "4")]).await.created.len(),
        1,
        "one of another ticket may"
    );
}

#[tokio::test]
async fn each_project_has_its_own() {
    let mut scene = Scene::new().await;
    scene.propose("s", &[("a", "1")]).await;
    let other = Scene::new().await;
    scene.project = project(&scene.store).await;
    scene.origin = another(&scene.store, scene.project).await;
    assert_eq!(scene.propose("s", &[("a", "1")]).await.created.len(), 1);
    let now = Timestamp::from_millis(0);
    let elsewhere = other.store.propose(other.project, scene.origin, "s".into(), vec![], now);
    assert_eq!(elsewhere.await.unwrap(), None, "a ticket of another project");
}
