use std::time::{Duration, Instant};

use api_client::Secret;

use super::testing::{BASE62, Repo, checked_token, places, random_text};
use super::*;

const KNOWN: &str = "known-value-of-this-run";

fn policy() -> Policy {
    Policy::new(Redactor::new([&Secret::from(KNOWN)]))
}

fn paths(pattern: &str) -> PathPatterns {
    PathPatterns::new(&[pattern.to_owned()]).unwrap()
}

fn one(
    kind: FindingKind,
    path: &str,
    line: Option<usize>,
) -> Vec<(FindingKind, &Path, Option<usize>)> {
    vec![(kind, Path::new(path), line)]
}

#[test]
fn a_secret_that_was_removed_again_is_found_in_the_commit_that_had_it() {
    let repo = Repo::new();
    let base = repo.commit(&[], &[("a", b"one\n")]);
    let text = format!("one\ntwo {KNOWN}\n");
    let with = repo.commit(&[base], &[("a", text.as_bytes())]);
    let without = repo.commit(&[with], &[("a", b"one\n")]);
    let found = repo.inspect(&policy(), base, without);
    assert_eq!(places(&found), one(FindingKind::Secret, "a", Some(2)));
    assert!(found[0].detail.ends_with(&format!("in commit {:.10}", with.to_string())), "{found:?}");
}

#[test]
fn no_finding_holds_a_secret() {
    let repo = Repo::new();
    let token = checked_token("ghp_");
    let text = format!("{KNOWN} {token}");
    let base = repo.commit(&[], &[]);
    let files = [(KNOWN, text.as_bytes())];
    let tip = repo.commit_saying(&text, &[base], &files);
    let found = repo.inspect(&policy(), base, tip);
    assert_eq!(found.len(), 5, "two in the message, one in the name, two in the file: {found:?}");
    let told = format!("{found:?}");
    assert!(!told.contains(KNOWN) && !told.contains(&token), "{told}");
}

#[test]
fn what_was_published_before_is_no_news() {
    let repo = Repo::new();
    let text = format!("{KNOWN}\n");
    let more = format!("a line\n{KNOWN}\nanother\n");
    let found = repo.found(&policy(), &[("a", text.as_bytes())], &[("a", more.as_bytes())]);
    assert!(found.is_empty(), "{found:?}");
    let found = repo.found(&policy(), &[("a", text.as_bytes())], &[("b", more.as_bytes())]);
    assert!(found.is_empty(), "a file that was renamed: {found:?}");
}

#[test]
fn a_merge_of_the_base_brings_none_of_its_findings() {
    let repo = Repo::new();
    let text = format!("{KNOWN}\n");
    let root = repo.commit(&[], &[("a", b"1\n")]);
    let base = repo.commit(&[root], &[("a", b"1\n"), (".github/x", text.as_bytes())]);
    let ours = repo.commit(&[root], &[("a", b"2\n")]);
    let merge = repo.commit(&[ours, base], &[("a", b"2\n"), (".github/x", text.as_bytes())]);
    let mut policy = policy();
    policy.forbidden = paths(".github/");
    let outgoing = Outgoing { base, start: root, tip: merge };
    let found = inspect(&repo.git, &outgoing, &policy).unwrap().findings;
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_attribute_and_no_marker_hides_a_secret() {
    let repo = Repo::new();
    let text = format!("{KNOWN} # gitleaks:allow nosec\n");
    let files: [(&str, &[u8]); 2] =
        [(".gitattributes", b"* binary -diff\n"), ("a", text.as_bytes())];
    let found = repo.found(&policy(), &[], &files);
    assert_eq!(places(&found), one(FindingKind::Secret, "a", Some(1)));
}

#[test]
fn a_secret_in_utf_16_and_in_a_binary_file_is_found() {
    let repo = Repo::new();
    let wide: Vec<u8> = KNOWN.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut binary = vec![0xff, 0xfe, 0x00, 0x80];
    binary.extend_from_slice(KNOWN.as_bytes());
    let found = repo.found(&policy(), &[], &[("wide", &wide), ("binary", &binary)]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn forbidden_paths_are_found_in_whatever_way_they_change() {
    let repo = Repo::new();
    let mut policy = policy();
    policy.forbidden = paths("infra/**");
    let old: [(&str, &[u8]); 2] = [("infra/changed", b"1"), ("infra/deleted", b"1")];
    let new: [(&str, &[u8]); 2] = [("infra/changed", b"2"), ("infra/added", b"1")];
    let found = repo.found(&policy, &old, &new);
    let names: Vec<_> = found.iter().map(|f| f.path.to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["infra/added", "infra/changed", "infra/deleted"]);
    assert!(found.iter().all(|found| found.kind == FindingKind::ForbiddenPath));
}

#[test]
fn a_forbidden_change_that_was_taken_back_is_none() {
    let repo = Repo::new();
    let mut policy = policy();
    policy.forbidden = paths("infra/**");
    let base = repo.commit(&[], &[("infra/a", b"1")]);
    let changed = repo.commit(&[base], &[("infra/a", b"2")]);
    let back = repo.commit(&[changed], &[("infra/a", b"1"), ("b", b"1")]);
    assert!(repo.inspect(&policy, base, back).is_empty());
}

#[test]
fn a_file_over_the_limit_is_found_even_if_it_was_removed_again() {
    let repo = Repo::new();
    let mut policy = policy();
    policy.max_file_bytes = 1 << 20;
    let large = vec![b'a'; (1 << 20) + 1];
    let base = repo.commit(&[], &[]);
    let with = repo.commit(&[base], &[("large", &large), ("small", &large[1..])]);
    let without = repo.commit(&[with], &[("small", &large[1..])]);
    let found = repo.inspect(&policy, base, without);
    assert_eq!(places(&found), one(FindingKind::LargeFile, "large", None));
}

#[test]
fn files_with_examples_may_hold_what_looks_like_a_key_and_no_known_value() {
    let repo = Repo::new();
    let token = checked_token("npm_");
    let mut policy = policy();
    policy.examples = paths("fixtures/");
    let text = format!("{token}\n{KNOWN}\n");
    let found = repo.found(&policy, &[], &[("fixtures/a", text.as_bytes())]);
    assert_eq!(places(&found), one(FindingKind::Secret, "fixtures/a", Some(2)));
}

#[test]
fn a_change_of_the_project_file_is_pointed_out_and_blocks_nothing() {
    let repo = Repo::new();
    let found = repo.found(&policy(), &[], &[(project_file::NAME, b"[check]\n")]);
    assert_eq!(places(&found), one(FindingKind::RulesChanged, project_file::NAME, None));
    assert!(!found[0].kind.blocks());
}

#[test]
fn what_blocks_comes_first() {
    let repo = Repo::new();
    let text = format!("{KNOWN}\n");
    let files: [(&str, &[u8]); 2] = [(project_file::NAME, b"[check]\n"), ("z", text.as_bytes())];
    let found = repo.found(&policy(), &[], &files);
    assert_eq!(found.len(), 2);
    assert!(found[0].kind.blocks() && !found[1].kind.blocks());
}

#[test]
fn history_that_was_not_fetched_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| crate::git::testing::run(folder.path(), arguments);
    git(&["init", "-q", "-b", "main", "origin"]);
    for count in ["one", "two", "three"] {
        git(&["-C", "origin", "commit", "-q", "--allow-empty", "-m", count]);
    }
    let url = format!("file://{}", folder.path().join("origin").display());
    git(&["clone", "-q", "--depth", "1", &url, "clone"]);
    let clone = Repository::open(folder.path().join("clone")).unwrap();
    let repo = Repo::of(folder, clone);
    let base = repo.git.head().unwrap().target().unwrap().into();
    let text = format!("{KNOWN}\n");
    let tip = repo.commit(&[base], &[("a", text.as_bytes())]);
    let found = repo.inspect(&policy(), base, tip);
    assert_eq!(places(&found), one(FindingKind::Secret, "a", Some(1)));
}

#[test]
fn ten_thousand_changed_lines_take_less_than_a_second() {
    let repo = Repo::new();
    let line = "    let value = compute(first, second).map_err(|source| Error::Of { source })?;\n";
    let file = line.repeat(500);
    let names: Vec<String> = (0..20).map(|number| format!("src/file_{number}.rs")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, file.as_bytes())).collect();
    let base = repo.commit(&[], &[]);
    let tip = repo.commit(&[base], &files);
    let began = Instant::now();
    assert!(repo.inspect(&policy(), base, tip).is_empty());
    // Without optimisation, on a busy machine; about 10 ms where it matters.
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn however_many_files_are_barred_none_is_missed() {
    let repo = Repo::new();
    let mut policy = policy();
    policy.forbidden = paths("infra/");
    let names: Vec<String> = (0..300).map(|number| format!("infra/{number:03}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"x"[..])).collect();
    let base = repo.commit(&[], &[]);
    let tip = repo.commit(&[base], &files);
    let found = repo.inspected(&policy, base, tip);
    assert_eq!(found.barred.len(), 300);
    assert_eq!(found.blocking().len(), 300);
}

#[test]
fn an_old_version_that_a_merge_takes_over_from_one_side_is_a_change() {
    let repo = Repo::new();
    let mut policy = policy();
    policy.forbidden = paths("ci");
    let old = repo.commit(&[], &[("ci", b"old")]);
    let base = repo.commit(&[old], &[("ci", b"new")]);
    let side = repo.commit(&[old], &[("ci", b"old"), ("a", b"1")]);
    let tip = repo.commit(&[base, side], &[("ci", b"old"), ("a", b"1")]);
    let found = repo.inspect(&policy, base, tip);
    assert_eq!(places(&found), one(FindingKind::ForbiddenPath, "ci", None));
}

#[test]
fn a_text_is_cleaned_of_known_values_and_of_shapes() {
    let token = checked_token("ghp_");
    let text = format!("With ü: {KNOWN}, then {token}.");
    let clean = without_secrets(&policy().known, &text);
    assert_eq!(clean, "With ü: [redacted], then [redacted].");
}

#[test]
fn keys_in_many_files_that_are_moved_are_told_from_new_ones_in_a_moment() {
    const FILES: usize = 1_000;
    let repo = Repo::new();
    let random = random_text(BASE62, FILES + 20);
    let keys: Vec<String> =
        (0..=FILES).map(|at| format!("token = glpat-{}\n", &random[at..at + 20])).collect();
    let folder = |name: &str| (0..FILES).map(|at| format!("{name}/{at}")).collect::<Vec<_>>();
    let (old, new) = (folder("old"), folder("new"));
    let files = |names: &'_ [String]| -> Vec<(String, Vec<u8>)> {
        names.iter().cloned().zip(keys.iter().map(|key| key.clone().into_bytes())).collect()
    };
    let commit = |parents: &[CommitId], files: &[(String, Vec<u8>)]| {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, key)| (&**name, &**key)).collect();
        repo.commit(parents, &files)
    };
    let base = commit(&[], &files(&old));
    let mut moved = files(&new);
    moved.push(("another".to_owned(), keys[FILES].clone().into_bytes()));
    let tip = commit(&[base], &moved);
    let began = Instant::now();
    let found = repo.inspect(&policy(), base, tip);
    let took = began.elapsed();
    assert_eq!(places(&found), one(FindingKind::Secret, "another", Some(1)));
    // A file at a time, it would be a million files to read.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_secret_behind_a_zero_byte_in_a_message_is_found() {
    let repo = Repo::new();
    let base = repo.commit(&[], &[]);
    let plain = repo.commit(&[base], &[("a", b"one\n")]);
    let odb = repo.git.odb().unwrap();
    let mut object = odb.read(plain.oid()).unwrap().data().to_vec();
    object.extend_from_slice(format!("\0{KNOWN}\n").as_bytes());
    let tip = odb.write(git2::ObjectType::Commit, &object).unwrap();
    let found = repo.inspect(&policy(), base, tip.into());
    assert_eq!(places(&found), one(FindingKind::Secret, "", None));
}
