//! `docs/protocol.md`: the wire for people, from the same declarations as everything else.

use std::fmt::Write as _;

use anyhow::Result;
use seamesh_proto::problem::Code;
use serde_json::Value;

use super::model::{Def, Shape, Ty};
use super::{File, HEADER, Source, plain};

/// A channel's title, what one message on it is, and the unions that travel there.
const CHANNELS: [(&str, &str, &[&str]); 4] = [
    (
        "IPC",
        "One JSON line `{\"type\", \"payload\"}` on the Unix socket between an agent and its sidecar.",
        &["AgentCommand", "AgentEvent"],
    ),
    (
        "Link",
        "One message on the DataChannel `mesh` between two sidecars: `type`, `request_id`, `source_agent`, \
        `target_agent`, `payload`.",
        &["SidecarLink", "AgentLink"],
    ),
    (
        "Signaling",
        "One text frame on the WebSocket between a sidecar and the registry.",
        &["ClientSignal", "RegistrySignal"],
    ),
    (
        "Event stream",
        "The data of one server-sent event of `GET /api/events`.",
        &["EventRecord"],
    ),
];

pub(super) fn file(source: &Source) -> Result<File> {
    let mut text = format!(
        "# Protocol\n\n<!-- {HEADER} -->\n\nEvery message of every channel, from its declaration.\n"
    );
    let mut told: Vec<&str> = Vec::new();
    for (title, what, roots) in CHANNELS {
        write!(text, "\n## {title}\n\n{what}\n")?;
        for def in source.model.reachable(roots.iter().copied()) {
            // A type that several channels share is told where it is met first.
            if !told.contains(&def.name.as_str()) {
                told.push(&def.name);
                definition(&mut text, def)?;
            }
        }
    }
    routes(&mut text, source)?;
    codes(&mut text)?;
    limits(&mut text, source)?;
    Ok(File {
        path: "docs/protocol.md",
        text,
    })
}

fn definition(text: &mut String, def: &Def) -> Result<()> {
    write!(text, "\n### {}\n\n{}\n\n", def.name, cell(&def.doc))?;
    match &def.shape {
        Shape::Object(fields) => {
            table(text, ["member", "type", "absent means", "what"])?;
            for field in fields {
                let absent = match &field.default {
                    Some(value) => format!("`{}`", cell(&value.to_string())),
                    None if field.written => "refused".to_owned(),
                    None => "nothing".to_owned(),
                };
                let (name, ty, doc) = (&field.name, ty(&field.ty), cell(&field.doc));
                writeln!(text, "| `{name}` | {ty} | {absent} | {doc} |")?;
            }
        }
        Shape::Choice(values) => {
            table(text, ["value", "what"])?;
            for (value, doc) in values {
                writeln!(text, "| `{value}` | {} |", cell(doc))?;
            }
        }
        Shape::Messages(messages) => {
            table(text, ["type", "payload", "what"])?;
            for message in messages {
                let (kind, payload, doc) =
                    (&message.kind, ty(&message.payload), cell(&message.doc));
                writeln!(text, "| `{kind}` | {payload} | {doc} |")?;
            }
        }
    }
    Ok(())
}

fn table<const N: usize>(text: &mut String, heads: [&str; N]) -> Result<()> {
    writeln!(text, "| {} |\n|{}", heads.join(" | "), "---|".repeat(N))?;
    Ok(())
}

fn ty(of: &Ty) -> String {
    match of {
        Ty::Any => "any JSON".to_owned(),
        Ty::Str => "text".to_owned(),
        Ty::Id => "id".to_owned(),
        Ty::Trace => "traceparent".to_owned(),
        Ty::UInt(most) => format!("0 to {most}"),
        Ty::Int32 => "whole number of 32 bits".to_owned(),
        Ty::Float => "number".to_owned(),
        Ty::Bool => "true or false".to_owned(),
        Ty::Array(inner) => format!("list of {}", ty(inner)),
        Ty::Ref(name) => format!("[{name}](#{})", name.to_lowercase()),
        Ty::Nullable(inner) => format!("{}, or null", ty(inner)),
    }
}

fn routes(text: &mut String, source: &Source) -> Result<()> {
    text.push_str("\n## REST\n\nThe bodies' schemas are in `schema/openapi.json`.\n\n");
    table(text, ["route", "what", "body", "answer"])?;
    for schemas in &source.routes {
        let route = schemas.route;
        let (body, answer) = (named(schemas.body.as_ref()), named(schemas.answer.as_ref()));
        writeln!(
            text,
            "| `{} {}` | {} | {body} | {answer} |",
            route.method,
            route.path,
            cell(route.summary)
        )?;
    }
    Ok(())
}

/// What a schema is called, or made of.
fn named(schema: Option<&Value>) -> String {
    let name = |s: &Value| {
        s["$ref"]
            .as_str()
            .and_then(|r| r.rsplit('/').next())
            .map(str::to_owned)
    };
    match schema {
        None => "-".to_owned(),
        Some(list) if list["type"] == "array" => {
            format!(
                "list of {}",
                name(&list["items"]).unwrap_or_else(|| "JSON".to_owned())
            )
        }
        Some(one) => name(one).unwrap_or_else(|| "JSON".to_owned()),
    }
}

fn codes(text: &mut String) -> Result<()> {
    text.push_str("\n## Error codes\n\n");
    table(text, ["code", "whose fault", "retry"])?;
    for code in Code::ALL {
        let (fault, retry) = (
            serde_json::to_value(code.fault())?,
            serde_json::to_value(code.retry())?,
        );
        let (fault, retry) = (
            fault.as_str().unwrap_or_default(),
            retry.as_str().unwrap_or_default(),
        );
        writeln!(text, "| `{}` | {fault} | {retry} |", code.as_str())?;
    }
    Ok(())
}

fn limits(text: &mut String, source: &Source) -> Result<()> {
    text.push_str("\n## Limits\n\n");
    table(text, ["limit", "value", "unit and reason"])?;
    for limit in &source.limits {
        writeln!(
            text,
            "| `{}` | {} | {} |",
            limit.name,
            limit.value,
            cell(&plain(&limit.doc))
        )?;
    }
    Ok(())
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
