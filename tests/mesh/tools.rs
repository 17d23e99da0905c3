//! The commands that say what is going on and what is missing, as a user types them.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context, Result};
use seamesh_agent::{Agent, Ctx, SkillError};
use seamesh_harness::Mesh;
use seamesh_tests::{Checked, Member, Probe, in_time};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UdpSocket;

use crate::command_line::{run, seamesh, stderr, stdout};

/// An agent that answers what it is told.
fn poet() -> Agent {
    let answer = |_: Ctx, args: Value| async move {
        let message = args["message"].as_str().unwrap_or_default().to_owned();
        match message.as_str() {
            "fail" => Err(SkillError::new("nothing rhymes with it")),
            _ => Ok(format!("You said {message}.")),
        }
    };
    Agent::new("poet").skill("agent_prompt", answer)
}

#[tokio::test]
async fn send_prints_an_agents_answer_and_refuses_one_that_reads_nothing() -> Checked {
    let mesh = Mesh::start().await?;
    let _poet = Member::join(&mesh, "poet-peer", poet()).await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    for (arguments, code, out, err) in [
        (vec!["send", "poet", "hello"], 0, "You said hello.", ""),
        (vec!["send", "poet", "fail"], 5, "", "nothing rhymes"),
        (
            vec!["send", "worker", "hello"],
            1,
            "",
            "seamesh call SKILL JSON --to worker",
        ),
        (vec!["send", "nobody", "hello"], 1, "", "nobody"),
    ] {
        let output = run(&mesh, &arguments).await?;
        let (told, complained) = (stdout(&output), stderr(&output));
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {complained}"
        );
        assert_eq!(told.trim(), out, "{arguments:?}");
        assert!(complained.contains(err), "{arguments:?}: {complained}");
    }
    Ok(())
}

#[tokio::test]
async fn watch_tells_a_tasks_changes_as_they_happen_and_ends_with_its_result() -> Checked {
    let mesh = Mesh::start().await?;
    let (agent, mut probe) = Probe::agent("worker");
    let _worker = Member::join(&mesh, "worker-peer", agent).await?;
    let called = run(&mesh, &["call", "hold", r#"{"a": 7}"#, "--no-wait"]).await?;
    let id = stdout(&called).trim().to_owned();
    probe.started().await?;
    let data = mesh.directory().join("registry");
    let mut watch = seamesh(&["tasks", "watch", &id], &data)?;
    watch
        .env("SEAMESH_REGISTRY", mesh.url())
        .stdout(std::process::Stdio::piped());
    let mut watch = watch.spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().context("stdout")?).lines();
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line.contains("assigned")) {
        let line = in_time("a line", lines.next_line()).await??;
        told.push(line.context("it ended before the task did")?);
    }
    assert!(told[0].contains("pending"), "{told:?}");
    probe.release();
    let mut rest = Vec::new();
    while let Some(line) = in_time("the rest", lines.next_line()).await?? {
        rest.push(line);
    }
    assert!(
        rest.concat().contains("completed") && rest.concat().ends_with('}'),
        "{rest:?}"
    );
    assert_eq!(in_time("its end", watch.wait()).await??.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_failed_task_is_watched_with_exit_code_5_and_retried_as_a_new_one() -> Checked {
    let mesh = Mesh::start().await?;
    let _worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let called = run(&mesh, &["call", "add", r#"{"a": "x"}"#, "--no-wait"]).await?;
    let id = stdout(&called).trim().to_owned();
    let watched = run(&mesh, &["tasks", "watch", &id]).await?;
    assert_eq!(watched.status.code(), Some(5), "{}", stderr(&watched));
    assert!(
        stderr(&watched).contains("bad_arguments"),
        "{}",
        stderr(&watched)
    );
    let retried: Value = serde_json::from_str(&stdout(
        &run(&mesh, &["tasks", "retry", &id, "--json"]).await?,
    ))?;
    let again = retried["id"].as_str().context("an id")?;
    assert_ne!(again, id);
    let shown: Value = serde_json::from_str(&stdout(
        &run(&mesh, &["tasks", "show", again, "--json"]).await?,
    ))?;
    assert_eq!(
        (&shown["skill"], &shown["payload"]),
        (&json!("add"), &json!({"a": "x"}))
    );
    let good = run(&mesh, &["call", "add", r#"{"a": 1, "b": 2}"#, "--json"]).await?;
    let good: Value = serde_json::from_str(&stdout(&good))?;
    let refused = run(
        &mesh,
        &["tasks", "retry", good["id"].as_str().context("an id")?],
    )
    .await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("only failed and canceled"),
        "{}",
        stderr(&refused)
    );
    Ok(())
}

#[tokio::test]
async fn links_names_the_agents_at_both_ends() -> Checked {
    let mesh = Mesh::start().await?;
    let _a = Member::join(&mesh, "a-peer", Probe::agent("alpha").0).await?;
    let _b = Member::join(&mesh, "b-peer", Probe::agent("beta").0).await?;
    mesh.wait_links(1).await?;
    let listed = stdout(&run(&mesh, &["links"]).await?);
    let row = listed.lines().nth(1).unwrap_or_default();
    assert!(
        ["alpha", "beta", "a-peer", "b-peer"]
            .iter()
            .all(|end| row.contains(end)),
        "{listed}"
    );
    let listed: Value = serde_json::from_str(&stdout(&run(&mesh, &["links", "--json"]).await?))?;
    assert_eq!(listed[0]["from_peer"], "a-peer");
    Ok(())
}

/// An agent's directory with a manifest.
fn project(mesh: &Mesh, program: &str) -> Result<String> {
    let home = mesh.directory().join("project");
    std::fs::create_dir_all(&home)?;
    let text = format!(
        "name: checked\nregistry: {}\nrun: [{program}]\n",
        mesh.url()
    );
    std::fs::write(home.join("agent.yaml"), text)?;
    Ok(home.display().to_string())
}

async fn verdict(
    mesh: &Mesh,
    arguments: &[&str],
    name: &str,
) -> Result<(String, String, Option<i32>)> {
    let output = run(mesh, &[&["doctor", "--json"], arguments].concat()).await?;
    let said: Value = serde_json::from_str(&stdout(&output)).with_context(|| stderr(&output))?;
    let checks = said["checks"].as_array().context("checks")?;
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.with_context(|| format!("no check {name}: {said}"))?;
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    Ok((text("verdict"), text("what"), output.status.code()))
}

#[tokio::test]
async fn doctor_finds_what_is_wrong_and_nothing_where_all_is_well() -> Checked {
    // A STUN server that hears every question and answers none.
    let deaf = UdpSocket::bind("127.0.0.1:0").await?;
    let port = deaf.local_addr()?.port();
    let mesh = Mesh::start().await?;
    let home = project(&mesh, "sh")?;
    let well = run(&mesh, &["doctor", &home]).await?;
    assert_eq!(
        well.status.code(),
        Some(0),
        "{}{}",
        stdout(&well),
        stderr(&well)
    );
    for name in [
        "manifest", "data", "socket", "program", "udp", "registry", "key", "clock", "ice",
    ] {
        assert!(
            stdout(&well).contains(&format!("ok    {name}")),
            "{name}: {}",
            stdout(&well)
        );
    }
    let (got, what, code) = verdict(&mesh, &[&home, "--api-key", "wrong"], "key").await?;
    assert_eq!((got.as_str(), code), ("fail", Some(1)), "{what}");
    let (got, what, _) = verdict(
        &mesh,
        &[&home, "--registry", "http://127.0.0.1:1"],
        "registry",
    )
    .await?;
    assert_eq!(got, "warn", "{what}");
    let (got, what, _) = verdict(&mesh, &["/nowhere"], "manifest").await?;
    assert_eq!(got, "fail", "{what}");

    let kept = std::path::Path::new(&home).join(".seamesh");
    std::fs::create_dir_all(kept.join("run"))?;
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o755))?;
    let (got, what, _) = verdict(&mesh, &[&home], "data").await?;
    assert!(got == "fail" && what.contains("755"), "{what}");
    std::fs::write(kept.join("run/agent.sock"), "")?;
    let (got, what, _) = verdict(&mesh, &[&home], "socket").await?;
    assert!(got == "fail" && what.contains("not a socket"), "{what}");
    let home = project(&mesh, "no-such-program")?;
    let (got, what, _) = verdict(&mesh, &[&home], "program").await?;
    assert_eq!(got, "fail", "{what}");

    let stun = format!("stun:127.0.0.1:{port}");
    let mesh = Mesh::builder()
        .registry_arg("--stun")
        .registry_arg(stun)
        .start()
        .await?;
    let (got, what, _) = verdict(&mesh, &[&home], "ice").await?;
    assert!(got == "fail" && what.contains("did not answer"), "{what}");
    Ok(())
}

#[tokio::test]
async fn logs_show_the_end_of_each_file_and_say_when_there_are_none() -> Checked {
    let mesh = Mesh::start().await?;
    let home = project(&mesh, "sh")?;
    let none = run(&mesh, &["logs", &home]).await?;
    assert!(stderr(&none).contains("no logs"), "{}", stderr(&none));
    assert_eq!(none.status.code(), Some(1));
    let kept = std::path::Path::new(&home).join(".seamesh");
    std::fs::create_dir_all(&kept)?;
    std::fs::write(kept.join("sidecar.log"), "one\ntwo\nthree\n")?;
    std::fs::write(kept.join("agent.log"), "hello\n")?;
    let shown = run(&mesh, &["logs", &home, "-n", "2"]).await?;
    assert_eq!(
        stdout(&shown),
        "sidecar   two\nsidecar   three\nagent     hello\n"
    );
    Ok(())
}

#[tokio::test]
async fn completions_and_manual_pages_know_every_command() -> Checked {
    let mesh = Mesh::start().await?;
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&run(&mesh, &["completions", shell]).await?);
        assert!(
            script.contains("doctor") && script.contains("newcomers"),
            "{shell}"
        );
    }
    let pages = mesh.directory().join("man");
    let made = run(&mesh, &["man", pages.to_str().context("a path")?]).await?;
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(std::fs::read_to_string(pages.join("seamesh-tasks-watch.1"))?.contains("history"));
    Ok(())
}

#[tokio::test]
async fn health_finds_the_registry_by_its_data_directory_with_tls_too_and_tells_when_it_is_gone()
-> Checked {
    let mut mesh = Mesh::builder()
        .registry_arg("--tls-self-made")
        .start()
        .await?;
    // No fingerprint is given: the data directory has it.
    let asked = run(&mesh, &["health", "--json"]).await?;
    assert_eq!(asked.status.code(), Some(0), "{}", stderr(&asked));
    let told: Value = serde_json::from_str(&stdout(&asked))?;
    assert_eq!(told["url"], mesh.url());
    mesh.registry.kill().await?;
    let asked = run(&mesh, &["health"]).await?;
    assert_eq!(asked.status.code(), Some(3), "{}", stderr(&asked));
    let nowhere = run(&mesh, &["health", "--data", "/nowhere"]).await?;
    assert_eq!(nowhere.status.code(), Some(3), "{}", stderr(&nowhere));
    Ok(())
}
