use super::*;

/// An address that has to say its scheme, as the registry's has.
#[derive(Debug)]
struct Address(String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains("://") {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("write http://{text}")),
        }
    }
}

type Manifest = super::Manifest<Address>;

struct Here(tempfile::TempDir);

impl Here {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn parse(&self, text: &str, about: &str) -> Result<Manifest, Vec<(u64, u64, String)>> {
        let parsed = Manifest::parse(text, about, &self.0.path().join("agent.yaml"));
        parsed.map_err(|error| {
            let bad = error.downcast::<BadManifest>().unwrap();
            let errors = bad
                .findings
                .into_iter()
                .filter(|f| f.weight == Weight::Error);
            errors.map(|f| (f.line, f.column, f.what)).collect()
        })
    }
}

fn parse(text: &str) -> Result<Manifest, Vec<(u64, u64, String)>> {
    Here::new().parse(text, "")
}

#[test]
fn every_key_is_read() {
    let here = Here::new();
    std::fs::create_dir(here.0.path().join("c")).unwrap();
    let text = "name: greeter\ndescription: Greets.\nregistry: https://mesh.example/\n\
        sidecar: {api_key: k, socket: /run/s}\n\
        skills: {builtin: [delegate, find_agent], dirs: [c], disabled: [find_agent]}\n\
        callers: {greet: [ada, bob]}\ndata_dir: d\nrun: [node, agent.js]\n";
    let manifest = here
        .parse(text, "# Greeter\n\nGreets people,\nall of them.\n\nMore.")
        .unwrap();
    assert_eq!(manifest.name.as_str(), "greeter");
    assert_eq!(manifest.registry.0, "https://mesh.example/");
    assert_eq!(manifest.api_key.as_deref(), Some("k"));
    assert_eq!(manifest.socket.as_deref(), Some(Path::new("/run/s")));
    assert_eq!(manifest.data_dir, here.0.path().join("d"));
    assert_eq!(manifest.run, ["node", "agent.js"]);
    let handed = &manifest.handed;
    assert_eq!(
        (handed.name.as_str(), handed.description.as_str()),
        ("greeter", "Greets.")
    );
    assert!(handed.instructions.ends_with("More."));
    assert_eq!(handed.builtin, ["delegate", "find_agent"]);
    assert_eq!(handed.dirs, [here.0.path().join("c")]);
    assert_eq!(handed.disabled, ["find_agent"]);
    assert_eq!(handed.callers["greet"].len(), 2);
    assert_eq!(manifest.findings, []);
}

#[test]
fn everything_may_be_absent_and_skills_may_be_a_list() {
    let manifest = Here::new()
        .parse(
            "skills: [delegate]\nrun: [a]",
            "# X\n\nGreets people,\nall of them.\n\nMore.",
        )
        .unwrap();
    assert_eq!(manifest.handed.builtin, ["delegate"]);
    assert_eq!(manifest.handed.description, "Greets people, all of them.");
    assert_eq!(manifest.name.as_str(), "unnamed-agent");
    assert_eq!(manifest.registry.0, "http://localhost:8080");
    assert_eq!(manifest.api_key, None, "there is no default key");
}

#[test]
fn unknown_keys_warn_with_the_nearest_known_one() {
    let manifest = parse("run: [a]\ndescripton: x\nskills: {bultin: []}\nzzzzzz: 1").unwrap();
    let said: Vec<_> = manifest
        .findings
        .iter()
        .map(|f| (f.line, f.column, f.what.as_str()))
        .collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].2.contains("did you mean \"description\"?"),
        "{said:?}"
    );
    assert_eq!((said[0].0, said[0].1), (2, 1));
    assert!(said[1].2.contains("did you mean \"builtin\"?"), "{said:?}");
    assert!(said[2].2.contains("known are: name, "), "{said:?}");
}

#[test]
fn a_provider_is_told_that_it_is_not_used_yet() {
    let manifest = parse("run: [a]\nprovider: ollama\nmodel: m\nmax_turns: 3").unwrap();
    let said: Vec<_> = manifest.findings.iter().map(|f| f.what.as_str()).collect();
    assert_eq!(said.len(), 3);
    assert!(
        said.iter().all(|what| what.contains("not used yet")),
        "{said:?}"
    );
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let wrong = parse(
        "name: two words\nregistry: mesh:8080\nmax_turns: many\nskills:\n  builtin: [delegat]\n  dirs: [nowhere]\n\
        callers:\n  greet: [\"a b\"]\nprovider: acme\ndata_dir: 7\n",
    )
    .unwrap_err();
    let seen: Vec<(u64, u64, &str)> = wrong.iter().map(|(l, c, w)| (*l, *c, w.as_str())).collect();
    for (line, column, says) in [
        (1, 1, "say how the agent is started"),
        (1, 7, "name: \"two words\""),
        (2, 11, "http://mesh:8080"),
        (3, 12, "max_turns is a number"),
        (5, 13, "did you mean \"delegate\"?"),
        (6, 10, "there is no directory"),
        (8, 11, "callers.greet"),
        (9, 11, "azure, openai or ollama"),
        (10, 11, "data_dir is a text, not 7"),
    ] {
        let is_told =
            |(l, c, what): &(u64, u64, &str)| (*l, *c) == (line, column) && what.contains(says);
        assert!(
            seen.iter().any(is_told),
            "{line}:{column}: {says}: {seen:#?}"
        );
    }
    assert_eq!(seen.len(), 9, "{seen:#?}");
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    let wrong = parse("name: a\nmodel: [b\nrun: c").unwrap_err();
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].0, 3, "{wrong:?}");
    let wrong = parse("- a").unwrap_err();
    assert!(
        wrong[0]
            .2
            .contains("is a mapping of keys to values, not a list"),
        "{wrong:?}"
    );
}
