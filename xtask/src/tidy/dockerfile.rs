//! Dockerfiles that are pinned, run as nobody in particular, say whether they are well, and hold no secret.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::{TextFile, Tree};

/// Values of build arguments, by name.
pub(crate) type Arguments = BTreeMap<String, String>;

/// One instruction, its continued lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Its first line, from 1.
    pub(crate) line: usize,
    /// `FROM`, `COPY`, …
    pub(crate) word: String,
    /// What follows, with single spaces.
    pub(crate) rest: String,
}

/// A stage: what follows one `FROM`, and the `FROM` itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage {
    /// Its name, or nothing.
    pub(crate) name: String,
    /// The image or the stage that it begins with.
    pub(crate) from: String,
    /// Its instructions.
    pub(crate) instructions: Vec<Instruction>,
}

impl Stage {
    fn last(&self, word: &str) -> Option<&Instruction> {
        self.instructions.iter().rev().find(|i| i.word == word)
    }

    fn line(&self) -> usize {
        self.instructions.first().map_or(0, |from| from.line)
    }

    /// What a change of which builds everything anew: the instructions up to the first `RUN`.
    fn beginning(&self) -> Vec<(&str, &str)> {
        let mut is_over = false;
        let until_run = self.instructions.iter().take_while(|instruction| {
            let before = is_over;
            is_over |= instruction.word == "RUN";
            !before
        });
        until_run
            .map(|i| (i.word.as_str(), i.rest.as_str()))
            .collect()
    }
}

const KNOWN: [&str; 15] = [
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

fn instructions(text: &str) -> Vec<Instruction> {
    let mut found: Vec<Instruction> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (content, more) = match line.strip_suffix('\\') {
            Some(content) => (content.trim_end(), true),
            None => (line, false),
        };
        match found.last_mut().filter(|_| continues) {
            Some(instruction) => {
                instruction.rest.push(' ');
                instruction.rest.push_str(content);
            }
            None => {
                let (word, rest) = content.split_once(' ').unwrap_or((content, ""));
                found.push(Instruction {
                    line: index + 1,
                    word: word.to_uppercase(),
                    rest: rest.trim().to_owned(),
                });
            }
        }
        continues = more;
    }
    found
}

/// The stages of a Dockerfile, in their order.
pub(crate) fn stages(text: &str) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions(text) {
        if instruction.word == "FROM" {
            let words: Vec<&str> = instruction.rest.split_whitespace().collect();
            let is_flag = |word: &&&str| !word.starts_with("--");
            let mut names = words.iter().filter(is_flag);
            stages.push(Stage {
                from: names.next().map_or_else(String::new, |n| (*n).to_owned()),
                name: names.nth(1).map_or_else(String::new, |n| (*n).to_owned()),
                instructions: Vec::new(),
            });
        }
        if let Some(stage) = stages.last_mut() {
            stage.instructions.push(instruction);
        }
    }
    stages
}

/// Every Dockerfile of `deploy`, and stages of one name that ought to be built once.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let files: Vec<&TextFile> = tree.files.iter().filter(|f| is_dockerfile(f)).collect();
    let mut findings = Vec::new();
    let mut shared: BTreeMap<String, (String, Stage)> = BTreeMap::new();
    for file in files {
        findings.extend(check_file(tree, file, &Arguments::new()));
        for stage in stages(&file.text) {
            if stage.name.is_empty() {
                continue;
            }
            let (first, other) = shared
                .entry(stage.name.clone())
                .or_insert_with(|| (file.path.clone(), stage.clone()));
            if other.beginning() != stage.beginning() {
                let what = format!(
                    "stage {} differs from the one in {first} before its first RUN has ended: it is built twice",
                    stage.name
                );
                findings.push(finding(file, stage.line(), what));
            }
        }
    }
    findings
}

fn is_dockerfile(file: &TextFile) -> bool {
    file.path.starts_with("deploy/Dockerfile")
}

fn finding(file: &TextFile, line: usize, what: impl Into<String>) -> Finding {
    Finding::new("dockerfile", &file.path, line, what)
}

/// One Dockerfile, built with these arguments.
pub(crate) fn check_file(tree: &Tree, file: &TextFile, given: &Arguments) -> Vec<Finding> {
    let stages = stages(&file.text);
    let Some(last) = stages.last() else {
        return vec![finding(file, 0, "no FROM")];
    };
    let mut findings = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        let before = &stages[..index];
        let is_known = |name: &str| before.iter().any(|s| s.name == name) || is_pinned(name);
        if !is_known(&stage.from) {
            let what = format!(
                "{} is not pinned: name a digest or an exact version",
                stage.from
            );
            findings.push(finding(file, stage.line(), what));
        }
        let mut arguments = Arguments::new();
        for instruction in &stage.instructions {
            let mut tell = |what: String| findings.push(finding(file, instruction.line, what));
            match instruction.word.as_str() {
                "ARG" => {
                    let (name, value) = instruction
                        .rest
                        .split_once('=')
                        .unwrap_or((&instruction.rest, ""));
                    let value = given.get(name).map_or(value, String::as_str);
                    arguments.insert(name.to_owned(), value.to_owned());
                    if is_secret(name) {
                        tell(format!(
                            "ARG {name} stays in the image's history: mount it as a secret"
                        ));
                    }
                }
                "ENV" => env_names(&instruction.rest)
                    .iter()
                    .filter(|name| is_secret(name))
                    .for_each(|name| {
                        tell(format!("ENV {name} bakes a secret: give it at the start"))
                    }),
                "COPY" => copied(tree, &arguments, &is_known, &instruction.rest)
                    .into_iter()
                    .for_each(tell),
                word if !KNOWN.contains(&word) => {
                    tell(format!("{word}: not an instruction that is used here"))
                }
                _ => {}
            }
        }
    }
    findings.extend(check_last(file, &stages, last));
    findings
}

/// What the image itself is: who runs in it, and how it tells that it is well.
fn check_last(file: &TextFile, stages: &[Stage], last: &Stage) -> Vec<Finding> {
    // A stage begins with all that the stage of its FROM has.
    let mut chain = vec![last];
    while let Some(parent) = stages
        .iter()
        .find(|s| !s.name.is_empty() && chain.last().is_some_and(|c| c.from == s.name))
    {
        chain.push(parent);
    }
    let inherited = |word: &str| chain.iter().find_map(|stage| stage.last(word));
    let mut findings = Vec::new();
    match inherited("USER") {
        None => findings.push(finding(file, last.line(), "runs as root: name a USER")),
        Some(user) if is_root(&user.rest) => {
            findings.push(finding(file, user.line, "runs as root: name another USER"));
        }
        Some(_) => {}
    }
    match inherited("HEALTHCHECK") {
        Some(check) if check.rest.contains("CMD [") => {}
        Some(check) => {
            let what = "a health check is `CMD [\"program\", …]`: it needs no shell";
            findings.push(finding(file, check.line, what));
        }
        None => findings.push(finding(file, last.line(), "no HEALTHCHECK")),
    }
    match inherited("ENTRYPOINT") {
        Some(entry) if entry.rest.starts_with('[') => {}
        _ => {
            let what =
                "no ENTRYPOINT [\"program\"]: a shell in between keeps the signals to itself";
            findings.push(finding(file, last.line(), what));
        }
    }
    findings
}

/// Whether an image is named by digest or by an exact version: three numbers, or a date.
pub(crate) fn is_pinned(image: &str) -> bool {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    let Some((_, tag)) = name.split_once(':') else {
        return image == "scratch";
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    tag.trim_start_matches('v').split('-').any(|part| {
        let numbers = part.split('.').filter(|n| is_number(n)).count();
        (numbers == 3 && part.split('.').count() == 3) || (part.len() == 8 && is_number(part))
    })
}

/// Whether a variable of this name holds a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let words = [
        "SECRET",
        "TOKEN",
        "PASSWORD",
        "INVITE",
        "CREDENTIAL",
        "KEY",
        "KEYS",
    ];
    name.to_uppercase()
        .split('_')
        .any(|part| words.contains(&part))
}

/// The names that an `ENV` sets, with a value that is no reference to another variable.
fn env_names(rest: &str) -> Vec<String> {
    let mut quote = None;
    let mut words = vec![String::new()];
    for c in rest.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(String::new()),
            (c, _) => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    if !words.first().is_some_and(|word| word.contains('=')) {
        // The old form, `ENV NAME value`.
        words.truncate(1);
    }
    let names = words
        .iter()
        .map(|w| w.split('=').next().unwrap_or_default());
    names.map(str::to_owned).collect()
}

/// What is wrong with a `COPY`.
fn copied(
    tree: &Tree,
    arguments: &Arguments,
    is_known: &dyn Fn(&str) -> bool,
    rest: &str,
) -> Vec<String> {
    let (flags, words): (Vec<&str>, Vec<&str>) = rest
        .split_whitespace()
        .partition(|word| word.starts_with("--"));
    if let Some(from) = flags.iter().find_map(|flag| flag.strip_prefix("--from=")) {
        return match is_known(from) {
            true => Vec::new(),
            false => vec![format!(
                "--from={from}: no stage before this one, and no pinned image"
            )],
        };
    }
    let Some((_, sources)) = words.split_last() else {
        return vec!["COPY names nothing".to_owned()];
    };
    let check = |source: &&str| {
        let Some(path) = filled(source, arguments) else {
            return Some(format!("{source}: no ARG of this stage gives it a value"));
        };
        let path = path.trim_start_matches("./").trim_end_matches('/');
        if ["", "."].contains(&path) {
            return Some("copies whatever lies about: name what the image needs".to_owned());
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.ends_with(".env") || name.ends_with(".key") {
            return Some(format!("{path} is secret: mount it at the start"));
        }
        let folder = format!("{path}/");
        let is_there = |file: &TextFile| file.path == path || file.path.starts_with(&folder);
        match tree.files.iter().any(is_there) {
            true => None,
            false => Some(format!("{path} is not in the repository")),
        }
    };
    sources.iter().filter_map(check).collect()
}

/// A word with its `${NAME}`s filled in.
fn filled(word: &str, arguments: &Arguments) -> Option<String> {
    let mut text = word.to_owned();
    while let Some(start) = text.find("${") {
        let end = start + text[start..].find('}')?;
        let value = arguments
            .get(&text[start + 2..end])
            .filter(|v| !v.is_empty())?;
        text.replace_range(start..=end, value);
    }
    (!text.contains('$')).then_some(text)
}

/// Whether `USER` or `USER:GROUP` is the one who may do anything.
pub(crate) fn is_root(user: &str) -> bool {
    ["root", "0"].contains(&user.split(':').next().unwrap_or_default())
}

/// What is found in a good file with one text replaced: exactly one thing.
#[cfg(test)]
pub(crate) fn only_finding(
    check: impl Fn(&str) -> Vec<String>,
    good: &str,
    from: &str,
    to: &str,
) -> String {
    assert!(good.contains(from), "{from}");
    let found = check(&good.replace(from, to));
    assert_eq!(found.len(), 1, "{found:?}");
    found.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "FROM rust:1.95.0-slim AS build\nWORKDIR /src\nCOPY crates crates\nRUN make \\\n    all\n\
        FROM debian:bookworm-20250929-slim\nCOPY --from=build --chown=1:1 /out /opt\nENV PATH=/opt HOME=\"/a b\"\n\
        USER 10001:10001\nHEALTHCHECK --interval=5s CMD [\"/opt/health.sh\"]\nENTRYPOINT [\"/opt/start.sh\"]\n";

    fn findings(text: &str) -> Vec<String> {
        let tree = Tree::of(&[("deploy/Dockerfile.x", text), ("crates/a.rs", "")]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    /// What is found in the good file with one text replaced: exactly one thing.
    fn one(from: &str, to: &str) -> String {
        only_finding(findings, GOOD, from, to)
    }

    #[test]
    fn a_good_file_has_no_finding() {
        assert_eq!(findings(GOOD), Vec::<String>::new());
        assert_eq!(
            findings(&GOOD.replace("USER 10001:10001", "USER nobody")).len(),
            0
        );
    }

    #[test]
    fn a_file_that_runs_as_root_is_refused() {
        assert!(one("USER 10001:10001\n", "").contains("runs as root: name a USER"));
        assert!(one("10001:10001", "root").contains("x:9: runs as root"));
        assert!(one("10001:10001", "0:0").contains("runs as root"));
        let build_only = GOOD.replace("USER 10001:10001\n", "");
        let build_only = build_only.replace("WORKDIR /src", "USER 10001");
        assert!(findings(&build_only).concat().contains("runs as root"));
    }

    #[test]
    fn a_file_without_a_health_check_is_refused() {
        let line = "HEALTHCHECK --interval=5s CMD [\"/opt/health.sh\"]";
        assert!(one(line, "").contains("no HEALTHCHECK"));
        assert!(one(line, "HEALTHCHECK NONE").contains("a health check is `CMD ["));
    }

    #[test]
    fn a_copy_of_what_is_missing_or_of_everything_is_refused() {
        assert!(one("COPY crates", "COPY cartes").contains("x:3: cartes is not in the repository"));
        assert!(one("COPY crates crates", "COPY . .").contains("whatever lies about"));
        assert!(one("--from=build", "--from=built").contains("--from=built: no stage"));
        assert!(one("COPY crates", "COPY ${WHERE}").contains("no ARG"));
        assert!(one("COPY crates", "COPY turn.env").contains("turn.env is secret"));
        let by_argument = "ARG A=crates\nCOPY ${A} crates";
        assert_eq!(
            findings(&GOOD.replace("COPY crates crates", by_argument)).len(),
            0
        );
        assert!(one("COPY crates crates", "ARG A=b\nCOPY ${A} c").contains("b is not in"));
    }

    #[test]
    fn a_baked_secret_is_refused() {
        let env = one("HOME=\"/a b\"", "SEAMESH_API_KEY=sk_1");
        assert!(
            env.contains("x:8: ENV SEAMESH_API_KEY bakes a secret"),
            "{env}"
        );
        assert!(one("WORKDIR /src", "ENV SEAMESH_TURN_SECRET hunter2").contains("TURN_SECRET"));
        assert!(one("WORKDIR /src", "ARG NPM_TOKEN").contains("stays in the image's history"));
        assert_eq!(findings(&GOOD.replace("HOME=", "MONKEYS=")).len(), 0);
    }

    #[test]
    fn images_are_pinned_exactly() {
        assert!(one("rust:1.95.0-slim", "rust:1.95-slim").contains("is not pinned"));
        assert!(one("debian:bookworm-20250929-slim", "debian").contains("is not pinned"));
        assert!(one("debian:bookworm-20250929-slim", "debian:latest").contains("is not pinned"));
        let digest = format!("debian@sha256:{}", "0a".repeat(32));
        assert_eq!(
            findings(&GOOD.replace("debian:bookworm-20250929-slim", &digest)).len(),
            0
        );
        assert!(!is_pinned("localhost:5000/debian"));
    }

    #[test]
    fn what_is_no_known_instruction_or_hides_signals_is_refused() {
        assert!(one("WORKDIR /src", "ADD https://x /x").contains("ADD: not an instruction"));
        assert!(one("[\"/opt/start.sh\"]", "/opt/start.sh").contains("no ENTRYPOINT"));
        assert!(findings("# nothing\n").concat().contains("no FROM"));
    }

    #[test]
    fn stages_of_one_name_that_differ_are_found() {
        let other = GOOD.replace("WORKDIR /src", "WORKDIR /source");
        let later = GOOD.replace("all\n", "all\nRUN more\n");
        let of = |text: &str| {
            let files = [
                ("deploy/Dockerfile.a", GOOD),
                ("deploy/Dockerfile.b", text),
                ("crates/a.rs", ""),
            ];
            check(&Tree::of(&files))
        };
        let found = of(&other);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .to_string()
                .starts_with("dockerfile: deploy/Dockerfile.b:1: stage build differs")
        );
        assert_eq!(of(&later), []);
    }
}
