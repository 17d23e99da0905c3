//! `seamesh init`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use seamesh_proto::AgentId;

use crate::serving;

/// Name of each file, and its text with `__NAME__` for the agent's.
const FILES: [(&str, &str); 6] = [
    ("agent.yaml", include_str!("template/agent.yaml.txt")),
    ("agent.py", include_str!("template/agent.py.txt")),
    ("test_agent.py", include_str!("template/test_agent.py.txt")),
    ("AGENT.md", include_str!("template/agent.md.txt")),
    (".env.example", include_str!("template/env.example.txt")),
    (".gitignore", include_str!("template/gitignore.txt")),
];

/// Options of `seamesh init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The agent's name; `.` takes the directory's [default: my-agent, or the directory's with --directory].
    name: Option<String>,
    /// Directory to write into [default: one of the agent's name].
    #[arg(short, long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Writes an agent with one skill and one test. Overwrites nothing.
///
/// # Errors
/// When there is an agent already, or the name is no id.
pub(crate) fn run(args: InitArgs) -> Result<()> {
    let (name, directory) = place(args)?;
    let id: AgentId = name
        .parse()
        .with_context(|| format!("{name:?} is no agent name"))?;
    if let Some((taken, _)) = FILES.iter().find(|(file, _)| directory.join(file).exists()) {
        let path = directory.join(taken);
        bail!(
            "{} already exists: choose another name or directory",
            path.display()
        );
    }
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    for (file, text) in FILES {
        let path = directory.join(file);
        let text = text.replace("__NAME__", id.as_str());
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    let here = match directory == Path::new(".") {
        true => String::new(),
        false => format!("  cd {}\n", directory.display()),
    };
    serving::print(&format!(
        "Made the agent {id}. Next:\n\n{here}  python3 -m pytest\n  seamesh run\n\nand in another terminal:\n\n  \
        seamesh call greet '{{\"name\": \"Ada\"}}'"
    ))
}

/// The agent's name and directory.
fn place(args: InitArgs) -> Result<(String, PathBuf)> {
    let named = args.name.as_deref().filter(|&name| name != ".");
    let directory = match (args.directory, args.name.as_deref()) {
        (Some(directory), _) => directory,
        (None, Some(".")) => ".".into(),
        (None, name) => name.unwrap_or("my-agent").into(),
    };
    if let Some(name) = named {
        return Ok((name.to_owned(), directory));
    }
    let full = std::path::absolute(&directory)?;
    let last = full.components().next_back();
    let name = last.map(|part| part.as_os_str().to_string_lossy().into_owned());
    Ok((name.unwrap_or_default(), directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn init(name: Option<&str>, directory: Option<PathBuf>) -> Result<()> {
        let name = name.map(str::to_owned);
        run(InitArgs { name, directory })
    }

    #[test]
    fn what_it_writes_is_a_manifest_that_loads_and_starts_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        init(Some("ada"), Some(dir.path().join("x"))).unwrap();
        let manifest = Manifest::load(&dir.path().join("x")).unwrap();
        assert_eq!(manifest.name.as_str(), "ada");
        assert_eq!(manifest.run, ["python3", "agent.py"]);
        assert_eq!(manifest.findings, []);
        for (file, _) in FILES {
            let text = fs::read_to_string(dir.path().join("x").join(file)).unwrap();
            assert!(!text.contains("__NAME__"), "{file}");
        }
    }

    #[test]
    fn the_name_is_the_directorys_when_none_is_given() {
        let dir = tempfile::tempdir().unwrap();
        init(None, Some(dir.path().join("bob"))).unwrap();
        assert_eq!(
            Manifest::load(&dir.path().join("bob"))
                .unwrap()
                .name
                .as_str(),
            "bob"
        );
    }

    #[test]
    fn an_agent_that_is_there_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("agent.py"), "mine").unwrap();
        let error = init(Some("ada"), Some(dir.path().to_owned())).unwrap_err();
        assert!(error.to_string().contains("already exists"));
        assert_eq!(
            fs::read_to_string(dir.path().join("agent.py")).unwrap(),
            "mine"
        );
        assert!(!dir.path().join("agent.yaml").exists(), "nothing half-made");
    }

    #[test]
    fn a_name_that_is_no_id_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(init(Some("two words"), Some(dir.path().join("x"))).is_err());
        assert!(!dir.path().join("x").exists());
    }
}
