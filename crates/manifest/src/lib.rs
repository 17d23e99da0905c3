//! `agent.yaml`: what an agent is called, where its registry is, what it offers and how it is started. Everything that is wrong
//! with one is told at once, each with its place.
//!
//! How the registry's address is read is its user's: a [`Manifest`] holds any type that is read from text.

mod findings;
mod located;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use seamesh_proto::AgentId;
use seamesh_proto::manifest::{BUILTIN_SKILLS, Handed, KEYS, SIDECAR_KEYS, SKILLS_KEYS};

use findings::Findings;
pub use findings::{BadManifest, Finding, Weight, told};
use located::{At, Located, Node};

/// Largest manifest, and largest `AGENT.md`, that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A manifest that can be used.
#[derive(Debug)]
pub struct Manifest<Address> {
    /// The file.
    pub path: PathBuf,
    /// The agent's id.
    pub name: AgentId,
    /// Its registry.
    pub registry: Address,
    /// Its key, if the file names one.
    pub api_key: Option<String>,
    /// Its socket, if the file names one.
    pub socket: Option<PathBuf>,
    /// Where credentials and logs are kept; absolute.
    pub data_dir: PathBuf,
    /// The command that starts the agent.
    pub run: Vec<String>,
    /// What the SDK acts on.
    pub handed: Handed,
    /// What is worth knowing about it.
    pub findings: Vec<Finding>,
}

impl<Address> Manifest<Address>
where
    Address: FromStr,
    Address::Err: fmt::Display,
{
    /// Reads a manifest, or the `agent.yaml` (`agent.yml`) of a directory.
    ///
    /// # Errors
    /// When it is missing; [`BadManifest`] with all that is wrong in it.
    pub fn load(path: &Path) -> Result<Self> {
        let path = std::path::absolute(find(path)?)?;
        let text = read(&path)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let about = directory.join("AGENT.md");
        let about = match about.is_file() {
            true => read(&about)?,
            false => String::new(),
        };
        Self::parse(&text, &about, &path)
    }

    /// Reads the text of a manifest that stands at `path`; `about` is the text of the `AGENT.md` beside it.
    ///
    /// # Errors
    /// [`BadManifest`] with all that is wrong in it.
    pub fn parse(text: &str, about: &str, path: &Path) -> Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        let mut reader = Reader {
            findings: Findings::default(),
            directory,
        };
        let made = reader.manifest(text, about, path);
        match made {
            Some(mut manifest) if !reader.findings.is_bad() => {
                manifest.findings = reader.findings.sorted();
                Ok(manifest)
            }
            _ => Err(BadManifest {
                path: path.to_owned(),
                findings: reader.findings.sorted(),
            }
            .into()),
        }
    }

    /// The directory the manifest is in: where the agent is started.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

fn read(path: &Path) -> Result<String> {
    let told = || path.display().to_string();
    let size = std::fs::metadata(path).with_context(told)?.len();
    if size > MAX_FILE_BYTES {
        bail!(
            "{}: {size} bytes; at most {MAX_FILE_BYTES} are read",
            path.display()
        );
    }
    std::fs::read_to_string(path).with_context(told)
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

type Entries = BTreeMap<String, (At, Located)>;

/// Reads a manifest and notes everything that is wrong with it.
struct Reader {
    findings: Findings,
    directory: PathBuf,
}

const TOP: At = At { line: 1, column: 1 };

impl Reader {
    fn manifest<Address>(
        &mut self,
        text: &str,
        about: &str,
        path: &Path,
    ) -> Option<Manifest<Address>>
    where
        Address: FromStr,
        Address::Err: fmt::Display,
    {
        let root = match text.trim().is_empty() {
            true => Entries::new(),
            false => match Located::read(text) {
                Ok(root) => self.entries("the manifest", root, &KEYS)?,
                Err((at, what)) => {
                    self.findings.error(at, what);
                    return None;
                }
            },
        };
        let name = self.parsed(&root, "name", "unnamed-agent");
        let registry = self.parsed(&root, "registry", "http://localhost:8080");
        let description = self.text(&root, "description");
        let data_dir = self.text(&root, "data_dir");
        let run = self.command(&root);
        self.unused(&root);
        let handed = self.handed(&root, description.unwrap_or_default(), about);
        let sidecar = self.section(&root, "sidecar", &SIDECAR_KEYS);
        let api_key = self.text(&sidecar, "api_key").filter(|key| !key.is_empty());
        let socket = self.text(&sidecar, "socket").map(PathBuf::from);
        let binary = self.text(&sidecar, "binary");
        if let (Some(_), Some((at, _))) = (binary, sidecar.get("binary")) {
            let what = "sidecar.binary is not used: `seamesh run` starts the sidecar that is in seamesh itself";
            self.findings.warn(*at, what);
        }
        let name: AgentId = name?;
        Some(Manifest {
            path: path.to_owned(),
            registry: registry?,
            api_key,
            socket,
            data_dir: self
                .directory
                .join(data_dir.as_deref().unwrap_or(".seamesh")),
            run: run?,
            handed: Handed {
                name: name.to_string(),
                ..handed
            },
            name,
            findings: Vec::new(),
        })
    }

    /// The entries of a mapping; keys that nobody knows are told of.
    fn entries(&mut self, what: &str, of: Located, keys: &[&str]) -> Option<Entries> {
        let Node::Map(all) = of.node else {
            let is = of.kind();
            self.findings.error(
                of.at,
                format!("{what} is a mapping of keys to values, not {is}"),
            );
            return None;
        };
        let mut entries = Entries::new();
        for (key, value) in all {
            let Some(name) = key.text() else {
                let is = key.kind();
                self.findings
                    .error(key.at, format!("a key of {what} is a text, not {is}"));
                continue;
            };
            if !keys.is_empty() && !keys.contains(&name) {
                let nearest = nearest(name, keys);
                self.findings.warn(
                    key.at,
                    format!("{name:?} is no key of {what}; it is ignored{nearest}"),
                );
                continue;
            }
            entries.insert(name.to_owned(), (key.at, value));
        }
        Some(entries)
    }

    fn section(&mut self, root: &Entries, key: &str, keys: &[&str]) -> Entries {
        match root.get(key) {
            Some((_, value)) if !matches!(value.node, Node::Scalar(serde_json::Value::Null)) => {
                self.entries(key, value.clone(), keys).unwrap_or_default()
            }
            _ => Entries::new(),
        }
    }

    fn text(&mut self, of: &Entries, key: &str) -> Option<String> {
        let (_, value) = of.get(key)?;
        match &value.node {
            Node::Scalar(serde_json::Value::String(text)) => Some(text.clone()),
            Node::Scalar(serde_json::Value::Null) => None,
            _ => {
                self.findings.error(
                    value.at,
                    format!("{key} is a text, not {}: put it in quotes", value.kind()),
                );
                None
            }
        }
    }

    fn parsed<T: FromStr>(&mut self, root: &Entries, key: &str, default: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let (at, text) = match root.get(key) {
            Some((_, value)) => (value.at, self.text(root, key)?),
            None => (TOP, default.to_owned()),
        };
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.findings.error(at, format!("{key}: {text:?}: {error}"));
                None
            }
        }
    }

    fn texts(&mut self, key: &str, value: &Located) -> Vec<(At, String)> {
        let Node::List(all) = &value.node else {
            if !matches!(value.node, Node::Scalar(serde_json::Value::Null)) {
                self.findings
                    .error(value.at, format!("{key} is a list, not {}", value.kind()));
            }
            return Vec::new();
        };
        let mut texts = Vec::new();
        for one in all {
            match one.text() {
                Some(text) => texts.push((one.at, text.to_owned())),
                None => self
                    .findings
                    .error(one.at, format!("{key} lists texts, not {}", one.kind())),
            }
        }
        texts
    }

    fn command(&mut self, root: &Entries) -> Option<Vec<String>> {
        let given = root.get("run").map(|(_, value)| value.clone());
        let words: Vec<String> = given.map_or_else(Vec::new, |value| {
            self.texts("run", &value)
                .into_iter()
                .map(|(_, word)| word)
                .collect()
        });
        if !words.is_empty() {
            return Some(words);
        }
        let made = default_command(&self.directory);
        if made.is_none() {
            let at = root.get("run").map_or(TOP, |(at, _)| *at);
            let what = "there is neither an agent.py nor a Cargo.toml beside it: say how the agent is started, like \
                `run: [\"python3\", \"my_agent.py\"]`";
            self.findings.error(at, what);
        }
        made
    }

    /// Keys of the loop around a model, which is not there yet.
    fn unused(&mut self, root: &Entries) {
        for key in [
            "provider",
            "model",
            "prompt",
            "max_turns",
            "context_window",
            "goals",
        ] {
            let Some((at, value)) = root.get(key) else {
                continue;
            };
            self.findings.warn(
                *at,
                format!("{key} is not used yet: an agent runs its skills, and no model"),
            );
            match (key, &value.node) {
                ("provider", node) => {
                    let known = ["azure", "openai", "ollama"];
                    if !matches!(node, Node::Scalar(serde_json::Value::String(p)) if known.contains(&p.as_str()))
                    {
                        let what =
                            format!("provider is azure, openai or ollama, not {}", value.kind());
                        self.findings.error(value.at, what);
                    }
                }
                ("max_turns" | "context_window", Node::Scalar(number)) if number.is_u64() => {}
                ("max_turns" | "context_window", _) => {
                    let what = format!("{key} is a number from 0, not {}", value.kind());
                    self.findings.error(value.at, what);
                }
                _ => {}
            }
        }
    }

    fn handed(&mut self, root: &Entries, description: String, about: &str) -> Handed {
        let description = match description.is_empty() {
            true => first_paragraph(about),
            false => description,
        };
        let mut handed = Handed {
            description,
            instructions: about.trim().to_owned(),
            ..Handed::default()
        };
        let skills = root.get("skills").map(|(_, value)| value.clone());
        match skills {
            Some(
                list @ Located {
                    node: Node::List(_),
                    ..
                },
            ) => handed.builtin = self.builtin(&list),
            Some(_) => {
                let section = self.section(root, "skills", &SKILLS_KEYS);
                if let Some((_, value)) = section.get("builtin") {
                    handed.builtin = self.builtin(value);
                }
                if let Some((_, value)) = section.get("dirs") {
                    handed.dirs = self.dirs(value);
                }
                if let Some((_, value)) = section.get("disabled") {
                    let named = self.texts("skills.disabled", value);
                    handed.disabled = named.into_iter().map(|(_, name)| name).collect();
                }
            }
            None => {}
        }
        handed.callers = self.callers(root);
        handed
    }

    fn builtin(&mut self, value: &Located) -> Vec<String> {
        let named = self.texts("skills.builtin", value);
        for (at, name) in &named {
            if !BUILTIN_SKILLS.contains(&name.as_str()) {
                let nearest = nearest(name, &BUILTIN_SKILLS);
                let all = BUILTIN_SKILLS.join(", ");
                self.findings.error(
                    *at,
                    format!("{name:?} is no built-in skill{nearest}; there are: {all}"),
                );
            }
        }
        named.into_iter().map(|(_, name)| name).collect()
    }

    fn dirs(&mut self, value: &Located) -> Vec<PathBuf> {
        let named = self.texts("skills.dirs", value);
        let places = named.into_iter().map(|(at, dir)| {
            let place = self.directory.join(&dir);
            if !place.is_dir() {
                self.findings.error(
                    at,
                    format!("skills.dirs: there is no directory {}", place.display()),
                );
            }
            place
        });
        places.collect()
    }

    fn callers(&mut self, root: &Entries) -> BTreeMap<String, Vec<AgentId>> {
        let section = self.section(root, "callers", &[]);
        let mut callers = BTreeMap::new();
        for (skill, (_, value)) in section {
            let mut agents = Vec::new();
            for (at, name) in self.texts(&format!("callers.{skill}"), &value) {
                match name.parse() {
                    Ok(agent) => agents.push(agent),
                    Err(error) => self
                        .findings
                        .error(at, format!("callers.{skill}: {name:?}: {error}")),
                }
            }
            callers.insert(skill, agents);
        }
        callers
    }
}

/// A hint at the known name that was probably meant.
fn nearest(name: &str, known: &[&str]) -> String {
    let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
    let best = known.iter().copied().min_by_key(|other| distance(other));
    match best {
        // Half of a short word may be wrong: of more, nothing can be said.
        Some(other) if distance(&other) * 2 <= name.chars().count().max(2) => {
            format!("; did you mean {other:?}?")
        }
        Some(_) if known.len() <= 20 => format!("; known are: {}", known.join(", ")),
        _ => String::new(),
    }
}

/// The first paragraph of a text that is no heading, in one line.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let body = lines.skip_while(|line| line.is_empty() || line.starts_with('#'));
    let paragraph: Vec<&str> = body.take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

/// How an agent of this directory is started when its manifest does not say.
fn default_command(directory: &Path) -> Option<Vec<String>> {
    let command: &[&str] = match () {
        () if directory.join("agent.py").is_file() => &["python3", "agent.py"],
        () if directory.join("Cargo.toml").is_file() => &["cargo", "run", "--quiet"],
        () => return None,
    };
    Some(command.iter().map(|&part| part.to_owned()).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
mod tests;
