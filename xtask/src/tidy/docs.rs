//! Documents that stay short and true.

use super::Finding;
use super::tree::{TextFile, Tree};

/// Longest README, in lines: an entry page, not a manual.
const MAX_README: usize = 150;

/// What the rules find in documents, and machine paths anywhere.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        findings.extend(machine_paths(file));
        if file.path.ends_with("README.md") {
            findings.extend(readme_length(file));
        }
        if file.path.ends_with(".md") {
            findings.extend(links(tree, file));
            findings.extend(snippets(tree, file));
        }
        if file.path.ends_with("/limits.rs") && !file.path.starts_with("xtask/") {
            findings.extend(limits(file));
        }
    }
    findings
}

fn readme_length(file: &TextFile) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if lines < MAX_README {
        return Vec::new();
    }
    let what = format!("{lines} lines, under {MAX_README}: move the manual to docs/");
    vec![Finding::new("readme", &file.path, 0, what).amount(lines)]
}

/// Folders of one machine. Written in two halves, so that this file does not find itself.
fn machine_paths(file: &TextFile) -> Vec<Finding> {
    let folders = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
    ];
    let begins_a_path = |line: &str, folder: &str| {
        line.match_indices(folder).any(|(at, _)| {
            // `hub/ro…` or a URL's path is no folder of a machine.
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-/)}".contains(c))
        })
    };
    let bad = file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| folders.iter().any(|f| begins_a_path(line, f)));
    let what =
        "a path of one machine: say it relative to the repository or take it from the environment";
    bad.map(|(index, _)| Finding::new("machine-path", &file.path, index + 1, what))
        .collect()
}

fn links(tree: &Tree, file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            let elsewhere =
                target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !tree.has(&resolve(&file.path, target)) {
                let what = format!("the link to {target:?} leads nowhere: correct or remove it");
                findings.push(Finding::new("link", &file.path, index + 1, what));
            }
        }
    }
    findings
}

/// A link's target from the root.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// What stands before a block of code that comes from a file.
const FROM: &str = "<!-- from ";

/// A block of code after `<!-- from PATH -->` stands in that file, letter for letter.
fn snippets(tree: &Tree, file: &TextFile) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(path) = line.strip_prefix(FROM).and_then(|l| l.strip_suffix(" -->")) else {
            continue;
        };
        let body = lines[index + 1..].iter().skip(1);
        let body: Vec<&str> = body
            .take_while(|l| !l.starts_with("```"))
            .copied()
            .collect();
        let is_block =
            lines.get(index + 1).is_some_and(|l| l.starts_with("```")) && !body.is_empty();
        let source = tree.files.iter().find(|f| f.path == path);
        let what = match source {
            _ if !is_block => "no block of code follows".to_owned(),
            None => format!("there is no {path}"),
            Some(source) if !source.text.contains(&(body.join("\n") + "\n")) => {
                format!("{path} does not say this any more: copy it anew")
            }
            Some(_) => continue,
        };
        findings.push(Finding::new("snippet", &file.path, index + 1, what));
    }
    findings
}

/// A limit says its unit and its reason.
fn limits(file: &TextFile) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().map(str::trim_start).collect();
    let bare = |index: &usize| {
        let is_limit = ["pub const ", "pub(crate) const ", "const "]
            .iter()
            .any(|p| lines[*index].starts_with(p));
        is_limit && !(*index > 0 && lines[index - 1].starts_with("///"))
    };
    let what = "a limit without its unit and reason: document it";
    let found = (0..lines.len()).filter(bare);
    found
        .map(|index| Finding::new("limit", &file.path, index + 1, what))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<(&'static str, usize)> {
        check(&Tree::of(files))
            .iter()
            .map(|f| (f.rule, f.line))
            .collect()
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text = "see [a](a.md) and [b](../b.md#x)\n[c](gone.md)\n[d](https://example.net) [e](#here)\n```\n[f](gone)\n```\n";
        assert_eq!(
            found(&[("docs/x.md", text), ("docs/a.md", ""), ("b.md", "")]),
            [("link", 2)]
        );
    }

    #[test]
    fn a_snippet_that_its_file_does_not_say_is_found() {
        let snippet =
            |path: &str, code: &str| format!("<!-- from {path} -->\n```rust\n{code}\n```\n");
        let text = snippet("a.rs", "one\ntwo")
            + &snippet("a.rs", "one\nthree")
            + &snippet("b.rs", "x")
            + "<!-- from a.rs -->\n";
        let files = [("docs/x.md", text.as_str()), ("a.rs", "zero\none\ntwo\n")];
        assert_eq!(
            found(&files),
            [("snippet", 6), ("snippet", 11), ("snippet", 15)]
        );
    }

    #[test]
    fn a_long_readme_is_found() {
        assert_eq!(found(&[("README.md", &"x\n".repeat(150))]), [("readme", 0)]);
        assert!(found(&[("README.md", &"x\n".repeat(149))]).is_empty());
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_path_of_the_tree_is_not() {
        let machine = format!("data = \"{}ann/data\"\n", concat!("/ho", "me/"));
        assert_eq!(found(&[("a.toml", &machine)]), [("machine-path", 1)]);
        assert!(
            found(&[(
                "a.toml",
                &format!("x = \"src{}a\"\n", concat!("/ho", "me/"))
            )])
            .is_empty()
        );
    }

    #[test]
    fn a_limit_without_its_reason_is_found() {
        let text = "/// Bytes; a page.\npub const A: u64 = 1;\n\npub const B: u64 = 2;\n";
        assert_eq!(found(&[("crates/x/src/limits.rs", text)]), [("limit", 4)]);
    }
}
