//! How far a collector was told.

use std::io;
use std::path::{Path, PathBuf};

/// The number of the last event whose task a collector knows, kept in a file.
#[derive(Debug)]
pub(crate) struct Cursor {
    path: PathBuf,
    number: u64,
}

impl Cursor {
    /// The cursor in this file; `newest` when there is none yet: nobody asked for traces of what happened before.
    ///
    /// # Errors
    /// A file that is there and cannot be read, or holds something else.
    pub(crate) fn open(path: &Path, newest: u64) -> io::Result<Self> {
        let number = match std::fs::read_to_string(path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, "not the number of an event")
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => newest,
            Err(error) => return Err(error),
        };
        let mut cursor = Self {
            path: path.to_owned(),
            // Of a database that was put back to an older state.
            number: number.min(newest),
        };
        cursor.advance(cursor.number);
        Ok(cursor)
    }

    /// The last event told.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Everything up to `number` was told. Written whole or not at all; after a power failure some is told again.
    pub(crate) fn advance(&mut self, number: u64) {
        self.number = number;
        let new = self.path.with_extension("new");
        let written = std::fs::write(&new, number.to_string())
            .and_then(|()| std::fs::rename(&new, &self.path));
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.path.display(), "how far the collector was told is not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_begins_at_the_newest_event_and_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("otlp.cursor");
        let mut cursor = Cursor::open(&path, 7).unwrap();
        assert_eq!(cursor.number(), 7);
        cursor.advance(9);
        assert_eq!(Cursor::open(&path, 20).unwrap().number(), 9);
        assert_eq!(Cursor::open(&path, 3).unwrap().number(), 3);
    }

    #[test]
    fn a_cursor_that_is_none_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("otlp.cursor");
        std::fs::write(&path, "seven").unwrap();
        assert!(Cursor::open(&path, 7).is_err());
    }
}
