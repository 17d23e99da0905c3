//! The folder as passages: paragraphs that know their file and line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

/// Largest file that is read, in bytes: documents, not dumps.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Most files that are read.
const MAX_FILES: usize = 20_000;

/// Folders that hold no documents of their author.
const SKIPPED: [&str; 4] = ["target", "node_modules", "venv", "__pycache__"];

/// One paragraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// The file, relative to the folder, with `/`.
    pub(crate) file: String,
    /// The line it starts at, from 1.
    pub(crate) line: u32,
    /// The heading it stands under; empty before the first.
    pub(crate) heading: String,
    /// Its text, as it stands in the file.
    pub(crate) text: String,
}

/// What tells whether the folder changed: each document's path, time of change and length.
pub(crate) type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// Lists the documents (`.md`, `.markdown`, `.txt`), in the order of their names.
///
/// # Errors
/// When the folder itself cannot be read. What cannot be read inside it is left out with a warning.
pub(crate) fn scan(folder: &Path) -> Result<Stamp> {
    fs::read_dir(folder).with_context(|| format!("read the folder {}", folder.display()))?;
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        let entries = match fs::read_dir(&current) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(folder = %current.display(), %error, "left out a folder that cannot be read");
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                folders.push(entry.path());
            } else if meta.is_file() && is_document(&name) && meta.len() <= MAX_FILE_BYTES {
                found.push((entry.path(), meta.modified().ok(), meta.len()));
            }
        }
    }
    found.sort();
    if found.len() > MAX_FILES {
        tracing::warn!(
            files = found.len(),
            limit = MAX_FILES,
            "the folder has more documents than are indexed"
        );
        found.truncate(MAX_FILES);
    }
    Ok(found)
}

fn is_document(name: &str) -> bool {
    let lower = name.to_lowercase();
    [".md", ".markdown", ".txt"]
        .iter()
        .any(|end| lower.ends_with(end))
}

/// Reads every document of a stamp.
pub(crate) fn read(folder: &Path, stamp: &Stamp) -> Vec<Passage> {
    let mut all = Vec::new();
    for (path, ..) in stamp {
        match fs::read(path) {
            Ok(bytes) => {
                let file = path
                    .strip_prefix(folder)
                    .unwrap_or(path)
                    .to_string_lossy()
                    .replace('\\', "/");
                all.extend(passages(&file, &String::from_utf8_lossy(&bytes)));
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "left out a document that cannot be read")
            }
        }
    }
    all
}

/// Cuts a document into paragraphs: runs of lines without a blank one between them. Headings name the paragraphs that
/// follow; fenced code stays whole.
pub(crate) fn passages(file: &str, text: &str) -> Vec<Passage> {
    let mut out: Vec<Passage> = Vec::new();
    let mut heading = String::new();
    let mut current: Option<Passage> = None;
    let mut fenced = false;
    for (number, line) in (1u32..).zip(text.lines()) {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            fenced = !fenced;
        }
        if !fenced && trimmed.is_empty() {
            out.extend(current.take());
        } else if !fenced && trimmed.starts_with('#') {
            out.extend(current.take());
            heading = trimmed.trim_start_matches('#').trim().to_owned();
        } else if let Some(passage) = &mut current {
            passage.text.push('\n');
            passage.text.push_str(line);
        } else {
            current = Some(Passage {
                file: file.to_owned(),
                line: number,
                heading: heading.clone(),
                text: line.to_owned(),
            });
        }
    }
    out.extend(current);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_knows_its_first_line_and_its_heading() {
        let found = passages("a.md", "# Title\n\nOne\ntwo\n\n## Next\nThree\n");
        let seen: Vec<_> = found
            .iter()
            .map(|p| (p.line, p.heading.as_str(), p.text.as_str()))
            .collect();
        assert_eq!(seen, [(3, "Title", "One\ntwo"), (7, "Next", "Three")]);
    }

    #[test]
    fn code_stays_whole_across_blank_lines() {
        let found = passages("a.md", "```\none\n\n# not a heading\n```\n\nafter\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].text, "```\none\n\n# not a heading\n```");
    }

    #[test]
    fn only_documents_are_read_and_build_folders_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("b.txt", "bee"),
            ("a.md", "ay"),
            ("x.rs", "code"),
            ("target/t.md", "built"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let stamp = scan(folder.path()).unwrap();
        let files: Vec<_> = read(folder.path(), &stamp)
            .into_iter()
            .map(|p| p.file)
            .collect();
        assert_eq!(files, ["a.md", "b.txt"]);
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error() {
        assert!(scan(Path::new("/nonexistent/folder")).is_err());
    }
}
