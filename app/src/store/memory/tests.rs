use tempfile::TempDir;

use super::*;
use crate::model::{DayBudget, Execution};
use crate::store::NewProject;
use crate::vector::Vector;

const NOW: Timestamp = Timestamp::from_millis(1_000);

struct Scene {
    store: Store,
    project: ProjectId,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("app.db")).unwrap();
        let project = project_in(&store).await;
        Self { store, project, folder }
    }

    async fn keep(&self, passages: &[&str]) {
        let passages = passages.iter().map(|text| (*text).to_owned()).collect();
        assert!(self.store.remember(self.project, passages, NOW).await.unwrap());
    }

    async fn ask(&self, question: &str) -> Vec<String> {
        let found = self.store.recall(self.project, vec![question.to_owned()], 5).await.unwrap();
        texts(found.unwrap().remove(0))
    }

    async fn all(&self) -> Vec<Memory> {
        self.store.memories(self.project, 1_000, 0).await.unwrap().unwrap()
    }
}

async fn project_in(store: &Store) -> ProjectId {
    let new = NewProject {
        name: "demo".to_owned(),
        description: String::new(),
        repo_url: Some("https://github.com/acme/demo".to_owned()),
        execution: Execution::Docker,
        budget: DayBudget::default(),
    };
    store.create_project(new, NOW).await.unwrap().id
}

fn texts(passages: Vec<Passage>) -> Vec<String> {
    passages.into_iter().map(|passage| passage.text).collect()
}

#[test]
fn nothing_of_a_question_is_search_syntax() {
    assert_eq!(
        any_word("NEAR(login, \"x\") OR -y* login LOGIN").unwrap(),
        "\"NEAR\" OR \"login\" OR \"x\" OR \"OR\" OR \"y\""
    );
    assert_eq!(any_word(" \"* \0 "), None);
}

#[tokio::test]
async fn questions_in_search_syntax_are_words() {
    let scene = Scene::new().await;
    let near = "The near lens and the login.";
    scene.keep(&[near, "A board of four columns."]).await;
    for question in [
        "\"login",
        "login AND board OR",
        "NEAR(login board, 2)",
        "content:login",
        "login* ^board",
        "(((login",
        "NOT login",
        "{content} : login",
        "login\0board",
        "'; DROP TABLE memory_docs; -- login",
    ] {
        assert!(scene.ask(question).await.contains(&near.to_owned()), "{question}");
    }
    for nothing in ["", "\"", "***", "NEAR()", "()"] {
        let found = scene.ask(nothing).await;
        assert!(found.is_empty() || found == [near], "{nothing}: {found:?}");
    }
    assert_eq!(scene.all().await.len(), 2);
}

#[tokio::test]
async fn the_right_passage_comes_first_among_two_hundred() {
    let scene = Scene::new().await;
    let parts = ["parser", "board", "export", "search", "mail", "queue", "cache", "theme"];
    let done = ["was renamed", "got tests", "is faster now", "was documented", "logs its errors"];
    let noise: Vec<String> = (0..199)
        .map(|number| {
            let (part, done) = (parts[number % parts.len()], done[number % done.len()]);
            format!(
                "Ticket: Work on the {part} {number}. The {part} {done}; users sign the change."
            )
        })
        .collect();
    let right = "Ticket: Sign in with a passkey. Users sign in by WebAuthn; passwords are hashed with \
        argon2, whose cost is in settings.toml.";
    let (before, after) = noise.split_at(100);
    for passages in [before, &[right.to_owned()], after] {
        scene.store.remember(scene.project, passages.to_vec(), NOW).await.unwrap();
    }
    for question in [
        "How are passwords hashed when users sign in?",
        "Which setting has the cost of hashing?",
        "Add a second passkey\n\nThe users want to sign in with a second passkey.",
    ] {
        let found = scene.ask(question).await;
        assert_eq!(found.first().map(String::as_str), Some(right), "{question}");
        assert!(found.len() <= 5);
    }
}

#[tokio::test]
async fn words_are_found_in_their_other_forms_and_of_equals_the_newest_first() {
    let scene = Scene::new().await;
    scene.keep(&["Logins are hashed, one.", "Logins are hashed, two."]).await;
    let newest_first = ["Logins are hashed, two.", "Logins are hashed, one."];
    assert_eq!(scene.ask("hash the login").await, newest_first);
}

#[tokio::test]
async fn another_projects_passages_are_never_found() {
    let scene = Scene::new().await;
    let other = project_in(&scene.store).await;
    let theirs = vec!["Our login uses argon2.".to_owned()];
    scene.store.remember(other, theirs.clone(), NOW).await.unwrap();
    scene.keep(&["The board has columns."]).await;
    assert!(scene.ask("login argon2").await.is_empty());
    let id = scene.store.memories(other, 9, 0).await.unwrap().unwrap()[0].id;
    assert_eq!(scene.store.forget(scene.project, id).await.unwrap(), Removal::Missing);
    scene.store.forget_all(scene.project).await.unwrap();
    let found = scene.store.recall(other, vec!["login".to_owned()], 5).await.unwrap().unwrap();
    assert_eq!(texts(found.into_iter().next().unwrap()), theirs);
    let nobody = ProjectId::random();
    assert_eq!(scene.store.recall(nobody, vec!["login".to_owned()], 5).await.unwrap(), None);
    assert!(!scene.store.remember(nobody, theirs, NOW).await.unwrap());
}

#[tokio::test]
async fn a_deleted_passage_is_never_found_and_leaves_no_words_behind() {
    let scene = Scene::new().await;
    scene.keep(&["The zanzibar key is in the vault.", "The board has columns."]).await;
    let [_, zanzibar] = &scene.all().await[..] else { panic!("not two") };
    assert_eq!(scene.store.forget(scene.project, zanzibar.id).await.unwrap(), Removal::Done);
    assert!(scene.ask("zanzibar key").await.is_empty());
    assert_eq!(scene.store.forget(scene.project, zanzibar.id).await.unwrap(), Removal::Missing);
    let path = scene.folder.path().join("app.db");
    drop(scene.store);
    // The last connection takes the write-ahead log with it.
    let kept = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    assert!(kept.contains("columns") && !kept.contains("zanzibar"));
}

#[tokio::test]
async fn the_same_text_is_kept_once_and_what_goes_with_its_project_is_gone() {
    let scene = Scene::new().await;
    for _ in 0..2 {
        scene.keep(&["Once.", "Once."]).await;
    }
    assert_eq!(scene.all().await.len(), 1);
    scene.store.delete_project(scene.project).await.unwrap();
    let left = scene.store.read(|tx| {
        tx.query_row(
            "SELECT count(*) FROM memory_index WHERE memory_index MATCH 'once'",
            [],
            |row| row.get::<_, u32>(0),
        )
    });
    assert_eq!(left.await.unwrap(), 0);
}

#[tokio::test]
async fn of_too_many_passages_the_oldest_are_forgotten() {
    let scene = Scene::new().await;
    scene.keep(&["one", "two", "three"]).await;
    let project = scene.project;
    scene.store.write(move |tx| forget_oldest(tx, project, 2)).await.unwrap();
    let left: Vec<String> = scene.all().await.into_iter().map(|memory| memory.content).collect();
    assert_eq!(left, ["three", "two"]);
    assert!(scene.ask("one").await.is_empty());
}

#[tokio::test]
async fn the_nearest_are_of_this_project_and_this_model_alone() {
    let scene = Scene::new().await;
    let other = project_in(&scene.store).await;
    scene.store.remember(other, vec!["theirs".to_owned()], NOW).await.unwrap();
    scene.keep(&["near", "nearer", "opposite", "by another model"]).await;
    let vector = |x: f32, y: f32| Vector::new(&[x, y]).unwrap();
    for (project, model) in [(scene.project, "m-1"), (other, "m-1")] {
        let unread = scene.store.unread_passages(project, model.to_owned(), 9).await.unwrap();
        let read = unread.into_iter().map(|(place, text)| {
            let direction = match text.as_str() {
                "near" => vector(1.0, 1.0),
                "opposite" => vector(-1.0, 0.0),
                _ => vector(1.0, 0.1),
            };
            (place, text, Some(direction))
        });
        let read = read.filter(|(_, text, _)| text != "by another model").collect();
        scene.store.keep_vectors(model.to_owned(), read).await.unwrap();
    }
    let left = scene.store.unread_passages(scene.project, "m-1".to_owned(), 9).await.unwrap();
    let [(place, text)] = left.try_into().unwrap();
    let read = vec![(place, text, Some(vector(1.0, 0.0)))];
    scene.store.keep_vectors("m-2".to_owned(), read).await.unwrap();
    let near = async |model: &str, question| {
        let near = scene.store.nearest(scene.project, model.to_owned(), vec![question], 5);
        texts(near.await.unwrap().remove(0))
    };
    assert_eq!(near("m-1", vector(1.0, 0.0)).await, ["nearer", "near"]);
    assert_eq!(near("m-2", vector(1.0, 0.0)).await, ["by another model"]);
    let other_space = Vector::new(&[1.0]).unwrap();
    assert!(near("m-1", other_space).await.is_empty());
}
