//! Agents that `seamesh init` makes: each role in each language passes its own tests as it is, and three of them do together
//! what one alone cannot.
//!
//! The tier `e2e` sets what it needs: SEAMESH_BIN, and SEAMESH_PYTHON (an interpreter with the SDK and pytest).
#![allow(clippy::unwrap_used, reason = "a test suite asserts")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const ROLES: [&str; 4] = ["tool", "researcher", "analyst", "coordinator"];

fn given(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    let value =
        value.unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask test --tier e2e`"));
    PathBuf::from(value)
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("..").canonicalize().unwrap()
}

/// A user's directory.
struct Home {
    directory: TempDir,
    /// A registry of its own, on a port that was free.
    registry: String,
}

impl Home {
    fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = format!("http://{}", free.local_addr().unwrap());
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            registry,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program in a directory of this home, as its user has it on the path.
    fn command(&self, program: &str, directory: &str) -> Command {
        let programs = [given("SEAMESH_BIN"), given("SEAMESH_PYTHON")];
        let mut path: Vec<PathBuf> = programs
            .iter()
            .map(|program| program.parent().unwrap().to_owned())
            .collect();
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let mut command = Command::new(program);
        command
            .current_dir(self.at(directory))
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("SEAMESH_DATA", self.at("registry"))
            .env("SEAMESH_REGISTRY", &self.registry)
            // Built once for all tests; the versions are those of this tree, which are here already.
            .env("CARGO_TARGET_DIR", root().join("target/scaffold"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env(
                "PYTEST_ADDOPTS",
                "-p no:cacheprovider -p no:hypothesispytest",
            )
            .env_remove("SEAMESH_API_KEY")
            // Found on the path, as a user has it.
            .env_remove("SEAMESH_BIN")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str], directory: &str) -> Output {
        let mut command = self.command(words[0], directory);
        let output = command.args(&words[1..]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{words:?}: {said}{told}");
        output
    }

    /// Makes an agent, and says which commands it was told of.
    fn init(&self, role: &str, lang: &str) -> Vec<String> {
        let words = [
            "seamesh", "init", role, "--role", role, "--lang", lang, "--json",
        ];
        let made: Value = serde_json::from_slice(&self.run(&words, ".").stdout).unwrap();
        if lang == "rust" {
            std::fs::copy(root().join("Cargo.lock"), self.at(role).join("Cargo.lock")).unwrap();
        }
        serde_json::from_value(made["next"].clone()).unwrap()
    }

    /// `seamesh run` of an agent, once it is in the mesh.
    fn start(&self, role: &str) -> Running {
        let mut command = self.command("seamesh", role);
        command.args(["run", "--json"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let running = Running(child);
        let mut lines = stdout.lines().map(Result::unwrap);
        let is_ready = lines.any(|line| line.starts_with("ready "));
        assert!(is_ready, "{role} ended before it was in the mesh");
        running
    }

    fn call(&self, skill: &str, args: &Value) -> Value {
        let words = ["seamesh", "call", skill, &args.to_string()];
        serde_json::from_slice(&self.run(&words, ".").stdout).unwrap()
    }
}

/// A process that does not outlive the test.
struct Running(Child);

impl Running {
    fn stop(mut self) {
        let pid = self.0.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success() && self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every role is valid and passes its tests, by the commands that `init` tells of.
fn each_role_passes(home: &Home, lang: &str) {
    for role in ROLES {
        let next = home.init(role, lang);
        assert_eq!(next[0], format!("cd {role}"));
        home.run(&["seamesh", "validate"], role);
        let test: Vec<&str> = next[1].split(' ').collect();
        home.run(&test, role);
        assert_eq!(next[2], "seamesh run");
        assert!(next[3].starts_with("seamesh call "), "{next:?}");
    }
}

/// A coordinator reports what a researcher found and an analyst made of it. The first of them brings the registry.
fn they_report_together(home: &Home) {
    let researcher = home.start("researcher");
    let others = [home.start("analyst"), home.start("coordinator")];
    let report = home.call("report", &json!({"question": "Which documents?"}));
    assert_eq!(report["passages"][0]["file"], "about.md", "{report}");
    let keywords = report["keywords"].as_array().unwrap();
    assert!(!keywords.is_empty(), "{report}");
    others.into_iter().for_each(Running::stop);
    researcher.stop();
}

#[test]
fn each_role_in_python_passes_its_tests_and_they_report_together() {
    let home = Home::new();
    each_role_passes(&home, "python");
    they_report_together(&home);
}

#[test]
fn each_role_in_rust_builds_passes_its_tests_and_they_report_together() {
    let home = Home::new();
    each_role_passes(&home, "rust");
    they_report_together(&home);
}

#[test]
fn a_second_init_overwrites_nothing() {
    let home = Home::new();
    home.init("tool", "python");
    let mut again = home.command("seamesh", ".");
    let output = again
        .args(["init", "tool", "--lang", "rust"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("agent.yaml already exists"), "{told}");
    assert!(!home.at("tool/Cargo.toml").exists());
}
