//! The images of `deploy`: built where a container engine answers; everywhere else their steps run without one (docs/adr/0022).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::rust_tests::{self, TestBinary, cargo};
use crate::stamp::Stamp;
use crate::step::{command, run, step};
use crate::{env, tidy};

/// The program that builds layers and keeps them beside us: Docker's own builder cannot.
const BUILDKIT: &str = "image=moby/buildkit:v0.21.1";

/// Lints, then builds every image, or runs the steps of every image.
///
/// # Errors
/// What was found, and which image or step failed.
#[allow(clippy::print_stderr)]
pub(crate) fn job(root: &Path) -> Result<()> {
    step("linting deploy", || {
        tidy::images(root)?;
        for script in scripts(root)? {
            let shell = std::fs::read_to_string(&script)?;
            let shell = if shell.starts_with("#!/bin/bash") {
                "bash"
            } else {
                "sh"
            };
            run(command(shell, root).arg("-n").arg(&script))?;
        }
        Ok(())
    })?;
    if engine_answers(root) {
        return build(root);
    }
    eprintln!(
        "xtask: no container engine answers here, so no image is built; the steps of the images run without one"
    );
    steps()
}

/// Files of `deploy` whose names begin or end so.
fn files(root: &Path, fits: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(root.join("deploy")).context("read deploy")?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|e| e.map(|e| e.path())).collect();
    let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
    let mut found: Vec<PathBuf> = paths?
        .into_iter()
        .filter(|path| name(path).is_some_and(|name| fits(&name)))
        .collect();
    found.sort();
    Ok(found)
}

fn scripts(root: &Path) -> Result<Vec<PathBuf>> {
    files(root, |name| name.ends_with(".sh"))
}

fn dockerfiles(root: &Path) -> Result<Vec<PathBuf>> {
    files(root, |name| name.starts_with("Dockerfile."))
}

/// Whether there is an engine, not only its client.
fn engine_answers(root: &Path) -> bool {
    let asked = command("docker", root)
        .args(["info", "--format", "{{.ID}}"])
        .output();
    asked.is_ok_and(|answer| answer.status.success())
}

/// Builds every image and throws it away; the layers stay in `target/image-layers`, and are taken from there.
fn build(root: &Path) -> Result<()> {
    let layers = crate::target_dir().join("image-layers");
    let next = crate::target_dir().join("image-layers.next");
    if next.exists() {
        std::fs::remove_dir_all(&next)?;
    }
    let mut inspect = command("docker", root);
    inspect.args(["buildx", "inspect", "seamesh"]);
    if !inspect.output().is_ok_and(|answer| answer.status.success()) {
        let mut create = command("docker", root);
        create.args([
            "buildx",
            "create",
            "--name",
            "seamesh",
            "--driver",
            "docker-container",
        ]);
        run(create.args(["--driver-opt", BUILDKIT]))?;
    }
    for file in dockerfiles(root)? {
        let name = file
            .extension()
            .map_or_else(String::new, |e| e.to_string_lossy().into_owned());
        step(&format!("building the image of {name}"), || {
            let mut build = command("docker", root);
            build.args([
                "buildx",
                "build",
                "--builder",
                "seamesh",
                "--output",
                "type=cacheonly",
            ]);
            if layers.exists() {
                let from = format!("type=local,src={},tag={name}", layers.display());
                build.args(["--cache-from", &from]);
            }
            let to = format!("type=local,dest={},tag={name},mode=max", next.display());
            run(build
                .args(["--cache-to", &to, "--file"])
                .arg(&file)
                .arg("."))
        })?;
    }
    // What no image used any more stays behind.
    if layers.exists() {
        std::fs::remove_dir_all(&layers)?;
    }
    std::fs::rename(&next, &layers).context("keep the layers")
}

/// Whether this is the test of the images' steps, or of the agents that `seamesh init` makes: they need programs and Python, so
/// they are no unit tests.
pub(crate) fn is_steps_test(test: &TestBinary) -> bool {
    test.package == "xtask" && ["images (test)", "scaffold (test)"].contains(&test.name.as_str())
}

/// Runs the test of the images' steps, with the programs in `SEAMESH_PROGRAMS` or with those of this tree.
fn steps() -> Result<()> {
    let programs = match std::env::var_os("SEAMESH_PROGRAMS") {
        Some(given) => PathBuf::from(given),
        None => {
            env::build_hub()?;
            rust_tests::build()?.programs
        }
    };
    let mut test = cargo();
    test.args(["test", "--quiet", "--package", "xtask", "--test", "images"]);
    test.env("SEAMESH_PROGRAMS", programs)
        .env("SEAMESH_PYTHON", env::python()?)
        .env("SEAMESH_IMAGE_PYTHON", python()?);
    step("the steps of the images", || run(&mut test))
}

/// What `deploy/build.sh python` makes for the image of an agent, made here when it is not of the present sources.
///
/// # Errors
/// When the step fails.
pub(crate) fn python() -> Result<PathBuf> {
    let root = crate::root();
    let script = root.join("deploy/build.sh");
    let out = crate::target_dir().join("image-python");
    let inputs = [
        script.clone(),
        root.join("python/requirements.txt"),
        root.join("python/src"),
    ];
    let interpreter = env::python()?;
    let product = out.join("seamesh/__init__.py");
    Stamp::of("image-python", &inputs, &[])?.run("deploy/build.sh python", &product, || {
        if out.exists() {
            std::fs::remove_dir_all(&out)?;
        }
        let mut build = command(&script, &root);
        run(build.arg("python").arg(&out).env("PYTHON", &interpreter))?;
        if !product.is_file() {
            bail!("deploy/build.sh python made no {}", product.display());
        }
        Ok(())
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::stages;
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    /// What the stage that compiles copies from the repository.
    fn copied() -> BTreeSet<String> {
        let text = fs::read_to_string(crate::root().join("deploy/Dockerfile.registry")).unwrap();
        let build = stages(&text)
            .into_iter()
            .find(|s| s.name == "build")
            .unwrap();
        let copies = build.instructions.iter().filter(|i| i.word == "COPY");
        let words = copies.flat_map(|copy| copy.rest.split_whitespace().rev().skip(1));
        let sources = words.filter(|w| !w.starts_with("--") && !w.starts_with("/out/"));
        sources
            .map(|w| w.trim_end_matches('/').to_owned())
            .collect()
    }

    #[test]
    fn cargo_knows_the_workspace_by_what_the_images_copy() {
        let root = crate::root();
        let place = tempfile::tempdir().unwrap();
        for path in copied() {
            let link = place.path().join(&path);
            // A directory may be copied after one file of it.
            if link.exists() {
                continue;
            }
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(root.join(&path), link).unwrap();
        }
        let mut metadata = cargo();
        metadata.current_dir(place.path());
        metadata.args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--offline",
            "--locked",
        ]);
        let output = metadata.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn what_the_programs_include_is_copied_into_the_images() {
        let root = crate::root();
        let copied: Vec<PathBuf> = copied().iter().map(|path| root.join(path)).collect();
        let mut included = 0;
        let mut folders = vec![root.join("crates"), root.join("examples/librarian")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if path.extension().is_none_or(|e| e != "rs") {
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                // What a test reads is not in a program.
                let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
                for rest in text.split("include_str!(\"").skip(1) {
                    let name = rest.split('"').next().unwrap();
                    let target = path.parent().unwrap().join(name).canonicalize().unwrap();
                    let root = copied.iter().map(|c| c.canonicalize().unwrap());
                    assert!(
                        root.clone().any(|c| target.starts_with(c)),
                        "{name} in {}",
                        path.display()
                    );
                    included += 1;
                }
            }
        }
        assert!(included > 3, "{included}");
    }

    #[test]
    fn the_scripts_can_be_started() {
        let scripts = scripts(&crate::root()).unwrap();
        assert!(scripts.len() >= 6, "{scripts:?}");
        for script in scripts {
            let mode = fs::metadata(&script).unwrap().permissions().mode();
            assert_eq!(mode & 0o111, 0o111, "{}", script.display());
            let text = fs::read_to_string(&script).unwrap();
            assert!(text.contains("\nset -eu\n"), "{}", script.display());
        }
    }
}
