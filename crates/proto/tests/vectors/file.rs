//! The files in `vectors/`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    #[serde(skip)]
    pub(crate) path: String,
    pub(crate) channel: String,
    pub(crate) kind: String,
    pub(crate) direction: String,
    pub(crate) accept: Vec<Accept>,
    pub(crate) reject: Vec<Reject>,
}

impl Vector {
    pub(crate) fn id(&self) -> String {
        format!("{}/{}/{}", self.channel, self.direction, self.kind)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accept {
    pub(crate) name: String,
    wire: Option<Value>,
    wire_text: Option<String>,
    canonical: Option<Value>,
}

impl Accept {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        bytes(
            &self.name,
            self.wire.as_ref(),
            self.wire_text.as_deref(),
            None,
        )
    }

    pub(crate) fn canonical(&self) -> Value {
        let canonical = self.canonical.as_ref().or(self.wire.as_ref());
        canonical.expect("a text needs its canonical value").clone()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reject {
    pub(crate) name: String,
    wire: Option<Value>,
    wire_text: Option<String>,
    wire_hex: Option<String>,
    pub(crate) code: String,
}

impl Reject {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let hex = self.wire_hex.as_deref();
        bytes(
            &self.name,
            self.wire.as_ref(),
            self.wire_text.as_deref(),
            hex,
        )
    }
}

fn bytes(name: &str, wire: Option<&Value>, text: Option<&str>, hex: Option<&str>) -> Vec<u8> {
    match (wire, text, hex) {
        (Some(value), None, None) => value.to_string().into_bytes(),
        (None, Some(text), None) => text.as_bytes().to_vec(),
        (None, None, Some(hex)) => unhex(hex),
        _ => panic!("{name}: want exactly one of wire, wire_text, wire_hex"),
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex
        .chars()
        .map(|c| c.to_digit(16).expect("a hex digit"))
        .collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).expect("two hex digits");
    digits.chunks(2).map(byte).collect()
}

/// Every vector file.
pub(crate) fn all() -> Vec<Vector> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in fs::read_dir(root).unwrap().map(Result::unwrap) {
        if folder.path().is_dir() {
            paths.extend(
                fs::read_dir(folder.path())
                    .unwrap()
                    .map(|e| e.unwrap().path()),
            );
        }
    }
    paths.sort();
    assert!(!paths.is_empty(), "no vectors found");
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Vector {
    let place = path.display();
    let text = fs::read_to_string(path).unwrap();
    let mut vector: Vector = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{place}: {e}"));
    let stem = path.file_stem().unwrap().to_string_lossy();
    let with_direction = format!("{}.{}", vector.kind, vector.direction);
    assert!(
        stem == vector.kind || stem == with_direction,
        "{place}: the name is not its kind"
    );
    vector.path = format!("vectors/{}/{stem}.json", vector.channel);
    vector
}
