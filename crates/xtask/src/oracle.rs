//! `cargo xtask oracle`: the fixtures that hold what PyTorch and SciPy compute.
//!
//! The tests read them, and so compare with both where there is no Python.

mod scipy;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Number, Value};

use crate::{error::Error, libtorch, process};

/// How far two machines' numbers may lie apart, relative to the largest magnitude in their array.
///
/// One rounding errs by 2^-53, about 1e-16. The longest computation, 20 steps of Muon with some 40 roundings in a row
/// each, then errs by 1e-13 if all of them go the same way, and a libm that is off by a few units in the last place adds
/// a little: a factor of ten is left. Between AVX2 and no vectors at all, 1e-15 was measured. The largest magnitude
/// counts because sums cancel: each term's error stays where the terms themselves go.
const TOLERANCE: f64 = 1e-12;

/// The differences that are shown of one file.
const SHOWN: usize = 10;

/// A script that writes the fixtures of a crate into the directory that is its only argument.
struct Generator<P> {
    script: P,
    /// All files in here are the script's.
    fixtures: P,
    /// Whether it takes SciPy.
    scipy: bool,
}

/// Relative to the workspace.
const GENERATORS: [Generator<&str>; 4] = [
    Generator {
        script: "crates/xtask/oracle/optimizers.py",
        fixtures: "crates/optimizers/tests/fixtures/pytorch",
        scipy: false,
    },
    Generator {
        script: "crates/xtask/oracle/schedules.py",
        fixtures: "crates/schedulers/tests/fixtures/pytorch",
        scipy: false,
    },
    Generator {
        script: "crates/xtask/oracle/losses.py",
        fixtures: "crates/losses/tests/fixtures/pytorch",
        scipy: false,
    },
    Generator {
        script: "crates/xtask/oracle/comparison.py",
        fixtures: "crates/sweep/tests/fixtures/scipy",
        scipy: true,
    },
];

/// Writes all fixtures anew.
pub fn regenerate(python: &Path) -> Result<(), Error> {
    generators()?
        .iter()
        .try_for_each(|generator| generator.regenerate(python))
}

/// Fails where a fixture is not what its script computes, and says where.
pub fn check(python: &Path) -> Result<(), Error> {
    let mut files = 0;
    for generator in generators()? {
        let differences = generator.check(python)?;
        for (file, differences) in &differences {
            let path = generator.fixtures.join(file);
            for difference in differences.iter().take(SHOWN) {
                eprintln!("{}{difference}", path.display());
            }
            if differences.len() > SHOWN {
                eprintln!("{}: {} more", path.display(), differences.len() - SHOWN);
            }
        }
        files += differences.len();
    }
    if files == 0 {
        Ok(())
    } else {
        Err(Error::Fixtures { files })
    }
}

fn generators() -> Result<Vec<Generator<PathBuf>>, Error> {
    let root = libtorch::workspace()?.workspace_root.into_std_path_buf();
    let absolute = |generator: Generator<&str>| Generator {
        script: root.join(generator.script),
        fixtures: root.join(generator.fixtures),
        scipy: generator.scipy,
    };
    Ok(GENERATORS.map(absolute).into())
}

impl Generator<PathBuf> {
    /// Complete files take the place of the old ones; files that are written no longer go.
    fn regenerate(&self, python: &Path) -> Result<(), Error> {
        let fixtures = &self.fixtures;
        fs::create_dir_all(fixtures).map_err(Error::file("create", fixtures))?;
        // Next to the fixtures, from where files can be renamed into place.
        let parent = fixtures.parent().unwrap_or(fixtures);
        let fresh = tempfile::Builder::new()
            .prefix("fixtures-")
            .suffix(".tmp")
            .tempdir_in(parent)
            .map_err(Error::file("write to", parent))?;
        let written = self.run(python, fresh.path())?;
        for name in &written {
            let path = fixtures.join(name);
            fs::rename(fresh.path().join(name), &path).map_err(Error::file("write", &path))?;
        }
        for name in file_names(fixtures)?.difference(&written) {
            let path = fixtures.join(name);
            fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        }
        Ok(())
    }

    /// What differs, by file.
    fn check(&self, python: &Path) -> Result<BTreeMap<String, Vec<Difference>>, Error> {
        let fresh = tempfile::tempdir().map_err(Error::file("write to", env::temp_dir()))?;
        self.run(python, fresh.path())?;
        compare(&self.fixtures, fresh.path())
    }

    /// Has the script write into an empty directory, and says which files it wrote.
    fn run(&self, python: &Path, directory: &Path) -> Result<BTreeSet<String>, Error> {
        let mut command = Command::new(python);
        if let Some(scipy) = self
            .scipy
            .then(|| scipy::directory(python))
            .transpose()?
            .flatten()
        {
            command.env("PYTHONPATH", scipy::python_path(&scipy));
        }
        process::run(command.arg(&self.script).arg(directory))?;
        let written = file_names(directory)?;
        if written.is_empty() {
            return Err(Error::NoFixtures {
                script: self.script.clone(),
            });
        }
        Ok(written)
    }
}

/// The names of the files in a directory; none where there is no such directory.
fn file_names(directory: &Path) -> Result<BTreeSet<String>, Error> {
    let read = || -> io::Result<BTreeSet<String>> {
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    match read() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        names => names.map_err(Error::file("read", directory)),
    }
}

/// What differs between a committed fixture and a fresh one.
#[derive(Debug, PartialEq)]
enum Difference {
    /// The file is not committed.
    Missing,
    /// No script writes the file.
    Extra,
    Value {
        /// As RFC 6901 writes it.
        pointer: String,
        committed: String,
        fresh: String,
    },
}

/// To stand after the file's name.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, ": is missing"),
            Self::Extra => write!(f, ": no script writes it"),
            Self::Value {
                pointer,
                committed,
                fresh,
            } => write!(
                f,
                "#{pointer}: {committed} is committed, its script gives {fresh}"
            ),
        }
    }
}

fn compare(committed: &Path, fresh: &Path) -> Result<BTreeMap<String, Vec<Difference>>, Error> {
    let (before, after) = (file_names(committed)?, file_names(fresh)?);
    let mut all = BTreeMap::new();
    for name in before.union(&after) {
        let differences = match (before.contains(name), after.contains(name)) {
            (false, _) => vec![Difference::Missing],
            (_, false) => vec![Difference::Extra],
            _ => differences(&read(&committed.join(name))?, &read(&fresh.join(name))?),
        };
        if !differences.is_empty() {
            all.insert(name.clone(), differences);
        }
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Value, Error> {
    let text = fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&text).map_err(|cause| Error::NotJson {
        path: path.to_owned(),
        cause,
    })
}

fn differences(committed: &Value, fresh: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    collect(committed, fresh, "", magnitude(committed), &mut found);
    found
}

/// `scale` is the largest magnitude in the array that the values stand in, or their own where they stand in none.
fn collect(committed: &Value, fresh: &Value, pointer: &str, scale: f64, found: &mut Vec<Difference>) {
    let mut differ = |pointer: &str, committed: String, fresh: String| {
        found.push(Difference::Value {
            pointer: pointer.to_owned(),
            committed,
            fresh,
        });
    };
    match (committed, fresh) {
        (Value::Number(a), Value::Number(b)) if agree(a, b, scale) => {}
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let scale = a.iter().map(magnitude).fold(0.0, f64::max);
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                collect(a, b, &format!("{pointer}/{index}"), scale, found);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let elements = |array: &[Value]| format!("an array of {}", array.len());
            differ(pointer, elements(a), elements(b));
        }
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => collect(a, b, &pointer, magnitude(a), found),
                    (a, b) => found.push(Difference::Value {
                        pointer,
                        committed: presence(a),
                        fresh: presence(b),
                    }),
                }
            }
        }
        (a, b) if a == b => {}
        (a, b) => differ(pointer, a.to_string(), b.to_string()),
    }
}

fn presence(value: Option<&Value>) -> String {
    value.map_or("nothing", |_| "a value").to_owned()
}

fn magnitude(value: &Value) -> f64 {
    value.as_f64().map_or(0.0, f64::abs)
}

/// Integers (a shape, a step) are what they are; other numbers were computed.
fn agree(a: &Number, b: &Number, scale: f64) -> bool {
    if !(a.is_f64() || b.is_f64()) {
        return a == b;
    }
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * scale,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn fixture() -> Value {
        json!({
            "torch": "2.9.0",
            "cases": [{"shape": [2, 1], "norm": 2.5, "expected": {"a/b": [1000.0, 1e-9]}}],
        })
    }

    /// How the fixture differs from itself with one value set.
    fn after_setting(pointer: &str, value: Value) -> Vec<String> {
        let mut fresh = fixture();
        *fresh.pointer_mut(pointer).unwrap() = value;
        let found = differences(&fixture(), &fresh);
        found.iter().map(Difference::to_string).collect()
    }

    fn directory(files: &[(&str, Value)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, value) in files {
            fs::write(directory.path().join(name), value.to_string()).unwrap();
        }
        directory
    }

    #[test]
    fn a_fixture_agrees_with_itself() {
        assert_eq!(differences(&fixture(), &fixture()), []);
    }

    #[test]
    fn a_changed_number_is_shown_with_its_pointer() {
        assert_eq!(
            after_setting("/cases/0/norm", json!(2.5001)),
            ["#/cases/0/norm: 2.5 is committed, its script gives 2.5001"]
        );
        assert_eq!(
            after_setting("/cases/0/expected/a~1b/1", json!(3e-9)),
            ["#/cases/0/expected/a~1b/1: 1e-9 is committed, its script gives 3e-9"]
        );
    }

    #[test]
    fn the_last_bits_may_differ_relative_to_the_array() {
        let none: [&str; 0] = [];
        assert_eq!(after_setting("/cases/0/norm", json!(2.5 + 2e-12)), none);
        assert_eq!(after_setting("/cases/0/norm", json!(2.5 + 3e-12)).len(), 1);
        assert_eq!(
            after_setting("/cases/0/expected/a~1b/1", json!(1.5e-9)),
            none,
            "rounding beside 1000"
        );
    }

    #[test]
    fn integers_are_exact() {
        let mut committed = fixture();
        committed["shape"] = json!([1_000_000_000_000_000_i64]);
        let mut fresh = committed.clone();
        fresh["shape"] = json!([1_000_000_000_000_001_i64]);
        assert_eq!(differences(&committed, &fresh).len(), 1);
    }

    #[test]
    fn another_version_is_a_difference() {
        assert_eq!(
            after_setting("/torch", json!("2.9.1")),
            [r##"#/torch: "2.9.0" is committed, its script gives "2.9.1""##]
        );
    }

    #[test]
    fn another_structure_is_a_difference() {
        assert_eq!(
            after_setting("/cases/0/shape", json!([2])),
            ["#/cases/0/shape: an array of 2 is committed, its script gives an array of 1"]
        );
        assert_eq!(
            after_setting("/cases/0/expected", json!({"c": 1})),
            [
                "#/cases/0/expected/a~1b: a value is committed, its script gives nothing",
                "#/cases/0/expected/c: nothing is committed, its script gives a value",
            ]
        );
        assert_eq!(
            after_setting("/cases", json!(null)).len(),
            1,
            "an array is not a null"
        );
    }

    #[test]
    fn missing_and_extra_files_are_differences() {
        let committed = directory(&[("same.json", fixture()), ("extra.json", fixture())]);
        let fresh = directory(&[("same.json", fixture()), ("missing.json", fixture())]);
        let expected = BTreeMap::from([
            ("extra.json".to_owned(), vec![Difference::Extra]),
            ("missing.json".to_owned(), vec![Difference::Missing]),
        ]);
        assert_eq!(compare(committed.path(), fresh.path()).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_not_json_is_named() {
        let committed = directory(&[("a.json", fixture())]);
        let fresh = directory(&[]);
        fs::write(fresh.path().join("a.json"), "NaN").unwrap();
        let error = compare(committed.path(), fresh.path()).unwrap_err().to_string();
        assert!(error.contains("a.json"), "{error}");
    }

    /// A generator in a directory of its own; its script is for `sh`, which stands in for Python.
    fn generator(root: &Path, script: &str) -> Generator<PathBuf> {
        let generator = Generator {
            script: root.join("script"),
            fixtures: root.join("tests/fixtures/pytorch"),
            scipy: false,
        };
        fs::write(&generator.script, script).unwrap();
        generator
    }

    #[test]
    fn what_was_regenerated_passes_the_check() {
        let root = tempfile::tempdir().unwrap();
        let sh = Path::new("sh");
        let old = generator(root.path(), "echo 1.5 >$1/a.json; echo 1 >$1/old.json");
        old.regenerate(sh).unwrap();
        let new = generator(root.path(), "echo 2.5 >$1/a.json; echo 1 >$1/new.json");
        assert_eq!(new.check(sh).unwrap().len(), 3);
        new.regenerate(sh).unwrap();
        assert!(new.check(sh).unwrap().is_empty());
        let beside = file_names(new.fixtures.parent().unwrap()).unwrap();
        assert_eq!(beside, BTreeSet::from(["pytorch".to_owned()]));
    }

    #[test]
    fn a_script_that_fails_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let sh = Path::new("sh");
        let works = generator(root.path(), "echo 1.5 >$1/a.json");
        works.regenerate(sh).unwrap();
        let fails = generator(root.path(), "echo 2.5 >$1/a.json; exit 3");
        assert!(fails.regenerate(sh).is_err());
        assert_eq!(
            fs::read_to_string(works.fixtures.join("a.json")).unwrap(),
            "1.5\n"
        );
    }

    #[test]
    fn a_script_that_writes_nothing_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let silent = generator(root.path(), "");
        assert!(silent.check(Path::new("sh")).is_err());
    }

    #[test]
    fn a_missing_script_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let generator = generator(root.path(), "");
        fs::remove_file(&generator.script).unwrap();
        assert!(generator.check(Path::new("sh")).is_err());
    }
}
