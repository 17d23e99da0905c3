//! The golden vectors as bytes: what is accepted and what is refused.

use std::path::Path;

use serde_json::Value;

/// Every message of the vectors of a channel, but those whose direction `wanted` turns down.
pub(crate) fn of(channel: &str, wanted: fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(channel);
    let entries = std::fs::read_dir(folder).expect("the vectors");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let files = paths.iter().map(|path| {
        let text = std::fs::read(path).expect("a vector file");
        serde_json::from_slice::<Value>(&text).expect("a vector file is JSON")
    });
    let files = files.filter(|file| wanted(file["direction"].as_str().unwrap_or_default()));
    files.flat_map(|file| messages(&file)).collect()
}

/// The kind and the bytes of each case.
fn messages(file: &Value) -> Vec<(String, Vec<u8>)> {
    let kind = file["kind"].as_str().unwrap_or_default();
    let cases = ["accept", "reject"]
        .into_iter()
        .flat_map(|list| file[list].as_array());
    let bytes = cases
        .flatten()
        .map(|case| match (&case["wire_text"], &case["wire_hex"]) {
            (Value::String(text), _) => text.clone().into_bytes(),
            (_, Value::String(hex)) => unhex(hex),
            _ => case["wire"].to_string().into_bytes(),
        });
    bytes.map(|bytes| (kind.to_owned(), bytes)).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |at: usize| {
        hex.get(at..at + 2)
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    (0..hex.len()).step_by(2).filter_map(digit).collect()
}
