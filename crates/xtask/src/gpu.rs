//! `cargo xtask gpu`: one archive with everything that is run on a machine with a GPU.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    bench::build::{self, Executables},
    error::Error,
    libtorch, process,
};

/// The tests that run on a GPU where there is one.
const TESTS: [&str; 2] = ["libtorch", "libtorch_dropout"];

/// Relative to the workspace.
const FILES: [&str; 4] = [
    "benches/gpu.py",
    "benches/peer.py",
    "sweeps/shakespeare-char-gpu.toml",
    "sweeps/quickstart.toml",
];

/// Builds against the active Python's PyTorch, strips, and packs.
pub fn bundle() -> Result<(), Error> {
    let environment = libtorch::active_environment()?;
    let executables = Executables::build(Some(&environment))?;
    let mut command = Command::new("cargo");
    command.args(["test", "--no-run", "--package", "kernels"]);
    for test in TESTS {
        command.args(["--test", test]);
    }
    let tests = build::build(command, Some(&environment))?;

    let target = libtorch::workspace()?.target_directory.into_std_path_buf();
    let directory = target.join("cupel-gpu");
    fs::create_dir_all(&directory).map_err(Error::file("create", &directory))?;
    let mut programs: Vec<(String, PathBuf)> = vec![
        ("cupel".to_owned(), executables.cupel),
        ("peer".to_owned(), executables.worker),
    ];
    programs.extend(
        tests
            .into_iter()
            .map(|(name, path)| (format!("kernels-{name}"), path)),
    );
    for (name, path) in &programs {
        let stripped = directory.join(name);
        process::run(Command::new("strip").arg("-o").arg(&stripped).arg(path))?;
    }
    let root = build::root()?;
    for file in FILES {
        copy(&root.join(file), &directory)?;
    }
    if let Some(text) = libtorch::variable("CUPEL_DATA").map(|data| data.join("tinyshakespeare.txt")) {
        copy(&text, &directory)?;
    } else {
        eprintln!(
            "CUPEL_DATA is not set: the machine with the GPU will have to fetch Tiny Shakespeare itself"
        );
    }

    let archive = target.join("cupel-gpu.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(&target)
        .arg("cupel-gpu");
    process::run(&mut tar)?;
    println!("there: tar -xzf cupel-gpu.tar.gz && cd cupel-gpu && python3 gpu.py");
    println!("{}", archive.display());
    Ok(())
}

fn copy(file: &Path, directory: &Path) -> Result<(), Error> {
    let name = file.file_name().unwrap_or(file.as_os_str());
    fs::copy(file, directory.join(name)).map_err(Error::file("copy", file))?;
    Ok(())
}
