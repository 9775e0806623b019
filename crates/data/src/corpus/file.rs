use std::{
    fs,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use crate::DataError;

/// The text of a file, of all files below a directory, or of all files that a glob matches, in the order of their
/// paths.
pub(super) fn open(name: &str) -> Result<String, DataError> {
    let path = Path::new(name);
    let files = if path.is_file() {
        vec![path.to_owned()]
    } else if path.is_dir() {
        below(path)?
    } else {
        matching(name)?
    };
    if files.is_empty() {
        return Err(DataError::NoSuchCorpus(name.to_owned()));
    }
    let mut text = String::new();
    for file in files {
        text += &read(&file)?;
    }
    Ok(text)
}

fn below(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.map_err(|error| DataError::io(directory)(error.into()))?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let malformed = |error: glob::PatternError| DataError::Glob {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    };
    let mut files = Vec::new();
    for path in glob::glob(pattern).map_err(malformed)? {
        let path = path.map_err(|error| {
            let path = error.path().to_owned();
            DataError::io(&path)(error.into())
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(DataError::io(path))?;
    String::from_utf8(bytes).map_err(|error| DataError::NotText {
        path: path.display().to_string(),
        offset: error.utf8_error().valid_up_to(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_directories_and_globs_are_read_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("b")).unwrap();
        for (name, text) in [("a.txt", "first "), ("b/c.txt", "second "), ("d.md", "third")] {
            fs::write(at(name), text).unwrap();
        }
        let open = |path: PathBuf| open(path.to_str().unwrap()).unwrap();
        assert_eq!(open(at("d.md")), "third");
        assert_eq!(open(directory.path().to_owned()), "first second third");
        assert_eq!(open(at("**/*.txt")), "first second ");
    }

    #[test]
    fn what_is_not_text_is_named_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.bin");
        fs::write(&path, b"text\xff\xfe").unwrap();
        let error = open(path.to_str().unwrap()).unwrap_err();
        assert!(matches!(&error, DataError::NotText { offset: 4, .. }), "{error}");
        assert!(matches!(open("no/such/file"), Err(DataError::NoSuchCorpus(_))));
    }
}
