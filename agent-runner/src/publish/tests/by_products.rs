//! What commands of the project leave behind, beside the worker's work.

use std::fs;

use super::super::testing::{Scene, commit_message};
use super::super::*;
use crate::git::testing::{Remote, run};

#[tokio::test]
async fn what_commands_leave_behind_is_no_work_unless_the_worker_changed_it() {
    let origin = Remote::new("main");
    origin.commit("main", "lock", "1\n");
    origin.commit("main", "gone", "1\n");
    let scene = Scene::of(origin).await;
    let mut by_products = ByProducts::default();
    let now = async || snapshot(&scene.git, &scene.checkout).await.unwrap();
    // The set-up.
    let before = now().await;
    scene.write("lock", "2\n");
    scene.write("report", "of the set-up\n");
    scene.write("both", "of the set-up\n");
    fs::remove_file(scene.checkout.path().join("gone")).unwrap();
    by_products.add(&scene.git, &scene.checkout, before, now().await).await.unwrap();
    let author = Author::new("Agent", "agent@example.org").unwrap();
    let message = commit_message("Do it");
    let commit = async |by_products: &ByProducts| {
        commit_all(&scene.git, &scene.checkout, &author, &message, by_products).await.unwrap()
    };
    assert_eq!(commit(&by_products).await, None, "a set-up alone is no work");
    // The worker.
    scene.write("mine", "x\n");
    scene.write("both", "changed by the worker\n");
    assert!(commit(&by_products).await.is_some());
    // The check, which changes what the set-up has changed.
    let before = now().await;
    scene.write("report", "of the check\n");
    by_products.add(&scene.git, &scene.checkout, before, now().await).await.unwrap();
    assert_eq!(commit(&by_products).await, None);
    scene.write("more", "y\n");
    let last = commit(&by_products).await.unwrap();
    push(&scene.git, &scene.checkout, last).await.unwrap();
    assert_eq!(scene.remote_files(), "README\nboth\ngone\nlock\nmine\nmore");
    assert_eq!(scene.on_remote("lock"), "1");
}

#[tokio::test]
async fn what_the_worker_commits_itself_is_its_work_though_a_command_made_it() {
    let scene = Scene::new().await;
    let mut by_products = ByProducts::default();
    let now = async || snapshot(&scene.git, &scene.checkout).await.unwrap();
    let before = now().await;
    scene.write("lock", "by the set-up\n");
    scene.write("report", "by the set-up\n");
    by_products.add(&scene.git, &scene.checkout, before, now().await).await.unwrap();
    run(scene.checkout.path(), &["add", "lock"]);
    run(scene.checkout.path(), &["commit", "-qm", "by the worker"]);
    let author = Author::new("Agent", "agent@example.org").unwrap();
    let message = commit_message("Do it");
    let commit = async || {
        commit_all(&scene.git, &scene.checkout, &author, &message, &by_products).await.unwrap()
    };
    assert!(commit().await.is_some());
    scene.write("more", "y\n");
    let last = commit().await.unwrap();
    push(&scene.git, &scene.checkout, last).await.unwrap();
    assert_eq!(scene.remote_files(), "README\nlock\nmore");
}
