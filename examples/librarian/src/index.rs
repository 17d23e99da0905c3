//! A BM25 index over the passages, rebuilt when the folder changed.

use std::path::PathBuf;

use anyhow::Result;
use bm25::{Language, SearchEngine, SearchEngineBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::corpus::{self, Passage, Stamp};

/// One passage that fits a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Hit {
    /// The file, relative to the folder.
    pub(crate) file: String,
    /// The line the passage starts at, from 1.
    pub(crate) line: u32,
    /// The passage.
    pub(crate) text: String,
    /// BM25 score; comparable within one answer only.
    pub(crate) score: f32,
}

/// The index of one folder.
pub(crate) struct Index {
    folder: PathBuf,
    stamp: Stamp,
    passages: Vec<Passage>,
    engine: SearchEngine<u32>,
}

impl Index {
    /// Indexes a folder.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        let stamp = corpus::scan(&folder)?;
        let passages = corpus::read(&folder, &stamp);
        let engine = engine(&passages);
        Ok(Self {
            folder,
            stamp,
            passages,
            engine,
        })
    }

    /// Number of passages.
    pub(crate) fn passages(&self) -> usize {
        self.passages.len()
    }

    /// The passages that fit best, best first, after a look at what changed in the folder.
    ///
    /// # Errors
    /// When the folder can no longer be read.
    pub(crate) fn search(&mut self, query: &str, limit: usize) -> Result<Vec<Hit>> {
        if corpus::scan(&self.folder)? != self.stamp {
            *self = Self::open(self.folder.clone())?;
        }
        let found = self.engine.search(query, limit);
        Ok(found
            .into_iter()
            .filter_map(|result| self.hit(result.document.id, result.score))
            .collect())
    }

    fn hit(&self, passage: u32, score: f32) -> Option<Hit> {
        let passage = self.passages.get(passage as usize)?;
        Some(Hit {
            file: passage.file.clone(),
            line: passage.line,
            text: passage.text.clone(),
            score,
        })
    }
}

/// The heading is indexed with each passage under it, so that a question in its words finds them. Ids are places in
/// `passages`.
fn engine(passages: &[Passage]) -> SearchEngine<u32> {
    let texts = passages
        .iter()
        .map(|p| format!("{}\n{}", p.heading, p.text));
    SearchEngineBuilder::<u32>::with_corpus(Language::English, texts).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_passage_comes_first_with_its_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("a.md"),
            "# Cats\n\nThey sleep.\n\n# Dogs\n\nDogs bark at the moon.\n",
        )
        .unwrap();
        let mut index = Index::open(folder.path().to_path_buf()).unwrap();
        let hits = index.search("why do dogs bark", 5).unwrap();
        assert_eq!((hits[0].file.as_str(), hits[0].line), ("a.md", 7));
        assert!(index.search("submarine", 5).unwrap().is_empty());
    }

    #[test]
    fn a_changed_folder_is_indexed_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = Index::open(folder.path().to_path_buf()).unwrap();
        assert!(index.search("whale", 5).unwrap().is_empty());
        std::fs::write(folder.path().join("new.txt"), "A whale sings.").unwrap();
        assert_eq!(index.search("whale", 5).unwrap().len(), 1);
    }
}
