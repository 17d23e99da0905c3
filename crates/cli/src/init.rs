//! `seamesh init`.

mod templates;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use seamesh_proto::AgentId;
use serde_json::json;

use crate::serving;
pub(crate) use templates::{Lang, Role};

/// Options of `seamesh init`.
#[derive(Debug, Args)]
#[command(after_help = "\
tool: a skill to begin with. researcher: finds passages in a folder of documents. analyst: counts words, describes tables.
coordinator: has others search and analyze, whoever they are. None of them needs a model.")]
pub(crate) struct InitArgs {
    /// The agent's name; `.` takes the directory's [default: my-agent, or the directory's with --directory].
    name: Option<String>,
    /// Directory to write into [default: one of the agent's name].
    #[arg(short, long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// What the agent is for.
    #[arg(long, value_enum, default_value_t = Role::Tool)]
    role: Role,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Lang::Python)]
    lang: Lang,
    /// Print one JSON object: `name`, `directory`, `files`, and the commands `next`.
    #[arg(long)]
    json: bool,
}

/// Writes an agent that runs, and its tests. Overwrites nothing.
///
/// # Errors
/// When there is an agent already, or the name is no id.
pub(crate) fn run(args: InitArgs) -> Result<()> {
    let (name, directory) = place(&args)?;
    let id: AgentId = name
        .parse()
        .with_context(|| format!("{name:?} is no agent name"))?;
    let files = templates::files(id.as_str(), args.role, args.lang);
    let taken = files.iter().map(|(file, _)| directory.join(file));
    if let Some(path) = taken.into_iter().find(|path| path.exists()) {
        bail!(
            "{} already exists: choose another name or directory",
            path.display()
        );
    }
    for (file, text) in &files {
        let path = directory.join(file);
        let told = || path.display().to_string();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(told)?;
        }
        fs::write(&path, text).with_context(told)?;
    }
    let mut next = Vec::new();
    if directory != Path::new(".") {
        next.push(format!("cd {}", directory.display()));
    }
    next.extend([args.lang.test().to_owned(), "seamesh run".to_owned()]);
    let call = format!("seamesh call {}", args.role.call());
    if args.json {
        next.push(call);
        let files: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
        let made = json!({"name": id, "directory": directory, "files": files, "next": next});
        return serving::print(&made.to_string());
    }
    let role = args.role.name();
    serving::print(&format!(
        "Made the {role} {id}. Next:\n\n  {}\n\nand in another terminal:\n\n  {call}",
        next.join("\n  ")
    ))
}

/// The agent's name and directory.
fn place(args: &InitArgs) -> Result<(String, PathBuf)> {
    let named = args.name.as_deref().filter(|&name| name != ".");
    let directory = match (&args.directory, args.name.as_deref()) {
        (Some(directory), _) => directory.clone(),
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
    use clap::ValueEnum as _;

    fn args(name: Option<&str>, directory: Option<PathBuf>) -> InitArgs {
        InitArgs {
            name: name.map(str::to_owned),
            directory,
            role: Role::Tool,
            lang: Lang::Python,
            json: false,
        }
    }

    #[test]
    fn what_it_writes_is_a_manifest_that_loads_and_starts_the_agent_for_each_role_and_language() {
        for &role in Role::value_variants() {
            for &lang in Lang::value_variants() {
                let dir = tempfile::tempdir().unwrap();
                let place = dir.path().join("x");
                run(InitArgs {
                    role,
                    lang,
                    ..args(Some("ada"), Some(place.clone()))
                })
                .unwrap();
                let manifest = Manifest::load(&place).unwrap();
                assert_eq!(manifest.name.as_str(), "ada");
                assert_eq!(manifest.findings, [], "{role:?} {lang:?}");
                assert_eq!(manifest.run, lang.run());
                for (file, _) in templates::files("ada", role, lang) {
                    let text = fs::read_to_string(place.join(file)).unwrap();
                    let is_left = |word: &str| {
                        !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase())
                    };
                    assert!(!text.split("__").any(is_left), "{role:?} {lang:?} {file}");
                }
            }
        }
    }

    #[test]
    fn the_name_is_the_directorys_when_none_is_given() {
        let dir = tempfile::tempdir().unwrap();
        run(args(None, Some(dir.path().join("bob")))).unwrap();
        let manifest = Manifest::load(&dir.path().join("bob")).unwrap();
        assert_eq!(manifest.name.as_str(), "bob");
    }

    #[test]
    fn an_agent_that_is_there_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("agent.py"), "mine").unwrap();
        let refused = run(args(Some("a"), Some(dir.path().to_owned()))).unwrap_err();
        assert!(refused.to_string().contains("agent.py"), "{refused}");
        let text = fs::read_to_string(dir.path().join("agent.py")).unwrap();
        assert_eq!(
            (text.as_str(), fs::read_dir(dir.path()).unwrap().count()),
            ("mine", 1)
        );
    }

    #[test]
    fn a_name_that_is_no_id_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(run(args(Some("two words"), Some(dir.path().join("x")))).is_err());
        assert!(!dir.path().join("x").exists());
    }

    #[test]
    fn a_name_that_yaml_would_read_as_something_else_stays_a_name() {
        for name in ["7", "null", "~", "*a", "@a", "a:b"] {
            let dir = tempfile::tempdir().unwrap();
            run(args(Some(name), Some(dir.path().join("x")))).unwrap();
            let manifest = Manifest::load(&dir.path().join("x")).unwrap();
            assert_eq!(manifest.name.as_str(), name);
        }
    }
}
