use std::collections::BTreeMap;

/// A vocabulary of characters.
///
/// A character that the training text does not have is read as the most frequent one that it has: the vocabulary stays
/// the training text's own, and the mistake is counted ([`unknown_characters`](crate::Tokenizer::unknown_characters)).
#[derive(Clone, Debug)]
pub struct Characters {
    /// In the order of code points.
    known: Vec<char>,
    most_frequent: u32,
}

impl Characters {
    pub(crate) fn new(text: &str) -> Self {
        let mut counts: BTreeMap<char, usize> = BTreeMap::new();
        for c in text.chars() {
            *counts.entry(c).or_default() += 1;
        }
        let most_frequent = (0..)
            .zip(counts.values())
            .max_by_key(|(_, count)| **count)
            .map_or(0, |(id, _)| id);
        Self {
            known: counts.into_keys().collect(),
            most_frequent,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn knows(&self, c: char) -> bool {
        self.known.binary_search(&c).is_ok()
    }

    /// In the order of code points.
    pub(crate) fn all(&self) -> String {
        self.known.iter().collect()
    }

    pub(crate) fn encode(&self, c: char) -> u32 {
        self.known
            .binary_search(&c)
            .map_or(self.most_frequent, |id| id as u32)
    }

    pub(crate) fn decode(&self, token: u32) -> Option<char> {
        self.known.get(token as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_character_is_read_as_the_most_frequent_one() {
        let characters = Characters::new("abbbcc");
        let ids = ['a', 'b', 'c', 'x'].map(|c| characters.encode(c));
        assert_eq!((ids, characters.len()), ([0, 1, 2, 1], 3));
        assert!(!characters.knows('x'));
    }
}
