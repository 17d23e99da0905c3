//! Writes what a fuzz target begins with into a directory, a file each: `seamesh-fuzzing TARGET DIRECTORY`.
#![expect(
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

use std::path::Path;
use std::process::ExitCode;

use seamesh_fuzzing::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, directory] = &arguments[..] else {
        eprintln!("usage: seamesh-fuzzing TARGET DIRECTORY");
        return ExitCode::FAILURE;
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("error: no target {name}; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    };
    match write(target.seeds, Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {directory}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(seeds: fn() -> Vec<Vec<u8>>, directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (number, seed) in seeds().into_iter().enumerate() {
        std::fs::write(directory.join(format!("seed-{number:03}")), seed)?;
    }
    Ok(())
}
