//! Proof that a release build has nothing of the hook.

use anyhow::{Context, Result, ensure};

use crate::rust_tests::cargo;
use crate::step::run;

/// What the hook is driven by: its text stands in every library that has the hook.
const NAMES: [&str; 2] = ["SEAMESH_SEAM_FAULT", "SEAMESH_SEAM_RECORDS"];

/// What the hub's hook calls in the page: `hub/tests/e2e/live/seam-hook.ts`.
const IN_PAGE: &str = "seamesh_seam";

/// What an archive begins with.
const MAGIC: &[u8] = b"!<arch>\n";

/// Bytes of a member's header.
const HEADER: usize = 60;

/// Where in its header a member's size stands, in decimal digits.
const SIZE: std::ops::Range<usize> = 48..58;

/// The member of a library that holds its documentation, which may speak of the hook.
const METADATA: &[u8] = b"lib.rmeta/";

/// Builds `proto`, the only crate that has the hook, as it is released, and looks for the hook's variables in it; and,
/// so that the search itself is known to find them, in the debug build.
///
/// # Errors
/// When a release build has the hook.
pub(super) fn prove() -> Result<()> {
    run(cargo().args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "seamesh-proto",
    ]))?;
    let has = |profile: &str, name: &str| -> Result<bool> {
        let library = crate::target_dir()
            .join(profile)
            .join("libseamesh_proto.rlib");
        let bytes = std::fs::read(&library).with_context(|| library.display().to_string())?;
        let compiled = compiled(&bytes).context("not a library as rustc makes them")?;
        let mut parts = compiled.iter().flat_map(|part| part.windows(name.len()));
        Ok(parts.any(|part| part == name.as_bytes()))
    };
    for name in NAMES {
        ensure!(
            has("debug", name)?,
            "{name} is not found where it must be: the search is blind"
        );
        ensure!(!has("release", name)?, "{name} is in a release build");
    }
    Ok(())
}

/// Looks for the hub's hook, which only its tests put into a page, in the page as it is shipped; and, so that the search
/// is known to find things, for a path that it must have.
///
/// # Errors
/// When the page has the hook.
pub(super) fn prove_hub() -> Result<()> {
    let assets = crate::root().join("hub/dist/assets");
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(&assets).with_context(|| assets.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "js") {
            scripts.push(std::fs::read_to_string(&path)?);
        }
    }
    let has = |text: &str| scripts.iter().any(|script| script.contains(text));
    ensure!(
        has("/api/hub/state"),
        "the page asks for nothing: the search is blind"
    );
    for name in [IN_PAGE, NAMES[0], NAMES[1]] {
        ensure!(!has(name), "{name} is in the hub's page");
    }
    Ok(())
}

/// The members of a library (a Unix archive) that hold what was compiled.
fn compiled(library: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = library.strip_prefix(MAGIC)?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (header, after) = rest.split_at_checked(HEADER)?;
        let size: usize = std::str::from_utf8(&header[SIZE])
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let (member, after) = after.split_at_checked(size)?;
        if !header.starts_with(METADATA) {
            members.push(member);
        }
        // Members begin at even bytes.
        rest = after.get(size % 2..).unwrap_or_default();
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, body: &str) -> String {
        let size = body.len();
        let pad = if size % 2 == 1 { "\n" } else { "" };
        format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n{body}{pad}",
            0, 0, 0, 0
        )
    }

    #[test]
    fn what_only_documentation_says_is_not_compiled() {
        let library = format!(
            "!<arch>\n{}{}{}",
            member("lib.rmeta/", "it is documented"),
            member("a.o/", "odd"),
            member("b.o/", "even")
        );
        let found = compiled(library.as_bytes()).unwrap();
        assert_eq!(found, [b"odd".as_slice(), b"even".as_slice()]);
        assert_eq!(compiled(b"no archive"), None);
        assert_eq!(compiled(&library.as_bytes()[..90]), None);
    }
}
