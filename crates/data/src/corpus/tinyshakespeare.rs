//! Tiny Shakespeare, the corpus of char-rnn and nanoGPT: 1,115,394 bytes.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing::info;

use crate::{DataError, OpenOptions, tokens};

const NAME: &str = "tinyshakespeare";
const SHA256: &str = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed";
const BYTES: u64 = 1_115_394;

/// Where it is fetched from.
pub const URL: &str =
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt";

/// The text: from the data directory, from the cache directory, or else fetched from `url` into the cache directory.
/// Wherever it comes from, its SHA-256 is checked.
///
/// # Errors
/// Where it has another checksum, or is nowhere to be had; the error says where to put it.
pub fn open(options: &OpenOptions, url: &str) -> Result<String, DataError> {
    let cached = options.cache_directory.join("tinyshakespeare.txt");
    let given = options
        .data_directory
        .as_ref()
        .map(|directory| directory.join("tinyshakespeare.txt"));
    let found: Option<PathBuf> = given
        .into_iter()
        .chain([cached.clone()])
        .find(|path| path.is_file());
    match found {
        Some(path) => checked(
            fs::read(&path).map_err(DataError::io(&path))?,
            &path.display().to_string(),
        ),
        None => {
            info!("fetching {NAME} (1.1 MB) from {url}");
            let bytes = fetch(url).map_err(|reason| DataError::Fetch {
                name: NAME,
                url: url.to_owned(),
                reason,
                place: cached.display().to_string(),
                expected: SHA256,
            })?;
            let text = checked(bytes, url)?;
            tokens::write_atomically(&cached, text.as_bytes())?;
            Ok(text)
        }
    }
}

fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .new_agent();
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    // One byte more than it has, so that a longer file does not pass for it.
    let reader = response.into_body().into_reader().take(BYTES + 1);
    { reader }
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn checked(bytes: Vec<u8>, from: &str) -> Result<String, DataError> {
    let found = tokens::sha256(&bytes);
    if found != SHA256 {
        return Err(DataError::Checksum {
            name: NAME,
            path: from.to_owned(),
            found,
            expected: SHA256,
        });
    }
    String::from_utf8(bytes).map_err(|error| DataError::NotText {
        path: from.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

/// Whether the text is here already, so that tests that need it know.
pub fn is_here(options: &OpenOptions) -> bool {
    let here = |directory: &Path| directory.join("tinyshakespeare.txt").is_file();
    options.data_directory.as_deref().is_some_and(here) || here(&options.cache_directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(directory: &Path) -> OpenOptions {
        OpenOptions {
            data_directory: None,
            cache_directory: directory.to_owned(),
        }
    }

    #[test]
    fn where_it_cannot_be_fetched_the_error_says_where_to_put_it() {
        let directory = tempfile::tempdir().unwrap();
        // Nothing listens on the port of the discard service.
        let error = open(&options(directory.path()), "http://127.0.0.1:9/")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(SHA256) && error.contains(directory.path().to_str().unwrap()),
            "{error}"
        );
    }

    #[test]
    fn another_text_under_its_name_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("tinyshakespeare.txt"), "To be").unwrap();
        let error = open(&options(directory.path()), URL).unwrap_err();
        assert!(matches!(error, DataError::Checksum { .. }), "{error}");
    }
}
