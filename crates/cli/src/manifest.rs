//! `agent.yaml`: what an agent is called, where its registry is, and how it is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use seamesh_client::RegistryUrl;
use seamesh_proto::AgentId;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Largest manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;

/// The keys of a manifest, and of its sections. Others are ignored, with a warning.
const KEYS: [&str; 13] = [
    "name",
    "description",
    "registry",
    "provider",
    "model",
    "prompt",
    "sidecar",
    "skills",
    "data_dir",
    "max_turns",
    "context_window",
    "run",
    "goals",
];

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Written {
    name: String,
    description: String,
    registry: String,
    provider: String,
    #[serde(rename = "sidecar")]
    sidecar: WrittenSidecar,
    skills: Skills,
    data_dir: PathBuf,
    max_turns: u32,
    context_window: u64,
    run: Vec<String>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            name: "unnamed-agent".to_owned(),
            description: String::new(),
            registry: "http://localhost:8080".to_owned(),
            provider: "azure".to_owned(),
            sidecar: WrittenSidecar::default(),
            skills: Skills::Sections(SkillSections::default()),
            data_dir: ".seamesh".into(),
            max_turns: 10,
            context_window: 120_000,
            run: Vec::new(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenSidecar {
    api_key: Option<String>,
    socket: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Skills {
    List(Vec<String>),
    Sections(SkillSections),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SkillSections {
    builtin: Vec<String>,
    dirs: Vec<String>,
    disabled: Vec<String>,
}

/// A manifest that can be used.
#[derive(Debug, PartialEq)]
pub(crate) struct Manifest {
    /// The file.
    pub(crate) path: PathBuf,
    /// The agent's id.
    pub(crate) name: AgentId,
    /// What it is for.
    pub(crate) description: String,
    /// Its registry.
    pub(crate) registry: RegistryUrl,
    /// Its key, if the file names one.
    pub(crate) api_key: Option<String>,
    /// Its socket, if the file names one.
    pub(crate) socket: Option<PathBuf>,
    /// Names of the built-in and declared skills that the file lists.
    pub(crate) skills: Vec<String>,
    /// Where credentials and logs are kept; absolute.
    pub(crate) data_dir: PathBuf,
    /// The command that starts the agent.
    pub(crate) run: Vec<String>,
    /// Keys that nothing here knows.
    pub(crate) unknown: Vec<String>,
}

impl Manifest {
    /// Reads a manifest, or the `agent.yaml` (`agent.yml`) of a directory.
    ///
    /// # Errors
    /// When it is missing, is no YAML (with line and column), or says something that cannot be.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let path = find(path)?;
        let size = std::fs::metadata(&path)
            .with_context(|| path.display().to_string())?
            .len();
        if size > MAX_MANIFEST_BYTES {
            bail!("{}: {size} bytes are no manifest", path.display());
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let path = std::path::absolute(path)?;
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        Self::parse(&text, &directory, &path).with_context(|| path.display().to_string())
    }

    fn parse(text: &str, directory: &Path, path: &Path) -> Result<Self> {
        let written: Written = match text.trim().is_empty() {
            true => Written::default(),
            false => serde_saphyr::from_str(text).map_err(|e| located(&e))?,
        };
        if !["azure", "openai", "ollama"].contains(&written.provider.as_str()) {
            bail!(
                "provider is azure, openai or ollama, not {:?}",
                written.provider
            );
        }
        let name = written.name.parse();
        let name = name.with_context(|| format!("name: {:?}", written.name))?;
        let registry = written.registry.parse().context("registry")?;
        let run = match written.run.is_empty() {
            true => default_command(directory)?,
            false => written.run,
        };
        let skills = match written.skills {
            Skills::List(names) => names,
            Skills::Sections(sections) => {
                let kept = |name: &String| !sections.disabled.contains(name);
                sections
                    .builtin
                    .into_iter()
                    .chain(sections.dirs)
                    .filter(kept)
                    .collect()
            }
        };
        Ok(Self {
            path: path.to_owned(),
            name,
            description: written.description,
            registry,
            api_key: written.sidecar.api_key.filter(|key| !key.is_empty()),
            socket: written.sidecar.socket,
            skills,
            data_dir: directory.join(written.data_dir),
            run,
            unknown: unknown_keys(text),
        })
    }

    /// The directory the manifest is in: where the agent is started.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

fn find(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        if !path.exists() {
            bail!(
                "{} is not there: `seamesh init` makes one, or name another",
                path.display()
            );
        }
        return Ok(path.to_owned());
    }
    let names = ["agent.yaml", "agent.yml"].map(|name| path.join(name));
    match names.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!(
            "{} has no agent.yaml: `seamesh init` makes one",
            path.display()
        ),
    }
}

/// What the YAML reader says, in one line with line and column.
fn located(error: &serde_saphyr::Error) -> anyhow::Error {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let Some(at) = error.location() else {
        return anyhow::anyhow!("{first}");
    };
    let (line, column) = (at.line(), at.column());
    let named = format!("line {line} column {column}: ");
    let what = first.strip_prefix(&named).unwrap_or(first);
    anyhow::anyhow!("line {line}, column {column}: {what}")
}

fn unknown_keys(text: &str) -> Vec<String> {
    // The typed reading said everything there is to say about a file that is no mapping.
    let all: BTreeMap<String, IgnoredAny> = serde_saphyr::from_str(text).unwrap_or_default();
    all.into_keys()
        .filter(|key| !KEYS.contains(&key.as_str()))
        .collect()
}

/// How an agent of this directory is started when its manifest does not say.
fn default_command(directory: &Path) -> Result<Vec<String>> {
    let command: &[&str] = match () {
        () if directory.join("agent.py").is_file() => &["python3", "agent.py"],
        () if directory.join("Cargo.toml").is_file() => &["cargo", "run", "--quiet"],
        () => bail!(
            "there is neither an agent.py nor a Cargo.toml beside it: say how the agent is started, like \
            `run: [\"python3\", \"my_agent.py\"]`"
        ),
    };
    Ok(command.iter().map(|&part| part.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(
            text,
            Path::new("/nowhere"),
            Path::new("/nowhere/agent.yaml"),
        )
    }

    fn refused(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    #[test]
    fn every_key_of_the_existing_wire_is_read_and_run_is_ours() {
        let manifest = parse(
            "name: greeter\ndescription: Greets.\nregistry: https://mesh.example/\nprovider: ollama\nmodel: m\n\
            prompt: p\nsidecar: {binary: x, api_key: k, socket: /run/s}\nskills: {builtin: [a, b], dirs: [c], \
            disabled: [b]}\ndata_dir: d\nmax_turns: 3\ncontext_window: 10\nrun: [node, agent.js]\ngoals: []\n",
        )
        .unwrap();
        assert_eq!(manifest.name.as_str(), "greeter");
        assert_eq!(manifest.registry.to_string(), "https://mesh.example");
        assert_eq!(manifest.api_key.as_deref(), Some("k"));
        assert_eq!(manifest.socket.as_deref(), Some(Path::new("/run/s")));
        assert_eq!(manifest.skills, ["a", "c"]);
        assert_eq!(manifest.data_dir, Path::new("/nowhere/d"));
        assert_eq!(manifest.run, ["node", "agent.js"]);
        assert_eq!(manifest.unknown, Vec::<String>::new());
    }

    #[test]
    fn skills_may_be_a_list_and_everything_else_may_be_absent() {
        let manifest = parse("skills: [x]\nrun: [a]").unwrap();
        assert_eq!(manifest.skills, ["x"]);
        assert_eq!(manifest.name.as_str(), "unnamed-agent");
        assert_eq!(manifest.registry.to_string(), "http://localhost:8080");
        assert_eq!(manifest.api_key, None, "there is no default key");
    }

    #[test]
    fn unknown_keys_are_named_and_ignored() {
        assert_eq!(
            parse("run: [a]\ncolour: red\nzoo: 1").unwrap().unknown,
            ["colour", "zoo"]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_column() {
        let wrong_type = refused("name: a\nmax_turns: many\nrun: [a]");
        assert!(wrong_type.contains("line 2, column 12"), "{wrong_type}");
        assert_eq!(wrong_type.matches("line").count(), 1, "{wrong_type}");
        let syntax = refused("name: a\nmodel: [b\nrun: c");
        assert!(syntax.contains("line 3"), "{syntax}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_key_at_fault() {
        for (text, says) in [
            ("name: two words\nrun: [a]", "name"),
            ("registry: mesh:8080\nrun: [a]", "write http://mesh:8080"),
            ("provider: acme\nrun: [a]", "azure, openai or ollama"),
            ("name: a", "say how the agent is started"),
        ] {
            assert!(refused(text).contains(says), "{text}: {}", refused(text));
        }
    }
}
