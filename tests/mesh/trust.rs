//! Trust, as an operator meets it: the audit on the command line, the password, and a whole mesh over TLS.

use std::process::Output;

use anyhow::{Context as _, Result};
use seamesh_harness::{Mesh, Process, binaries};
use seamesh_tests::{Checked, Member, Probe, in_time};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::command_line::{run, stderr, stdout};

async fn audit(mesh: &Mesh, arguments: &[&str]) -> Result<Output> {
    run(mesh, &[&["audit"], arguments].concat()).await
}

#[tokio::test]
async fn the_audit_is_exported_and_verified_and_a_changed_line_is_named() -> Checked {
    let mesh = Mesh::start().await?;
    for peer in ["p1", "p2"] {
        run(&mesh, &["keys", "create", peer]).await?;
    }
    let whole = stdout(&audit(&mesh, &["verify"]).await?);
    assert!(
        whole.starts_with("3 records, each as it was written"),
        "{whole}"
    );
    let head = whole.lines().nth(1).context("the head")?.to_owned();
    run(&mesh, &["keys", "create", "p3"]).await?;
    let still = audit(&mesh, &["verify", "--head", &head]).await?;
    assert_eq!(still.status.code(), Some(0), "{}", stderr(&still));

    let export = stdout(&audit(&mesh, &["export"]).await?);
    let lines: Vec<&str> = export.lines().collect();
    assert_eq!(lines.len(), 4);
    let second: Value = serde_json::from_str(lines[1])?;
    assert_eq!(
        (&second["action"], &second["by"]),
        (&json!("key_made"), &json!("admin"))
    );
    let file = mesh.directory().join("audit.jsonl");
    let path = file.to_str().context("a path")?;
    let changed = |line: usize, from: &str, to: &str| {
        let mut lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        lines[line] = lines[line].replacen(from, to, 1);
        lines.join("\n")
    };
    for (text, code, says) in [
        (export.clone(), 0, "4 records"),
        (changed(2, "p2", "p9"), 1, "record 3 was changed"),
        (changed(1, "{", "{\"x\":1,"), 1, "line 2 was changed"),
        (lines[1..].join("\n"), 1, "record 1 is missing"),
        (lines[..2].join("\n"), 0, "2 records"),
    ] {
        std::fs::write(&file, text)?;
        let verified = audit(&mesh, &["verify", "--file", path]).await?;
        let said = stdout(&verified) + &stderr(&verified);
        assert_eq!(verified.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }
    // The last file lacks its end: only a head that was kept finds that out.
    let cut = audit(&mesh, &["verify", "--file", path, "--head", &head]).await?;
    assert!(
        stderr(&cut).contains("record 3 is missing"),
        "{}",
        stderr(&cut)
    );
    let other = format!("3:{}", "0".repeat(64));
    let anew = audit(&mesh, &["verify", "--head", &other]).await?;
    assert!(
        stderr(&anew).contains("record 3 is not the one"),
        "{}",
        stderr(&anew)
    );
    Ok(())
}

#[tokio::test]
async fn the_password_is_read_from_standard_input_and_shown_nowhere() -> Checked {
    let mesh = Mesh::start().await?;
    let mut command = Command::new(binaries::seamesh()?);
    command
        .args(["registry", "password", "--registry", mesh.url()])
        .env("SEAMESH_DATA", mesh.directory().join("registry"))
        .env_remove("SEAMESH_API_KEY")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    let mut setting = command.spawn()?;
    let mut stdin = setting.stdin.take().context("standard input")?;
    stdin.write_all(b"correct horse battery\n").await?;
    drop(stdin);
    let set = in_time("set the password", setting.wait_with_output()).await??;
    let said = stdout(&set) + &stderr(&set);
    assert_eq!(set.status.code(), Some(0), "{said}");
    assert!(!said.contains("correct horse"), "{said}");
    let log = std::fs::read_to_string(mesh.directory().join("logs/registry.log"))?;
    assert!(log.contains("password was set") && !log.contains("correct horse"));
    let audit = stdout(&audit(&mesh, &["export"]).await?);
    assert!(audit.contains("password_set") && !audit.contains("correct horse"));
    Ok(())
}

#[tokio::test]
async fn the_first_start_prints_a_login_link_on_standard_output_and_the_second_does_not() -> Checked
{
    let directory = tempfile::tempdir()?;
    let start = async || -> Result<String> {
        let mut command = Command::new(binaries::seamesh()?);
        command
            .args(["registry", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory.path().join("registry"));
        let (mut process, ready) = Process::start("registry", command, directory.path()).await?;
        assert_eq!(
            ready.get("first_login"),
            None,
            "the readiness line is for programs"
        );
        process.terminate().await?;
        Ok(std::fs::read_to_string(
            directory.path().join("registry.log"),
        )?)
    };
    let said = start().await?;
    assert_eq!(said.matches("/#login=").count(), 1, "{said}");
    let said = start().await?;
    assert_eq!(
        said.matches("/#login=").count(),
        1,
        "none for the second: {said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_whole_mesh_works_over_tls_and_a_wrong_fingerprint_is_refused() -> Checked {
    let mesh = Mesh::builder()
        .registry_arg("--tls-self-made")
        .start()
        .await?;
    let fingerprint = mesh.fingerprint().context("a fingerprint")?;
    assert!(mesh.url().starts_with("https://"));
    let worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let _other = Member::join(&mesh, "other-peer", Probe::agent("other").0).await?;
    worker.linked_with(&["other-peer"]).await?;
    let call = ["call", "add", r#"{"a": 2, "b": 40}"#];
    let trusting = [&call[..], &["--registry-fingerprint", &fingerprint]].concat();
    let called = run(&mesh, &trusting).await?;
    assert_eq!(stdout(&called).trim(), "42", "{}", stderr(&called));

    let wrong = format!("SHA256:{}", "0".repeat(64));
    for (arguments, says) in [
        (
            vec!["--registry-fingerprint", wrong.as_str()],
            fingerprint.as_str(),
        ),
        (vec![], "not trusted here"),
    ] {
        let refused = run(&mesh, &[&call[..], &arguments].concat()).await?;
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(
            said.contains("is not trusted") && said.contains(says),
            "{said}"
        );
        assert!(said.contains("--registry-fingerprint"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_over_http_alone_trusts_by_fingerprint_and_by_authority_and_nobody_else() -> Checked
{
    let mesh = Mesh::builder()
        .registry_arg("--tls-self-made")
        .start()
        .await?;
    let key = mesh.key("p1", seamesh_proto::rest::Role::Agent).await?;
    let fingerprint = mesh.fingerprint().context("a fingerprint")?;
    let certificate = mesh.directory().join("registry/tls.crt");
    let script = "import sys\n\
        from seamesh._registry_client import RegistryClient\n\
        from seamesh.errors import SeameshError\n\
        client = RegistryClient(sys.argv[1], sys.argv[2])\n\
        try:\n    client.call('list_agents')\n\
        except SeameshError as error:\n    sys.exit(f'{error.code}: {error}')\n\
        print(client.peer_id)\n";
    let wrong = format!("SHA256:{}", "0".repeat(64));
    let path = certificate.to_str().context("a path")?;
    for (name, value, says) in [
        ("SEAMESH_REGISTRY_FINGERPRINT", fingerprint.as_str(), "p1"),
        ("SEAMESH_CA_FILE", path, "p1"),
        (
            "SEAMESH_REGISTRY_FINGERPRINT",
            &wrong,
            "is not trusted: it shows",
        ),
        (
            "SEAMESH_REGISTRY_FINGERPRINT",
            "nonsense",
            "64 hexadecimal digits",
        ),
        ("UNRELATED", "", "is not trusted"),
    ] {
        let mut command = Command::new(binaries::python()?);
        command
            .args(["-c", script, mesh.url(), &key])
            .env(name, value)
            .kill_on_drop(true);
        let output = in_time("python", command.output()).await??;
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains(says), "{name}={value}: {said}");
    }
    Ok(())
}

/// Copies the certificate of one registry, with its key, to where another one reads them.
fn install(from: &Mesh, to: &std::path::Path) -> Result<()> {
    for name in ["tls.crt", "tls.key"] {
        std::fs::copy(from.directory().join("registry").join(name), to.join(name))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_one_that_is_broken_changes_nothing()
-> Checked {
    let made = async || {
        Mesh::builder()
            .registry_arg("--tls-self-made")
            .start()
            .await
    };
    let (first, second) = (made().await?, made().await?);
    let files = tempfile::tempdir()?;
    install(&first, files.path())?;
    let mesh = Mesh::builder()
        .registry_arg("--tls-cert")
        .registry_arg(files.path().join("tls.crt"))
        .registry_arg("--tls-key")
        .registry_arg(files.path().join("tls.key"))
        .start()
        .await?;
    let mut watch = mesh.watch().await?;
    let call = async |of: &Mesh| -> Result<bool> {
        let fingerprint = of.fingerprint().context("a fingerprint")?;
        let asked = ["agents", "--registry-fingerprint", &fingerprint];
        Ok(run(&mesh, &asked).await?.status.success())
    };
    assert!(call(&first).await? && !call(&second).await?);

    install(&second, files.path())?;
    mesh.registry.hang_up()?;
    in_time("the new one is shown", async {
        while !call(&second).await? {}
        anyhow::Ok(())
    })
    .await??;
    assert!(!call(&first).await?, "the old one is shown no more");

    std::fs::write(files.path().join("tls.crt"), "no certificate")?;
    mesh.registry.hang_up()?;
    in_time("the log says what is wrong", async {
        // Each look reads the log anew.
        while !mesh.registry.log().contains("going on with the one before") {
            tokio::task::yield_now().await;
        }
    })
    .await?;
    assert!(call(&second).await?, "it goes on");
    // What was open before both is still served. The tests' own client trusts the first certificate only.
    let fingerprint = second.fingerprint().context("a fingerprint")?;
    let agent = [
        "keys",
        "create",
        "p1",
        "--registry-fingerprint",
        &fingerprint,
    ];
    assert!(run(&mesh, &agent).await?.status.success());
    let submit = [
        "call",
        "nobody",
        "{}",
        "--no-wait",
        "--registry-fingerprint",
        &fingerprint,
    ];
    let submitted = run(&mesh, &submit).await?;
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    watch.next().await?;
    Ok(())
}
