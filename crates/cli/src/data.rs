//! Where things are kept when nobody says where.

use std::path::PathBuf;

/// The registry's data directory: `$XDG_DATA_HOME/seamesh/registry`, else `~/.local/share/seamesh/registry`.
pub(crate) fn registry_directory() -> PathBuf {
    let base = match std::env::var_os("XDG_DATA_HOME") {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| ".".into()))
            .join(".local/share"),
    };
    base.join("seamesh/registry")
}
