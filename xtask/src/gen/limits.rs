//! The limits of the wire, read from their declarations: name, value and reason of each `pub const`.

use anyhow::{Context, Result, bail};

const SOURCE: &str = include_str!("../../../crates/proto/src/limits.rs");

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Its name, unit last.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: u64,
    /// Its unit and reason.
    pub(crate) doc: String,
}

/// Every limit that proto declares.
///
/// # Errors
/// Names a declaration that is not a product of whole numbers.
pub(crate) fn all() -> Result<Vec<Limit>> {
    parse(SOURCE)
}

fn parse(source: &str) -> Result<Vec<Limit>> {
    let mut limits = Vec::new();
    let mut doc: Vec<&str> = Vec::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if let Some(rest) = line.strip_prefix("pub const ") {
            let (name, value) = rest
                .split_once(':')
                .and_then(|(name, rest)| Some((name, rest.split_once('=')?.1)))
                .with_context(|| format!("limit {rest:?}: want `NAME: type = value;`"))?;
            let value = product(value.trim().trim_end_matches(';'))
                .with_context(|| format!("limit {name}"))?;
            limits.push(Limit {
                name: name.to_owned(),
                value,
                doc: super::plain(&doc.join(" ")),
            });
            doc.clear();
        } else {
            doc.clear();
        }
    }
    Ok(limits)
}

fn product(text: &str) -> Result<u64> {
    let mut value: u64 = 1;
    for factor in text.split('*') {
        let Ok(number) = factor.trim().replace('_', "").parse::<u64>() else {
            bail!("{text:?} is not a product of whole numbers");
        };
        value = value.checked_mul(number).context("too large")?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use seamesh_proto::limits;

    #[test]
    fn what_is_read_is_what_rust_compiles() {
        let all = all().unwrap();
        let value = |name: &str| all.iter().find(|l| l.name == name).unwrap().value;
        assert_eq!(value("MAX_LINE_BYTES"), limits::MAX_LINE_BYTES as u64);
        assert_eq!(value("MAX_TTL_S"), limits::MAX_TTL_S);
        assert_eq!(
            value("MAX_OLD_PEER_MESSAGE_BYTES"),
            limits::MAX_OLD_PEER_MESSAGE_BYTES as u64
        );
    }

    #[test]
    fn a_limit_that_cannot_be_read_is_named() {
        let error = parse("pub const ODD: u64 = OTHER + 1;").unwrap_err();
        assert!(format!("{error:#}").contains("limit ODD"));
    }
}
