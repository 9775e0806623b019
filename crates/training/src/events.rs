//! `events.jsonl`: what went wrong in a trial, one JSON object a line.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{records::write_atomically, spikes::Score};

/// A line of `events.jsonl`, such as
/// `{"step":812,"kind":"loss-spike","value":3.2,"median":2.1,"z":9.4}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The step, whose update had not been made yet.
    pub step: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventKind {
    /// The loss lies far above those of the steps before.
    LossSpike(Score),
    /// The gradient's norm lies far above those of the steps before.
    GradNormSpike(Score),
    /// The update was not made, for the spikes of the same step.
    SkippedUpdate,
    /// Loss or gradient are not finite: the trial's end.
    Divergence {
        /// The value that is not finite: the loss, or the gradient's norm where the loss is finite. `NaN` or `inf`.
        value: String,
        /// Where it began, as `diverged_in` of the result.
        layer: Option<String>,
    },
}

/// The file, an event at a time; every event is in the file when [`push`](Self::push) returns.
pub(crate) struct Events {
    file: File,
}

impl Events {
    /// Opens the events of a run that stands before `step`: those of that step and later ones, which a killed run may
    /// have left, are dropped.
    pub(crate) fn open(path: &Path, step: u64) -> io::Result<Self> {
        let mut kept = Vec::new();
        for event in read(path)?.iter().filter(|event| event.step < step) {
            write(&mut kept, event)?;
        }
        write_atomically(path, &kept)?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { file })
    }

    /// Has the disk hold every event.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(crate) fn push(&mut self, event: &Event) -> io::Result<()> {
        let mut line = Vec::new();
        write(&mut line, event)?;
        self.file.write_all(&line)
    }
}

fn write(to: &mut Vec<u8>, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *to, event)?;
    to.push(b'\n');
    Ok(())
}

/// The events of a trial, up to the first line that a kill has cut short; none where there is no file.
///
/// # Errors
/// Where the file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Event>> {
    match File::open(path) {
        Ok(file) => {
            let lines = BufReader::new(file).lines();
            Ok(lines
                .map_while(|line| serde_json::from_str(&line.ok()?).ok())
                .collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_after_the_checkpoint_are_dropped_and_a_cut_line_with_them() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("events.jsonl");
        let event = |step| Event {
            step,
            kind: EventKind::LossSpike(Score {
                value: 1.0 / 3.0,
                median: 0.1,
                z: 8.5,
            }),
        };
        let mut events = Events::open(&path, 0)?;
        for step in [3, 5, 9] {
            events.push(&event(step))?;
        }
        let divergence = EventKind::Divergence {
            value: "NaN".to_owned(),
            layer: Some("blocks.1.mlp".to_owned()),
        };
        events.push(&Event {
            step: 11,
            kind: divergence,
        })?;
        let text = std::fs::read_to_string(&path)?;
        assert!(
            text.starts_with("{\"step\":3,\"kind\":\"loss-spike\",\"value\":0.333"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "{\"step\":11,\"kind\":\"divergence\",\"value\":\"NaN\",\"layer\":\"blocks.1.mlp\"}\n"
            ),
            "{text}"
        );
        std::fs::write(&path, &text[..text.len() - 5])?;
        assert_eq!(read(&path)?.len(), 3);

        let mut events = Events::open(&path, 6)?;
        events.push(&event(7))?;
        assert_eq!(read(&path)?, [event(3), event(5), event(7)]);
        Ok(())
    }
}
