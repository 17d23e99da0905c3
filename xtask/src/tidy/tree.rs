//! The files of the repository, as git knows them.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::step::{command, stdout_of};

/// One text file.
#[derive(Clone, Debug)]
pub(crate) struct TextFile {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl TextFile {
    /// Whether somebody wrote it by hand.
    pub(crate) fn hand_written(&self) -> bool {
        let generated = ["/generated/", "/_generated/"];
        !generated.iter().any(|part| self.path.contains(part))
    }

    /// Whether it is source code of the named languages, written by hand.
    pub(crate) fn is_source(&self, extensions: &[&str]) -> bool {
        let extension = self.path.rsplit('.').next().unwrap_or_default();
        extensions.contains(&extension) && self.hand_written()
    }

    /// Whether all of it is test code.
    pub(crate) fn is_test(&self) -> bool {
        let folders = ["tests/", "crates/harness/", "crates/sim/"];
        let name = self.path.rsplit('/').next().unwrap_or_default();
        folders
            .iter()
            .any(|f| self.path.starts_with(f) || self.path.contains("/tests/"))
            || name == "tests.rs"
            // A suite that other crates run stands in a source folder and says so.
            || self.text.contains("reason = \"a test suite asserts\"")
            || name.ends_with("_tests.rs")
            || name.contains(".test.")
            || name.contains(".spec.")
            || name.starts_with("test_")
    }

    /// Lines with their numbers from 1, and whether each is test code (in Rust, everything after `#[cfg(test)]`).
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let mut test = self.is_test();
        let rust = self.path.ends_with(".rs");
        self.text.lines().enumerate().map(move |(index, line)| {
            // A lone attribute on a helper function ends with that function; only a module runs to the file's end.
            test = test || (rust && line == "#[cfg(test)]");
            (index + 1, line, test)
        })
    }
}

/// All text files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// The files, by path.
    pub(crate) files: Vec<TextFile>,
}

impl Tree {
    /// The file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Reads what git tracks or would track.
    ///
    /// # Errors
    /// When git cannot list the files.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut git = command("git", root);
        git.args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ]);
        let listed = stdout_of(&mut git)?;
        let mut paths: Vec<&str> = listed.split('\0').filter(|p| !p.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        let read = |path: &str| {
            // A deleted file is still listed, and an image is no text: neither is looked at.
            let text = fs::read_to_string(root.join(path)).ok()?;
            Some(TextFile {
                path: path.to_owned(),
                text,
            })
        };
        Ok(Self {
            files: paths.into_iter().filter_map(read).collect(),
        })
    }

    /// Whether a file or folder exists.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files
            .iter()
            .any(|f| f.path == path || f.path.starts_with(&folder))
    }

    /// A tree for a test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| TextFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self {
            files: files.iter().map(file).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_cfg_test_is_test_code() {
        let tree = Tree::of(&[(
            "crates/x/src/lib.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {}\n",
        )]);
        let tests: Vec<bool> = tree.files[0].lines().map(|(_, _, test)| test).collect();
        assert_eq!(tests, [false, true, true]);
    }

    #[test]
    fn test_files_are_told_by_folder_or_name() {
        for path in [
            "tests/src/links.rs",
            "crates/x/tests/a.rs",
            "hub/src/lib/a.test.ts",
            "python/tests/test_a.py",
        ] {
            assert!(Tree::of(&[(path, "")]).files[0].is_test(), "{path}");
        }
        assert!(!Tree::of(&[("crates/x/src/testing.rs", "")]).files[0].is_test());
    }

    #[test]
    fn the_repository_is_listed() {
        let tree = Tree::read(&crate::root()).unwrap();
        assert!(tree.has("Cargo.toml") && tree.has("crates/proto/src") && !tree.has("target"));
    }
}
