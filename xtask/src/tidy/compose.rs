//! The compose file: what it builds exists, what it runs is pinned, what it needs is documented, and no secret is in it.

use serde_json::{Map, Value};

use super::Finding;
use super::dockerfile::{Arguments, check_file, is_pinned, is_root, is_secret};
use super::tree::{TextFile, Tree};

const FILE: &str = "deploy/compose.yaml";
const GUIDE: &str = "deploy/README.md";

/// Whatever is wrong with the compose file, and variables that its guide does not name.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file(FILE) else {
        return Vec::new();
    };
    let mut findings = undocumented(tree, tree.file(GUIDE).map_or("", |guide| &guide.text));
    let read: Result<Value, _> = serde_saphyr::from_str(&file.text);
    let parsed = match read {
        Ok(parsed) => parsed,
        Err(error) => {
            findings.push(Finding::new("compose", FILE, 0, error.to_string()));
            return findings;
        }
    };
    let nothing = Map::new();
    let part = |name: &str| parsed[name].as_object().unwrap_or(&nothing);
    let services = part("services");
    if services.is_empty() {
        findings.push(Finding::new("compose", FILE, 0, "no services"));
    }
    for (name, service) in services {
        let told = of_service(tree, service, services, part("volumes"));
        let place = |what: String| {
            let line = file.text.lines().position(|l| l == format!("  {name}:"));
            Finding::new(
                "compose",
                FILE,
                line.map_or(0, |l| l + 1),
                format!("{name}: {what}"),
            )
        };
        findings.extend(told.into_iter().map(place));
    }
    findings
}

/// Variables of the compose file and of the start scripts that the guide does not name.
fn undocumented(tree: &Tree, guide: &str) -> Vec<Finding> {
    let is_ours = |file: &&TextFile| {
        file.path == FILE || (file.path.starts_with("deploy/") && file.path.ends_with(".sh"))
    };
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(is_ours) {
        let mut told = Vec::new();
        for (index, line) in file.text.lines().enumerate() {
            let is_compose = file.path == FILE;
            for name in ours(line).chain(filled(line).filter(|_| is_compose)) {
                if !words(guide).any(|word| word == name) && !told.contains(&name) {
                    let what = format!("{name} is not in {GUIDE}: say what it is for");
                    findings.push(Finding::new("compose", &file.path, index + 1, what));
                    told.push(name);
                }
            }
        }
    }
    findings
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The project's own variables of a line.
fn ours(line: &str) -> impl Iterator<Item = &str> {
    words(line).filter(|word| word.starts_with("SEAMESH_"))
}

/// What compose fills into a line: `${NAME…}`.
fn filled(line: &str) -> impl Iterator<Item = &str> {
    line.split("${")
        .skip(1)
        .filter_map(|rest| words(rest).next())
}

fn of_service(
    tree: &Tree,
    service: &Value,
    services: &Map<String, Value>,
    volumes: &Map<String, Value>,
) -> Vec<String> {
    let mut told = Vec::new();
    match &service["build"] {
        Value::Null => match service["image"].as_str() {
            Some(image) if is_pinned(image) => {}
            image => told.push(format!(
                "image {image:?} is not pinned: name a digest or an exact version"
            )),
        },
        build => told.extend(of_build(tree, build)),
    }
    let user = service["user"].as_str().unwrap_or("nobody");
    if is_root(user) || service["privileged"] == true {
        told.push("runs as root".to_owned());
    }
    for port in service["ports"].as_array().into_iter().flatten() {
        // Docker opens a published port to every network that the machine is on.
        if !port.as_str().is_some_and(|p| p.starts_with("127.0.0.1:")) {
            told.push(format!(
                "port {port} is open to other machines: publish it on 127.0.0.1"
            ));
        }
    }
    for (name, value) in service["environment"].as_object().into_iter().flatten() {
        let is_given = value.is_null()
            || value
                .as_str()
                .is_some_and(|v| v.starts_with("${") && v.ends_with(":-}"));
        if is_secret(name) && !is_given {
            told.push(format!(
                "{name} has a value here: take it from the environment, without a default"
            ));
        }
    }
    for name in service["depends_on"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
    {
        if !services.contains_key(name) {
            told.push(format!("depends on {name}, which is no service"));
        }
    }
    for volume in service["volumes"].as_array().into_iter().flatten() {
        let source = volume
            .as_str()
            .and_then(|v| v.split(':').next())
            .unwrap_or_default();
        if !source.starts_with(['.', '/', '$']) && !volumes.contains_key(source) {
            told.push(format!("volume {volume} is not declared"));
        }
        if let Some(path) = source.strip_prefix("./") {
            let path = format!("deploy/{path}");
            if tree.file(&path).is_none() {
                told.push(format!("mounts {path}, which is not in the repository"));
            }
        }
    }
    told
}

fn of_build(tree: &Tree, build: &Value) -> Vec<String> {
    if build["context"] != ".." {
        return vec![format!(
            "builds from {}: the Dockerfiles copy from the root, `..`",
            build["context"]
        )];
    }
    let path = build["dockerfile"].as_str().unwrap_or("Dockerfile");
    let Some(file) = tree.file(path) else {
        return vec![format!("{path} is not in the repository")];
    };
    let given = build["args"].as_object().into_iter().flatten();
    let given: Arguments = given
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let found = check_file(tree, file, &given);
    found.iter().map(Finding::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::dockerfile::only_finding;

    const DOCKERFILE: &str = "FROM a:1.2.3\nARG AGENT=x\nCOPY ${AGENT} a\nUSER 1\nHEALTHCHECK CMD [\"h\"]\nENTRYPOINT [\"e\"]\n";
    const GOOD: &str = "x-all: &all {init: true}\nservices:\n  one:\n    <<: *all\n    build: {context: .., dockerfile: deploy/Dockerfile.a, args: {AGENT: y}}\n\
        \x20   ports: [\"127.0.0.1:${PORT:-1}:1\"]\n    environment:\n      SEAMESH_INVITE: ${SEAMESH_INVITE:-}\n    volumes: [\"v:/v\"]\n  two:\n    image: b:1.2.3\n    depends_on: {one: {condition: service_healthy}}\nvolumes:\n  v:\n";

    fn findings(compose: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (FILE, compose),
            ("deploy/Dockerfile.a", DOCKERFILE),
            ("deploy/start.sh", ": ${SEAMESH_DATA:?where}"),
            (GUIDE, "`SEAMESH_INVITE`, `SEAMESH_DATA` and `PORT`"),
            ("x/agent.yaml", ""),
            ("y/agent.yaml", ""),
        ]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    fn one(from: &str, to: &str) -> String {
        only_finding(findings, GOOD, from, to)
    }

    #[test]
    fn a_good_file_has_no_finding() {
        assert_eq!(findings(GOOD), Vec::<String>::new());
    }

    #[test]
    fn a_build_file_or_a_copied_directory_that_is_missing_is_found() {
        assert!(
            one("Dockerfile.a", "Dockerfile.b")
                .contains("compose.yaml:3: one: deploy/Dockerfile.b is not in")
        );
        assert!(one("AGENT: y", "AGENT: z").contains("z is not in the repository"));
        assert!(one("context: ..", "context: .").contains("the Dockerfiles copy from the root"));
    }

    #[test]
    fn an_image_that_is_not_pinned_is_found() {
        assert!(
            one("image: b:1.2.3", "image: b:latest")
                .contains("two: image Some(\"b:latest\") is not pinned")
        );
    }

    #[test]
    fn a_variable_that_the_guide_does_not_name_is_found() {
        assert!(
            one("${PORT:-1}", "${DOOR:-1}")
                .contains("compose.yaml:6: DOOR is not in deploy/README.md")
        );
    }

    #[test]
    fn a_secret_with_a_value_is_found() {
        assert!(one("${SEAMESH_INVITE:-}", "abc").contains("SEAMESH_INVITE has a value here"));
        assert!(
            one("${SEAMESH_INVITE:-}", "${SEAMESH_INVITE:-abc}")
                .contains("SEAMESH_INVITE has a value")
        );
    }

    #[test]
    fn a_port_for_everybody_and_a_root_user_are_found() {
        assert!(one("127.0.0.1:${", "${").contains("is open to other machines"));
        assert!(
            one("image: b:1.2.3", "image: b:1.2.3\n    user: \"0:0\"").contains("runs as root")
        );
    }

    #[test]
    fn names_that_mean_nothing_are_found() {
        assert!(one("v:/v", "w:/v").contains("is not declared"));
        assert!(one("{one: {", "{three: {").contains("depends on three"));
        assert!(one("v:/v", "./nothing.sh:/v").contains("deploy/nothing.sh, which is not in"));
        assert!(!findings("services: [").is_empty());
    }
}
