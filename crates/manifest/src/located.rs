//! YAML with the place of everything in it, so that a problem can say where it is.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    /// The line, from 1.
    pub(crate) line: u64,
    /// The column, from 1.
    pub(crate) column: u64,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) at: At,
    pub(crate) node: Node,
}

/// What YAML is made of.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Neither of the others: text, a number, a truth value, nothing.
    Scalar(Value),
    /// A list.
    List(Vec<Located>),
    /// A mapping, in its order.
    Map(Vec<(Located, Located)>),
}

impl Located {
    /// Reads a document.
    ///
    /// # Errors
    /// Where it is no YAML.
    pub(crate) fn read(text: &str) -> Result<Self, (At, String)> {
        serde_saphyr::from_str(text).map_err(|error| told(&error))
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.node {
            Node::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// What it is, for a person.
    pub(crate) fn kind(&self) -> String {
        match &self.node {
            Node::Scalar(Value::Null) => "nothing".to_owned(),
            Node::Scalar(value) => value.to_string(),
            Node::List(_) => "a list".to_owned(),
            Node::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// What the YAML reader says, in one line.
fn told(error: &serde_saphyr::Error) -> (At, String) {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let at = error.location().map_or(At { line: 1, column: 1 }, |at| At {
        line: at.line(),
        column: at.column(),
    });
    let named = format!("line {} column {}: ", at.line, at.column);
    (at, first.strip_prefix(&named).unwrap_or(first).to_owned())
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned {
            value, referenced, ..
        } = Spanned::<Node>::deserialize(deserializer)?;
        let at = At {
            line: referenced.line(),
            column: referenced.column(),
        };
        Ok(Self { at, node: value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element()? {
            all.push(one);
        }
        Ok(Node::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = map.next_entry()? {
            all.push(one);
        }
        Ok(Node::Map(all))
    }
}
