//! The first page: every command of the README works as it stands there, and the demo does what it says.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use seamesh_harness::{Mesh, binaries};
use seamesh_proto::events::MeshEvent;
use seamesh_tests::in_time;
use serde_json::Value;
use tokio::process::Command;

/// A program that the same build made.
fn built(name: &str) -> Result<PathBuf> {
    let beside = binaries::seamesh()?.with_file_name(name);
    ensure!(
        beside.is_file(),
        "{name} is not built: run `cargo build --workspace --bins`"
    );
    Ok(beside)
}

#[tokio::test]
async fn the_demo_answers_with_its_sources_and_with_a_hop_of_either_path() -> Result<()> {
    let docs = tempfile::tempdir()?;
    let text = "# Whales\n\nWhales sing at night because sound carries far in cold water.\n";
    std::fs::write(docs.path().join("sea.md"), text)?;
    let mut demo = Command::new(built("seamesh-demo")?);
    demo.args(["--once", "--json", "--ask", "Why do whales sing?", "--docs"])
        .arg(docs.path())
        .kill_on_drop(true);
    let output = in_time("the demo", demo.output()).await??;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout)?;
    let report: Value = serde_json::from_str(stdout.lines().last().context("a last line")?)?;
    assert_eq!(report["ok"], true);
    assert!(
        report["answer"].as_str().unwrap().contains("cold water"),
        "{report}"
    );
    assert_eq!(report["citations"][0]["file"], "sea.md", "{report}");
    assert_eq!(report["citations"][0]["line"], 3, "{report}");
    let hops = report["tasks"].as_array().context("tasks")?;
    let hop = |skill: &str| {
        hops.iter()
            .find(|hop| hop["skill"] == skill)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(hop("answer")["path"], "queue", "{report}");
    for (skill, to) in [("search", "librarian"), ("summarize", "reader")] {
        let hop = hop(skill);
        assert_eq!(
            (&hop["from"], &hop["to"]),
            (&"editor".into(), &to.into()),
            "{report}"
        );
        assert_eq!(
            (&hop["path"], &hop["state"]),
            (&"direct".into(), &"completed".into()),
            "{report}"
        );
    }
    for step in ["registry_ready", "links_open", "first_answer"] {
        assert!(report["timings_ms"][step].is_u64(), "{report}");
    }
    Ok(())
}

#[tokio::test]
async fn every_command_of_the_first_page_works() -> Result<()> {
    let mesh = Mesh::start().await?;
    let place = tempfile::tempdir()?;
    let programs = shims(place.path())?;
    let mut agent = None;
    for (language, text) in fences(&std::fs::read_to_string(
        binaries::project().join("README.md"),
    )?) {
        match language.as_str() {
            "sh" => shell(&mesh, place.path(), &programs, &text).await?,
            "python" => {
                let file = place.path().join("greeter/agent.py");
                std::fs::write(&file, text)?;
                let sidecar = mesh.sidecar("greeter").await?;
                let mut watch = mesh.watch().await?;
                agent = Some((mesh.python_agent("greeter", &file, &sidecar)?, sidecar));
                let up = |event: &MeshEvent| {
                    matches!(event, MeshEvent::AgentRegistered(_)).then_some(())
                };
                watch.find(up).await?;
            }
            _ => {}
        }
    }
    assert!(agent.is_some(), "the page shows an agent");
    Ok(())
}

/// `cargo xtask …` runs what the build made instead of building again: the programs, not cargo, are the page's promise.
fn shims(place: &Path) -> Result<PathBuf> {
    let folder = place.join("bin");
    std::fs::create_dir_all(&folder)?;
    let (demo, xtask) = (built("seamesh-demo")?, built("xtask")?);
    let cargo = format!(
        "#!/bin/sh\nset -e\n[ \"$1\" = xtask ]\nshift\nif [ \"$1\" = demo ]; then exec '{}' --once; fi\nexec '{}' \"$@\"\n",
        demo.display(),
        xtask.display()
    );
    let python = format!(
        "#!/bin/sh\nexec '{}' \"$@\"\n",
        binaries::python()?.display()
    );
    for (name, text) in [("cargo", cargo), ("python3", python)] {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

async fn shell(mesh: &Mesh, place: &Path, programs: &Path, block: &str) -> Result<()> {
    let mut search = programs.as_os_str().to_owned();
    search.push(":");
    search.push(binaries::path()?);
    let mut command = Command::new("bash");
    command
        .args(["-euc", block])
        .current_dir(place)
        .env("PATH", search)
        // A reader's environment does not have this project's own tools, which take long to load.
        .env("PYTEST_ADDOPTS", "-p no:hypothesispytest")
        .env("SEAMESH_REGISTRY", mesh.url())
        .env("SEAMESH_DATA", mesh.directory().join("registry"))
        .kill_on_drop(true);
    let output = in_time(block, command.output()).await??;
    ensure!(
        output.status.success(),
        "a command of the first page failed:\n{block}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The fenced blocks of a page: language and text.
fn fences(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}
