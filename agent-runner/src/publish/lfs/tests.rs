use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use super::super::testing::{Scene, commit_message};
use super::*;
use crate::checkout::{HeldRepository, worktree_of};
use crate::git::CommitId;
use crate::git::testing::{Remote, git, run, ticket};
use crate::inspect::Outgoing;
use crate::lfs::open;
use crate::publish::PublishError;
use crate::publish::{self, Author, ByProducts};

/// The pointer to a content, as another program may have written it: without its last line feed.
fn odd_pointer(content: &str) -> (Pointer, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, content).unwrap();
    let pointer = pointer_to(open(&file).unwrap()).unwrap();
    let text = pointer.to_string().trim_end().to_owned();
    (pointer, text)
}

/// A checkout whose file `old.bin` is in Git LFS, with its content in the work tree.
async fn scene() -> Scene {
    let origin = Remote::new("main");
    let (pointer, text) = odd_pointer("old content\n");
    origin.commit("main", ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    origin.commit("main", "old.bin", &text);
    origin.commit("main", "unfetched.bin", &odd_pointer("elsewhere").1);
    let mut scene = Scene::of(origin).await;
    scene.checkout.heed_lfs(&[pointer]);
    scene.write("old.bin", "old content\n");
    scene
}

async fn commit(scene: &Scene) -> Option<CommitId> {
    let author = Author::new("Agent", "agent@example.org").unwrap();
    let (message, none) = (commit_message("Do it"), ByProducts::default());
    publish::commit_all(&scene.git, &scene.checkout, &author, &message, &none).await.unwrap()
}

fn outgoing(scene: &Scene, tip: CommitId) -> Outgoing {
    let base = scene.checkout.base_commit();
    Outgoing { base, start: base, tip }
}

fn committed(scene: &Scene, path: &str) -> String {
    let git_dir = format!("--git-dir={}", scene.checkout.shadow().path().display());
    run(scene.checkout.path(), &[&git_dir, "show", &format!("{}:{path}", ticket())])
}

#[tokio::test]
async fn content_that_its_pointer_stands_for_is_no_change() {
    let scene = scene().await;
    assert_eq!(commit(&scene).await, None);
    scene.write("README", "changed\n");
    let tip = commit(&scene).await.unwrap();
    let stat = publish::diff_stat(&scene.git, &scene.checkout, tip).await.unwrap();
    assert_eq!(stat.files, 1);
    assert!(!committed(&scene, "old.bin").contains("old content"));
}

#[tokio::test]
async fn changed_and_new_files_are_committed_as_pointers_and_their_content_is_kept() {
    let scene = scene().await;
    scene.write("old.bin", "new content\n");
    scene.write("deep/new.bin", "another\n");
    scene.write("plain.txt", "plain\n");
    scene.write("empty.bin", "");
    fs::set_permissions(
        scene.checkout.path().join("deep/new.bin"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    symlink("/etc/passwd", scene.checkout.path().join("link.bin")).unwrap();
    let tip = commit(&scene).await.unwrap();
    for (path, content) in [("old.bin", "new content\n"), ("deep/new.bin", "another\n")] {
        let (pointer, _) = odd_pointer(content);
        assert_eq!(committed(&scene, path), pointer.to_string().trim_end());
        let object = scene.checkout.lfs().unwrap().object(&pointer.id);
        assert_eq!(fs::read_to_string(object).unwrap(), content);
    }
    assert_eq!(committed(&scene, "plain.txt"), "plain");
    assert_eq!(committed(&scene, "empty.bin"), "");
    assert_eq!(committed(&scene, "link.bin"), "/etc/passwd", "the link, not its target");
    let git_dir = format!("--git-dir={}", scene.checkout.shadow().path().display());
    let entry =
        run(scene.checkout.path(), &[&git_dir, "ls-tree", ticket().as_str(), "deep/new.bin"]);
    assert!(entry.starts_with("100755 blob"), "{entry}");
    let content = lfs_at_hand(&scene.git, &scene.checkout, outgoing(&scene, tip)).await.unwrap();
    assert_eq!(content.files(), ["deep/new.bin", "old.bin"].map(PathBuf::from).into());
    assert!(content.missing_files().is_empty(), "{content:?}");
}

#[tokio::test]
async fn a_file_that_is_gone_is_gone_and_one_that_is_a_folder_now_is_that() {
    let scene = scene().await;
    fs::remove_file(scene.checkout.path().join("old.bin")).unwrap();
    fs::remove_file(scene.checkout.path().join("unfetched.bin")).unwrap();
    scene.write("unfetched.bin/inner.bin", "inner\n");
    commit(&scene).await.unwrap();
    let git_dir = format!("--git-dir={}", scene.checkout.shadow().path().display());
    let files =
        run(scene.checkout.path(), &[&git_dir, "ls-tree", "-r", "--name-only", ticket().as_str()]);
    assert_eq!(files, ".gitattributes\nREADME\nunfetched.bin/inner.bin");
}

#[tokio::test]
async fn the_attributes_that_are_published_decide() {
    let scene = scene().await;
    scene.write(".gitattributes", "*.dat filter=lfs\n");
    scene.write("new.dat", "new\n");
    scene.write("plain.bin", "plain\n");
    commit(&scene).await.unwrap();
    assert!(committed(&scene, "new.dat").contains("oid sha256:"));
    assert_eq!(committed(&scene, "plain.bin"), "plain");
}

#[tokio::test]
async fn without_the_option_content_is_committed_as_it_is() {
    let origin = Remote::new("main");
    origin.commit("main", ".gitattributes", "*.bin filter=lfs\n");
    let scene = Scene::of(origin).await;
    scene.write("new.bin", "content\n");
    commit(&scene).await.unwrap();
    assert_eq!(committed(&scene, "new.bin"), "content");
}

#[tokio::test]
async fn content_that_the_worker_committed_itself_is_taken_if_it_is_what_its_name_says() {
    let scene = scene().await;
    let (pointer, text) = odd_pointer("of an earlier commit\n");
    let tree = scene.checkout.path().to_owned();
    scene.write("mine.bin", &text);
    run(&tree, &["add", "mine.bin"]);
    run(&tree, &["commit", "-q", "-m", "by the worker"]);
    scene.write("mine.bin", "of a later one\n");
    let object = tree.join(".git").join(pointer.id.place());
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    let tip = commit(&scene).await.unwrap();
    let outgoing = outgoing(&scene, tip);

    // Another content of the same length; then none but what a link leads to.
    fs::write(&object, "of an EARLIER commit\n").unwrap();
    gather_lfs(&scene.git, &scene.checkout, outgoing).await.unwrap_err();
    let elsewhere = tree.join("elsewhere");
    fs::write(&elsewhere, "of an earlier commit\n").unwrap();
    fs::remove_file(&object).unwrap();
    symlink(&elsewhere, &object).unwrap();
    let error = gather_lfs(&scene.git, &scene.checkout, outgoing).await.unwrap_err();
    assert!(
        matches!(&error, PublishError::LfsMissing { path, .. } if path == Path::new("mine.bin"))
    );

    fs::remove_file(&object).unwrap();
    fs::write(&object, "of an earlier commit\n").unwrap();
    gather_lfs(&scene.git, &scene.checkout, outgoing).await.unwrap();
    assert!(scene.checkout.lfs().unwrap().has(&pointer));
}

fn files(scene: &Scene) -> String {
    let git_dir = format!("--git-dir={}", scene.checkout.shadow().path().display());
    run(scene.checkout.path(), &[&git_dir, "ls-tree", "-r", "--name-only", ticket().as_str()])
}

/// Commits what there is as the worker, whose filter is not that of git-lfs here.
fn commit_as_worker(scene: &Scene) {
    run(scene.checkout.path(), &["add", "-A"]);
    run(scene.checkout.path(), &["commit", "-q", "-m", "by the worker"]);
}

#[tokio::test]
async fn a_folder_that_became_a_link_is_published_as_one() {
    let origin = Remote::new("main");
    origin.commit("main", ".gitattributes", "*.bin filter=lfs\n");
    let (inner, other) = (odd_pointer("inner\n"), odd_pointer("other\n"));
    origin.commit("main", "assets/x.bin", &inner.1);
    origin.commit("main", "assets/notes", "x\n");
    origin.commit("main", "other/y.bin", &other.1);
    let mut scene = Scene::of(origin).await;
    scene.checkout.heed_lfs(&[inner.0, other.0]);
    let tree = scene.checkout.path().to_owned();
    scene.write("assets/x.bin", "inner\n");
    scene.write("resources/README", "x\n");
    fs::rename(tree.join("assets"), tree.join("resources/assets")).unwrap();
    symlink("resources/assets", tree.join("assets")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("y.bin"), "of somebody else\n").unwrap();
    fs::remove_dir_all(tree.join("other")).unwrap();
    symlink(outside.path(), tree.join("other")).unwrap();
    commit(&scene).await.unwrap();
    assert_eq!(
        files(&scene),
        ".gitattributes\nREADME\nassets\nother\nresources/README\nresources/assets/notes\n\
         resources/assets/x.bin"
    );
    assert_eq!(committed(&scene, "assets"), "resources/assets");
}

#[tokio::test]
async fn a_pointer_of_another_length_is_not_what_the_remote_has() {
    let scene = scene().await;
    let (mut pointer, _) = odd_pointer("old content\n");
    pointer.size += 1;
    scene.write("wrong.bin", &pointer.to_string());
    let tip = commit(&scene).await.unwrap();
    let content = lfs_at_hand(&scene.git, &scene.checkout, outgoing(&scene, tip)).await.unwrap();
    assert_eq!(content.missing_files(), [PathBuf::from("wrong.bin")].into());
    let error = gather_lfs(&scene.git, &scene.checkout, outgoing(&scene, tip)).await.unwrap_err();
    let text = api_client::error_chain(&error);
    assert!(text.starts_with("wrong.bin in Git LFS has no content"), "{text}");
    assert!(text.contains(": git lfs fetch of "), "it says why: {text}");
}

#[tokio::test]
async fn content_of_a_pointer_whose_attribute_is_gone_again_is_sent_too() {
    let scene = scene().await;
    let (pointer, text) = odd_pointer("first\n");
    scene.write(".gitattributes", "*.bin filter=lfs\n*.dat filter=lfs\n");
    scene.write("own.dat", &text);
    commit_as_worker(&scene);
    scene.write(".gitattributes", "*.bin filter=lfs\n");
    scene.write("own.dat", "plain\n");
    // What is a pointer's text in another place is nobody's loss.
    scene.write("example.txt", &odd_pointer("an example\n").1);
    commit_as_worker(&scene);
    let object = scene.checkout.shadow().common_dir().join(pointer.id.place());
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(&object, "first\n").unwrap();
    let tip = commit(&scene).await.unwrap();
    let content = gather_lfs(&scene.git, &scene.checkout, outgoing(&scene, tip)).await.unwrap();
    assert_eq!(content.files(), [PathBuf::from("own.dat")].into());
}

#[tokio::test]
async fn in_a_worktree_the_worker_s_content_is_where_all_worktrees_have_theirs() {
    let origin = Remote::new("main");
    origin.commit("main", ".gitattributes", "*.bin filter=lfs\n");
    let (users, into) = (origin.place("users"), origin.place("tree"));
    run(origin.folder.path(), &["clone", "-q", origin.path().to_str().unwrap(), "users"]);
    let git = git();
    let held = HeldRepository::take(&git, &users, async || ()).await.unwrap();
    let checkout = worktree_of(&git, held, &origin.source(), &into, &ticket()).await.unwrap();
    let mut scene = Scene { git, origin, checkout };
    scene.checkout.heed_lfs(&[]);
    let (pointer, text) = odd_pointer("first\n");
    scene.write("own.bin", &text);
    let object = users.join(".git").join(pointer.id.place());
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(&object, "first\n").unwrap();
    let tip = commit(&scene).await.unwrap();
    let content = lfs_at_hand(&scene.git, &scene.checkout, outgoing(&scene, tip)).await.unwrap();
    assert_eq!(content.files(), [PathBuf::from("own.bin")].into(), "{content:?}");
    scene.checkout.remove(&scene.git).await.unwrap();
}

#[tokio::test]
async fn a_conversion_that_the_worker_commits_is_not_taken_back() {
    let scene = scene().await;
    scene.write(".gitattributes", "*.bin filter=lfs\nREADME filter=lfs\n");
    let (pointer, _) = odd_pointer("hello\n");
    // As its own git with the filter of git-lfs does it: the file stays as it is.
    scene.write("README", &pointer.to_string());
    commit_as_worker(&scene);
    scene.write("README", "hello\n");
    let tip = commit(&scene).await.unwrap();
    assert_eq!(committed(&scene, "README"), pointer.to_string().trim_end());
    let content = lfs_at_hand(&scene.git, &scene.checkout, outgoing(&scene, tip)).await.unwrap();
    assert_eq!(content.files(), [PathBuf::from("README")].into());
}

#[tokio::test]
async fn a_change_is_seen_whose_time_was_put_back() {
    let scene = scene().await;
    let file = scene.checkout.path().join("old.bin");
    let written_at = |time| fs::File::options().write(true).open(&file).unwrap().set_modified(time);
    // Git reads a file again that is as new as its index: this one is clearly older.
    let before = SystemTime::now() - Duration::from_secs(60);
    written_at(before).unwrap();
    assert_eq!(commit(&scene).await, None);
    fs::write(&file, "OLD CONTENT\n").unwrap();
    written_at(before).unwrap();
    commit(&scene).await.unwrap();
    assert_eq!(committed(&scene, "old.bin"), odd_pointer("OLD CONTENT\n").1);
}

#[tokio::test]
async fn a_file_that_only_changed_hands_is_known_again() {
    let scene = scene().await;
    let file = scene.checkout.path().join("old.bin");
    let before = SystemTime::now() - Duration::from_secs(60);
    let opened = fs::File::options().write(true).open(&file).unwrap();
    opened.set_modified(before).unwrap();
    assert_eq!(commit(&scene).await, None);
    // Its time of change is another one then.
    opened.set_modified(before).unwrap();
    let repository = Repository::open(scene.checkout.shadow().path()).unwrap();
    let known = || {
        let mut index = repository.index().unwrap();
        index.read(true).unwrap();
        let about = file.symlink_metadata().unwrap();
        let entry = index.get_path(Path::new("old.bin"), 0).unwrap();
        (entry.ctime.nanoseconds(), entry.ctime.seconds())
            == (about.ctime_nsec() as u32, about.ctime() as i32)
    };
    assert!(!known());
    assert_eq!(commit(&scene).await, None);
    assert!(known());
}
