//! What the tests and the demo need beside Rust: Python with the SDK, the hub's packages, a browser. Missing Debian
//! packages are installed when this runs as root; otherwise the error is the exact command.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::stamp::Stamp;
use crate::step::{captured, command, run, stdout_of, step};

/// Oldest Python that the SDK supports.
const PYTHON: (u32, u32) = (3, 11);
/// Oldest Node that the hub's tools support.
const NODE: (u32, u32) = (20, 19);

/// The Python interpreter of the environment in `target/venv`, made on first use: hash-pinned packages and the SDK.
///
/// # Errors
/// When Python is missing or too old, or a package cannot be installed.
pub(crate) fn python() -> Result<PathBuf> {
    let base = system_python()?;
    let root = crate::root();
    let venv = crate::target_dir().join("venv");
    let python = venv.join("bin/python");
    let pinned = root.join("python/requirements-dev.txt");
    let inputs = [pinned.clone(), root.join("python/pyproject.toml")];
    let version = stdout_of(command(&base, &root).arg("-VV"))?;
    let place = root.to_string_lossy().into_owned();
    Stamp::of("venv", &inputs, &[&version, &place])?.run("making target/venv", &python, || {
        make_venv(&base, &venv)?;
        let pip = || {
            let mut pip = command(&python, &root);
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]);
            pip
        };
        run(pip().args(["--require-hashes", "-r"]).arg(&pinned))?;
        run(pip()
            .args(["--no-deps", "--no-build-isolation", "-e"])
            .arg(root.join("python")))
    })?;
    Ok(python)
}

fn make_venv(base: &Path, venv: &Path) -> Result<()> {
    let root = crate::root();
    let mut make = command(base, &root);
    make.args(["-m", "venv", "--clear"]).arg(venv);
    if captured(&mut make)?.success {
        return Ok(());
    }
    // Debian ships the module without what it needs to fill an environment.
    debian("python3-venv", "Python cannot make virtual environments")?;
    run(&mut make)
}

fn system_python() -> Result<PathBuf> {
    let find = || on_path("python3");
    let python = match find() {
        Some(python) => python,
        None => {
            debian("python3", "no `python3` on the PATH")?;
            find().context("python3 is still not on the PATH")?
        }
    };
    let text = stdout_of(command(&python, &crate::root()).arg("--version"))?;
    let have = version(&text).with_context(|| format!("what version is {text:?}?"))?;
    ensure!(
        have >= PYTHON,
        "python3 is {}.{}; the SDK needs {}.{} or newer",
        have.0,
        have.1,
        PYTHON.0,
        PYTHON.1
    );
    Ok(python)
}

/// The hub's packages, exactly as its lock file has them.
///
/// # Errors
/// When Node is missing or too old, or a package cannot be installed.
pub(crate) fn node_modules() -> Result<()> {
    for program in ["node", "npm"] {
        if on_path(program).is_none() {
            debian("nodejs npm", &format!("no `{program}` on the PATH"))?;
        }
    }
    let hub = crate::root().join("hub");
    let text = stdout_of(command("node", &hub).arg("--version"))?;
    let have = version(&text).with_context(|| format!("what version is {text:?}?"))?;
    ensure!(
        have >= NODE,
        "node is {}.{}; the hub needs {}.{} or newer",
        have.0,
        have.1,
        NODE.0,
        NODE.1
    );
    let inputs = [hub.join("package.json"), hub.join("package-lock.json")];
    let product = hub.join("node_modules/.package-lock.json");
    // Not `npm ci`: it refuses a lock file that lacks the optional packages of other platforms. The versions and hashes
    // are the lock file's either way, and `--no-save` leaves it alone.
    Stamp::of("npm", &inputs, &[&text])?.run("npm install", &product, || {
        run(command("npm", &hub).args([
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]))
    })
}

/// A Chromium to test in.
///
/// # Errors
/// When there is none and it cannot be installed.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(chosen) = std::env::var_os("SEAMESH_CHROMIUM") {
        return Ok(PathBuf::from(chosen));
    }
    let find = || {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        names.into_iter().find_map(on_path)
    };
    match find() {
        Some(path) => Ok(path),
        None => {
            debian(
                "chromium",
                "no Chromium on the PATH (or name one in SEAMESH_CHROMIUM)",
            )?;
            find().context("chromium is still not on the PATH")
        }
    }
}

/// A Chromium that starts twice as fast, where the system has one: the same engine without what draws windows.
///
/// # Errors
/// When there is none of either kind and none can be installed.
pub(crate) fn quick_chromium() -> Result<PathBuf> {
    const SHELL: &str = "chromium-headless-shell";
    if std::env::var_os("SEAMESH_CHROMIUM").is_some() {
        return chromium();
    }
    if on_path(SHELL).is_none() {
        // Other systems have no such package, and an older release of this one has none either.
        let _ = debian(SHELL, "no headless Chromium on the PATH");
    }
    on_path(SHELL).map_or_else(chromium, Ok)
}

/// coturn, for links by way of a relay: the system's, or unpacked into `target/coturn`. It is not installed: the package
/// starts a server of its own.
///
/// # Errors
/// When there is none and its packages cannot be fetched.
pub(crate) fn turnserver() -> Result<PathBuf> {
    if let Some(path) = on_path("turnserver") {
        return Ok(path);
    }
    let place = crate::target_dir().join("coturn");
    let program = place.join("turnserver");
    if program.is_file() {
        return Ok(program);
    }
    if on_path("apt-get").is_none() {
        bail!("no turnserver on the PATH: install coturn with this system's package manager");
    }
    let packages = place.join("packages");
    std::fs::create_dir_all(packages.join("partial"))?;
    step("fetching coturn", || {
        if is_root()? {
            run(command("apt-get", &place).args(["--quiet", "update"]))?;
        }
        run(command("apt-get", &place)
            .args([
                "--quiet",
                "install",
                "--yes",
                "--no-install-recommends",
                "--download-only",
            ])
            // Nothing of the system is changed: no lock, and so no root, is needed.
            .args(["-o", "Debug::NoLocking=true", "-o"])
            .arg(format!("Dir::Cache::archives={}", packages.display()))
            .arg("coturn"))
    })?;
    let root = place.join("root");
    for package in std::fs::read_dir(&packages)? {
        let package = package?.path();
        if package.extension().is_some_and(|ending| ending == "deb") {
            run(command("dpkg", &place)
                .arg("--extract")
                .arg(package)
                .arg(&root))?;
        }
    }
    let starter = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH=$(echo {root}/usr/lib/*-linux-gnu) exec {root}/usr/bin/turnserver \"$@\"\n",
        root = root.display()
    );
    std::fs::write(&program, starter)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

/// Builds the hub's files into `hub/dist` when they are not of the present sources.
///
/// # Errors
/// When the packages or the build fail.
pub(crate) fn build_hub() -> Result<()> {
    node_modules()?;
    let hub = crate::root().join("hub");
    let inputs: Vec<PathBuf> = [
        "src",
        "public",
        "build",
        "index.html",
        "package-lock.json",
        "package.json",
        "tsconfig.json",
        "vite.config.ts",
    ]
    .iter()
    .map(|name| hub.join(name))
    .filter(|path| path.exists())
    .collect();
    Stamp::of("hub", &inputs, &[])?.run("building the hub", &hub.join("dist/index.html"), || {
        run(command("npm", &hub).args(["run", "--silent", "build"]))
    })
}

/// Installs Debian packages as root; otherwise fails with the command to type.
fn debian(packages: &str, missing: &str) -> Result<()> {
    let install =
        format!("apt-get update && apt-get install -y --no-install-recommends {packages}");
    if on_path("apt-get").is_none() {
        bail!(
            "{missing}: install {packages} with this system's package manager, then run the command again"
        );
    }
    if !is_root()? {
        bail!("{missing}. Run `sudo sh -c '{install}'`, then run the command again");
    }
    step(&format!("apt-get install {packages}"), || {
        let mut shell = command("sh", &crate::root());
        run(shell
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-c", &install]))
    })
}

fn is_root() -> Result<bool> {
    Ok(stdout_of(command("id", &crate::root()).arg("-u"))?.trim() == "0")
}

/// The first program of that name on the `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Major and minor number of a text like `Python 3.11.7` or `v20.19.2`.
fn version(text: &str) -> Option<(u32, u32)> {
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[digits..].split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(version("v20.19.2"), Some((20, 19)));
        assert_eq!(version("none"), None);
    }

    #[test]
    fn a_program_is_found_on_the_path() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program").is_none());
    }
}
