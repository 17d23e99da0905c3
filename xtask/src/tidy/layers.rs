//! Dependencies point one way: `proto <- *-core <- shells <- cli`.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::rust_tests;
use crate::step::stdout_of;

/// What each package may depend on (tests may use more).
const LAYERS: &[(&str, &[&str])] = &[
    ("seamesh-proto", &[]),
    ("seamesh-sdp", &[]),
    ("seamesh-transport", &["seamesh-proto", "seamesh-sdp"]),
    ("seamesh-manifest", &["seamesh-proto"]),
    ("seamesh-registry-core", &["seamesh-proto"]),
    ("seamesh-sidecar-core", &["seamesh-proto"]),
    ("seamesh-client", &["seamesh-proto"]),
    ("seamesh-identity", &["seamesh-proto"]),
    ("seamesh-agent", &["seamesh-proto"]),
    ("seamesh-control", &["seamesh-proto"]),
    (
        "seamesh-registry",
        &[
            "seamesh-proto",
            "seamesh-client",
            "seamesh-control",
            "seamesh-identity",
            "seamesh-registry-core",
        ],
    ),
    (
        "seamesh-sidecar",
        &[
            "seamesh-proto",
            "seamesh-sidecar-core",
            "seamesh-transport",
            "seamesh-client",
            "seamesh-control",
            "seamesh-identity",
        ],
    ),
    (
        "seamesh",
        &[
            "seamesh-proto",
            "seamesh-registry",
            "seamesh-sidecar",
            "seamesh-client",
            "seamesh-identity",
            "seamesh-manifest",
            "seamesh-agent",
        ],
    ),
    (
        "seamesh-sim",
        &[
            "seamesh-proto",
            "seamesh-registry-core",
            "seamesh-sidecar-core",
        ],
    ),
    (
        "seamesh-fuzzing",
        &[
            "seamesh-proto",
            "seamesh-identity",
            "seamesh-manifest",
            "seamesh-registry-core",
            "seamesh-sdp",
            "seamesh-sidecar-core",
        ],
    ),
    ("seamesh-harness", &["seamesh-proto", "seamesh-client"]),
    (
        "seamesh-testkit",
        &[
            "seamesh-proto",
            "seamesh-agent",
            "seamesh-client",
            "seamesh-control",
            "seamesh-harness",
        ],
    ),
    (
        "seamesh-tests",
        &[
            "seamesh-proto",
            "seamesh-harness",
            "seamesh-client",
            "seamesh-control",
            "seamesh-agent",
            "seamesh-sim",
            "seamesh-testkit",
        ],
    ),
    (
        "seamesh-bench",
        &[
            "seamesh-proto",
            "seamesh-harness",
            "seamesh-client",
            "seamesh-agent",
            "seamesh-transport",
        ],
    ),
    (
        "seamesh-demo",
        &["seamesh-proto", "seamesh-harness", "seamesh-client"],
    ),
    ("librarian", &["seamesh-agent"]),
    ("xtask", &["seamesh-proto"]),
];

/// What does IO, keeps time or brings randomness: not for the cores and not for the wire.
const PURE: &[&str] = &[
    "seamesh-proto",
    "seamesh-registry-core",
    "seamesh-sidecar-core",
];
const IMPURE: &[&str] = &[
    "tokio",
    "reqwest",
    "rusqlite",
    "getrandom",
    "rand",
    "axum",
    "tracing-subscriber",
    "libc",
    "futures-util",
];

/// One package and its normal dependencies.
#[derive(Debug)]
pub(crate) struct Package {
    name: String,
    manifest: String,
    dependencies: Vec<String>,
}

/// The packages of the workspace.
///
/// # Errors
/// When cargo cannot tell.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let mut cargo = rust_tests::cargo();
    cargo.args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]);
    let metadata: Value = serde_json::from_str(&stdout_of(&mut cargo)?)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata without packages")?;
    Ok(packages.iter().map(read).collect())
}

fn read(package: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let root = crate::root().to_string_lossy().into_owned();
    let normal = package["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|d| d["kind"].is_null());
    Package {
        name: text(&package["name"]),
        manifest: text(&package["manifest_path"]).replace(&format!("{root}/"), ""),
        dependencies: normal.map(|d| text(&d["name"])).collect(),
    }
}

/// Dependencies that point the wrong way.
pub(crate) fn check(packages: &[Package]) -> Vec<Finding> {
    let names: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == package.name) else {
            let what = format!(
                "{} has no row in LAYERS (xtask/src/tidy/layers.rs): add one",
                package.name
            );
            findings.push(Finding::new("layers", &package.manifest, 0, what));
            continue;
        };
        for dependency in &package.dependencies {
            let ours = names.contains(&dependency.as_str());
            if ours && !allowed.contains(&dependency.as_str()) {
                let what = format!(
                    "{} must not depend on {dependency}: dependencies point proto <- cores <- shells <- cli",
                    package.name
                );
                findings.push(Finding::new("layers", &package.manifest, 0, what));
            }
            if PURE.contains(&package.name.as_str()) && IMPURE.contains(&dependency.as_str()) {
                let what = format!(
                    "{} is pure and must not depend on {dependency}: move the IO to its shell",
                    package.name
                );
                findings.push(Finding::new("layers", &package.manifest, 0, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            dependencies: dependencies.iter().map(|d| (*d).to_owned()).collect(),
        }
    }

    #[test]
    fn a_core_that_reaches_for_a_shell_is_found() {
        let packages = [
            package("seamesh-proto", &["serde"]),
            package(
                "seamesh-registry",
                &["seamesh-proto", "seamesh-registry-core"],
            ),
            package(
                "seamesh-registry-core",
                &["seamesh-proto", "seamesh-registry"],
            ),
        ];
        let found = check(&packages);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .what
                .starts_with("seamesh-registry-core must not depend on seamesh-registry")
        );
    }

    #[test]
    fn a_core_that_does_io_is_found() {
        let found = check(&[package("seamesh-sidecar-core", &["tokio"])]);
        assert!(found[0].what.contains("is pure"));
    }

    #[test]
    fn a_new_package_needs_a_row() {
        assert!(
            check(&[package("seamesh-new", &[])])[0]
                .what
                .contains("no row in LAYERS")
        );
    }
}
