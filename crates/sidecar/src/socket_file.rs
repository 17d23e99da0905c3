//! The IPC socket's file: in a private directory, for this user alone.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::RunError;

/// A socket that is served; its file goes away with it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    listener: UnixListener,
    /// Who may connect.
    uid: u32,
}

impl SocketFile {
    /// Serves `path`. A file left behind by a sidecar that is gone is replaced.
    ///
    /// # Errors
    /// [`RunError::SocketInUse`], [`RunError::NotASocket`], [`RunError::Socket`].
    pub(crate) fn bind(path: &Path) -> Result<Self, RunError> {
        let failed = |source| RunError::Socket {
            path: path.to_owned(),
            source,
        };
        make_directory(path).map_err(failed)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        // We made the file: its owner is who we are.
        let uid = fs::metadata(path).map_err(failed)?.uid();
        Ok(Self {
            path: path.to_owned(),
            listener,
            uid,
        })
    }

    /// The next client. One of another user is turned away: it may have been let in by a directory that is not
    /// private. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            if may_connect(stream.peer_cred()?.uid(), self.uid) {
                return Ok(stream);
            }
            tracing::warn!("a process of another user tried to connect to the IPC socket");
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it is gone already, that is what is wanted.
        let _ = fs::remove_file(&self.path);
    }
}

/// The sidecar's own user, and root, who may do anything anyway.
fn may_connect(uid: u32, ours: u32) -> bool {
    uid == ours || uid == 0
}

fn make_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) else {
        return Ok(());
    };
    if !directory.exists() {
        return fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
    }
    if fs::metadata(directory)?.mode() & 0o077 != 0 {
        tracing::debug!("the IPC socket's directory is open to other users; the socket is not");
    }
    Ok(())
}

/// Removes a socket that nobody answers on.
fn remove_stale(path: &Path) -> Result<(), RunError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(RunError::NotASocket(path.to_owned()));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(RunError::SocketInUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| RunError::Socket {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn socket_and_directory_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/agent.sock");
        let socket = SocketFile::bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn only_the_sidecars_own_user_and_root_may_connect() {
        assert!(may_connect(1000, 1000));
        assert!(may_connect(0, 1000));
        assert!(!may_connect(1001, 1000));
        assert!(!may_connect(1000, 0), "root's sidecar is root's");
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let served = SocketFile::bind(&path).unwrap();
        assert!(matches!(
            SocketFile::bind(&path),
            Err(RunError::SocketInUse(_))
        ));
        let (client, accepted) = tokio::join!(UnixStream::connect(&path), served.accept());
        assert!(client.is_ok() && accepted.is_ok());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(
            SocketFile::bind(&path),
            Err(RunError::NotASocket(_))
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn only_our_own_user_and_root_may_connect() {
        assert!(may_connect(1000, 1000) && may_connect(0, 1000));
        assert!(!may_connect(1001, 1000) && !may_connect(1000, 0));
    }
}
