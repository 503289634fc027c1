use super::super::clone_ticket_branch;
use super::*;
use crate::git::testing::{Remote, git, run, ticket};

const ID: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

fn pointer(size: &str) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{ID}\nsize {size}\n")
}

async fn clone(origin: &Remote) -> Checkout {
    clone_ticket_branch(&git(), &origin.source(), &origin.place("tree"), &ticket(), None)
        .await
        .unwrap()
}

/// Commits a file whose folder's name is no text.
fn commit_at(origin: &Remote, path: &OsStr, text: &str) {
    let clone = tempfile::tempdir().unwrap();
    run(clone.path(), &["clone", "-q", origin.path().to_str().unwrap(), "."]);
    let path = clone.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    run(clone.path(), &["add", "-A"]);
    run(clone.path(), &["commit", "-q", "-m", "by a person"]);
    run(clone.path(), &["push", "-q", "origin", "HEAD"]);
}

fn found(checkout: &Checkout) -> Places {
    find(&checkout.shadow().open().unwrap(), checkout.start_commit().oid()).unwrap()
}

#[tokio::test]
async fn pointers_in_places_that_the_attributes_name_are_found() {
    let origin = Remote::new("main");
    origin.commit("main", ".gitattributes", "*.bin filter=lfs\n/docs/** -filter\n");
    for path in ["a.bin", "deep/b.bin", "docs/example.bin", "plain.txt"] {
        origin.commit("main", path, &pointer("6"));
    }
    origin.commit("main", "content.bin", "content\n");
    let odd = OsStr::from_bytes(b"b\xffd/c.bin");
    commit_at(&origin, odd, &pointer("6"));
    let checkout = clone(&origin).await;
    let places = found(&checkout);
    let paths: Vec<_> = places.values().flatten().map(|path| path.as_os_str()).collect();
    assert_eq!(paths, ["a.bin".as_ref(), odd, "deep/b.bin".as_ref()]);
    assert_eq!(total(&places), (3, 18));
}

#[tokio::test]
async fn sizes_that_no_disk_has_do_not_add_up_to_less() {
    let origin = Remote::new("main");
    origin.commit("main", ".gitattributes", "*.bin filter=lfs\n");
    origin.commit("main", "a.bin", &pointer("18446744073709551615"));
    origin.commit("main", "b.bin", &pointer("18446744073709551615"));
    assert_eq!(total(&found(&clone(&origin).await)), (2, u64::MAX));
}

#[tokio::test]
async fn what_came_takes_the_pointers_places_and_is_not_kept() {
    let origin = Remote::new("main");
    origin.commit("main", ".gitattributes", "*.bin filter=lfs\n");
    origin.commit("main", "a.bin", &pointer("6"));
    let checkout = clone(&origin).await;
    let places = found(&checkout);
    let store = LfsStore::create(checkout.shadow().path(), BTreeSet::new()).unwrap();
    let missing = put(&store, checkout.path(), &places).unwrap_err();
    assert!(matches!(missing, CheckoutError::LfsMissing { .. }), "{missing}");
    let content = origin.place("content");
    fs::write(&content, "hello\n").unwrap();
    let kept = store.add(fs::File::open(&content).unwrap()).unwrap();
    put(&store, checkout.path(), &places).unwrap();
    assert_eq!(fs::read_to_string(checkout.path().join("a.bin")).unwrap(), "hello\n");
    assert!(!store.has(&kept));
}

#[tokio::test]
async fn the_worker_s_own_git_is_told_of_pointers() {
    let origin = Remote::new("main");
    let checkout = clone(&origin).await;
    tell_the_worker(&checkout.git_dir).unwrap();
    let told = run(checkout.path(), &["config", "--local", "filter.lfs.clean"]);
    assert_eq!(told, "git-lfs clean -- %f");
}
