//! The build and start steps of the images, without Docker: the scripts that the Dockerfiles run, laid out in a temporary
//! directory instead of `/opt/seamesh`, with programs that are built already.
//!
//! `cargo xtask ci docker` and the tier `e2e` set what it needs: SEAMESH_PROGRAMS (the directory of `seamesh` and
//! `librarian`), SEAMESH_PYTHON (an interpreter), SEAMESH_IMAGE_PYTHON (what `deploy/build.sh python` made).
#![allow(clippy::unwrap_used, reason = "a test suite asserts")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest time from the first start to the last end.
const CAP: Duration = Duration::from_secs(20);

/// Where an image has its files.
const PREFIX: &str = "/opt/seamesh";

fn given(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    let value = value.unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask ci docker`"));
    PathBuf::from(value)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// What one image would hold, and the instructions of its Dockerfile.
struct Image {
    place: PathBuf,
    dockerfile: String,
}

impl Image {
    /// Runs the build step that lays the image out.
    fn build(here: &Path, part: &str, name: &str, agent: Option<&str>) -> Self {
        let place = here.join(name);
        let mut build = Command::new(root().join("deploy/build.sh"));
        build
            .arg(part)
            .arg(&place)
            .arg(given("SEAMESH_PROGRAMS"))
            .args(agent);
        let output = build.current_dir(root()).output().unwrap();
        assert!(
            output.status.success(),
            "{part}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        if part == "agent" {
            symlink(given("SEAMESH_IMAGE_PYTHON"), place.join("python")).unwrap();
        }
        let dockerfile = root().join(format!("deploy/Dockerfile.{part}"));
        let dockerfile = std::fs::read_to_string(dockerfile).unwrap();
        Self { place, dockerfile }
    }

    /// The command of an instruction, with this place instead of the image's.
    fn command(&self, instruction: &str) -> Command {
        let mut lines = self.dockerfile.lines().rev();
        let line = lines.find(|line| line.starts_with(instruction)).unwrap();
        let words: Vec<String> = serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap();
        let here = |word: &String| word.replace(PREFIX, self.place.to_str().unwrap());
        let mut command = Command::new(here(&words[0]));
        command.args(words[1..].iter().map(here));
        command
    }
}

/// The environment that all processes of the test start with: nothing of whoever runs it.
struct World {
    directory: TempDir,
    path: String,
    start: Instant,
}

impl World {
    fn new() -> Self {
        let python = given("SEAMESH_PYTHON");
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            python.parent().unwrap().display()
        );
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("home")).unwrap();
        Self {
            directory,
            path,
            start: Instant::now(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn dress<'a>(&self, command: &'a mut Command, variables: &[(&str, &str)]) -> &'a mut Command {
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.at("home"));
        command.envs(variables.iter().copied()).stdin(Stdio::null())
    }

    /// Starts a process and waits for its line `ready {json}`.
    fn start(&self, mut command: Command, variables: &[(&str, &str)]) -> (Running, Value) {
        self.dress(&mut command, variables).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let running = Running(child);
        let mut lines = stdout.lines().map(Result::unwrap);
        let ready = lines
            .find_map(|line| Some(serde_json::from_str(line.strip_prefix("ready ")?).unwrap()));
        // Whoever writes on must not find the pipe closed.
        std::thread::spawn(move || lines.for_each(drop));
        (running, ready.expect("it ended before it was ready"))
    }

    /// Asks until the health check passes; each question is a process, which is pause enough.
    fn until_healthy(&self, image: &Image, variables: &[(&str, &str)]) {
        while !self.is_healthy(image, variables) {
            assert!(
                self.start.elapsed() < CAP,
                "{} is not healthy",
                image.place.display()
            );
        }
    }

    fn is_healthy(&self, image: &Image, variables: &[(&str, &str)]) -> bool {
        let mut check = image.command("HEALTHCHECK");
        self.dress(&mut check, variables)
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    /// What `seamesh` prints, as an administrator on the registry's machine.
    fn seamesh(&self, registry: &Image, variables: &[(&str, &str)], arguments: &[&str]) -> Value {
        let mut command = Command::new(registry.place.join("bin/seamesh"));
        let output = self
            .dress(command.args(arguments), variables)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// A process that does not outlive the test.
struct Running(Child);

impl Running {
    /// SIGTERM, as `docker stop` says it, and its exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_images_steps_make_a_mesh_that_answers_and_ends_well() {
    let mut world = World::new();
    let here = world.directory.path().to_owned();
    let registry = Image::build(&here, "registry", "registry", None);
    let sidecar = Image::build(&here, "sidecar", "sidecar", None);
    let agent = |name: &str, source: &str| Image::build(&here, "agent", name, Some(source));
    let (reader, editor) = (
        agent("reader", "examples/reader"),
        agent("editor", "examples/editor"),
    );
    world.start = Instant::now();

    let data = world.at("data");
    let data = data.to_str().unwrap();
    let listening = [("SEAMESH_DATA", data), ("SEAMESH_LISTEN", "127.0.0.1:0")];
    let (registry_runs, ready) = world.start(registry.command("ENTRYPOINT"), &listening);
    let url = ready["url"].as_str().unwrap();
    world.until_healthy(&registry, &[("SEAMESH_DATA", data)]);

    let operator = [("SEAMESH_DATA", data), ("SEAMESH_REGISTRY", url)];
    let invite = ["invite", "--join-token", "--uses", "3", "--json"];
    let invite = world.seamesh(&registry, &operator, &invite);
    let newcomer = [
        ("SEAMESH_REGISTRY", url),
        ("SEAMESH_INVITE", invite["code"].as_str().unwrap()),
    ];

    let join = |image: &Image| {
        assert!(!world.is_healthy(image, &[]), "nothing runs yet");
        let mut start = image.command("ENTRYPOINT");
        start.arg("--json");
        let (running, ready) = world.start(start, &newcomer);
        world.until_healthy(image, &[]);
        (running, ready)
    };
    let (reader_runs, ready) = join(&reader);
    assert_eq!(ready["agent"], "reader");
    let (editor_runs, _) = join(&editor);

    // An agent in Rust, beside a sidecar of its own: two containers that share a socket.
    let (socket, place) = (world.at("run/agent.sock"), world.at("credential"));
    let socket = ("SEAMESH_SOCKET", socket.to_str().unwrap());
    let place = ("SEAMESH_DATA", place.to_str().unwrap());
    let mut beside = newcomer.to_vec();
    beside.extend([socket, place, ("SEAMESH_AGENT_NAME", "librarian")]);
    let (sidecar_runs, _) = world.start(sidecar.command("ENTRYPOINT"), &beside);
    world.until_healthy(&sidecar, &[socket]);
    std::fs::create_dir(world.at("docs")).unwrap();
    std::fs::write(
        world.at("docs/a.md"),
        "# Herons\n\nA heron waits without moving.\n",
    )
    .unwrap();
    let docs = world.at("docs");
    let mut librarian = Command::new(given("SEAMESH_PROGRAMS").join("librarian"));
    let documents = [socket, ("LIBRARIAN_DOCS", docs.to_str().unwrap())];
    let librarian_runs = Running(world.dress(&mut librarian, &documents).spawn().unwrap());

    // The editor asks the librarian and the reader: all three have joined, and work goes from one to the other. Until the
    // librarian is there its part waits in the queue.
    let question = json!({"question": "How does a heron wait?"}).to_string();
    let answer = world.seamesh(&registry, &operator, &["call", "answer", &question]);
    let text = answer["answer"].as_str().unwrap();
    assert!(
        text.contains("waits without moving") && text.contains("[a.md:"),
        "{answer}"
    );

    for (name, running) in [
        ("reader", reader_runs),
        ("editor", editor_runs),
        ("sidecar", sidecar_runs),
    ] {
        assert_eq!(running.stop(), Some(0), "{name}");
    }
    drop(librarian_runs);
    assert!(
        !world.is_healthy(&reader, &[]),
        "a stopped agent is not healthy"
    );

    // At the next start it needs no invite any more.
    let mut again = reader.command("ENTRYPOINT");
    again.arg("--json");
    let (reader_runs, ready) = world.start(again, &[("SEAMESH_REGISTRY", url)]);
    assert_eq!(ready["agent"], "reader");
    assert_eq!(reader_runs.stop(), Some(0));

    assert_eq!(registry_runs.stop(), Some(0));
    assert!(
        !world.is_healthy(&registry, &[("SEAMESH_DATA", data)]),
        "a stopped registry is not healthy"
    );
    assert!(
        world.start.elapsed() < CAP,
        "it took {:?}",
        world.start.elapsed()
    );
}

#[test]
fn a_registry_that_speaks_tls_is_healthy() {
    let world = World::new();
    let registry = Image::build(world.directory.path(), "registry", "registry", None);
    let data = world.at("data");
    let data = ("SEAMESH_DATA", data.to_str().unwrap());
    assert!(!world.is_healthy(&registry, &[data]), "nothing runs yet");
    let variables = [
        data,
        ("SEAMESH_LISTEN", "127.0.0.1:0"),
        ("SEAMESH_TLS_SELF_MADE", "true"),
    ];
    let (runs, ready) = world.start(registry.command("ENTRYPOINT"), &variables);
    assert!(ready["url"].as_str().unwrap().starts_with("https://"));
    world.until_healthy(&registry, &[data]);
    assert_eq!(runs.stop(), Some(0));
}

#[test]
fn an_agent_without_an_invite_says_what_it_lacks() {
    let world = World::new();
    let image = Image::build(
        world.directory.path(),
        "agent",
        "reader",
        Some("examples/reader"),
    );
    let mut start = image.command("ENTRYPOINT");
    let nowhere = [("SEAMESH_REGISTRY", "http://127.0.0.1:1")];
    let output = world.dress(&mut start, &nowhere).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("set SEAMESH_INVITE to what"));
}
