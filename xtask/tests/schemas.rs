//! The published schemas accept what the golden vectors accept: two descriptions of one wire that agree.
#![allow(clippy::unwrap_used, reason = "a test suite asserts")]

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The validator of one kind: for the channels whose envelope is open, the envelope's.
fn validator(vector: &Value) -> Validator {
    let channel = vector["channel"].as_str().unwrap();
    let mut schema = read(&root().join(format!("schema/{channel}.json")));
    let name = match (channel, vector["direction"].as_str().unwrap()) {
        ("ipc", "agent_to_sidecar") => "AgentCommand",
        ("ipc", _) => "AgentEvent",
        ("link", _) => "MeshMessage",
        ("signaling", _) => "SignalFrame",
        ("event_stream", _) => "EventRecord",
        _ => vector["kind"].as_str().unwrap(),
    };
    schema["anyOf"] = json!([{"$ref": format!("#/$defs/{name}")}]);
    jsonschema::validator_for(&schema).unwrap()
}

/// A case and the JSON it says, where it is JSON at all.
fn cases(vector: &Value, list: &str) -> Vec<(String, Value)> {
    let case = |case: &Value| {
        let text = case["wire_text"]
            .as_str()
            .and_then(|t| serde_json::from_str(t).ok());
        let wire = case.get("wire").cloned().or(text)?;
        Some((case["name"].as_str().unwrap().to_owned(), wire))
    };
    vector[list]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(case)
        .collect()
}

fn vectors() -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for channel in ["ipc", "link", "signaling", "event_stream", "rest"] {
        for entry in fs::read_dir(root().join("vectors").join(channel)).unwrap() {
            let path = entry.unwrap().path();
            let vector = read(&path);
            found.push((path, vector));
        }
    }
    found
}

/// A payload of null means the same as none, which no schema of a body can say.
fn null_payload(wire: &Value) -> bool {
    wire.get("payload").is_some_and(Value::is_null)
}

#[test]
fn schemas_accept_what_vectors_accept() {
    for (path, vector) in vectors() {
        let validator = validator(&vector);
        for (name, wire) in cases(&vector, "accept")
            .into_iter()
            .filter(|(_, w)| !null_payload(w))
        {
            if let Some(error) = validator.iter_errors(&wire).next() {
                panic!("{}: {name}: {error}", path.display());
            }
        }
    }
}

#[test]
fn rest_and_event_schemas_refuse_what_vectors_refuse() {
    let mut refused = 0;
    for (path, vector) in vectors() {
        let channel = vector["channel"].as_str().unwrap();
        if channel != "rest" && channel != "event_stream" {
            continue;
        }
        let validator = validator(&vector);
        for (name, wire) in cases(&vector, "reject") {
            // What JSON itself cannot show once it is parsed: a member that stood there twice, a number out of range.
            if name.contains("twice") || name.contains(" bits") {
                continue;
            }
            assert!(
                !validator.is_valid(&wire),
                "{}: {name}: the schema accepts it",
                path.display()
            );
            refused += 1;
        }
    }
    assert!(refused > 80, "only {refused} refused cases were looked at");
}
