//! What `seamesh run` hands to the agent of its manifest: `skills`, `callers`, the description and `AGENT.md`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::AgentError;

/// Names the file.
pub const HANDED_ENV: &str = "SEAMESH_HANDED";

/// The file.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Handed {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) instructions: String,
    #[serde(default)]
    pub(crate) builtin: Vec<String>,
    #[serde(default)]
    pub(crate) dirs: Vec<String>,
    #[serde(default)]
    pub(crate) disabled: Vec<String>,
    #[serde(default)]
    pub(crate) callers: BTreeMap<String, Vec<String>>,
}

impl Handed {
    /// What `$SEAMESH_HANDED` says of the agent of this name; `None`: nothing.
    pub(crate) fn from_env(agent: &str) -> Result<Option<Self>, AgentError> {
        let path = std::env::var_os(HANDED_ENV).filter(|path| !path.is_empty());
        let Some(path) = path else { return Ok(None) };
        let handed = Self::read(Path::new(&path))?;
        Ok((handed.name == agent).then_some(handed))
    }

    fn read(path: &Path) -> Result<Self, AgentError> {
        let failed = |error: String| {
            AgentError::Manifest(format!(
                "what the manifest says cannot be read: {}: {error}",
                path.display()
            ))
        };
        let text = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
        let handed: Self = serde_json::from_slice(&text).map_err(|e| failed(e.to_string()))?;
        if !handed.dirs.is_empty() {
            let text =
                "skills.dirs names Python modules; the skills of a Rust agent stand in its program";
            return Err(AgentError::Manifest(text.to_owned()));
        }
        Ok(handed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_what_a_rust_agent_cannot_have_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handed.json");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write(r#"{"name": "a", "builtin": ["delegate"], "callers": {"s": ["b"]}, "later": 1}"#);
        let handed = Handed::read(&path).unwrap();
        assert_eq!(
            (handed.name.as_str(), &handed.builtin[..]),
            ("a", &["delegate".to_owned()][..])
        );
        assert_eq!(handed.callers["s"], ["b"]);
        write(r#"{"name": "a", "dirs": ["skills"]}"#);
        let error = Handed::read(&path).unwrap_err().to_string();
        assert!(error.contains("Python modules"), "{error}");
        write("{");
        assert!(Handed::read(&path).is_err());
    }
}
