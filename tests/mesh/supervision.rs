//! `seamesh run` keeps an agent running: what dies is started again, what is told to end loses no work, and what is wrong is
//! said.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use seamesh_harness::{Mesh, Process, binaries};
use seamesh_proto::rest::Role;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{AgentId, Code, Payload, Task, TaskId, TaskState};
use seamesh_tests::{Checked, Member, Probe, cap, in_time};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, Command};

use crate::command_line::{run, seamesh, stderr, stdout};

/// `who` names its process; `hold` says in a pipe that it has begun, and ends when the agent is told to stop, or never.
const AGENT: &str = r#"
import asyncio
import os
import signal

from seamesh import Agent, Context

agent = Agent("kept")
stop = asyncio.Event()
print("kept begins as", os.getpid(), flush=True)

@agent.skill
def who() -> int:
    """Its process."""
    return os.getpid()

@agent.skill
async def hold(until_stop: bool) -> str:
    """Works on."""
    with open("begun", "w") as pipe:
        pipe.write("x")
    await (stop.wait() if until_stop else asyncio.Event().wait())
    return "finished"

async def main() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await agent.serve(stop=stop, grace=float(os.environ.get("GRACE", "10")))

if __name__ == "__main__":
    asyncio.run(main())
"#;

/// An agent's directory.
fn home(mesh: &Mesh, program: &[&str]) -> Result<PathBuf> {
    let home = mesh.directory().join("kept");
    std::fs::create_dir_all(&home)?;
    let manifest = json!({"name": "kept", "registry": mesh.url(), "run": program});
    std::fs::write(home.join("agent.yaml"), manifest.to_string())?;
    std::fs::write(home.join("agent.py"), AGENT)?;
    Ok(home)
}

fn command(mesh: &Mesh, home: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = seamesh(
        &[&["run", "--json"], arguments].concat(),
        &mesh.directory().join("registry"),
    )?;
    command.current_dir(home).env("PATH", binaries::path()?);
    Ok(command)
}

/// `seamesh run` of the agent, once it is in the mesh.
async fn running(mesh: &Mesh) -> Result<(Process, PathBuf)> {
    let home = home(mesh, &["python3", "agent.py"])?;
    let command = command(mesh, &home, &[])?;
    let (process, _) = Process::start("run", command, &mesh.directory().join("logs")).await?;
    Ok((process, home))
}

async fn who(mesh: &Mesh) -> Result<String> {
    let called = run(mesh, &["call", "who"]).await?;
    let pid = stdout(&called).trim().to_owned();
    if !called.status.success() {
        bail!("{}", stderr(&called));
    }
    Ok(pid)
}

async fn kill(pid: &str) -> Checked {
    let status = Command::new("kill").args(["-9", pid]).status().await?;
    assert!(status.success());
    Ok(())
}

/// The `seamesh COMMAND` that a process started.
fn child_of(parent: u32, subcommand: &str) -> Result<String> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_named = words.split(|&byte| byte == 0).nth(1) == Some(subcommand.as_bytes());
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest)
            .unwrap_or_default();
        let is_child = after_name.split_whitespace().nth(1) == Some(parent.to_string().as_str());
        if is_named && is_child {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    bail!("{parent} has no {subcommand}")
}

async fn logged(mesh: &Mesh, home: &Path, of: &str) -> Result<String> {
    let home = home.to_str().context("a path")?;
    Ok(stdout(&run(mesh, &["logs", home, "--of", of]).await?))
}

#[tokio::test]
async fn an_agent_that_is_killed_is_back_and_its_output_is_shown_and_logged() -> Checked {
    let mesh = Mesh::start().await?;
    let (mut process, home) = running(&mesh).await?;
    let first = who(&mesh).await?;
    kill(&first).await?;
    let second = who(&mesh).await?;
    assert_ne!(first, second);
    let log = logged(&mesh, &home, "agent").await?;
    for told in [
        format!("kept begins as {first}"),
        "SIGKILL".to_owned(),
        format!("kept begins as {second}"),
    ] {
        assert!(log.contains(&told), "{told}: {log}");
        assert!(process.log().contains(&told), "{told}: {}", process.log());
    }
    assert!(process.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_sidecar_that_is_killed_is_back_and_serves_the_same_agent() -> Checked {
    let mesh = Mesh::start().await?;
    let (mut process, home) = running(&mesh).await?;
    let agent = who(&mesh).await?;
    let pid = process.pid().context("it runs")?;
    kill(&child_of(pid, "sidecar")?).await?;
    assert_eq!(
        who(&mesh).await?,
        agent,
        "the agent went on behind a new sidecar"
    );
    let log = logged(&mesh, &home, "sidecar").await?;
    assert!(log.contains("starting it again"), "{log}");
    assert!(process.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_program_that_always_dies_is_given_up_with_its_last_words_and_an_exit_code_of_its_own()
-> Checked {
    let mesh = Mesh::start().await?;
    let home = home(&mesh, &["sh", "-c", "echo the disk is gone >&2; exit 7"])?;
    let output = run(&mesh, &["run", home.to_str().context("a path")?]).await?;
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{told}");
    let error = told.split("error: ").nth(1).unwrap_or_default();
    for words in [
        "the agent ended 5 times in a row",
        "exit status: 7",
        "the disk is gone",
        "agent.log",
    ] {
        assert!(error.contains(words), "{words}: {told}");
    }
    let log = logged(&mesh, &home, "agent").await?;
    assert_eq!(log.matches("the disk is gone").count(), 5, "{log}");
    Ok(())
}

#[tokio::test]
async fn a_program_that_ends_well_ends_the_run_well() -> Checked {
    let mesh = Mesh::start().await?;
    let home = home(&mesh, &["sh", "-c", "echo that was all"])?;
    let output = run(&mesh, &["run", home.to_str().context("a path")?]).await?;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("that was all"));
    Ok(())
}

/// Submits `hold` and waits until it has begun.
async fn holding(mesh: &Mesh, home: &Path, until_stop: bool) -> Result<TaskId> {
    let fifo = home.join("begun");
    let made = Command::new("mkfifo").arg(&fifo).status().await?;
    assert!(made.success());
    let mut begun = pipe::OpenOptions::new()
        .read_write(true)
        .open_receiver(&fifo)?;
    let id = mesh.admin().submit(&hold(until_stop)).await?;
    in_time("hold begins", begun.read_u8()).await??;
    Ok(id)
}

fn hold(until_stop: bool) -> SubmitTask {
    SubmitTask {
        skill: "hold".to_owned(),
        payload: Payload::new(json!({ "until_stop": until_stop })),
        ..SubmitTask::default()
    }
}

async fn ended(mesh: &Mesh, id: &TaskId) -> Result<Task> {
    Ok(mesh.admin().wait(id, cap()).await?)
}

/// Whether the registry has forgotten the agent.
async fn is_gone(mesh: &Mesh) -> Result<bool> {
    let name: AgentId = "kept".parse()?;
    let asked = mesh.admin().agent(&name).await;
    Ok(asked.is_err_and(|error| error.code() == Code::AgentUnknown))
}

#[tokio::test]
async fn work_under_way_is_finished_before_the_run_ends() -> Checked {
    let mesh = Mesh::start().await?;
    let (mut process, home) = running(&mesh).await?;
    let id = holding(&mesh, &home, true).await?;
    assert!(process.terminate().await?.success());
    let task = ended(&mesh, &id).await?;
    assert_eq!((task.state, task.attempt), (TaskState::Completed, 1));
    assert_eq!(task.result, json!("finished"));
    assert!(is_gone(&mesh).await?, "it said goodbye");
    Ok(())
}

#[tokio::test]
async fn work_that_is_not_finished_in_time_is_handed_back_and_another_agent_does_it() -> Checked {
    let mesh = Mesh::start().await?;
    let home = home(&mesh, &["python3", "agent.py"])?;
    std::fs::write(home.join(".env"), "GRACE=0.1\n")?;
    let command = command(&mesh, &home, &[])?;
    let (mut process, _) = Process::start("run", command, &mesh.directory().join("logs")).await?;
    let id = holding(&mesh, &home, false).await?;
    assert!(process.terminate().await?.success());
    assert!(is_gone(&mesh).await?, "it said goodbye");
    let (agent, mut probe) = Probe::agent("other");
    let _other = Member::join(&mesh, "other-peer", agent).await?;
    probe.started().await?;
    probe.release();
    let task = ended(&mesh, &id).await?;
    assert_eq!(
        (task.state, task.assigned_agent_id.as_str()),
        (TaskState::Completed, "other")
    );
    Ok(())
}

/// Runs the agent with `hold` under way, tells it to end, and again when it says that it takes its time.
async fn ends_on_a_second_signal(agent: &str) -> Checked {
    let mesh = Mesh::start().await?;
    let home = home(&mesh, &["python3", "agent.py"])?;
    std::fs::write(home.join("agent.py"), agent)?;
    let mut command = command(&mesh, &home, &[])?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn()?;
    let mut told = stderr_lines(&mut process)?;
    let mut ready = BufReader::new(process.stdout.take().context("stdout")?).lines();
    in_time("it is ready", ready.next_line()).await??;
    holding(&mesh, &home, false).await?;
    let pid = process.id().context("it runs")?.to_string();
    let terminate = || Command::new("kill").arg(&pid).status();
    terminate().await?;
    line_with(&mut told, "a second signal means now").await?;
    terminate().await?;
    let status = in_time("its end", process.wait()).await??;
    assert_eq!(status.code(), Some(0));
    assert!(is_gone(&mesh).await?, "the registry was told");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_works_on_is_ended_by_a_second_signal_and_taken_out_of_the_registry()
-> Checked {
    let usual = AGENT.replace("asyncio.run(main())", "agent.run()");
    ends_on_a_second_signal(&usual).await
}

#[tokio::test]
async fn an_agent_that_ignores_every_signal_is_killed_and_taken_out_of_the_registry() -> Checked {
    let deaf = AGENT.replace("stop.set)", "lambda: None)");
    ends_on_a_second_signal(&deaf).await
}

type Told = Lines<BufReader<ChildStderr>>;

fn stderr_lines(process: &mut Child) -> Result<Told> {
    Ok(BufReader::new(process.stderr.take().context("stderr")?).lines())
}

/// Reads on until a line that has these words.
async fn line_with(lines: &mut Told, words: &str) -> Result<String> {
    let search = async {
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().await? {
            if line.contains(words) {
                return Ok(line);
            }
            seen.push(line);
        }
        bail!("it ended without {words:?}: {seen:#?}")
    };
    in_time(words, search).await?
}

#[tokio::test]
async fn a_registry_that_is_away_is_waited_for_and_told_of_each_time() -> Checked {
    let mut mesh = Mesh::builder()
        .registry_arg("--tls-self-made")
        .start()
        .await?;
    let key = mesh.key("kept-sidecar", Role::Agent).await?;
    mesh.registry.kill().await?;
    let home = home(&mesh, &["python3", "agent.py"])?;
    let mut command = command(&mesh, &home, &["--api-key", &key])?;
    command
        .env(
            "SEAMESH_REGISTRY_FINGERPRINT",
            mesh.fingerprint().context("TLS")?,
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn()?;
    let mut told = stderr_lines(&mut process)?;
    line_with(&mut told, "cannot be reached").await?;
    mesh.restart_registry().await?;
    line_with(&mut told, "is reached again").await?;
    let mut ready = BufReader::new(process.stdout.take().context("stdout")?).lines();
    let line = in_time("it joins", ready.next_line())
        .await??
        .unwrap_or_default();
    assert!(line.starts_with("ready "), "{line}");
    mesh.registry.kill().await?;
    line_with(&mut told, "is away").await?;
    mesh.restart_registry().await?;
    line_with(&mut told, "is reached again").await?;
    assert!(!is_gone(&mesh).await?);
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_refused_ends_the_run_and_names_where_it_came_from() -> Checked {
    let mesh = Mesh::start().await?;
    let home = home(&mesh, &["python3", "agent.py"])?;
    let output = in_time(
        "its end",
        command(&mesh, &home, &["--api-key", "wrong"])?.output(),
    )
    .await??;
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("the key from --api-key or SEAMESH_API_KEY is refused"),
        "{}",
        stderr(&output)
    );
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_revoked_while_the_agent_runs_ends_the_run() -> Checked {
    let mesh = Mesh::start().await?;
    let home = home(&mesh, &["python3", "agent.py"])?;
    let made = run(&mesh, &["keys", "create", "kept-sidecar", "--json"]).await?;
    let made: Value = serde_json::from_str(&stdout(&made))?;
    let key = made["api_key"].as_str().context("a key")?;
    let mut command = command(&mesh, &home, &["--api-key", key])?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn()?;
    let mut told = stderr_lines(&mut process)?;
    let mut ready = BufReader::new(process.stdout.take().context("stdout")?).lines();
    in_time("it is ready", ready.next_line()).await??;
    mesh.admin()
        .revoke_key(made["key_id"].as_str().context("an id")?)
        .await?;
    line_with(&mut told, "does not let this agent in").await?;
    let status = in_time("its end", process.wait()).await??;
    assert_eq!(status.code(), Some(4));
    Ok(())
}

#[tokio::test]
async fn a_port_that_something_else_has_is_named() -> Checked {
    let dir = tempfile::tempdir()?;
    for answer in [
        None,
        Some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"),
    ] {
        let other = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", other.local_addr()?);
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = other.accept().await {
                if let Some(answer) = answer {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        std::fs::write(
            dir.path().join("agent.yaml"),
            "name: kept\nrun: [sleep, '600']\n",
        )?;
        let mut command = seamesh(&["run", "--registry", &url], &dir.path().join("registry"))?;
        let output = in_time("its end", command.current_dir(dir.path()).output()).await??;
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let told = stderr(&output);
        assert!(
            told.contains("taken by something") && told.contains("choose another port"),
            "{told}"
        );
        serving.abort();
    }
    Ok(())
}
