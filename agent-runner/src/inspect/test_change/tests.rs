use api_client::Redactor;
use api_client::outcome::FindingKind::{TestDeleted, TestSkipped, TestWeakened};

use super::*;
use crate::inspect::Policy;
use crate::inspect::testing::{Repo, places};

/// What is found when a file's text changes.
fn found(path: &str, old: &str, new: &str) -> Vec<(FindingKind, Option<usize>)> {
    let policy = Policy::new(Redactor::default());
    let found = Repo::new().found(&policy, &[(path, old.as_bytes())], &[(path, new.as_bytes())]);
    found.iter().map(|finding| (finding.kind, finding.line)).collect()
}

#[test]
fn a_file_of_tests_that_is_deleted_or_renamed_away_is_found() {
    let policy = Policy::new(Redactor::default());
    let text = b"def test_a():\n    assert f() == 1\n    assert g() == 2\n";
    let moved: [(&str, &[u8]); 1] = [("app/old_checks.py", text)];
    for (new, kept) in [(&[][..], "deleted"), (&moved[..], "renamed away")] {
        let found = Repo::new().found(&policy, &[("tests/test_a.py", text)], new);
        assert_eq!(places(&found), [(TestDeleted, Path::new("tests/test_a.py"), None)], "{kept}");
    }
    let renamed =
        Repo::new().found(&policy, &[("tests/test_a.py", text)], &[("tests/test_b.py", text)]);
    assert!(renamed.is_empty(), "{renamed:?}");
}

#[test]
fn what_holds_no_test_may_be_deleted() {
    let policy = Policy::new(Redactor::default());
    let old: [(&str, &[u8]); 3] =
        [("tests/data.json", b"{}"), ("tests/support.rs", b"fn f() {}"), ("src/a.py", b"x = 1")];
    assert!(Repo::new().found(&policy, &old, &[]).is_empty());
}

#[test]
fn a_test_that_is_new_to_be_skipped_is_found_in_each_language() {
    for (path, line) in [
        ("src/a.rs", "#[ignore]"),
        ("tests/a.rs", "#[ignore = \"slow\"]"),
        ("test_a.py", "@pytest.mark.skip(reason=\"x\")"),
        ("test_a.py", "@pytest.mark.xfail"),
        ("a.test.ts", "it.skip('a', () => {})"),
        ("a.spec.js", "describe.only('a', () => {})"),
        ("__tests__/a.jsx", "xit('a', () => {})"),
        ("a_test.go", "t.Skip(\"x\")"),
        ("src/test/java/ATest.java", "@Disabled"),
        ("a_spec.rb", "pending 'later'"),
        ("ATests.cs", "[Ignore(\"x\")]"),
        ("ATest.php", "$this->markTestSkipped('x');"),
        ("a_test.cc", "GTEST_SKIP() << 1;"),
    ] {
        let old = "#[cfg(test)]\nfirst line\n\n";
        assert_eq!(
            found(path, old, &format!("{old}{line}\n")),
            [(TestSkipped, Some(4))],
            "{path}: {line}"
        );
        assert_eq!(found(path, &format!("{old}{line}\n"), old), [], "{path}: taken away");
        assert_eq!(
            found(path, &format!("{old}{line}\nx\n"), &format!("{old}y\n{line}\n")),
            [],
            "{path}: moved"
        );
    }
}

#[test]
fn words_that_only_look_like_a_skip_are_none() {
    for (path, line) in [
        ("src/a.rs", "// #[ignore] is not used here"),
        ("src/a.ts", "await it.skip('not a file of tests')"),
        ("a.test.ts", "await exit('a'); outfit(x); const benefit = 1"),
        ("a.test.ts", "// it.skip('a')"),
        ("test_a.py", "# @pytest.mark.skip"),
        ("a_spec.rb", "pending_orders = 1; list.skip_while"),
        ("notes.md", "it.skip( and @Disabled"),
    ] {
        assert_eq!(
            found(path, "#[cfg(test)]\n", &format!("#[cfg(test)]\n{line}\n")),
            [],
            "{path}: {line}"
        );
    }
}

#[test]
fn fewer_tests_and_fewer_assertions_are_found() {
    let two = "def test_a():\n    assert a() == 1\n\ndef test_b():\n    assert b() == 1\n    assert c()\n";
    let one = "def test_a():\n    assert a() == 1\n";
    let weaker = "def test_a():\n    assert a() == 1\n\ndef test_b():\n    assert c()\n";
    assert_eq!(found("test_a.py", two, one), [(TestDeleted, None)]);
    assert_eq!(found("test_a.py", two, weaker), [(TestWeakened, None)]);
    assert_eq!(found("test_a.py", weaker, two), []);
    assert_eq!(found("a.py", two, one), [], "no file of tests");
}

#[test]
fn assertions_of_production_code_do_not_count() {
    let old = "fn f() { assert!(x); assert!(y); }\n";
    assert_eq!(found("src/a.rs", &format!("{old}{old}"), old), []);
    let test = "#[cfg(test)]\nmod tests {\n#[test]\nfn a() {\nassert!(f());\n";
    assert_eq!(
        found("src/a.rs", &format!("{old}{test}assert_eq!(g(), 1);\n"), &format!("{old}{test}")),
        [(TestWeakened, None)]
    );
}

#[test]
fn tests_that_moved_to_another_file_are_not_missed() {
    let policy = Policy::new(Redactor::default());
    let a = "func TestA(t *testing.T) {\n\tt.Fatal(1)\n}\n";
    let b = "func TestB(t *testing.T) {\n\tt.Fatal(2)\n}\n";
    let both = format!("{a}{b}");
    let old: [(&str, &[u8]); 1] = [("a_test.go", both.as_bytes())];
    let new: [(&str, &[u8]); 2] = [("a_test.go", a.as_bytes()), ("b_test.go", b.as_bytes())];
    let found = Repo::new().found(&policy, &old, &new);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn an_assertion_of_what_is_always_so_is_found() {
    let old = "it('a', () => {\n  expect(f()).toBe(1)\n})\n";
    let new = "it('a', () => {\n  expect(true).toBe(true)\n})\n";
    assert_eq!(found("a.test.js", old, new), [(TestWeakened, Some(2))]);
}
