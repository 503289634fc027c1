use super::super::testing::{Scene, commit_message};
use super::*;
use crate::git::testing::{run, ticket};
use crate::publish::{self, ByProducts};

fn author() -> Author {
    Author::new("Agent", "agent@example.org").unwrap()
}

async fn commit(scene: &Scene) -> CommitId {
    let (message, none) = (commit_message("Do it"), ByProducts::default());
    publish::commit_all(&scene.git, &scene.checkout, &author(), &message, &none)
        .await
        .unwrap()
        .unwrap()
}

fn files(scene: &Scene, branch: &BranchName) -> String {
    run(&scene.origin.path(), &["ls-tree", "-r", "--name-only", branch.as_str()])
}

#[tokio::test]
async fn unfinished_work_is_on_a_branch_of_its_own_however_often_it_is_saved() {
    let scene = Scene::new().await;
    scene.write("mine", "x\n");
    let commit = commit(&scene).await;
    let expected = Rescued { branch: ticket().rescue(), commit };
    for _ in 0..2 {
        assert_eq!(rescue(&scene.git, &scene.checkout, &[commit], commit).await.unwrap(), expected);
    }
    assert_eq!(files(&scene, &ticket().rescue()), "README\nmine");
    let branches = run(&scene.origin.path(), &["for-each-ref", "--format=%(refname:short)"]);
    assert_eq!(branches, format!("main\n{}", ticket().rescue()));
}

#[tokio::test]
async fn work_whose_push_came_through_needs_no_second_branch() {
    let scene = Scene::new().await;
    scene.write("mine", "x\n");
    let commit = commit(&scene).await;
    publish::push(&scene.git, &scene.checkout, commit).await.unwrap();
    let rescued = rescue(&scene.git, &scene.checkout, &[commit], commit).await.unwrap();
    assert_eq!(rescued.branch, ticket());
}

#[tokio::test]
async fn the_newest_work_is_on_the_branch_and_what_it_does_not_build_upon_beside_it() {
    let scene = Scene::new().await;
    let others = scene.origin.commit(ticket().rescue().as_str(), "theirs", "x\n");
    scene.write("mine", "x\n");
    let commit = commit(&scene).await;
    let rescued = rescue(&scene.git, &scene.checkout, &[commit], commit).await.unwrap();
    assert_eq!(rescued.branch, ticket().rescue());
    confirm(&scene.git, &scene.checkout, &rescued).await.unwrap();
    assert_eq!(files(&scene, &rescued.branch), "README\nmine");
    let aside = ticket().rescue().with_suffix(others.parse().unwrap());
    assert_eq!(scene.origin.head(aside.as_str()), others);
}

async fn saved(scene: &Scene, tip: CommitId, without: &[&str]) -> Option<CommitId> {
    let (message, author) = (commit_message("Do it"), author());
    let without = without.iter().map(PathBuf::from).collect();
    squashed(&scene.git, &scene.checkout, &author, &message, tip, without).await.unwrap()
}

#[tokio::test]
async fn what_is_barred_is_left_out_of_the_one_commit_that_is_saved() {
    let scene = Scene::new().await;
    scene.write("infra/new", "not allowed\n");
    scene.write("README", "not allowed\n");
    run(scene.checkout.path(), &["add", "-A"]);
    run(scene.checkout.path(), &["commit", "-qm", "by the worker"]);
    scene.write("mine", "x\n");
    let tip = commit(&scene).await;
    let made = saved(&scene, tip, &["infra/new", "README", "gone/again"]).await.unwrap();
    let saved_at = rescue(&scene.git, &scene.checkout, &[tip], made).await.unwrap();
    assert_eq!(files(&scene, &saved_at.branch), "README\nmine");
    assert_eq!(scene.origin.show(saved_at.branch.as_str(), "README"), "hello");
    let count =
        run(&scene.origin.path(), &["rev-list", "--count", &format!("main..{}", saved_at.branch)]);
    assert_eq!(count, "1");
    assert_eq!(saved(&scene, tip, &["infra/new", "README", "mine"]).await, None);
}

#[tokio::test]
async fn the_name_of_a_barred_file_is_no_pattern() {
    let scene = Scene::new().await;
    for file in ["app/[id]/x", "app/i/x", "app/d/x", "README/now-a-folder"] {
        if file.starts_with("README") {
            std::fs::remove_file(scene.checkout.path().join("README")).unwrap();
        }
        scene.write(file, "x\n");
    }
    let tip = commit(&scene).await;
    let made = saved(&scene, tip, &["app/[id]/x", "README"]).await.unwrap();
    let saved_at = rescue(&scene.git, &scene.checkout, &[tip], made).await.unwrap();
    assert_eq!(files(&scene, &saved_at.branch), "README\napp/d/x\napp/i/x");
}
