//! `schema/openapi.json`: OpenAPI 3.1, from the route table.

use anyhow::Result;
use seamesh_proto::routes::{Access, Route};
use serde_json::{Map, Value, json};

use super::{File, HEADER, RouteSchemas, Source, pretty, schema};

pub(super) fn file(source: &Source) -> Result<File> {
    let mut paths = Map::new();
    for route in &source.routes {
        let entry = paths
            .entry(route.route.path)
            .or_insert_with(|| Value::Object(Map::new()));
        entry[route.route.method.to_ascii_lowercase()] = operation(source, route);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "seamesh registry",
            "description": format!("The registry's HTTP API. {HEADER}"),
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components(source),
            "securitySchemes": security_schemes(),
        },
    });
    Ok(File {
        path: "schema/openapi.json",
        text: pretty(&document)?,
    })
}

fn operation(source: &Source, entry: &RouteSchemas) -> Value {
    let route = entry.route;
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
    });
    let parameters = parameters(source, entry);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = &entry.body {
        let content = json!({"application/json": {"schema": relocate(body)}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation["responses"] = responses(entry);
    operation["security"] = security(route);
    if let Access::Roles(roles) = route.access {
        operation["x-roles"] = json!(roles);
    }
    operation
}

fn parameters(source: &Source, entry: &RouteSchemas) -> Vec<Value> {
    let mut parameters: Vec<Value> = path_parameters(entry.route.path)
        .map(|name| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "schema": {"type": "string"},
            })
        })
        .collect();
    let Some(name) = entry.query.as_ref().and_then(schema::referenced) else {
        return parameters;
    };
    let query = &schema::accepted(&source.definitions)[&name];
    let required = query.get("required").and_then(Value::as_array);
    for (name, member) in query["properties"].as_object().into_iter().flatten() {
        let mut member = relocate(member);
        let description = member.as_object_mut().and_then(|m| m.remove("description"));
        parameters.push(json!({
            "name": name,
            "in": "query",
            "description": description,
            "required": required.is_some_and(|r| r.iter().any(|n| n == name)),
            "schema": member,
        }));
    }
    parameters
}

/// Names of the `{parameters}` of a path.
pub(super) fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn responses(entry: &RouteSchemas) -> Value {
    let (status, success) = match (&entry.answer, entry.route.operation) {
        (Some(answer), _) => (
            "200",
            json!({
                "description": "Done.",
                "content": {"application/json": {"schema": relocate(answer)}},
            }),
        ),
        (None, "signaling") => ("101", json!({"description": "The WebSocket is open."})),
        (None, "events") => (
            "200",
            json!({
                "description": "The stream: `id` is the event's number, `data` an EventRecord.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }),
        ),
        (None, _) => (
            "200",
            json!({
                "description": "Text.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }),
        ),
    };
    json!({
        status: success,
        "default": {
            "description": "Refused; `code` says why.",
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                },
            },
        },
    })
}

fn security(route: &Route) -> Value {
    match route.access {
        Access::Open if route.operation == "token" => {
            json!([{"api_key": []}, {"device_token": []}])
        }
        Access::Open => json!([]),
        Access::Roles(_) => json!([{"bearer": []}, {"api_key": []}, {"session": []}]),
    }
}

fn security_schemes() -> Value {
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token from POST /api/token.",
        },
        "api_key": {
            "type": "apiKey",
            "in": "header",
            "name": "x-api-key",
            "description": "An API key, accepted wherever a token is.",
        },
        "device_token": {
            "type": "apiKey",
            "in": "header",
            "name": "x-device-token",
            "description": "An approved newcomer's credential, for POST /api/token only.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "seamesh_session",
            "description": "The dashboard's session, from POST /api/session.",
        },
    })
}

fn components(source: &Source) -> Map<String, Value> {
    let roots = schema::rest_roots(source);
    let roots = roots.iter().map(String::as_str).chain(["EventRecord"]);
    let accepted = schema::accepted(&source.definitions);
    let wanted = source.model.reachable(roots);
    wanted
        .into_iter()
        .map(|def| (def.name.clone(), relocate(&accepted[&def.name])))
        .collect()
}

/// The largest number of an unsigned format of schemars.
fn largest(format: &Value) -> Option<u64> {
    match format.as_str()? {
        "uint16" => Some(u16::MAX.into()),
        "uint32" => Some(u32::MAX.into()),
        "uint64" | "uint" => Some(u64::MAX),
        _ => None,
    }
}

/// The schema with its references pointing into the document's components.
fn relocate(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let moved = |(key, value): (&String, &Value)| {
                let value = match (key.as_str(), value.as_str()) {
                    ("$ref", Some(target)) => {
                        Value::String(target.replace("#/$defs/", "#/components/schemas/"))
                    }
                    _ => relocate(value),
                };
                (key.clone(), value)
            };
            let mut moved: Map<String, Value> = map.iter().map(moved).collect();
            // A format is a note to people; what makes a number too large is its maximum.
            if let Some(most) = moved.get("format").and_then(largest) {
                moved.entry("maximum").or_insert_with(|| json!(most));
            }
            Value::Object(moved)
        }
        Value::Array(items) => Value::Array(items.iter().map(relocate).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seamesh_proto::routes::ROUTES;

    fn document() -> Value {
        serde_json::from_str(&file(&Source::read().unwrap()).unwrap().text).unwrap()
    }

    #[test]
    fn every_route_has_an_operation_with_its_parameters_and_problem_answer() {
        let document = document();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_ascii_lowercase()];
            assert_eq!(operation["operationId"], route.operation);
            assert_eq!(
                operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
                    ["$ref"],
                "#/components/schemas/Problem"
            );
            for name in path_parameters(route.path) {
                let listed = operation["parameters"].as_array().unwrap();
                assert!(
                    listed
                        .iter()
                        .any(|p| p["name"] == name && p["in"] == "path")
                );
            }
        }
    }

    #[test]
    fn only_open_routes_need_no_credential() {
        let document = document();
        let security =
            |path: &str, method: &str| document["paths"][path][method]["security"].clone();
        assert_eq!(security("/healthz", "get"), json!([]));
        assert_eq!(
            security("/api/hub/tasks", "post"),
            json!([{"bearer": []}, {"api_key": []}, {"session": []}])
        );
    }

    #[test]
    fn query_members_become_parameters() {
        let document = document();
        let parameters = &document["paths"]["/api/registry/route"]["get"]["parameters"];
        assert_eq!(parameters[0]["name"], "skill");
        assert_eq!(parameters[0]["required"], true);
    }

    #[test]
    fn what_is_too_large_to_be_read_is_over_a_maximum() {
        let document = document();
        let members = &document["components"]["schemas"]["SubmitTask"]["properties"];
        assert_eq!(members["ttl"]["maximum"], seamesh_proto::limits::MAX_TTL_S);
        assert_eq!(members["not_before_ms"]["maximum"], u64::MAX);
        let parameters = &document["paths"]["/api/hub/tasks"]["get"]["parameters"];
        let parameters = parameters.as_array().unwrap();
        let limit = parameters.iter().find(|p| p["name"] == "limit").unwrap();
        assert_eq!(limit["schema"]["maximum"], seamesh_proto::limits::MAX_PAGE);
    }

    #[test]
    fn every_reference_resolves() {
        let document = document();
        let text = document.to_string();
        for part in text.split("\"#/").skip(1) {
            let pointer = format!("/{}", part.split('"').next().unwrap());
            assert!(document.pointer(&pointer).is_some(), "{pointer}");
        }
    }
}
