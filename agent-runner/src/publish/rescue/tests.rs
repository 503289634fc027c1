use super::super::tests::{Scene, commit_message};
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
        assert_eq!(rescue(&scene.git, &scene.checkout, commit).await.unwrap(), expected);
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
    let rescued = rescue(&scene.git, &scene.checkout, commit).await.unwrap();
    assert_eq!(rescued.branch, ticket());
}

#[tokio::test]
async fn what_another_run_saved_is_not_replaced() {
    let scene = Scene::new().await;
    let others = scene.origin.commit(ticket().rescue().as_str(), "theirs", "x\n");
    scene.write("mine", "x\n");
    let commit = commit(&scene).await;
    let rescued = rescue(&scene.git, &scene.checkout, commit).await.unwrap();
    assert_eq!(rescued.branch, ticket().rescue().with_suffix(commit));
    assert_eq!(files(&scene, &rescued.branch), "README\nmine");
    assert_eq!(scene.origin.head(ticket().rescue().as_str()), others);
}

#[tokio::test]
async fn what_is_forbidden_is_left_out_of_all_commits_that_are_saved() {
    let scene = Scene::new().await;
    scene.write("infra/new", "not allowed\n");
    scene.write("README", "not allowed\n");
    run(scene.checkout.path(), &["add", "-A"]);
    run(scene.checkout.path(), &["commit", "-qm", "by the worker"]);
    scene.write("mine", "x\n");
    let tip = commit(&scene).await;
    let paths = vec![PathBuf::from("infra/new"), PathBuf::from("README")];
    let message = commit_message("Do it");
    let author = author();
    let made = without(&scene.git, &scene.checkout, &author, &message, tip, paths.clone());
    let saved = rescue(&scene.git, &scene.checkout, made.await.unwrap().unwrap()).await.unwrap();
    assert_eq!(files(&scene, &saved.branch), "README\nmine");
    assert_eq!(scene.origin.show(saved.branch.as_str(), "README"), "hello");
    let count =
        run(&scene.origin.path(), &["rev-list", "--count", &format!("main..{}", saved.branch)]);
    assert_eq!(count, "1");
    let everything = [paths, vec!["mine".into()]].concat();
    let made = without(&scene.git, &scene.checkout, &author, &message, tip, everything);
    assert_eq!(made.await.unwrap(), None);
}
