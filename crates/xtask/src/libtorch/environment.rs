//! The variables that building and running with LibTorch take.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use super::Installation;
use crate::process::quote;

const LIBRARY_PATH: &str = if cfg!(target_os = "macos") {
    "DYLD_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// Names the Python that tests compare with.
const PYTHON: &str = "CUPEL_PYTHON";

/// What becomes of one variable.
#[derive(Debug, PartialEq)]
enum Change {
    Set(PathBuf),
    Unset,
    /// Put before what the variable holds, as in PATH.
    Prepend(PathBuf),
}

/// The changes to the environment that LibTorch asks for.
#[derive(Debug)]
pub struct Environment(Vec<(&'static str, Change)>);

impl Environment {
    /// For this installation, with Cargo's output under `target`.
    pub(super) fn new(installation: &Installation, target: &Path) -> Self {
        use Change::{Prepend, Set, Unset};
        let mut changes = match installation {
            Installation::Archive { root, .. } => {
                // torch-sys would let LIBTORCH_USE_PYTORCH win.
                vec![("LIBTORCH", Set(root.clone())), ("LIBTORCH_USE_PYTORCH", Unset)]
            }
            Installation::PyTorch { python, venv, .. } => {
                let mut changes = vec![
                    ("LIBTORCH_USE_PYTORCH", Set("1".into())),
                    (PYTHON, Set(python.clone())),
                ];
                if let Some(venv) = venv {
                    changes.extend([
                        ("VIRTUAL_ENV", Set(venv.clone())),
                        ("PATH", Prepend(venv.join("bin"))),
                    ]);
                }
                changes
            }
        };
        changes.push((LIBRARY_PATH, Prepend(installation.lib())));
        changes.push(("CARGO_TARGET_DIR", Set(target_directory(installation, target))));
        Self(changes)
    }

    /// The same, where torch-sys is to take a version that it does not know.
    pub(super) fn for_any_version(mut self) -> Self {
        self.0
            .push(("LIBTORCH_BYPASS_VERSION_CHECK", Change::Set("1".into())));
        self
    }

    /// The Python with PyTorch, where one comes with LibTorch.
    pub fn python(&self) -> Option<&Path> {
        self.0.iter().find_map(|(name, change)| match change {
            Change::Set(path) if *name == PYTHON => Some(path.as_path()),
            _ => None,
        })
    }

    /// Lines for a POSIX shell. What is prepended to is the shell's own: Cargo has changed ours.
    pub fn exports(&self) -> String {
        let line = |(name, change): &(&str, Change)| match change {
            Change::Set(value) => format!("export {name}={}\n", quoted(value)),
            Change::Unset => format!("unset {name}\n"),
            Change::Prepend(path) => format!("export {name}={}\"${{{name}:+:${name}}}\"\n", quoted(path)),
        };
        self.0.iter().map(line).collect()
    }

    /// Makes the changes for a command that is to run.
    pub fn apply(&self, command: &mut Command) {
        for (name, change) in &self.0 {
            match change {
                Change::Set(value) => command.env(name, value),
                Change::Unset => command.env_remove(name),
                Change::Prepend(path) => command.env(name, prepended(path, env::var_os(name))),
            };
        }
    }
}

fn quoted(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

fn prepended(path: &Path, before: Option<OsString>) -> OsString {
    let mut value = path.as_os_str().to_owned();
    if let Some(before) = before.filter(|before| !before.is_empty()) {
        value.push(":");
        value.push(before);
    }
    value
}

/// A target directory for this LibTorch alone: Cargo does not notice when another one takes its place.
///
/// Where `target` is such a directory already, because the environment is active, its parent counts.
fn target_directory(installation: &Installation, target: &Path) -> PathBuf {
    const PREFIX: &str = "libtorch-";
    let nested = target
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    let base = if nested {
        target.parent().unwrap_or(target)
    } else {
        target
    };
    let identity = format!("{}\n{}", installation.lib().display(), installation.version());
    base.join(format!("{PREFIX}{:08x}", fnv1a(identity.as_bytes())))
}

/// The 32-bit FNV-1a hash: the standard library's hashes may change with the compiler, and the directory with them.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::python::Python, *};

    fn pytorch() -> Installation {
        Python::example().into_installation().unwrap()
    }

    fn archive() -> Installation {
        Installation::Archive {
            root: "/opt/it's libtorch".into(),
            version: "2.9.0".into(),
        }
    }

    #[test]
    fn a_virtual_environment_is_activated() {
        let exports = Environment::new(&pytorch(), Path::new("/project/target")).exports();
        let expected = "\
export LIBTORCH_USE_PYTORCH=1
export CUPEL_PYTHON=/venv/bin/python
export VIRTUAL_ENV=/venv
export PATH=/venv/bin\"${PATH:+:$PATH}\"
export LD_LIBRARY_PATH=/venv/lib/python3.12/site-packages/torch/lib\"${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\"
export CARGO_TARGET_DIR=/project/target/libtorch-";
        assert!(
            exports
                .replace(LIBRARY_PATH, "LD_LIBRARY_PATH")
                .starts_with(expected),
            "{exports}"
        );
    }

    #[test]
    fn a_python_of_the_system_leaves_path_alone() {
        let python = Python {
            venv: None,
            ..Python::example()
        };
        let Environment(changes) =
            Environment::new(&python.into_installation().unwrap(), Path::new("target"));
        assert!(
            changes
                .iter()
                .all(|(name, _)| *name != "PATH" && *name != "VIRTUAL_ENV"),
            "{changes:?}"
        );
    }

    #[test]
    fn python_comes_with_pytorch_and_not_with_an_archive() {
        let of = |installation| Environment::new(&installation, Path::new("target"));
        assert_eq!(of(pytorch()).python(), Some(Path::new("/venv/bin/python")));
        assert_eq!(of(archive()).python(), None);
    }

    #[test]
    fn an_archive_unsets_what_would_win_over_it() {
        let Environment(changes) = Environment::new(&archive(), Path::new("target"));
        assert!(changes.contains(&("LIBTORCH_USE_PYTORCH", Change::Unset)));
        assert!(changes.contains(&("LIBTORCH", Change::Set("/opt/it's libtorch".into()))));
    }

    #[test]
    fn a_shell_and_a_command_get_the_same_environment() {
        let environment = Environment::new(&archive(), Path::new("/project/target"));
        let print = "printf '%s|%s|%s' \"$LIBTORCH\" \"$LD_LIBRARY_PATH\" \"$CARGO_TARGET_DIR\"";
        let output = |mut command: Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
        let mut evaluated = Command::new("sh");
        evaluated
            .arg("-c")
            .arg(format!("{}{print}", environment.exports()));
        let mut applied = Command::new("sh");
        applied.args(["-c", print]);
        environment.apply(&mut applied);
        assert_eq!(output(evaluated), output(applied));
    }

    #[test]
    fn nothing_is_prepended_to_an_empty_variable() {
        let path = Path::new("/lib");
        assert_eq!(prepended(path, None), "/lib");
        assert_eq!(prepended(path, Some("".into())), "/lib");
        assert_eq!(prepended(path, Some("/usr/lib".into())), "/lib:/usr/lib");
    }

    #[test]
    fn each_libtorch_has_one_target_directory_wherever_it_is_asked_from() {
        let (pytorch, archive) = (pytorch(), archive());
        let directory = target_directory(&pytorch, Path::new("target"));
        let other = target_directory(&archive, Path::new("target"));
        assert_ne!(directory, other);
        assert_eq!(directory, target_directory(&pytorch, &directory));
        assert_eq!(directory, target_directory(&pytorch, &other));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
