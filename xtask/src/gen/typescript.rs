//! `hub/src/generated/wire.ts`: the REST bodies and the event stream as TypeScript types.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use seamesh_proto::problem::Code;
use serde_json::Value;

use super::model::{Def, Field, Message, Shape, Ty, read_ty};
use super::{File, HEADER, RouteSchemas, Source, schema, wrap};

const WIDTH: usize = 100;

pub(super) fn file(source: &Source) -> Result<File> {
    let mut out = format!("// {HEADER}\n");
    out.push_str("// biome-ignore-all format: generated\n// biome-ignore-all lint: generated\n");
    let roots = schema::rest_roots(source);
    let roots: Vec<&str> = roots
        .iter()
        .map(String::as_str)
        .chain(["EventRecord"])
        .collect();
    let written = written_by_registry(source);
    for def in source.model.reachable(roots) {
        out.push('\n');
        definition(&mut out, def, written.contains(&def.name));
    }
    routes(&mut out, source)?;
    codes(&mut out);
    limits(&mut out, source);
    Ok(File {
        path: "hub/src/generated/wire.ts",
        text: out,
    })
}

/// Types that the registry writes: their defaulted members are always there. In a type that only callers write
/// (a body or a query) they may be left out.
fn written_by_registry(source: &Source) -> BTreeSet<String> {
    let answers: Vec<String> = source
        .routes
        .iter()
        .filter_map(|r| r.answer.as_ref().and_then(schema::referenced))
        .chain(["EventRecord".to_owned(), "Problem".to_owned()])
        .collect();
    let reached = source.model.reachable(answers.iter().map(String::as_str));
    reached.into_iter().map(|def| def.name.clone()).collect()
}

fn doc(out: &mut String, indent: &str, text: &str) {
    let lines = wrap(&text.replace("*/", "* /"), WIDTH);
    match lines.as_slice() {
        [] => {}
        [line] => {
            let _ = writeln!(out, "{indent}/** {line} */");
        }
        lines => {
            let _ = writeln!(out, "{indent}/**");
            for line in lines {
                let _ = writeln!(out, "{indent} * {line}");
            }
            let _ = writeln!(out, "{indent} */");
        }
    }
}

fn definition(out: &mut String, def: &Def, written: bool) {
    match &def.shape {
        Shape::Object(fields) => {
            doc(out, "", &def.doc);
            let _ = writeln!(out, "export interface {} {{", def.name);
            for field in fields {
                member(out, field, written);
            }
            out.push_str("}\n");
        }
        Shape::Choice(choices) => choice(out, def, choices),
        Shape::Messages(messages) => union(out, def, messages),
    }
}

fn member(out: &mut String, field: &Field, written: bool) {
    doc(out, "  ", &field.doc);
    let always = field.written && (written || field.default.is_none());
    let (mark, ty) = if always {
        ("", ty(&field.ty))
    } else {
        ("?", ty(field.ty.non_null()))
    };
    let _ = writeln!(out, "  {}{mark}: {ty};", field.name);
}

fn choice(out: &mut String, def: &Def, choices: &[(String, String)]) {
    let listed = choices.iter().filter(|(_, d)| !d.is_empty());
    let mut text = def.doc.clone();
    for (name, meaning) in listed {
        let _ = write!(text, " `{name}`: {meaning}");
    }
    doc(out, "", &text);
    let _ = writeln!(out, "export type {} =", def.name);
    for (index, (name, _)) in choices.iter().enumerate() {
        let end = if index + 1 == choices.len() { ";" } else { "" };
        let _ = writeln!(out, "  | {name:?}{end}");
    }
}

fn union(out: &mut String, def: &Def, messages: &[Message]) {
    for message in messages {
        doc(out, "", &message.doc);
        let _ = writeln!(out, "export interface {}{} {{", def.name, message.title);
        let _ = writeln!(out, "  type: {:?};", message.kind);
        let _ = writeln!(out, "  payload: {};\n}}\n", ty(&message.payload));
    }
    doc(out, "", &def.doc);
    let names: Vec<String> = messages
        .iter()
        .map(|m| format!("{}{}", def.name, m.title))
        .collect();
    let _ = writeln!(
        out,
        "export type {} =\n  | {};\n",
        def.name,
        names.join("\n  | ")
    );
    let kinds: Vec<String> = messages
        .iter()
        .map(|m| format!("  {:?},\n", m.kind))
        .collect();
    let _ = writeln!(out, "/** Every `type` of {}. */", def.name);
    let name = screaming(&def.name);
    let _ = writeln!(
        out,
        "export const {name}_KINDS = [\n{}] as const;",
        kinds.concat()
    );
}

/// `MeshEvent` as `MESH_EVENT`.
pub(super) fn screaming(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.char_indices() {
        if index > 0 && letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

fn ty(ty_: &Ty) -> String {
    match ty_ {
        Ty::Any => "unknown".to_owned(),
        Ty::Str | Ty::Id | Ty::Trace => "string".to_owned(),
        Ty::UInt(_) | Ty::Int32 | Ty::Float => "number".to_owned(),
        Ty::Bool => "boolean".to_owned(),
        Ty::Ref(name) => name.clone(),
        Ty::Array(inner) => match ty(inner) {
            plain if plain.contains(' ') => format!("({plain})[]"),
            plain => format!("{plain}[]"),
        },
        Ty::Nullable(inner) => format!("{} | null", ty(inner)),
    }
}

fn routes(out: &mut String, source: &Source) -> Result<()> {
    out.push_str(
        "\n/** Query, body and answer of each route; `undefined` where there is none. */\n",
    );
    out.push_str("export interface Operations {\n");
    for entry in &source.routes {
        doc(out, "  ", entry.route.summary);
        let _ = writeln!(out, "  {}: {};", entry.route.operation, operation(entry)?);
    }
    out.push_str(
        "}\n\n/** Method and path of each route; `{name}` stands for a path parameter. */\n",
    );
    out.push_str("export const ROUTES = {\n");
    for entry in &source.routes {
        let route = entry.route;
        let _ = writeln!(
            out,
            "  {}: {{ method: {:?}, path: {:?} }},",
            route.operation, route.method, route.path
        );
    }
    out.push_str(
        "} as const satisfies Record<keyof Operations, { method: string; path: string }>;\n",
    );
    Ok(())
}

fn operation(entry: &RouteSchemas) -> Result<String> {
    let name = |schema: &Option<Value>| -> Result<String> {
        Ok(match schema {
            Some(schema) => ty(&read_ty(schema)?),
            None => "undefined".to_owned(),
        })
    };
    Ok(format!(
        "{{ query: {}; body: {}; answer: {} }}",
        name(&entry.query)?,
        name(&entry.body)?,
        name(&entry.answer)?
    ))
}

fn codes(out: &mut String) {
    out.push_str("\n/** Whose fault each code is, and whether to try again. */\n");
    out.push_str(
        "export const CODES: Readonly<Record<Code, { fault: Fault; retry: Retry }>> = {\n",
    );
    for code in Code::ALL {
        let text = |value: Value| value.to_string();
        let fault = text(serde_json::json!(code.fault()));
        let retry = text(serde_json::json!(code.retry()));
        let _ = writeln!(out, "  {code}: {{ fault: {fault}, retry: {retry} }},");
    }
    out.push_str("};\n");
}

fn limits(out: &mut String, source: &Source) {
    out.push_str("\n/** Version of the native protocol. */\n");
    let _ = writeln!(
        out,
        "export const PROTOCOL_VERSION = {};",
        seamesh_proto::PROTOCOL_VERSION
    );
    for limit in &source.limits {
        out.push('\n');
        doc(out, "", &limit.doc);
        let _ = writeln!(out, "export const {} = {};", limit.name, limit.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        file(&Source::read().unwrap()).unwrap().text
    }

    #[test]
    fn events_are_a_union_told_apart_by_type() {
        let text = text();
        assert!(text.contains("export interface MeshEventTaskChanged {\n  type: \"task_changed\";\n  payload: Task;\n}"));
        assert!(text.contains("export type MeshEvent =\n  | MeshEventAgentRegistered"));
    }

    #[test]
    fn a_body_may_leave_defaults_out_and_an_answer_never_does() {
        let text = text();
        let interface = |name: &str| {
            let start = text.find(&format!("export interface {name} {{")).unwrap();
            text[start..].split("\n}").next().unwrap().to_owned()
        };
        assert!(interface("SubmitTask").contains("  ttl?: number;"));
        assert!(interface("Task").contains("  max_attempts: number;"));
        assert!(interface("Task").contains("  lease?: number;"));
    }

    #[test]
    fn sidecar_messages_are_no_business_of_the_page() {
        assert!(!text().contains("SignalFrame"));
        assert!(!text().contains("AgentCommand"));
    }

    #[test]
    fn constant_names_are_words_in_capitals() {
        assert_eq!(screaming("MeshEvent"), "MESH_EVENT");
    }
}
