use std::{fmt, str::FromStr};

/// The name of a checkpoint: `step-00001000`, or `step-00001000.1` where that was taken already.
///
/// Names are ordered by when they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub step: u64,
    revision: u64,
}

impl Name {
    pub fn first(step: u64) -> Self {
        Self { step, revision: 0 }
    }

    pub fn next(self) -> Self {
        Self {
            revision: self.revision + 1,
            ..self
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step-{:08}", self.step)?;
        match self.revision {
            0 => Ok(()),
            revision => write!(f, ".{revision}"),
        }
    }
}

/// Not a name that [`Name`] writes.
#[derive(Debug, PartialEq)]
pub(super) struct NotAName;

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let numbers = text.strip_prefix("step-").ok_or(NotAName)?;
        let (step, revision) = numbers.split_once('.').unwrap_or((numbers, "0"));
        let number = |digits: &str| digits.parse().map_err(|_| NotAName);
        let name = Self {
            step: number(step)?,
            revision: number(revision)?,
        };
        if name.to_string() == text {
            Ok(name)
        } else {
            Err(NotAName)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(step: u64, revision in 0..3u64) {
            let name = Name { step, revision };
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn what_is_read_is_a_name_to_the_letter(text in "(step-)?[0-9+. ]{0,10}") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    #[test]
    fn a_path_is_no_name() {
        for text in [
            "",
            "..",
            "step-00000001/../step-00000002",
            "step-1",
            "step-00000001.0",
        ] {
            assert_eq!(text.parse::<Name>(), Err(NotAName), "{text}");
        }
    }
}
