//! Gathers the corpus `burn-source`: the source of four Burn crates at the locked version, from wherever Cargo keeps it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use cargo_metadata::MetadataCommand;

/// In the dependency graph whatever features are on, so that the corpus is the same in every build; about 2.3 MB.
const CRATES: [&str; 4] = ["burn-core", "burn-nn", "burn-optim", "burn-tensor"];

fn main() {
    // Asked for when it runs: a target directory that checkouts share may hold the script that another one compiled.
    let root = env::var("CARGO_MANIFEST_DIR").expect("Cargo sets CARGO_MANIFEST_DIR for build scripts");
    let root = Path::new(&root).join("../..");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());

    let platform = env::var("TARGET").expect("Cargo sets TARGET for build scripts");
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), platform])
        .exec()
        .expect("`cargo metadata --locked` lists the workspace; if Cargo.lock is out of date, run `cargo check` once");

    let mut text = String::new();
    for name in CRATES {
        let package = metadata
            .packages
            .iter()
            .find(|package| package.name == name)
            .unwrap_or_else(|| panic!("{name} is no dependency any more: mend CRATES in {}", file!()));
        let source = package.manifest_path.with_file_name("src");
        let mut files = Vec::new();
        collect(source.as_std_path(), &mut files);
        files.sort();
        for file in files {
            text += &fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            text.push('\n');
        }
    }
    let out = env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR for build scripts");
    fs::write(Path::new(&out).join("burn-source.txt"), text).expect("OUT_DIR can be written to");
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
