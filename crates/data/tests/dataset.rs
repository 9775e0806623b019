//! Real texts, opened as training opens them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{fs, path::Path};

use data::{DataConfig, DataError, Dataset, OpenOptions, TokenizerName, tinyshakespeare};

fn open(corpus: &str, tokenizer: TokenizerName, cache: &Path) -> Result<Dataset, DataError> {
    let options = OpenOptions {
        cache_directory: cache.to_owned(),
        ..OpenOptions::from_env()
    };
    Dataset::open(
        &DataConfig {
            corpus: corpus.to_owned(),
            tokenizer,
            ..DataConfig::default()
        },
        &options,
    )
}

#[test]
fn tinyshakespeare_is_split_and_tokenized_as_nanogpt_does_it() {
    let cache = tempfile::tempdir().unwrap();
    if !tinyshakespeare::is_here(&OpenOptions::from_env()) {
        println!("skipped: CUPEL_DATA names no directory with tinyshakespeare.txt");
        return;
    }
    let characters = open("tinyshakespeare", TokenizerName::Char, cache.path()).unwrap();
    assert_eq!(characters.vocabulary(), 65);
    assert_eq!(
        (characters.train().len(), characters.validation().len()),
        (1_003_854, 111_540)
    );
    assert_eq!(characters.unknown_characters(), 0);
    // Order says a lot: the frequencies alone leave over three nats.
    assert!(
        (3.2..3.4).contains(&characters.unigram_entropy()),
        "{}",
        characters.unigram_entropy()
    );

    let pairs = open("tinyshakespeare", TokenizerName::Gpt2, cache.path()).unwrap();
    assert_eq!((pairs.train().len(), pairs.validation().len()), (301_966, 36_059));
    assert_eq!(pairs.vocabulary(), 50_257);
}

#[test]
fn chinese_survives_every_tokenizer() {
    let Some(directory) = OpenOptions::from_env().data_directory else {
        println!("skipped: CUPEL_DATA is unset");
        return;
    };
    let path = directory.join("tang-poems-1mb.txt");
    let text = fs::read_to_string(&path).unwrap();
    let cache = tempfile::tempdir().unwrap();
    for name in [TokenizerName::Byte, TokenizerName::Gpt2, TokenizerName::Char] {
        let dataset = open(path.to_str().unwrap(), name, cache.path()).unwrap();
        let training: Vec<u32> = dataset.train().iter().collect();
        let decoded = dataset.tokenizer().decode(&training).unwrap();
        assert!(text.starts_with(&decoded), "{name:?}");
        // The validation part has characters that the training part has not: counted, mapped, no panic.
        assert_eq!(dataset.unknown_characters() > 0, name == TokenizerName::Char);
        let validation = dataset
            .tokenizer()
            .decode(&dataset.validation().iter().collect::<Vec<_>>())
            .unwrap();
        let differing = text[decoded.len()..]
            .chars()
            .zip(validation.chars())
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(differing, dataset.unknown_characters(), "{name:?}");
    }
}

#[test]
fn the_synthetic_source_states_its_entropy() {
    let cache = tempfile::tempdir().unwrap();
    let dataset = open("synthetic", TokenizerName::Byte, cache.path()).unwrap();
    let (truth, unigram) = (dataset.true_entropy().unwrap(), dataset.unigram_entropy());
    assert!(0.5 < truth && truth < unigram, "{truth} and {unigram}");
    assert_eq!(dataset.validation_bytes_per_token(), 1.0);
    assert_eq!(
        open("synthetic", TokenizerName::Gpt2, cache.path())
            .unwrap()
            .true_entropy(),
        None
    );
}

#[test]
fn texts_that_cannot_be_split_say_so() {
    let cache = tempfile::tempdir().unwrap();
    let path = cache.path().join("short.txt");
    fs::write(&path, "x").unwrap();
    let error = open(path.to_str().unwrap(), TokenizerName::Byte, cache.path()).unwrap_err();
    assert!(matches!(error, DataError::TooShort(_)), "{error}");
}

#[test]
fn tokens_outside_the_vocabulary_are_an_error() {
    let cache = tempfile::tempdir().unwrap();
    for name in [TokenizerName::Byte, TokenizerName::Char, TokenizerName::Gpt2] {
        let dataset = open("synthetic", name, cache.path()).unwrap();
        assert!(dataset.tokenizer().decode(&[60_000]).is_err(), "{name:?}");
    }
}

#[test]
fn a_fraction_that_is_none_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        data_directory: None,
        cache_directory: cache.path().to_owned(),
    };
    for validation_fraction in [f64::NAN, -1.0, 0.0, 1.0, 2.0] {
        let config = DataConfig {
            corpus: "synthetic".to_owned(),
            validation_fraction,
            ..DataConfig::default()
        };
        let error = Dataset::open(&config, &options).unwrap_err().to_string();
        assert!(error.starts_with("data.validation_fraction ="), "{error}");
    }
}

/// Results on `burn-source` are only comparable as long as it is the same text, on every machine and with any features.
#[test]
fn burn_source_is_always_the_same_text() {
    let cache = tempfile::tempdir().unwrap();
    let dataset = open("burn-source", TokenizerName::Byte, cache.path()).unwrap();
    assert_eq!(
        (dataset.corpus().bytes, dataset.corpus().sha256.as_str()),
        (
            2_276_389,
            "3e7a7b1d79ee859ed48070937a18ea8494d158861b76d6947149eaa37ae94a49"
        ),
        "another version of Burn is another corpus: pin it here"
    );
}
