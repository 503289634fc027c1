use super::migration::MIGRATIONS;
use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_database_and_its_side_files_are_readable_by_the_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/app.db");
    let _store = Store::open(&path).unwrap();
    for name in ["app.db", "app.db-wal", "app.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[test]
fn a_database_that_was_open_to_others_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _store = Store::open(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn every_migration_file_is_embedded_and_applied_once() {
    let listed = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    assert_eq!(listed.count(), MIGRATIONS.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    for _ in 0..2 {
        drop(Store::open(&path).unwrap());
    }
}

#[test]
fn the_jobs_of_an_older_database_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.execute_batch(
        "PRAGMA user_version = 1;
        INSERT INTO projects VALUES ('p', 'n', '', 'u', 'docker', NULL, 0);
        INSERT INTO tickets VALUES
            ('t', 'p', '', '', 'low', 'backlog', 'todo', NULL, NULL, NULL, 0, 0);
        INSERT INTO jobs (id, project_id, ticket_id, kind, status, created_at)
            VALUES ('j', 'p', 't', 'ticket', 'running', 0);",
    )
    .unwrap();
    drop(old);
    drop(Store::open(&path).unwrap());
    let count = "SELECT count(*) FROM jobs WHERE status = 'running' AND claim_id IS NULL";
    let now = Connection::open(&path).unwrap();
    assert_eq!(now.query_row(count, [], |row| row.get::<_, u32>(0)).unwrap(), 1);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    drop(Store::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99 }), "{error}");
}

#[test]
fn what_is_answered_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let connection = connect(&folder.path().join("app.db")).unwrap();
    let pragma = |name: &str| -> String {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| format!("{value:?}"))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), r#"Text("wal")"#);
    assert_eq!(pragma("synchronous"), "Integer(2)");
    assert_eq!(pragma("foreign_keys"), "Integer(1)");
}

#[tokio::test]
async fn the_memory_of_an_older_database_is_found_and_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let project = api_client::ProjectId::random();
    let old = Connection::open(&path).unwrap();
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.execute_batch(MIGRATIONS[1]).unwrap();
    old.execute_batch(&format!(
        "PRAGMA user_version = 2;
        INSERT INTO projects VALUES ('{project}', 'n', '', 'u', 'docker', NULL, 0);
        INSERT INTO memory_docs (project_id, content) VALUES ('{project}', 'Logins are hashed.');
        INSERT INTO memory_docs (project_id, content) VALUES ('{project}', 'Boards.');"
    ))
    .unwrap();
    drop(old);
    let store = Store::open(&path).unwrap();
    let found = store.recall(project, vec!["hash a login".to_owned()], 5).await.unwrap().unwrap();
    assert_eq!(found[0][0].text, "Logins are hashed.");
    assert_eq!(store.forget(project, found[0][0].id).await.unwrap(), Removal::Done);
    let left = store.memories(project, 9, 0).await.unwrap().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].content.as_str(), left[0].created_at), ("Boards.", None));
}
