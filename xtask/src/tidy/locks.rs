//! Lock files: no host of a package registry, one crypto stack.

use super::Finding;
use super::tree::{TextFile, Tree};

/// The crypto stack is `ring`; a second one costs megabytes and a C build.
const BANNED: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "openssl",
    "openssl-sys",
    "native-tls",
    "boring",
    "boring-sys",
];
/// One version of each: two of them do not talk to each other.
const SINGLE: &[&str] = &[
    "ring",
    "rustls",
    "tungstenite",
    "tokio-tungstenite",
    "tokio",
    "hyper",
    "serde_json",
];
/// The index that every Cargo.lock names, whatever mirror is used.
const CARGO_INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What the rules find in lock files.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        match name {
            "Cargo.lock" => findings.extend([crypto(file), hosts(file, "source = ")].concat()),
            "package-lock.json" => findings.extend(hosts(file, "\"resolved\":")),
            _ if name.starts_with("requirements") => findings.extend(hosts(file, "")),
            _ => {}
        }
    }
    findings
}

fn hosts(file: &TextFile, key: &str) -> Vec<Finding> {
    let lines = file.text.lines().enumerate();
    let bad = lines.filter(|(_, line)| {
        line.trim_start().starts_with(key) && line.contains("://") && !line.contains(CARGO_INDEX)
    });
    let what = "names the host of a package registry: write the lock file without it";
    bad.map(|(index, _)| Finding::new("lock-host", &file.path, index + 1, what))
        .collect()
}

fn crypto(file: &TextFile) -> Vec<Finding> {
    let packages: Vec<(usize, &str)> = file
        .text
        .lines()
        .enumerate()
        .filter_map(|(index, line)| {
            Some((
                index + 1,
                line.strip_prefix("name = \"")?.strip_suffix('"')?,
            ))
        })
        .collect();
    let banned = packages.iter().filter(|(_, name)| BANNED.contains(name));
    let mut findings: Vec<Finding> = banned
        .map(|(line, name)| {
            let what = format!(
                "{name} is a second crypto stack: use what stands on ring (cargo tree -i {name})"
            );
            Finding::new("crypto", &file.path, *line, what)
        })
        .collect();
    for single in SINGLE {
        if let Some((line, _)) = packages.iter().filter(|(_, name)| name == single).nth(1) {
            let what = format!(
                "two versions of {single}: bring its users to one (cargo tree -i {single})"
            );
            findings.push(Finding::new("crypto", &file.path, *line, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&Tree::of(&[(path, text)]))
            .iter()
            .map(|f| (f.rule, f.line))
            .collect()
    }

    #[test]
    fn a_second_crypto_stack_is_found() {
        assert_eq!(
            found("Cargo.lock", "name = \"ring\"\nname = \"aws-lc-rs\"\n"),
            [("crypto", 2)]
        );
        assert_eq!(
            found("Cargo.lock", "name = \"rustls\"\nname = \"rustls\"\n"),
            [("crypto", 2)]
        );
    }

    #[test]
    fn the_host_of_a_registry_is_found() {
        let npm = "\"resolved\": \"https://registry.example.net/a.tgz\",\n\"url\": \"https://example.net/fund\"\n";
        assert_eq!(found("hub/package-lock.json", npm), [("lock-host", 1)]);
        assert_eq!(
            found(
                "python/requirements-dev.txt",
                "--index-url https://example.net/simple\n"
            ),
            [("lock-host", 1)]
        );
        let index = format!("source = \"{CARGO_INDEX}\"\n");
        assert!(found("Cargo.lock", &index).is_empty());
    }
}
