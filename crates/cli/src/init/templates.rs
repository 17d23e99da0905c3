//! The files of a new agent.

use std::path::Path;

use clap::ValueEnum;

/// What an agent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// One skill to begin with.
    Tool,
    /// Finds passages in a folder of documents.
    Researcher,
    /// Counts words and describes tables.
    Analyst,
    /// Has others search and analyze.
    Coordinator,
}

/// What an agent is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// Python, tested with pytest.
    Python,
    /// Rust, a Cargo project.
    Rust,
}

impl Role {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Researcher => "researcher",
            Self::Analyst => "analyst",
            Self::Coordinator => "coordinator",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Tool => "Greets people.",
            Self::Researcher => "Finds passages in a folder of documents.",
            Self::Analyst => "Finds the words that matter in a text, and describes tables.",
            Self::Coordinator => "Reports what the mesh knows: has others search and analyze.",
        }
    }

    /// A call of its first skill, for a shell.
    pub(crate) fn call(self) -> &'static str {
        match self {
            Self::Tool => r#"greet '{"name": "Ada"}'"#,
            Self::Researcher => r#"search '{"query": "documents"}'"#,
            Self::Analyst => r#"keywords '{"text": "A link lost is a link redialed."}'"#,
            Self::Coordinator => r#"report '{"question": "documents"}'"#,
        }
    }

    /// What its manifest says of skills.
    fn skills(self) -> &'static str {
        match self {
            Self::Coordinator => "skills: [list_agents, find_agent, delegate]\n",
            _ => "",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Tool => include_str!("../template/about/tool.md.txt"),
            Self::Researcher => include_str!("../template/about/researcher.md.txt"),
            Self::Analyst => include_str!("../template/about/analyst.md.txt"),
            Self::Coordinator => include_str!("../template/about/coordinator.md.txt"),
        }
    }
}

impl Lang {
    /// The command that starts an agent.
    pub(crate) fn run(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "agent.py"],
            Self::Rust => &["cargo", "run", "--quiet"],
        }
    }

    /// The command that tests it.
    pub(crate) fn test(self) -> &'static str {
        match self {
            Self::Python => "python3 -m pytest",
            Self::Rust => "cargo test",
        }
    }
}

/// The program and its tests.
fn program(role: Role, lang: Lang) -> [(&'static str, &'static str); 2] {
    macro_rules! texts {
        ($role:literal) => {
            match lang {
                Lang::Python => [
                    (
                        "agent.py",
                        include_str!(concat!("../template/python/", $role, "/agent.py.txt")),
                    ),
                    (
                        "test_agent.py",
                        include_str!(concat!("../template/python/", $role, "/test_agent.py.txt")),
                    ),
                ],
                Lang::Rust => [
                    (
                        "src/main.rs",
                        include_str!(concat!("../template/rust/", $role, "/main.rs.txt")),
                    ),
                    (
                        "src/tests.rs",
                        include_str!(concat!("../template/rust/", $role, "/tests.rs.txt")),
                    ),
                ],
            }
        };
    }
    match role {
        Role::Tool => texts!("tool"),
        Role::Researcher => texts!("researcher"),
        Role::Analyst => texts!("analyst"),
        Role::Coordinator => texts!("coordinator"),
    }
}

/// Each file's path and text.
pub(super) fn files(name: &str, role: Role, lang: Lang) -> Vec<(&'static str, String)> {
    let mut files: Vec<_> = program(role, lang).to_vec();
    files.extend([
        ("agent.yaml", include_str!("../template/agent.yaml.txt")),
        ("AGENT.md", role.about()),
        (".env.example", include_str!("../template/env.example.txt")),
    ]);
    files.extend(match lang {
        Lang::Python => vec![(
            ".gitignore",
            include_str!("../template/python/gitignore.txt"),
        )],
        Lang::Rust => vec![
            (".gitignore", include_str!("../template/rust/gitignore.txt")),
            (
                "Cargo.toml",
                include_str!("../template/rust/Cargo.toml.txt"),
            ),
        ],
    });
    if role == Role::Researcher {
        let text = include_str!("../template/documents.md.txt");
        files.push(("documents/about.md", text));
    }
    let words = [
        ("__NAME__", name.to_owned()),
        ("__CRATE__", crate_name(name)),
        ("__DESCRIPTION__", role.description().to_owned()),
        ("__RUN__", serde_json::json!(lang.run()).to_string()),
        ("__SKILLS__", role.skills().to_owned()),
        ("__TEST__", lang.test().to_owned()),
        ("__SDK__", dependency("agent")),
        ("__TESTKIT__", dependency("testkit")),
    ];
    let filled = files.into_iter().map(|(file, text)| {
        let text = words.iter().fold(text.to_owned(), |text, (word, value)| {
            text.replace(word, value)
        });
        (file, text)
    });
    filled.collect()
}

/// A name that Cargo takes: letters, digits, `-` and `_`, no digit first.
fn crate_name(name: &str) -> String {
    let taken = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fitting: String = name
        .chars()
        .map(|c| if taken(c) { c } else { '-' })
        .collect();
    let fitting = fitting.trim_matches('-');
    match fitting.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => fitting.to_owned(),
        false => format!("agent-{fitting}").trim_end_matches('-').to_owned(),
    }
}

/// Where Cargo finds one of our crates: in the checkout this program was built from while that is there, else in the
/// repository.
fn dependency(folder: &str) -> String {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let local = crates.map(|crates| crates.join(folder));
    match local.filter(|path| path.join("Cargo.toml").is_file()) {
        Some(path) => format!("path = {}", json_string(&path)),
        None => format!(
            "git = \"{}\", tag = \"v{}\"",
            env!("CARGO_PKG_REPOSITORY"),
            env!("CARGO_PKG_VERSION")
        ),
    }
}

/// A TOML string; JSON's are.
fn json_string(path: &Path) -> String {
    serde_json::json!(path.to_string_lossy()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_name_gives_a_crate_name() {
        for (name, expected) in [
            ("greeter", "greeter"),
            ("a.b:c", "a-b-c"),
            ("7up", "agent-7up"),
            ("*", "agent"),
        ] {
            assert_eq!(crate_name(name), expected);
        }
    }
}
