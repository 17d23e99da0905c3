//! `schema/<channel>.json`: JSON Schema 2020-12, one file per channel, of what a consumer accepts.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{File, HEADER, Source, pretty};

struct Channel {
    path: &'static str,
    title: &'static str,
    description: &'static str,
    roots: &'static [&'static str],
}

const CHANNELS: &[Channel] = &[
    Channel {
        path: "schema/ipc.json",
        title: "IPC",
        description: "One JSON line on the Unix socket between an agent and its sidecar.",
        roots: &["AgentCommand", "AgentEvent"],
    },
    Channel {
        path: "schema/link.json",
        title: "Link",
        description: "One message on the DataChannel between two sidecars. SidecarLink and AgentLink tell the payload of each kind.",
        roots: &["MeshMessage", "SidecarLink", "AgentLink"],
    },
    Channel {
        path: "schema/signaling.json",
        title: "Signaling",
        description: "One text frame on the WebSocket between a sidecar and the registry: a SignalFrame. ClientSignal and RegistrySignal tell the payload of each kind.",
        roots: &["SignalFrame", "ClientSignal", "RegistrySignal"],
    },
    Channel {
        path: "schema/event_stream.json",
        title: "Event stream",
        description: "The data of one server-sent event of GET /api/events.",
        roots: &["EventRecord"],
    },
];

pub(super) fn files(source: &Source) -> Result<Vec<File>> {
    let definitions = accepted(&source.definitions);
    let mut files = Vec::new();
    for channel in CHANNELS {
        files.push(File {
            path: channel.path,
            text: pretty(&document(
                source,
                &definitions,
                channel.title,
                channel.description,
                channel.roots,
            ))?,
        });
    }
    let roots = rest_roots(source);
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let text = "Bodies, answers and queries of the registry's HTTP API; openapi.json tells which route has which.";
    files.push(File {
        path: "schema/rest.json",
        text: pretty(&document(source, &definitions, "REST", text, &roots))?,
    });
    Ok(files)
}

fn document(
    source: &Source,
    definitions: &Map<String, Value>,
    title: &str,
    description: &str,
    roots: &[&str],
) -> Value {
    let wanted = source.model.reachable(roots.iter().copied());
    let defs: Map<String, Value> = wanted
        .into_iter()
        .map(|def| (def.name.clone(), definitions[&def.name].clone()))
        .collect();
    let options: Vec<Value> = roots
        .iter()
        .map(|name| json!({"$ref": format!("#/$defs/{name}")}))
        .collect();
    json!({
        "$comment": HEADER,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        "anyOf": options,
        "$defs": defs,
    })
}

/// Names of the types that stand in a body, an answer or a query, each once, as the routes name them first.
pub(super) fn rest_roots(source: &Source) -> Vec<String> {
    let mut names: Vec<String> = vec!["Problem".to_owned()];
    for route in &source.routes {
        for schema in [&route.query, &route.body, &route.answer]
            .into_iter()
            .flatten()
        {
            if let Some(name) = referenced(schema)
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
    }
    names
}

/// The definition that a body or an answer (or each item of it) is.
pub(super) fn referenced(schema: &Value) -> Option<String> {
    let target = schema
        .get("$ref")
        .or_else(|| schema.pointer("/items/$ref"))?
        .as_str()?;
    target.rsplit('/').next().map(str::to_owned)
}

/// The definitions as a consumer accepts them: a member with a default may be absent.
pub(super) fn accepted(definitions: &Map<String, Value>) -> Map<String, Value> {
    let mut accepted = definitions.clone();
    accepted.values_mut().for_each(relax);
    accepted
}

fn relax(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    let defaulted: Vec<String> = object
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, member)| member.get("default").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.retain(|name| !defaulted.iter().any(|d| name == d));
        if required.is_empty() {
            object.remove("required");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_with_a_default_may_be_absent() {
        let mut schema = json!({
            "properties": {"a": {"default": 1}, "b": {}},
            "required": ["a", "b"],
        });
        relax(&mut schema);
        assert_eq!(schema["required"], json!(["b"]));
    }

    #[test]
    fn every_reference_resolves_within_its_file() {
        for file in files(&Source::read().unwrap()).unwrap() {
            let document: Value = serde_json::from_str(&file.text).unwrap();
            for part in file.text.split("\"#/$defs/").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(
                    document["$defs"].get(name).is_some(),
                    "{}: {name}",
                    file.path
                );
            }
        }
    }

    #[test]
    fn the_rest_schema_holds_every_body_and_answer() {
        let roots = rest_roots(&Source::read().unwrap());
        for name in [
            "SubmitTask",
            "HeartbeatBody",
            "HeartbeatAnswer",
            "TaskPage",
            "AgentRecord",
            "TaskQuery",
        ] {
            assert!(roots.iter().any(|r| r == name), "{name}");
        }
    }
}
