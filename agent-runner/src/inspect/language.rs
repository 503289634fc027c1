//! How tests look in each language: their files, and the words that begin, skip and assert them.
//!
//! The lists are short on purpose: what they find is shown to a reviewer, and a list that finds
//! something in every change is soon read by nobody.

/// A language's conventions for tests.
pub(super) struct Language {
    /// Tells it from the others.
    pub(super) name: &'static str,
    /// Extensions of its files.
    extensions: &'static [&'static str],
    /// Whether a file name without its extension, or the folders above it, are those of tests.
    is_test: fn(&Path<'_>) -> bool,
    /// Begins a test.
    pub(super) tests: &'static [&'static str],
    /// Has a test left out, or all others.
    pub(super) skips: &'static [&'static str],
    /// Asserts something.
    pub(super) assertions: &'static [&'static str],
    /// Asserts what is always so.
    pub(super) vacuous: &'static [&'static str],
    /// Begins a comment.
    pub(super) comment: &'static str,
    /// Begins the tests in a file that is not of tests alone.
    pub(super) inline: Option<&'static str>,
}

/// A path in lower-case and original parts.
pub(super) struct Path<'p> {
    folders: Vec<&'p str>,
    stem: &'p str,
}

impl Path<'_> {
    fn is_in(&self, names: &[&str]) -> bool {
        self.folders.iter().any(|folder| names.contains(folder))
    }

    fn starts(&self, beginnings: &[&str]) -> bool {
        beginnings.iter().any(|beginning| self.stem.starts_with(beginning))
    }

    fn ends(&self, ends: &[&str]) -> bool {
        ends.iter().any(|end| self.stem.ends_with(end))
    }
}

/// What a file is to its tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It holds tests alone.
    TestFile,
    /// It may hold some.
    Source,
}

/// The language of a file by its path, and whether it is a file of tests.
pub(super) fn of(path: &str) -> Option<(&'static Language, Role)> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, extension) = name.rsplit_once('.')?;
    let language = LANGUAGES.iter().find(|known| known.extensions.contains(&extension))?;
    let path = Path { folders: folders.split('/').collect(), stem };
    let role = if (language.is_test)(&path) { Role::TestFile } else { Role::Source };
    Some((language, role))
}

static LANGUAGES: [Language; 9] = [
    Language {
        name: "rust",
        extensions: &["rs"],
        is_test: |path| {
            path.is_in(&["tests"]) || path.stem == "tests" || path.ends(&["_test", "_tests"])
        },
        tests: &["#[test]", "#[tokio::test", "#[rstest", "#[test_case", "proptest!"],
        skips: &["#[ignore"],
        assertions: &["assert!(", "assert_eq!(", "assert_ne!(", "assert_matches!(", "prop_assert"],
        vacuous: &["assert!(true"],
        comment: "//",
        inline: Some("#[cfg(test)]"),
    },
    Language {
        name: "python",
        extensions: &["py"],
        is_test: |path| path.starts(&["test_"]) || path.ends(&["_test"]) || path.stem == "tests",
        tests: &["def test_", "async def test_"],
        skips: &[
            "@pytest.mark.skip",
            "@pytest.mark.xfail",
            "pytest.skip(",
            "pytest.xfail(",
            "@unittest.skip",
            "@unittest.expectedFailure",
            "self.skipTest(",
        ],
        assertions: &["assert ", "assert(", "self.assert", "pytest.raises("],
        vacuous: &["assert True", "assert 1 == 1", "self.assertTrue(True)"],
        comment: "#",
        inline: None,
    },
    Language {
        name: "javascript",
        extensions: &["js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts", "vue", "svelte"],
        is_test: |path| {
            path.ends(&[".test", ".spec", ".cy", "-test", "_test"]) || path.is_in(&["__tests__"])
        },
        tests: &["it(", "test(", "it.each", "test.each", "it.only(", "test.only("],
        skips: &[
            "it.skip(",
            "test.skip(",
            "describe.skip(",
            "suite.skip(",
            "xit(",
            "xtest(",
            "xdescribe(",
            "it.only(",
            "test.only(",
            "describe.only(",
            "fit(",
            "fdescribe(",
            "it.todo(",
            "test.todo(",
            "test.fixme(",
        ],
        assertions: &["expect(", "assert(", "assert.", "should."],
        vacuous: &[
            "expect(true).toBe(true)",
            "expect(true).toBeTruthy(",
            "assert(true",
            "assert.ok(true",
        ],
        comment: "//",
        inline: None,
    },
    Language {
        name: "go",
        extensions: &["go"],
        is_test: |path| path.ends(&["_test"]),
        tests: &["func Test", "t.Run("],
        skips: &["t.Skip(", "t.Skipf(", "t.SkipNow("],
        assertions: &["t.Error", "t.Fatal", "t.Fail", "assert.", "require."],
        vacuous: &["assert.True(t, true", "require.True(t, true"],
        comment: "//",
        inline: None,
    },
    Language {
        name: "jvm",
        extensions: &["java", "kt", "scala", "groovy"],
        is_test: |path| {
            path.ends(&["Test", "Tests", "IT", "Spec"]) || path.is_in(&["test", "androidTest"])
        },
        tests: &["@Test", "@ParameterizedTest", "@RepeatedTest"],
        skips: &["@Disabled", "@Ignore"],
        assertions: &["assert", "verify(", "expect("],
        vacuous: &["assertTrue(true)", "assertThat(true).isTrue()"],
        comment: "//",
        inline: None,
    },
    Language {
        name: "ruby",
        extensions: &["rb"],
        is_test: |path| path.ends(&["_spec", "_test"]) || path.starts(&["test_"]),
        tests: &["it \"", "it '", "specify ", "test \"", "test '", "def test_"],
        skips: &[
            "xit ",
            "xdescribe ",
            "xcontext ",
            "xspecify ",
            "pending ",
            "pending(",
            "skip ",
            "skip(",
        ],
        assertions: &["expect(", "expect {", "assert", "refute", "must_", "should "],
        vacuous: &["expect(true).to be(true)", "expect(true).to be true", "assert true"],
        comment: "#",
        inline: None,
    },
    Language {
        name: "csharp",
        extensions: &["cs"],
        is_test: |path| path.ends(&["Test", "Tests", "Spec", "Specs"]),
        tests: &["[Fact", "[Theory", "[Test]", "[TestCase", "[TestMethod"],
        skips: &[
            "[Ignore",
            "Skip = \"",
            "Skip=\"",
            "[Explicit",
            "Assert.Ignore(",
            "Assert.Inconclusive(",
        ],
        assertions: &["Assert.", "Should()", "ShouldBe", "Verify("],
        vacuous: &["Assert.True(true)", "Assert.IsTrue(true)"],
        comment: "//",
        inline: None,
    },
    Language {
        name: "php",
        extensions: &["php"],
        is_test: |path| path.ends(&["Test", "Cest"]),
        tests: &["function test", "@test", "#[Test]", "it(", "test("],
        skips: &["markTestSkipped(", "markTestIncomplete("],
        assertions: &["assert", "expect("],
        vacuous: &["assertTrue(true)"],
        comment: "//",
        inline: None,
    },
    Language {
        name: "others",
        extensions: &["swift", "dart", "ex", "exs", "c", "cc", "cpp", "cxx"],
        is_test: |path| path.ends(&["Tests", "_test", "_tests"]) || path.starts(&["test_"]),
        tests: &[
            "func test",
            "test(",
            "testWidgets(",
            "test \"",
            "TEST(",
            "TEST_F(",
            "TEST_P(",
            "TEST_CASE(",
        ],
        skips: &["XCTSkip", "@tag :skip", "GTEST_SKIP(", "skip: true"],
        assertions: &[
            "XCTAssert",
            "#expect(",
            "expect(",
            "assert",
            "EXPECT_",
            "ASSERT_",
            "REQUIRE(",
            "CHECK(",
        ],
        vacuous: &["XCTAssertTrue(true)", "EXPECT_TRUE(true)", "ASSERT_TRUE(true)", "assert true"],
        comment: "//",
        inline: None,
    },
];
