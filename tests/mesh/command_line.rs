//! The `seamesh` command as a user types it.

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, Result};
use seamesh_agent::{Agent, Ctx, SkillError};
use seamesh_harness::{Mesh, Process, binaries};
use seamesh_proto::rest::Role;
use seamesh_tests::{Checked, Member, Probe, in_time};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Command;

pub(crate) fn seamesh(arguments: &[&str], data: &Path) -> Result<Command> {
    let mut command = Command::new(binaries::seamesh()?);
    command
        .args(arguments)
        .env("SEAMESH_DATA", data)
        .kill_on_drop(true);
    for name in ["SEAMESH_API_KEY", "SEAMESH_REGISTRY", "SEAMESH_SOCKET"] {
        command.env_remove(name);
    }
    Ok(command)
}

pub(crate) async fn run(mesh: &Mesh, arguments: &[&str]) -> Result<Output> {
    let mut command = seamesh(arguments, &mesh.directory().join("registry"))?;
    command.env("SEAMESH_REGISTRY", mesh.url());
    Ok(in_time(&arguments.join(" "), command.output()).await??)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn call_agents_and_tasks_show_the_mesh_to_a_user_and_to_a_program() -> Checked {
    let mesh = Mesh::start().await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let called = run(&mesh, &["call", "add", r#"{"a": 2, "b": 40}"#]).await?;
    assert_eq!(
        (stdout(&called).trim(), called.status.code()),
        ("42", Some(0)),
        "{}",
        stderr(&called)
    );
    let agents = stdout(&run(&mesh, &["agents"]).await?);
    assert!(
        agents.contains("worker") && agents.contains("add, hold"),
        "{agents}"
    );
    let tasks = stdout(&run(&mesh, &["tasks"]).await?);
    assert!(
        tasks.contains("completed") && tasks.contains("you"),
        "{tasks}"
    );
    let page: Value =
        serde_json::from_str(&stdout(&run(&mesh, &["tasks", "list", "--json"]).await?))?;
    let id = page["tasks"][0]["id"].as_str().context("an id")?;
    let shown: Value = serde_json::from_str(&stdout(
        &run(&mesh, &["tasks", "show", id, "--json"]).await?,
    ))?;
    assert_eq!(
        (&shown["result"], &shown["payload"]),
        (&json!(42), &json!({ "a": 2, "b": 40 }))
    );
    Ok(())
}

#[tokio::test]
async fn tasks_are_listed_by_text_and_by_time() -> Checked {
    let mesh = Mesh::start().await?;
    for skill in ["paint", "weld"] {
        run(&mesh, &["call", skill, "{}", "--no-wait"]).await?;
    }
    let skills = async |options: &[&str]| -> Result<Vec<String>> {
        let arguments = [&["tasks", "list", "--json"], options].concat();
        let output = run(&mesh, &arguments).await?;
        let page: Value = serde_json::from_str(&stdout(&output)).context(stderr(&output))?;
        let tasks = page["tasks"].as_array().context("tasks")?;
        Ok(tasks
            .iter()
            .map(|task| task["skill"].as_str().unwrap_or("").to_owned())
            .collect())
    };
    assert_eq!(skills(&[]).await?, ["weld", "paint"]);
    assert_eq!(skills(&["--text", "PAI"]).await?, ["paint"]);
    assert_eq!(skills(&["--since", "1h"]).await?, ["weld", "paint"]);
    assert!(skills(&["--until", "1h"]).await?.is_empty());
    assert!(
        skills(&["--since", "2999-01-01T00:00:00Z"])
            .await?
            .is_empty()
    );
    assert_eq!(
        skills(&["--since", "2d", "--until", "2999-01-01T01:00:00+01:00"]).await?,
        ["weld", "paint"]
    );
    for (options, code, says) in [
        (["--since", "yesterday"].as_slice(), 2, "2h, 3d"),
        (&["--until", "2026-11-23"], 2, "2026-11-23T08:00:00Z"),
        (
            &["--since", "1h", "--until", "2h"],
            1,
            "--since is not before --until",
        ),
    ] {
        let output = run(&mesh, &[&["tasks", "list"], options].concat()).await?;
        assert_eq!(output.status.code(), Some(code), "{options:?}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    Ok(())
}

#[tokio::test]
async fn failures_have_their_exit_codes_and_say_the_next_step() -> Checked {
    let mut mesh = Mesh::start().await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let viewer = mesh.key("someone", Role::Viewer).await?;
    for (arguments, code, says) in [
        (vec!["call", "add", r#"{"a": "x"}"#], 5, "bad_arguments"),
        (vec!["call", "add", "{a: 1}"], 1, "single quotes"),
        (vec!["call", "add", "{}", "--api-key", &viewer], 4, "role"),
        (
            vec!["agents", "--api-key", "wrong"],
            4,
            "seamesh keys create",
        ),
        (vec!["tasks", "show", "no-such-task"], 1, "seamesh tasks"),
        (
            vec!["agents", "--registry", "127.0.0.1:1"],
            2,
            "write http://127.0.0.1:1",
        ),
        (vec!["validate", "/nowhere/agent.yaml"], 1, "seamesh init"),
        (vec!["no-such-command"], 2, "Usage"),
    ] {
        let output = run(&mesh, &arguments).await?;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    mesh.registry.kill().await?;
    let output = run(&mesh, &["agents"]).await?;
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("Start the registry"),
        "{}",
        stderr(&output)
    );
    Ok(())
}

#[tokio::test]
async fn keys_are_made_listed_without_secrets_and_revoked() -> Checked {
    let mesh = Mesh::start().await?;
    let made: Value = serde_json::from_str(&stdout(
        &run(
            &mesh,
            &["keys", "create", "someone", "--role", "viewer", "--json"],
        )
        .await?,
    ))?;
    let (secret, id) = (
        made["api_key"].as_str().unwrap(),
        made["key_id"].as_str().unwrap(),
    );
    assert_eq!(
        run(&mesh, &["agents", "--api-key", secret])
            .await?
            .status
            .code(),
        Some(0)
    );
    let listed = stdout(&run(&mesh, &["keys", "list"]).await?);
    assert!(listed.contains(id) && !listed.contains(secret), "{listed}");
    assert_eq!(
        run(&mesh, &["keys", "revoke", id]).await?.status.code(),
        Some(0)
    );
    assert_eq!(
        run(&mesh, &["agents", "--api-key", secret])
            .await?
            .status
            .code(),
        Some(4)
    );
    Ok(())
}

#[tokio::test]
async fn login_prints_a_link_to_the_hub_with_the_code_in_its_fragment() -> Checked {
    let mesh = Mesh::start().await?;
    let link: Value = serde_json::from_str(&stdout(&run(&mesh, &["login", "--json"]).await?))?;
    let url = link["hub_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/#login=", mesh.url())), "{url}");
    Ok(())
}

#[tokio::test]
async fn a_new_agent_passes_its_test_and_runs_with_a_registry_of_its_own() -> Checked {
    let dir = tempfile::tempdir()?;
    let home = dir.path().join("greeter");
    let data = dir.path().join("registry");
    let made = seamesh(&["init", "greeter"], &data)?
        .current_dir(dir.path())
        .output()
        .await?;
    assert!(made.status.success(), "{}", stderr(&made));
    let mut tests = Command::new(binaries::python()?);
    tests
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .env("PATH", binaries::path()?)
        // A user's environment does not have this project's own tools, which take long to load.
        .env("PYTEST_ADDOPTS", "-p no:hypothesispytest")
        .current_dir(&home);
    let tested = in_time("pytest", tests.output()).await??;
    assert!(stdout(&tested).contains("2 passed"), "{}", stdout(&tested));

    // The port is free now; a registry that finds it taken says so, and the test with it.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let mut command = seamesh(&["run", "--json", "--registry", &url], &data)?;
    command.current_dir(&home).env("PATH", binaries::path()?);
    let (mut running, ready) = Process::start("run", command, dir.path()).await?;
    assert_eq!(ready["agent"], "greeter");
    let mut call = seamesh(
        &["call", "greet", r#"{"name": "Ada"}"#, "--registry", &url],
        &data,
    )?;
    let called = in_time("call", call.output()).await??;
    assert_eq!(
        stdout(&called).trim(),
        r#""Hello, Ada!""#,
        "{}",
        stderr(&called)
    );
    running.terminate().await?;
    let away = in_time(
        "agents",
        seamesh(&["agents", "--registry", &url], &data)?.output(),
    )
    .await??;
    assert_eq!(
        away.status.code(),
        Some(3),
        "the registry it started ended with it"
    );
    Ok(())
}

#[tokio::test]
async fn the_demo_runs_from_the_binary_alone_and_leaves_nothing_behind() -> Checked {
    let dir = tempfile::tempdir()?;
    let mut demo = seamesh(&["demo", "--once"], dir.path())?;
    demo.env("TMPDIR", dir.path());
    let output = in_time("the demo", demo.output()).await??;
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    assert!(
        told.contains("long: 9 words") && told.contains("direct") && told.contains("#login="),
        "{told}"
    );
    assert_eq!(std::fs::read_dir(dir.path())?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_tied_program_ends_with_whoever_started_it() -> Checked {
    let dir = tempfile::tempdir()?;
    let fifo = dir.path().join("alive");
    let status = Command::new("mkfifo").arg(&fifo).status().await?;
    assert!(status.success());
    // The parent starts a tied child that says so on the pipe and holds it open; then the parent is killed.
    let binary = binaries::seamesh()?;
    let script = format!(
        "{} tied --parent $$ -- sh -c 'exec > {}; echo; exec sleep 600' & echo 'ready {{}}'; wait",
        binary.display(),
        fifo.display()
    );
    let mut parent = Command::new("sh");
    parent.args(["-c", &script]);
    let mut reader = pipe::OpenOptions::new().open_receiver(&fifo)?;
    let (mut parent, _) = Process::start("parent", parent, dir.path()).await?;
    let mut byte = [0; 8];
    assert_eq!(
        in_time("the child lives", reader.read(&mut byte)).await??,
        1
    );
    parent.kill().await?;
    assert_eq!(in_time("the child ends", reader.read(&mut byte)).await??, 0);
    Ok(())
}

#[tokio::test]
async fn a_call_shows_what_its_task_asks_and_tasks_answer_answers_it() -> Checked {
    let mesh = Mesh::start().await?;
    let ask = |ctx: Ctx, (): ()| async move {
        let answer = ctx.ask("Which one?").await?;
        Ok::<_, SkillError>(answer)
    };
    let agent = Agent::new("asking").skill("ask", ask);
    let _asking = Member::join(&mesh, "asking-peer", agent).await?;
    let mut call = seamesh(&["call", "ask"], &mesh.directory().join("registry"))?;
    call.env("SEAMESH_REGISTRY", mesh.url())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut call = call.spawn()?;
    let mut shown = BufReader::new(call.stderr.take().context("stderr")?).lines();
    let first = in_time("the question", shown.next_line()).await??;
    assert_eq!(first.as_deref(), Some("The task asks: Which one?"));
    let hint = in_time("the hint", shown.next_line())
        .await??
        .unwrap_or_default();
    let id = hint
        .split_whitespace()
        .rev()
        .nth(1)
        .context("no id in the hint")?;
    let answered = run(&mesh, &["tasks", "answer", id, "the red one"]).await?;
    assert_eq!(answered.status.code(), Some(0), "{}", stderr(&answered));
    let done = in_time("the call's end", call.wait_with_output()).await??;
    assert_eq!(stdout(&done).trim(), r#""the red one""#);
    let again = run(&mesh, &["tasks", "answer", id, "the red one"]).await?;
    assert!(
        stderr(&again).contains("asks nothing"),
        "{}",
        stderr(&again)
    );
    assert_ne!(again.status.code(), Some(0));
    Ok(())
}
