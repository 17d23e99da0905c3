//! Where the agent's socket is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Bytes of a Unix socket's path on every system we know (Linux: 108 with the final NUL; macOS: 104).
const MAX_SOCKET_PATH: usize = 103;

/// A place for the socket in a directory of this user alone, short enough for the system.
pub(crate) fn socket_path(data_dir: &Path) -> Result<PathBuf> {
    let preferred = data_dir.join("run").join("agent.sock");
    let fits = |path: &Path| path.as_os_str().as_bytes().len() <= MAX_SOCKET_PATH;
    if fits(&preferred) {
        return Ok(preferred);
    }
    let base = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let base = base.map_or_else(std::env::temp_dir, PathBuf::from);
    // The directory's name is short, and the same at each start.
    let short = preferred
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut name = OsString::from(format!("seamesh-{}-", rustix::process::getuid().as_raw()));
    name.push(format!("{short:016x}"));
    let path = base.join(name).join("agent.sock");
    if !fits(&path) {
        bail!(
            "no place for the socket: {} is too long; set `sidecar: {{socket: …}}`",
            path.display()
        );
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_in_a_deep_directory_gets_a_short_path_that_stays_the_same() {
        let short = socket_path(Path::new("/a/.seamesh")).unwrap();
        assert_eq!(short, Path::new("/a/.seamesh/run/agent.sock"));
        let deep = PathBuf::from("/").join("x".repeat(120));
        let moved = socket_path(&deep).unwrap();
        assert!(moved.as_os_str().len() <= MAX_SOCKET_PATH);
        assert_eq!(moved, socket_path(&deep).unwrap());
        assert_ne!(moved, socket_path(&deep.join("y")).unwrap());
    }
}
