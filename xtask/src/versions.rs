//! Versions of what is published: they change with the source, and a release's tag is the version.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::step::{command, stdout_of};

/// What is published.
struct Package {
    name: &'static str,
    /// The file that says the version, in a line `version = "…"`.
    manifest: &'static str,
    /// The section that the line stands in.
    section: &'static str,
    /// Where its source is.
    source: &'static [&'static str],
}

const PACKAGES: [Package; 2] = [
    Package {
        name: "the crates",
        manifest: "Cargo.toml",
        section: "[workspace.package]",
        source: &["crates/", "hub/src/"],
    },
    Package {
        name: "the Python SDK",
        manifest: "python/pyproject.toml",
        section: "[project]",
        source: &["python/src/"],
    },
];

/// Fails when the source of a package changed since the common ancestor with `base` and its version did not.
///
/// # Errors
/// Names the packages and their changed files; or what git says.
pub(crate) fn changed_without_bump(root: &Path, base: &str) -> Result<()> {
    let git = |arguments: &[&str]| stdout_of(command("git", root).args(arguments));
    let ancestor = git(&["merge-base", base, "HEAD"])
        .with_context(|| format!("find where {base} was left"))?;
    let ancestor = ancestor.trim();
    let changed = git(&["diff", "--name-only", ancestor, "HEAD"])?;
    let mut faults = Vec::new();
    for package in &PACKAGES {
        let is_source = |file: &&str| {
            let is_test = file.contains("/tests/")
                || file.ends_with(".test.ts")
                || file.ends_with(".test.tsx");
            package.source.iter().any(|folder| file.starts_with(folder)) && !is_test
        };
        let files: Vec<&str> = changed.lines().filter(is_source).collect();
        if files.is_empty() {
            continue;
        }
        let shown = |commit: &str| git(&["show", &format!("{commit}:{}", package.manifest)]);
        // A package that was not there yet needs no new version.
        let Ok(before) = shown(ancestor) else {
            continue;
        };
        let now = shown("HEAD")?;
        let (before, after) = (version(&before, package)?, version(&now, package)?);
        if before == after {
            let most: Vec<&str> = files.iter().copied().take(5).collect();
            let (name, manifest) = (package.name, package.manifest);
            faults.push(format!(
                "{name} changed ({} files, such as {}) and {manifest} still says {after}: give it a new version",
                files.len(),
                most.join(", ")
            ));
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => bail!("{}", faults.join("\n")),
    }
}

/// Fails unless `tag` is `v` and the version of every package.
///
/// # Errors
/// Names those that differ.
pub(crate) fn tag_is_version(root: &Path, tag: &str) -> Result<()> {
    let Some(tagged) = tag.strip_prefix('v') else {
        bail!("the tag {tag:?} does not begin with v, like v0.1.0");
    };
    let mut others = BTreeSet::new();
    for package in &PACKAGES {
        let path = root.join(package.manifest);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let version = version(&text, package)?;
        if version != tagged {
            others.insert(format!("{} says {version}", package.manifest));
        }
    }
    match others.is_empty() {
        true => Ok(()),
        false => {
            let others: Vec<String> = others.into_iter().collect();
            bail!(
                "the tag is {tag}, but {}: tag the commit that has the version",
                others.join(" and ")
            )
        }
    }
}

fn version<'a>(manifest: &'a str, package: &Package) -> Result<&'a str> {
    let section = manifest
        .lines()
        .skip_while(|line| line.trim() != package.section)
        .skip(1);
    let mut section = section.take_while(|line| !line.starts_with('['));
    let line = section.find_map(|line| line.strip_prefix("version = "));
    let line = line
        .with_context(|| format!("{} has no version in {}", package.manifest, package.section))?;
    Ok(line.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A repository that lives as long as the test.
    struct Repository(PathBuf);

    impl Repository {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            let repository = Self(path);
            repository.git(&["init", "--quiet", "--initial-branch=main"]);
            repository.versions("0.1.0", "0.1.0");
            repository.write("crates/a/src/lib.rs", "");
            repository.commit();
            repository.git(&["switch", "--quiet", "--create", "work"]);
            repository
        }

        fn git(&self, arguments: &[&str]) {
            let mut git = command("git", &self.0);
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"]);
            crate::step::run(git.args(["-c", "commit.gpgsign=false"]).args(arguments)).unwrap();
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn versions(&self, crates: &str, python: &str) {
            let other = "[a]\nversion = \"9.9.9\"\n";
            self.write(
                "Cargo.toml",
                &format!("{other}[workspace.package]\nversion = \"{crates}\"\n"),
            );
            self.write(
                "python/pyproject.toml",
                &format!("{other}[project]\nversion = \"{python}\"\n"),
            );
        }

        fn commit(&self) {
            self.git(&["add", "--all"]);
            self.git(&["commit", "--quiet", "--message=x"]);
        }

        fn check(&self) -> Result<()> {
            changed_without_bump(&self.0, "main")
        }
    }

    impl Drop for Repository {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn changed_source_needs_a_new_version_of_its_own_package() {
        let repository = Repository::new("bump");
        repository.check().unwrap();
        repository.write("python/src/seamesh/x.py", "x = 1");
        repository.commit();
        let error = repository.check().unwrap_err().to_string();
        assert!(
            error.contains("the Python SDK changed (1 files, such as python/src/seamesh/x.py)"),
            "{error}"
        );
        assert!(!error.contains("the crates"), "{error}");
        repository.versions("0.2.0", "0.1.0");
        repository.commit();
        assert!(
            repository.check().is_err(),
            "another package's version is none of its own"
        );
        repository.versions("0.2.0", "0.2.0");
        repository.commit();
        repository.check().unwrap();
    }

    #[test]
    fn tests_papers_and_what_main_changed_need_no_version() {
        let repository = Repository::new("papers");
        repository.write("crates/a/tests/x.rs", "");
        repository.write("docs/x.md", "");
        repository.commit();
        repository.check().unwrap();
        repository.git(&["switch", "--quiet", "main"]);
        repository.write("crates/a/src/lib.rs", "pub fn new() {}");
        repository.commit();
        repository.git(&["switch", "--quiet", "work"]);
        repository.check().unwrap();
    }

    #[test]
    fn a_base_that_is_not_there_is_an_error_and_not_a_pass() {
        let repository = Repository::new("base");
        let error = changed_without_bump(&repository.0, "nowhere").unwrap_err();
        assert!(
            format!("{error:#}").contains("find where nowhere was left"),
            "{error:#}"
        );
    }

    #[test]
    fn a_tag_is_the_version_of_every_package() {
        let repository = Repository::new("tag");
        tag_is_version(&repository.0, "v0.1.0").unwrap();
        repository.versions("0.1.0", "0.1.1");
        let error = tag_is_version(&repository.0, "v0.1.0")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("python/pyproject.toml says 0.1.1"),
            "{error}"
        );
        assert!(
            tag_is_version(&repository.0, "0.1.0").is_err(),
            "a tag begins with v"
        );
    }

    #[test]
    fn our_own_packages_have_one_version() {
        let root = crate::root();
        let text = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
        tag_is_version(
            &root,
            &format!("v{}", version(&text, &PACKAGES[0]).unwrap()),
        )
        .unwrap();
    }
}
