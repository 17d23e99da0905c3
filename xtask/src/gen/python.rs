//! `python/src/seamesh/_generated/wire.py`: what a Python agent reads and writes, as msgspec types.
//!
//! An encoded value is the canonical form that Rust writes: a member that Rust always writes is always written, an
//! optional one only when it is there. msgspec's `omit_defaults` leaves out a member that *is* its default, so only
//! optional members have a plain default (`None`); every other default comes from a factory, which msgspec never omits.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use seamesh_proto::ledger::Party;
use seamesh_proto::problem::Code;
use serde_json::Value;

use super::model::{Def, Field, Message, Shape, Ty};
use super::typescript::screaming;
use super::{File, HEADER, Source, schema, wrap};

const WIDTH: usize = 96;
const PRELUDE: &str = include_str!("prelude.py");
const CHANNEL_ROOTS: &[&str] = &[
    "AgentCommand",
    "AgentEvent",
    "MeshMessage",
    "AgentLink",
    "Problem",
];
/// Python words that a wire name may not be.
const KEYWORDS: &[&str] = &[
    "from", "import", "class", "def", "in", "is", "not", "pass", "global", "lambda",
];

pub(super) fn files(source: &Source) -> Result<[File; 2]> {
    let package = File {
        path: "python/src/seamesh/_generated/__init__.py",
        text: format!("# {HEADER}\n"),
    };
    Ok([package, file(source)?])
}

fn file(source: &Source) -> Result<File> {
    let mut out = format!("# {HEADER}\n# ruff: noqa\n# fmt: off\n");
    out.push_str(PRELUDE);
    let roots = roots(source);
    let defs = source.model.bottom_up(roots.iter().map(String::as_str));
    for def in &defs {
        definition(&mut out, source, def)?;
    }
    for def in &defs {
        if let Shape::Messages(messages) = &def.shape {
            decoder(&mut out, def, messages);
        }
    }
    constants(&mut out, source);
    Ok(File {
        path: "python/src/seamesh/_generated/wire.py",
        text: out,
    })
}

fn roots(source: &Source) -> BTreeSet<String> {
    let called = source
        .routes
        .iter()
        .filter(|r| r.route.callers.contains(&Party::PythonAgent));
    let bodies = called.flat_map(|r| [&r.query, &r.body, &r.answer]);
    let named = bodies.flatten().filter_map(schema::referenced);
    named
        .chain(CHANNEL_ROOTS.iter().map(|&name| name.to_owned()))
        .collect()
}

fn docstring(out: &mut String, indent: &str, text: &str) {
    let text = text.replace('\\', "\\\\").replace("\"\"\"", "'''");
    let lines = wrap(&text, WIDTH);
    let Some((last, head)) = lines.split_last() else {
        return;
    };
    let close = if last.ends_with('"') {
        " \"\"\""
    } else {
        "\"\"\""
    };
    let _ = write!(out, "{indent}\"\"\"");
    for line in head {
        let _ = write!(out, "{line}\n{indent}");
    }
    let _ = writeln!(out, "{last}{close}");
}

fn definition(out: &mut String, source: &Source, def: &Def) -> Result<()> {
    match &def.shape {
        Shape::Object(fields) => object(out, source, def, fields),
        Shape::Choice(choices) => {
            let names: Vec<String> = choices
                .iter()
                .map(|(n, _)| format!("    {n:?},\n"))
                .collect();
            let _ = writeln!(
                out,
                "\n{}: TypeAlias = Literal[\n{}]",
                def.name,
                names.concat()
            );
            let mut text = def.doc.clone();
            for (name, meaning) in choices.iter().filter(|(_, d)| !d.is_empty()) {
                let _ = write!(text, " `{name}`: {meaning}");
            }
            docstring(out, "", &text);
            Ok(())
        }
        Shape::Messages(messages) => {
            union(out, def, messages);
            Ok(())
        }
    }
}

fn object(out: &mut String, source: &Source, def: &Def, fields: &[Field]) -> Result<()> {
    let renames: Vec<(String, &str)> = fields
        .iter()
        .map(|f| (python_name(&f.name), f.name.as_str()))
        .filter(|(python, wire)| python != wire)
        .collect();
    let mut options = "kw_only=True, omit_defaults=True".to_owned();
    if !renames.is_empty() {
        let pairs: Vec<String> = renames
            .iter()
            .map(|(p, w)| format!("{p:?}: {w:?}"))
            .collect();
        let _ = write!(options, ", rename={{{}}}", pairs.join(", "));
    }
    let _ = writeln!(out, "\n\nclass {}(msgspec.Struct, {options}):", def.name);
    docstring(out, "    ", &def.doc);
    for field in fields {
        member(out, source, field)?;
    }
    let payloads: Vec<&Field> = fields.iter().filter(|f| f.is_payload()).collect();
    if !payloads.is_empty() {
        out.push_str("\n    def __post_init__(self) -> None:\n");
        for field in payloads {
            let name = python_name(&field.name);
            let _ = writeln!(
                out,
                "        if self.{name} is None:\n            self.{name} = {{}}"
            );
        }
    }
    Ok(())
}

fn member(out: &mut String, source: &Source, field: &Field) -> Result<()> {
    let name = python_name(&field.name);
    let ty = |field_ty: &Ty| member_ty(source, field_ty);
    let (ty, default) = match (&field.default, field.written) {
        (Some(value), _) => (
            ty(&field.ty),
            format!(" = {}", factory(source, &field.ty, value)?),
        ),
        (None, true) => (ty(&field.ty), String::new()),
        (None, false) if field.ty == Ty::Any => ("Any".to_owned(), " = None".to_owned()),
        (None, false) => (
            format!("{} | None", ty(field.ty.non_null())),
            " = None".to_owned(),
        ),
    };
    let _ = writeln!(out, "    {name}: {ty}{default}");
    docstring(out, "    ", &field.doc);
    Ok(())
}

/// An open message within another stays text, as in Rust: nothing it holds is lost on the way.
fn member_ty(source: &Source, field_ty: &Ty) -> String {
    match field_ty {
        Ty::Ref(name) if source.model.defs[name].open => "msgspec.Raw".to_owned(),
        other => ty(other),
    }
}

fn python_name(wire: &str) -> String {
    if KEYWORDS.contains(&wire) {
        format!("{wire}_")
    } else {
        wire.to_owned()
    }
}

fn ty(ty_: &Ty) -> String {
    match ty_ {
        Ty::Any => "Any".to_owned(),
        Ty::Str => "str".to_owned(),
        Ty::Id => "Id".to_owned(),
        Ty::Trace => "TraceContext".to_owned(),
        Ty::Bool => "bool".to_owned(),
        Ty::Float => "float".to_owned(),
        Ty::Int32 => "Int32".to_owned(),
        Ty::UInt(max) => format!("UInt{}", 64 - max.leading_zeros()),
        Ty::Ref(name) => name.clone(),
        Ty::Array(inner) => format!("list[{}]", ty(inner)),
        Ty::Nullable(inner) => format!("{} | None", ty(inner)),
    }
}

/// A default that msgspec writes all the same: it comes from a factory.
fn factory(source: &Source, ty: &Ty, value: &Value) -> Result<String> {
    let make = match (ty, value) {
        (Ty::Ref(name), Value::Object(_)) => name.clone(),
        (Ty::Ref(name), Value::String(text)) => {
            let known = matches!(&source.model.defs[name].shape, Shape::Choice(all) if all.iter().any(|(t, _)| t == text));
            if !known {
                bail!("{text:?} is no {name}");
            }
            format!("lambda: {text:?}")
        }
        (_, Value::Array(items)) if items.is_empty() => "_empty_list".to_owned(),
        (_, Value::Object(map)) if map.is_empty() => "_empty_object".to_owned(),
        (_, Value::String(text)) if text.is_empty() => "str".to_owned(),
        (_, Value::Bool(true)) => "lambda: True".to_owned(),
        (_, Value::Bool(false)) => "bool".to_owned(),
        (_, Value::Null) => "lambda: None".to_owned(),
        (_, Value::Number(number)) => format!("lambda: {number}"),
        (_, Value::String(text)) => format!("lambda: {text:?}"),
        (_, other) => bail!("default {other}"),
    };
    Ok(format!("msgspec.field(default_factory={make})"))
}

fn union(out: &mut String, def: &Def, messages: &[Message]) {
    for message in messages {
        let name = format!("{}{}", def.name, message.title);
        let _ = writeln!(
            out,
            "\n\nclass {name}(msgspec.Struct, tag_field=\"type\", tag={:?}):",
            message.kind
        );
        docstring(out, "    ", &message.doc);
        let default = match &message.payload {
            Ty::Any => " = msgspec.field(default_factory=_empty_object)",
            _ => "",
        };
        let _ = writeln!(out, "    payload: {}{default}", ty(&message.payload));
    }
    let names: Vec<String> = messages
        .iter()
        .map(|m| format!("    {}{},\n", def.name, m.title))
        .collect();
    let _ = writeln!(
        out,
        "\n\n{}: TypeAlias = Union[\n{}]",
        def.name,
        names.concat()
    );
    docstring(out, "", &def.doc);
}

fn decoder(out: &mut String, def: &Def, messages: &[Message]) {
    let screaming = screaming(&def.name);
    let name = &def.name;
    let _ = writeln!(
        out,
        "\n_{screaming}: Final[dict[str, Callable[[bytes], {name}]]] = {{"
    );
    for message in messages {
        let reader = match &message.payload {
            Ty::Any => format!("_free({name}{})", message.title),
            payload => format!("_typed({name}{}, {})", message.title, ty(payload)),
        };
        let _ = writeln!(out, "    {:?}: {reader},", message.kind);
    }
    out.push_str("}\n");
    let _ = writeln!(out, "{screaming}_KINDS: Final = frozenset(_{screaming})");
    docstring(out, "", &format!("Every `type` of {name}."));
    let function = screaming.to_ascii_lowercase();
    let _ = writeln!(
        out,
        "\n\ndef decode_{function}(data: bytes | bytearray | memoryview | str) -> {name}:"
    );
    docstring(
        out,
        "    ",
        &format!("Reads one {name}. Raises WireError with the stable code of the refusal."),
    );
    let _ = writeln!(out, "    return _decode(data, _{screaming})");
}

fn constants(out: &mut String, source: &Source) {
    out.push_str("\n\nROUTES: Final[dict[str, tuple[str, str]]] = {\n");
    for entry in &source.routes {
        let route = entry.route;
        let _ = writeln!(
            out,
            "    {:?}: ({:?}, {:?}),",
            route.operation, route.method, route.path
        );
    }
    out.push_str("}\n");
    docstring(
        out,
        "",
        "Method and path of each REST operation; `{name}` stands for a path parameter.",
    );
    out.push_str("\nCODES: Final[dict[Code, tuple[Fault, Retry]]] = {\n");
    for code in Code::ALL {
        let fault = serde_json::json!(code.fault());
        let retry = serde_json::json!(code.retry());
        let _ = writeln!(out, "    \"{code}\": ({fault}, {retry}),");
    }
    out.push_str("}\n");
    docstring(
        out,
        "",
        "Whose fault each code is, and whether to try again.",
    );
    let version = seamesh_proto::PROTOCOL_VERSION;
    let _ = writeln!(out, "\nPROTOCOL_VERSION: Final = {version}");
    docstring(out, "", "Version of the native protocol.");
    for limit in &source.limits {
        let _ = writeln!(out, "\n{}: Final = {}", limit.name, limit.value);
        docstring(out, "", &limit.doc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        file(&Source::read().unwrap()).unwrap().text
    }

    #[test]
    fn a_message_kind_is_a_struct_tagged_by_type() {
        let text = text();
        assert!(
            text.contains(
                "class AgentEventTask(msgspec.Struct, tag_field=\"type\", tag=\"task\"):"
            )
        );
        assert!(text.contains("    payload: TaskEvent\n"));
        assert!(text.contains("def decode_agent_event("));
    }

    #[test]
    fn only_optional_members_have_a_default_that_is_omitted() {
        let text = text();
        assert!(text.contains("    timeout_ms: UInt64 | None = None\n"));
        assert!(text.contains("    wait: bool = msgspec.field(default_factory=lambda: True)\n"));
        assert!(text.contains("    via: Via = msgspec.field(default_factory=lambda: \"auto\")\n"));
    }

    #[test]
    fn a_message_that_is_passed_on_stays_text() {
        assert!(text().contains("    from_peer: Id\n    \"\"\"The sidecar it came from.\"\"\"\n    message: msgspec.Raw\n"));
    }

    #[test]
    fn a_name_that_python_reserves_is_renamed() {
        assert_eq!(python_name("from"), "from_");
        assert_eq!(python_name("to"), "to");
    }

    #[test]
    fn signaling_is_no_business_of_an_agent() {
        assert!(!text().contains("class SignalFrame"));
    }
}
