//! The data directory: the database, the token secret and the admin's key, made at first start and private.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use seamesh_identity::SecretKey;
use seamesh_proto::identity::PublicKey;

use crate::secret;

/// Longest secret file that is read, in bytes. Ours hold 46; an operator may bring a longer one.
const MAX_SECRET_FILE_BYTES: u64 = 4096;

/// Fewest bytes of a secret file: 256 bits as hex or base64, or the raw 32 bytes.
const MIN_SECRET_BYTES: usize = 32;

/// The secret that tokens are signed with.
const TOKEN_KEY: &str = "token.key";

/// The admin's API key.
const ADMIN_KEY: &str = "admin.key";

/// The mesh's root key: the seed of an Ed25519 key, hexadecimal.
const ROOT_KEY: &str = "root.key";

/// Why the data directory cannot be used. Each text names the file and the next step.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file or the directory cannot be made, read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another registry runs on it.
    #[error(
        "{0}: another registry runs on this data directory; stop it, or name another with --data"
    )]
    InUse(PathBuf),
    /// A secret file that is empty or too short to be one.
    #[error("{0}: not a secret of at least 32 bytes; delete the file to have a new one made")]
    WeakSecret(PathBuf),
    /// The system gives no randomness.
    #[error("no randomness from the system: {0}")]
    Random(#[from] getrandom::Error),
}

/// An open data directory. Dropping it lets another registry have it.
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory (mode 0700) when it is missing, and locks it for this process.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let built = DirBuilder::new().recursive(true).mode(0o700).create(path);
        built.map_err(at(path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(at(path))?;
        let lock_path = path.join("registry.lock");
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path);
        let lock = opened.map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(fs::TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => Err(at(&lock_path)(error)),
        }
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("registry.db")
    }

    /// How far a collector of traces was told.
    pub(crate) fn otlp_cursor(&self) -> PathBuf {
        self.path.join("otlp.cursor")
    }

    /// The secret that tokens are signed with (`token.key`), made when missing.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub(crate) fn token_secret(&self) -> Result<String, DataDirError> {
        self.secret_file(TOKEN_KEY, "")
    }

    /// Where the secret stands that tokens are signed with.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.path.join(TOKEN_KEY)
    }

    /// Whether this registry starts for the first time: nobody has an administrator's key yet.
    pub(crate) fn is_new(&self) -> bool {
        !self.path.join(ADMIN_KEY).exists()
    }

    /// The admin's API key (`admin.key`), made when missing.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub(crate) fn admin_key(&self) -> Result<String, DataDirError> {
        self.secret_file(ADMIN_KEY, "ak_")
    }

    /// The mesh's root key (`root.key`), made when missing.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub(crate) fn root_key(&self) -> Result<SecretKey, DataDirError> {
        let fresh = SecretKey::generate()?.seed_text();
        let text = self.kept(ROOT_KEY, || Ok(fresh))?;
        let seed: PublicKey = text
            .parse()
            .map_err(|_| DataDirError::WeakSecret(self.path.join(ROOT_KEY)))?;
        Ok(SecretKey::from_seed(seed.0))
    }

    /// The secret files that are here (the root key may be kept elsewhere): their makers leave it to the first commit to
    /// bring them to disk.
    pub(crate) fn secret_files(&self) -> Vec<PathBuf> {
        let files = [TOKEN_KEY, ADMIN_KEY, ROOT_KEY].map(|name| self.path.join(name));
        files.into_iter().filter(|file| file.exists()).collect()
    }

    /// Reads a one-line secret, or makes one under a temporary name first, so that no half of one is ever read. An
    /// empty file is what a power failure right after the first start leaves; nobody was told of what was in it.
    fn secret_file(&self, name: &str, prefix: &str) -> Result<String, DataDirError> {
        self.kept(name, || Ok(secret::random_text(prefix)?))
    }

    fn kept(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<String, DataDirError>,
    ) -> Result<String, DataDirError> {
        let path = self.path.join(name);
        match File::open(&path) {
            Ok(file) if file.metadata().map_err(at(&path))?.len() > 0 => read_secret(file, &path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => {
                let text = make()?;
                write_private(&path, &text, false).map_err(at(&path))?;
                Ok(text)
            }
        }
    }
}

/// Puts a new secret in the place of the one in this file. It is on disk when this returns.
///
/// # Errors
/// [`DataDirError`]; the old one is still there then.
pub(crate) fn replace_secret(path: &Path) -> Result<String, DataDirError> {
    let text = secret::random_text("")?;
    write_private(path, &text, true).map_err(at(path))?;
    if let Some(directory) = path.parent() {
        let synced = File::open(directory).and_then(|d| d.sync_all());
        synced.map_err(at(directory))?;
    }
    Ok(text)
}

fn read_secret(file: File, path: &Path) -> Result<String, DataDirError> {
    // A copied or restored file may have come with wider permissions.
    let private = file.set_permissions(fs::Permissions::from_mode(0o600));
    private.map_err(at(path))?;
    let mut text = String::new();
    let read = file.take(MAX_SECRET_FILE_BYTES).read_to_string(&mut text);
    read.map_err(at(path))?;
    let text = text.trim_end();
    if text.len() < MIN_SECRET_BYTES {
        return Err(DataDirError::WeakSecret(path.to_owned()));
    }
    Ok(text.to_owned())
}

fn write_private(path: &Path, text: &str, to_disk: bool) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)?;
    writeln!(file, "{text}")?;
    if to_disk {
        file.sync_all()?;
    }
    fs::rename(&temporary, path)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |error| DataDirError::Io { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_made_once_and_are_private() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("deep/data");
        let first = DataDir::open(&dir).unwrap();
        let (token, admin) = (first.token_secret().unwrap(), first.admin_key().unwrap());
        assert_ne!(token, admin);
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("token.key")), 0o600);
        assert_eq!(mode(&dir.join("admin.key")), 0o600);
        drop(first);
        let again = DataDir::open(&dir).unwrap();
        assert_eq!(again.token_secret().unwrap(), token);
        assert_eq!(again.admin_key().unwrap(), admin);
    }

    #[test]
    fn a_second_registry_on_the_same_directory_is_refused_until_the_first_ends() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path()).unwrap();
        assert!(matches!(
            DataDir::open(root.path()),
            Err(DataDirError::InUse(_))
        ));
        drop(first);
        assert!(DataDir::open(root.path()).is_ok());
    }

    #[test]
    fn a_secret_file_too_short_to_be_one_is_refused_and_not_used() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        fs::write(root.path().join("token.key"), "secret\n").unwrap();
        assert!(matches!(
            dir.token_secret(),
            Err(DataDirError::WeakSecret(_))
        ));
    }

    #[test]
    fn a_secret_file_that_was_readable_by_others_is_made_private() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        let path = root.path().join("token.key");
        fs::write(&path, "x".repeat(40)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(dir.token_secret().unwrap(), "x".repeat(40));
        assert_eq!(mode(&path), 0o600);
    }
}
