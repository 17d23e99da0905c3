//! Doing a piece of work only when what it depends on has changed: by content, never by time.

use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::step::step;

/// A file that remembers the content a piece of work was done for.
pub(crate) struct Stamp {
    file: PathBuf,
    hash: String,
}

impl Stamp {
    /// The stamp `name` of these inputs: files and whole folders, and texts that are no files.
    ///
    /// # Errors
    /// When an input cannot be read.
    pub(crate) fn of(name: &str, inputs: &[PathBuf], texts: &[&str]) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        for input in inputs {
            add(&mut hasher, input).with_context(|| format!("cannot read {}", input.display()))?;
        }
        for text in texts {
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        }
        Ok(Self {
            file: crate::target_dir().join("xtask").join(name),
            hash: format!("{:016x}", hasher.finish()),
        })
    }

    /// Does the work unless it was done for the same inputs and `product` still exists.
    ///
    /// # Errors
    /// What `work` fails with.
    pub(crate) fn run(
        &self,
        what: &str,
        product: &Path,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let done = fs::read_to_string(&self.file).ok();
        if done.as_deref() == Some(&self.hash) && product.exists() {
            return Ok(());
        }
        step(what, work)?;
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.file, &self.hash)?;
        Ok(())
    }
}

fn add(hasher: &mut DefaultHasher, path: &Path) -> Result<()> {
    if path.is_dir() {
        let mut children: Vec<PathBuf> = fs::read_dir(path)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<std::io::Result<_>>()?;
        children.sort();
        return children.iter().try_for_each(|child| add(hasher, child));
    }
    hasher.write(path.as_os_str().as_encoded_bytes());
    hasher.write(&fs::read(path)?);
    hasher.write_u8(0xff);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_input_changes_the_stamp_and_a_missing_product_counts_as_undone() {
        let folder = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        fs::create_dir_all(folder.join("in")).unwrap();
        fs::write(folder.join("in/a"), "1").unwrap();
        let product = folder.join("product");
        let name = format!("test-stamp-{}", std::process::id());
        let mut runs = 0;
        let mut go = |product: &Path| {
            let stamp = Stamp::of(&name, &[folder.join("in")], &["v1"]).unwrap();
            let work = || {
                runs += 1;
                Ok(fs::write(product, "made")?)
            };
            stamp.run("work", product, work).unwrap();
            runs
        };
        assert_eq!(go(&product), 1);
        assert_eq!(go(&product), 1, "nothing changed");
        fs::write(folder.join("in/a"), "2").unwrap();
        assert_eq!(go(&product), 2, "an input changed");
        fs::remove_file(&product).unwrap();
        assert_eq!(go(&product), 3, "the product is gone");
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_file(crate::target_dir().join("xtask").join(&name)).unwrap();
    }
}
