//! The examples at the end of each command's help, and the page `docs/commands.md`: docs/adr/0023.

use clap::Command;
use clap::builder::StyledStr;

/// What somebody would type, by command.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "init",
        &[
            "seamesh init greeter",
            "seamesh init librarian --role researcher --lang rust",
            "seamesh init . --role coordinator",
        ],
    ),
    (
        "run",
        &[
            "seamesh run",
            "seamesh run agents/reader",
            "seamesh run --registry https://mesh.example.org --json",
        ],
    ),
    (
        "validate",
        &["seamesh validate", "seamesh validate agents/reader --json"],
    ),
    (
        "call",
        &[
            r#"seamesh call greet '{"name": "Ada"}'"#,
            r#"seamesh call search '{"query": "leases"}' --to librarian --timeout 10 --json"#,
            "seamesh call summarize - --no-wait",
        ],
    ),
    (
        "send",
        &[
            "seamesh send poet 'Four lines about the sea.'",
            "seamesh send poet 'Four lines about the sea.' --json",
        ],
    ),
    ("agents", &["seamesh agents", "seamesh agents --json"]),
    ("links", &["seamesh links", "seamesh links --json"]),
    (
        "tasks",
        &["seamesh tasks", "seamesh tasks --state failed --limit 5"],
    ),
    (
        "tasks list",
        &[
            "seamesh tasks list --agent librarian",
            "seamesh tasks list --state failed --json",
            "seamesh tasks list --text timeout --since 2h",
            "seamesh tasks list --since 2026-11-23T08:00:00Z --until 2026-11-23T09:00:00Z",
        ],
    ),
    (
        "tasks show",
        &[
            "seamesh tasks show 3f2a9c1e-8b4",
            "seamesh tasks show 3f2a9c1e-8b4 --json",
        ],
    ),
    (
        "tasks answer",
        &[
            "seamesh tasks answer 3f2a9c1e-8b4 'the red one'",
            r#"seamesh tasks answer 3f2a9c1e-8b4 '{"approved": true}'"#,
        ],
    ),
    ("tasks cancel", &["seamesh tasks cancel 3f2a9c1e-8b4"]),
    ("tasks retry", &["seamesh tasks retry 3f2a9c1e-8b4"]),
    (
        "tasks watch",
        &[
            "seamesh tasks watch",
            "seamesh tasks watch 3f2a9c1e-8b4 --json",
        ],
    ),
    (
        "invite",
        &[
            "seamesh invite",
            "seamesh invite --join-token --uses 20 --minutes 30 --json",
        ],
    ),
    (
        "pair",
        &["seamesh pair 482913-7f3a9c --registry https://mesh.example.org"],
    ),
    ("newcomers", &["seamesh newcomers"]),
    (
        "approve",
        &[
            "seamesh approve 1f0c33ab",
            "seamesh approve 1f0c33ab --root-key root.key",
        ],
    ),
    ("reject", &["seamesh reject 1f0c33ab"]),
    ("revoke", &["seamesh revoke 1f0c33ab"]),
    ("root-key", &["seamesh root-key root.key"]),
    ("keys", &["seamesh keys list"]),
    (
        "keys create",
        &[
            "seamesh keys create librarian-sidecar",
            "seamesh keys create ada --role operator --json",
        ],
    ),
    (
        "keys list",
        &["seamesh keys list", "seamesh keys list --json"],
    ),
    (
        "keys rotate",
        &["seamesh keys rotate k-1f0c33ab --overlap 60"],
    ),
    ("keys revoke", &["seamesh keys revoke k-1f0c33ab"]),
    ("keys reload", &["seamesh keys reload"]),
    ("keys rotate-signing", &["seamesh keys rotate-signing"]),
    ("audit", &["seamesh audit verify"]),
    (
        "audit verify",
        &[
            "seamesh audit verify",
            "seamesh audit verify --file audit.jsonl --head 812:9f2c",
        ],
    ),
    ("audit export", &["seamesh audit export > audit.jsonl"]),
    ("login", &["seamesh login", "seamesh login --json"]),
    (
        "logs",
        &[
            "seamesh logs",
            "seamesh logs --of agent --follow",
            "seamesh logs agents/reader -n 200 --json",
        ],
    ),
    (
        "doctor",
        &[
            "seamesh doctor",
            "seamesh doctor agents/reader --registry https://mesh.example.org --json",
        ],
    ),
    (
        "health",
        &["seamesh health", "seamesh health --data /data --json"],
    ),
    (
        "completions",
        &["seamesh completions bash > ~/.local/share/bash-completion/completions/seamesh"],
    ),
    ("man", &["seamesh man ~/.local/share/man/man1"]),
    ("demo", &["seamesh demo", "seamesh demo --once"]),
    (
        "registry",
        &[
            "seamesh registry",
            "seamesh registry --listen 0.0.0.0:8443 --tls-self-made --data /var/lib/seamesh",
        ],
    ),
    (
        "registry password",
        &["seamesh registry password < password.txt"],
    ),
    (
        "sidecar",
        &[
            "seamesh sidecar --api-key KEY --socket /run/user/1000/seamesh/agent.sock",
            "seamesh sidecar --device-token TOKEN --identity identity.json --socket agent.sock",
        ],
    ),
    ("version", &["seamesh version", "seamesh version --json"]),
];

/// The command line, with examples at the end of each command's help.
pub(crate) fn with_examples(command: Command) -> Command {
    below(command, "")
}

fn below(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        let path = format!("{path} {name}").trim().to_owned();
        command = command.mut_subcommand(name, |sub| below(sub, &path));
    }
    let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == path) else {
        return command;
    };
    let before = command.get_after_help().map(StyledStr::to_string);
    let before = before.map_or_else(String::new, |text| format!("{text}\n\n"));
    command.after_help(format!("{before}Examples:\n  {}", examples.join("\n  ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use std::fmt::Write as _;
    use std::path::Path;

    /// Commands that print no facts, or print them for programs anyway.
    const NO_FACTS: [(&str, &str); 8] = [
        ("audit export", "each line is JSON"),
        ("completions", "a shell's script"),
        ("man", "writes files"),
        ("demo", "shows something to people"),
        ("registry", "says one line `ready {json}`"),
        ("registry password", "reads a password"),
        ("sidecar", "says lines with JSON"),
        ("tied", "becomes another program"),
    ];

    /// Each command that can be typed by itself, with what is said of it and its own place in the tree.
    fn commands() -> Vec<(String, Command)> {
        fn walk(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name()).trim().to_owned();
                if sub.get_name() != "help" {
                    found.push((path.clone(), sub.clone()));
                    walk(sub, &path, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(&with_examples(crate::Cli::command()), "", &mut found);
        found
    }

    fn visible() -> impl Iterator<Item = (String, Command)> {
        commands().into_iter().filter(|(_, c)| !c.is_hide_set())
    }

    #[test]
    fn every_command_has_an_example_and_every_example_a_command() {
        let all: Vec<String> = visible().map(|(path, _)| path).collect();
        for path in &all {
            let has = EXAMPLES
                .iter()
                .any(|(of, lines)| of == path && !lines.is_empty());
            assert!(has, "`seamesh {path}` has no example");
        }
        for (of, _) in EXAMPLES {
            assert!(all.iter().any(|path| path == of), "there is no `{of}`");
        }
        let shown = visible().find(|(path, _)| path == "tasks watch");
        let help = shown.map(|(_, mut command)| command.render_help().to_string());
        let help = help.unwrap_or_default();
        assert!(help.contains("Examples:\n  seamesh tasks watch"), "{help}");
        assert!(help.contains("Exit code"), "what stood there stays: {help}");
    }

    /// Words as a shell would cut them; what is redirected is not the command's.
    fn words(line: &str) -> Vec<String> {
        let line = line.split(" > ").next().unwrap_or_default();
        let line = line.split(" < ").next().unwrap_or_default();
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for c in line.chars() {
            match c {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    #[test]
    fn every_example_is_a_command_line_that_is_taken() {
        for (of, examples) in EXAMPLES {
            for line in *examples {
                let words = words(line);
                let path: Vec<&str> = of.split(' ').collect();
                assert_eq!(words[1..=path.len()], path, "{line}");
                let taken = crate::Cli::command().try_get_matches_from(&words);
                assert!(taken.is_ok(), "{line}: {}", taken.unwrap_err());
            }
        }
    }

    #[test]
    fn every_command_that_prints_facts_prints_them_for_programs_too() {
        let all = commands();
        for (path, command) in &all {
            let reason = NO_FACTS.iter().find(|(of, _)| of == path);
            let has_json = command.get_arguments().any(|arg| arg.get_id() == "json");
            let only_groups = command.is_subcommand_required_set();
            assert!(
                has_json != reason.is_some() || only_groups,
                "`seamesh {path}`: --json {has_json}, {reason:?}"
            );
        }
        for (of, _) in NO_FACTS {
            assert!(all.iter().any(|(path, _)| path == of), "there is no `{of}`");
        }
    }

    /// The commands as docs/commands.md lists them.
    fn page() -> String {
        let mut page = String::from("| command | what it does |\n|---|---|\n");
        for (path, command) in visible() {
            let about = command.get_about().map(StyledStr::to_string);
            let about = about.unwrap_or_default();
            // Writing to a text cannot fail.
            let _ = writeln!(page, "| `{path}` | {} |", about.trim_end_matches('.'));
        }
        page
    }

    fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<(&'a str, &'a str, &'a str)> {
        let (before, rest) = text.split_once(from)?;
        let (inside, after) = rest.split_once(to)?;
        Some((before, inside, after))
    }

    #[test]
    fn the_page_about_commands_lists_them_and_every_exit_code() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
        let text = std::fs::read_to_string(&file).unwrap();
        let codes =
            "| code | meaning | what to do |\n|---|---|---|\n".to_owned() + &crate::exit::rows();
        let mut written = text.clone();
        for (mark, list) in [("commands", page()), ("exit codes", codes)] {
            let (from, to) = (
                format!("<!-- {mark} -->\n"),
                format!("<!-- end of {mark} -->"),
            );
            let (before, _, after) = between(&written, &from, &to).expect("the list's marks");
            written = format!("{before}{from}{list}{to}{after}");
        }
        if std::env::var_os("SEAMESH_REWRITE").is_some() {
            std::fs::write(&file, &written).unwrap();
        } else {
            assert_eq!(text, written, "SEAMESH_REWRITE=1 writes it anew");
        }
    }
}
