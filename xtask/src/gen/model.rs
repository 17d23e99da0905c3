//! The subset of JSON Schema that proto's types use, read into a small model that the emitters share.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// The title of a `traceparent` in the schemas.
const TRACE: &str = "TraceContext";

/// A type as the emitters see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ty {
    /// Any JSON.
    Any,
    /// Text.
    Str,
    /// Text that is an id.
    Id,
    /// Text that is a `traceparent`.
    Trace,
    /// A whole number from 0 to the given maximum.
    UInt(u64),
    /// A whole number of 32 bits, which may be negative.
    Int32,
    /// A floating-point number.
    Float,
    /// A boolean.
    Bool,
    /// A list.
    Array(Box<Ty>),
    /// A named definition.
    Ref(String),
    /// The type, or `null`.
    Nullable(Box<Ty>),
}

impl Ty {
    /// Names of the definitions it mentions.
    fn refs<'a>(&'a self, out: &mut Vec<&'a str>) {
        match self {
            Self::Ref(name) => out.push(name),
            Self::Array(inner) | Self::Nullable(inner) => inner.refs(out),
            _ => {}
        }
    }

    /// The type without `null`.
    pub(crate) fn non_null(&self) -> &Ty {
        match self {
            Self::Nullable(inner) => inner,
            other => other,
        }
    }
}

/// One member of an object.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its name on the wire.
    pub(crate) name: String,
    /// Its type.
    pub(crate) ty: Ty,
    /// Its documentation, one paragraph.
    pub(crate) doc: String,
    /// What an absent member means, where that is not "nothing".
    pub(crate) default: Option<Value>,
    /// Whether the producer always writes it.
    pub(crate) written: bool,
}

impl Field {
    /// Whether it is free JSON for which absent, `null` and `{}` are the same.
    pub(crate) fn is_payload(&self) -> bool {
        self.ty == Ty::Any && self.default == Some(Value::Object(Map::new()))
    }
}

/// One kind of a message union.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Its name in Rust.
    pub(crate) title: String,
    /// Its `type` on the wire.
    pub(crate) kind: String,
    /// Its documentation.
    pub(crate) doc: String,
    /// Its body.
    pub(crate) payload: Ty,
}

/// One named definition.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// An object.
    Object(Vec<Field>),
    /// One of these texts, each with its documentation.
    Choice(Vec<(String, String)>),
    /// One of these messages, told apart by `type`.
    Messages(Vec<Message>),
}

/// A definition and its documentation.
#[derive(Clone, Debug)]
pub(crate) struct Def {
    /// Its name.
    pub(crate) name: String,
    /// Its documentation.
    pub(crate) doc: String,
    /// What it is.
    pub(crate) shape: Shape,
    /// Whether members it does not name belong to it and survive a relay.
    pub(crate) open: bool,
}

/// Every definition, in the order in which the roots reach them.
pub(crate) struct Model {
    /// The definitions by name.
    pub(crate) defs: BTreeMap<String, Def>,
    order: Vec<String>,
}

impl Model {
    /// Reads `$defs`.
    ///
    /// # Errors
    /// Names the first definition that is outside the subset.
    pub(crate) fn read(definitions: &Map<String, Value>) -> Result<Self> {
        let mut defs = BTreeMap::new();
        for (name, schema) in definitions {
            let def = read_def(name, schema).with_context(|| format!("definition {name}"))?;
            defs.insert(name.clone(), def);
        }
        let order = definitions.keys().cloned().collect();
        Ok(Self { defs, order })
    }

    /// The definitions that `roots` need, themselves included, in a stable order.
    pub(crate) fn reachable<'a>(
        &'a self,
        roots: impl IntoIterator<Item = &'a str>,
    ) -> Vec<&'a Def> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = roots.into_iter().collect();
        while let Some(name) = open.pop() {
            let Some(def) = self.defs.get(name) else {
                continue;
            };
            if seen.insert(name) {
                def_refs(def, &mut open);
            }
        }
        let wanted = self.order.iter().filter(|n| seen.contains(n.as_str()));
        wanted.map(|n| &self.defs[n]).collect()
    }

    /// As [`Self::reachable`], each after what it needs (there are no cycles on this wire).
    pub(crate) fn bottom_up<'a>(
        &'a self,
        roots: impl IntoIterator<Item = &'a str>,
    ) -> Vec<&'a Def> {
        let mut done = BTreeSet::new();
        let mut out = Vec::new();
        for def in self.reachable(roots) {
            self.visit(def, &mut done, &mut out);
        }
        out
    }

    fn visit<'a>(&'a self, def: &'a Def, done: &mut BTreeSet<&'a str>, out: &mut Vec<&'a Def>) {
        if !done.insert(&def.name) {
            return;
        }
        let mut needs = Vec::new();
        def_refs(def, &mut needs);
        for name in needs {
            if let Some(needed) = self.defs.get(name) {
                self.visit(needed, done, out);
            }
        }
        out.push(def);
    }
}

fn def_refs<'a>(def: &'a Def, out: &mut Vec<&'a str>) {
    match &def.shape {
        Shape::Object(fields) => fields.iter().for_each(|f| f.ty.refs(out)),
        Shape::Messages(messages) => messages.iter().for_each(|m| m.payload.refs(out)),
        Shape::Choice(_) => {}
    }
}

fn read_def(name: &str, schema: &Value) -> Result<Def> {
    let shape = match (schema.get("oneOf"), schema.get("enum")) {
        (Some(Value::Array(variants)), _) => read_variants(variants)?,
        (_, Some(Value::Array(texts))) => {
            let texts = texts.iter().filter_map(Value::as_str);
            Shape::Choice(texts.map(|t| (t.to_owned(), String::new())).collect())
        }
        _ => Shape::Object(read_fields(schema)?),
    };
    Ok(Def {
        name: name.to_owned(),
        doc: doc_of(schema),
        shape,
        open: schema.get("additionalProperties") == Some(&Value::Bool(true)),
    })
}

fn read_variants(variants: &[Value]) -> Result<Shape> {
    let mut choices = Vec::new();
    let mut messages = Vec::new();
    for variant in variants {
        if let Some(text) = variant.get("const").and_then(Value::as_str) {
            choices.push((text.to_owned(), doc_of(variant)));
        } else if let Some(texts) = variant.get("enum").and_then(Value::as_array) {
            let texts = texts.iter().filter_map(Value::as_str);
            choices.extend(texts.map(|t| (t.to_owned(), String::new())));
        } else {
            messages.push(read_message(variant)?);
        }
    }
    ensure!(
        choices.is_empty() || messages.is_empty(),
        "mixes texts and messages"
    );
    Ok(if messages.is_empty() {
        Shape::Choice(choices)
    } else {
        Shape::Messages(messages)
    })
}

fn read_message(variant: &Value) -> Result<Message> {
    let kind = variant.pointer("/properties/type/const");
    let payload = variant.pointer("/properties/payload");
    Ok(Message {
        title: text_of(variant, "title").context("a message without title")?,
        kind: kind
            .and_then(Value::as_str)
            .context("a message without type")?
            .to_owned(),
        doc: doc_of(variant),
        payload: read_ty(payload.context("a message without payload")?)?,
    })
}

fn read_fields(schema: &Value) -> Result<Vec<Field>> {
    ensure!(
        schema.get("type").and_then(Value::as_str) == Some("object"),
        "neither an object nor a union"
    );
    let required: BTreeSet<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let field = |(name, member): (&String, &Value)| -> Result<Field> {
        Ok(Field {
            name: name.clone(),
            ty: read_ty(member).with_context(|| format!("member {name}"))?,
            doc: doc_of(member),
            default: member.get("default").cloned(),
            written: required.contains(name.as_str()),
        })
    };
    properties.iter().map(field).collect()
}

/// Reads a type.
///
/// # Errors
/// Names what is outside the subset.
pub(crate) fn read_ty(schema: &Value) -> Result<Ty> {
    let Some(object) = schema.as_object() else {
        return Ok(Ty::Any);
    };
    if let Some(target) = object.get("$ref").and_then(Value::as_str) {
        let name = target.rsplit('/').next().unwrap_or(target);
        return Ok(Ty::Ref(name.to_owned()));
    }
    if let Some(Value::Array(options)) = object.get("anyOf") {
        return read_any_of(options);
    }
    match object.get("type") {
        None => Ok(Ty::Any),
        Some(Value::String(name)) => read_named(name, object),
        Some(Value::Array(names)) => match names.as_slice() {
            [Value::String(name), Value::String(null)] if null == "null" => {
                Ok(Ty::Nullable(Box::new(read_named(name, object)?)))
            }
            _ => bail!("type list {names:?}"),
        },
        Some(other) => bail!("type {other}"),
    }
}

fn read_any_of(options: &[Value]) -> Result<Ty> {
    match options {
        [inner, null] if null.get("type").and_then(Value::as_str) == Some("null") => {
            Ok(Ty::Nullable(Box::new(read_ty(inner)?)))
        }
        _ => bail!("anyOf that is not 'or null'"),
    }
}

fn read_named(name: &str, object: &Map<String, Value>) -> Result<Ty> {
    Ok(match name {
        "string" if object.get("title").is_some_and(|t| t == TRACE) => Ty::Trace,
        "string" if object.contains_key("pattern") => Ty::Id,
        "string" => Ty::Str,
        "boolean" => Ty::Bool,
        "number" => Ty::Float,
        "integer" if object.get("format").is_some_and(|f| f == "int32") => Ty::Int32,
        "integer" => Ty::UInt(match object.get("format").and_then(Value::as_str) {
            Some("uint16") => u64::from(u16::MAX),
            Some("uint32") => u64::from(u32::MAX),
            Some("uint64" | "uint") => u64::MAX,
            other => bail!("integer format {other:?}"),
        }),
        "array" => Ty::Array(Box::new(read_ty(
            object.get("items").unwrap_or(&Value::Bool(true)),
        )?)),
        other => bail!("type {other}"),
    })
}

fn text_of(schema: &Value, key: &str) -> Option<String> {
    schema.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn doc_of(schema: &Value) -> String {
    text_of(schema, "description").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(properties: Value, required: Value) -> Value {
        json!({"type": "object", "properties": properties, "required": required})
    }

    #[test]
    fn a_member_tells_whether_it_is_written_and_what_its_absence_means() {
        let schema = object(
            json!({
                "always": {"type": "string"},
                "defaulted": {"type": "integer", "format": "uint32", "default": 3},
                "optional": {"type": ["string", "null"], "pattern": "x"},
                "payload": {"default": {}},
            }),
            json!(["always", "defaulted", "payload"]),
        );
        let fields = read_fields(&schema).unwrap();
        assert!(fields[0].written && fields[0].default.is_none());
        assert!(fields[1].written && fields[1].default == Some(json!(3)));
        assert!(!fields[2].written && fields[2].ty == Ty::Nullable(Box::new(Ty::Id)));
        assert!(fields[3].is_payload());
    }

    #[test]
    fn what_is_outside_the_subset_is_refused_by_name() {
        let schema = object(
            json!({"odd": {"type": "integer", "format": "int8"}}),
            json!([]),
        );
        let definitions = json!({"Odd": schema});
        let error = Model::read(definitions.as_object().unwrap()).err().unwrap();
        let text = format!("{error:#}");
        assert!(
            text.contains("definition Odd: member odd: integer format"),
            "{text}"
        );
    }

    #[test]
    fn only_what_the_roots_need_is_reached_and_needs_come_first() {
        let definitions = json!({
            "Root": object(json!({"leaf": {"$ref": "#/$defs/Leaf"}}), json!([])),
            "Other": object(json!({}), json!([])),
            "Leaf": object(json!({}), json!([])),
        });
        let model = Model::read(definitions.as_object().unwrap()).unwrap();
        let names = |defs: Vec<&Def>| defs.iter().map(|d| d.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(model.reachable(["Root"])), ["Root", "Leaf"]);
        assert_eq!(names(model.bottom_up(["Root"])), ["Leaf", "Root"]);
    }
}
