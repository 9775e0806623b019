use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use memmap2::Mmap;
use sha2::{Digest, Sha256};
use tracing::info;

use crate::DataError;

const MAGIC: &[u8; 8] = b"cupeltok";
/// The magic, the number of tokens and the SHA-256 of what follows.
const HEADER: usize = 8 + 8 + 32;
const BYTES_PER_TOKEN: usize = 4;

/// A stream of token ids in a memory-mapped file: little-endian u32 behind a header.
#[derive(Debug)]
pub struct Tokens {
    split: &'static str,
    map: Mmap,
}

impl Tokens {
    /// Opens the stream at `path`; where it is not there or not intact, `tokenize` makes it anew.
    pub(crate) fn open(
        path: &Path,
        split: &'static str,
        tokenize: impl FnOnce() -> Result<Vec<u32>, DataError>,
    ) -> Result<Self, DataError> {
        if let Some(tokens) = Self::intact(path, split)? {
            return Ok(tokens);
        }
        info!("tokenizing the {split} split");
        let payload: Vec<u8> = tokenize()?.into_iter().flat_map(u32::to_le_bytes).collect();
        let mut file = Vec::with_capacity(HEADER + payload.len());
        file.extend(MAGIC);
        file.extend(((payload.len() / BYTES_PER_TOKEN) as u64).to_le_bytes());
        file.extend(Sha256::digest(&payload));
        file.extend(payload);
        write_atomically(path, &file)?;
        Self::intact(path, split)?.ok_or_else(|| {
            DataError::io(path)(std::io::Error::other(
                "changed while it was written; is another program at it?",
            ))
        })
    }

    /// The stream at `path` if there is one and it is what its header says.
    fn intact(path: &Path, split: &'static str) -> Result<Option<Self>, DataError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataError::io(path)(error)),
        };
        if file.metadata().map_err(DataError::io(path))?.len() < HEADER as u64 {
            return Ok(None);
        }
        // SAFETY: a cached stream is written under a temporary name and renamed when it is whole; nobody writes to it
        // after that, and replacing or removing it leaves this mapping as it was.
        #[expect(
            unsafe_code,
            reason = "a file can only be mapped on the promise that nobody changes it"
        )]
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::io(path))?;
        let (header, payload) = map.split_at(HEADER);
        let count = (payload.len() / BYTES_PER_TOKEN) as u64;
        let intact = payload.len() % BYTES_PER_TOKEN == 0
            && header[..8] == *MAGIC
            && header[8..16] == count.to_le_bytes()
            && header[16..] == *Sha256::digest(payload);
        Ok(intact.then_some(Self { split, map }))
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        (self.map.len() - HEADER) / BYTES_PER_TOKEN
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        decode(&self.map[HEADER..])
    }

    /// `count` tokens from `start` on, fewer where the stream ends.
    pub fn window(&self, start: usize, count: usize) -> impl Iterator<Item = u32> + '_ {
        let payload = &self.map[HEADER..];
        let byte = |token: usize| token.saturating_mul(BYTES_PER_TOKEN).min(payload.len());
        decode(&payload[byte(start)..byte(start.saturating_add(count))])
    }

    /// `training` or `validation`.
    pub(crate) fn split(&self) -> &'static str {
        self.split
    }
}

fn decode(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let (tokens, _) = bytes.as_chunks::<BYTES_PER_TOKEN>();
    tokens.iter().map(|token| u32::from_le_bytes(*token))
}

/// The SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Writes a file at once: to a temporary name in the same directory, synced, then renamed.
pub(crate) fn write_atomically(path: &Path, contents: &[u8]) -> Result<(), DataError> {
    let io = DataError::io(path);
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(&io)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(&io)?;
    file.write_all(contents).map_err(&io)?;
    file.as_file().sync_all().map_err(&io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_damaged_stream_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        let tokens: Vec<u32> = (0..1000).map(|i| i * i).collect();
        let open = || {
            Tokens::open(&path, "training", || Ok(tokens.clone()))
                .unwrap()
                .iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(open(), tokens);
        let whole = fs::read(&path).unwrap();
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        };
        let damages = [
            Vec::new(),
            whole[..HEADER].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            flipped(0),
            flipped(9),
            flipped(20),
            flipped(whole.len() - 1),
            b"garbage".repeat(100),
        ];
        for damaged in damages {
            fs::write(&path, damaged).unwrap();
            assert_eq!(open(), tokens);
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn an_intact_stream_is_not_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        Tokens::open(&path, "training", || Ok(vec![1, 2, 3])).unwrap();
        let again = Tokens::open(&path, "training", || panic!("it is there")).unwrap();
        assert_eq!(again.iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn a_window_is_a_slice(tokens in prop::collection::vec(any::<u32>(), 0..50), start in 0..60usize, count in 0..60usize) {
            let directory = tempfile::tempdir().unwrap();
            let stream = Tokens::open(&directory.path().join("t"), "training", || Ok(tokens.clone())).unwrap();
            let expected: Vec<u32> = tokens.iter().skip(start).take(count).copied().collect();
            prop_assert_eq!(stream.window(start, count).collect::<Vec<_>>(), expected);
        }
    }
}
