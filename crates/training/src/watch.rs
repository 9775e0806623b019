//! A step of a run, watched: spikes, divergence and the layers.

use std::path::PathBuf;

use data::Dataset;
use tracing::info;

use crate::{
    Recipe, TrialFiles,
    checkpoint::Progress,
    curve::Rows,
    diagnostics::{Diagnosis, LayerRow},
    events::{Event, EventKind, Events},
    run::{RunError, at},
    spikes::{Found, Score},
    trainer::{Gradient, Step, Trainer},
};

/// What is written beside the curve: `events.jsonl` and, where it is asked for, `layers.csv`.
pub(crate) struct Watch {
    events: (PathBuf, Events),
    layers: Option<(PathBuf, Rows<LayerRow>)>,
    /// Where the run diverged.
    pub(crate) diverged_in: Option<String>,
}

impl Watch {
    /// Opens the files of a run that stands before `step`.
    pub(crate) fn open(recipe: &Recipe, files: &TrialFiles, step: u64) -> Result<Self, RunError> {
        let events = files.events();
        let layers = (recipe.training.diagnose_every > 0)
            .then(|| {
                let path = files.layers();
                let rows = Rows::open(&path, step).map_err(at(&path))?;
                Ok::<_, RunError>((path, rows))
            })
            .transpose()?;
        Ok(Self {
            events: (events.clone(), Events::open(&events, step).map_err(at(&events))?),
            layers,
            diverged_in: None,
        })
    }

    /// One step of training: the gradient, what there is to be said of it, and the update, unless it is not finite or a
    /// spike that is to be skipped.
    pub(crate) fn step(
        &mut self,
        trainer: &mut Trainer,
        dataset: &Dataset,
        progress: &mut Progress,
    ) -> Result<Step, RunError> {
        let step = progress.step;
        let gradient = trainer.gradient(dataset, step)?;
        let now = gradient.step;
        if !now.is_finite() {
            let layer = trainer.where_diverged(dataset, step, &gradient)?;
            let value = if now.loss.is_finite() {
                now.grad_norm
            } else {
                now.loss
            };
            info!(
                "step {step}: the loss is {} and the gradient's norm {}: diverged{}",
                now.loss,
                now.grad_norm,
                beginning(layer.as_deref())
            );
            self.diverge(step, value, layer)?;
            return Ok(now);
        }
        let training = &trainer.recipe.training;
        let found = progress.spikes.watch(
            now.loss,
            now.grad_norm,
            training.spike_window,
            training.spike_threshold,
        );
        let skip = training.skip_spikes && found.any();
        progress.spikes.skipped_updates += u64::from(skip);
        self.tell(step, found, skip)?;

        let clipped = trainer.recipe.optimizer.clip().scales(now.grad_norm);
        progress.clipped.add(clipped == Some(true));
        let every = training.diagnose_every;
        if every > 0 && step.is_multiple_of(every) {
            let diagnosis = Diagnosis::before(trainer, dataset, step, &gradient)?;
            update(trainer, gradient, skip);
            let counts = std::mem::take(&mut progress.clipped);
            let rows = diagnosis.after(trainer.model(), step, clipped.map(|_| counts));
            self.write(&rows)?;
        } else {
            update(trainer, gradient, skip);
        }
        Ok(now)
    }

    /// Has the disk hold what was written, so that no checkpoint is ahead of it.
    pub(crate) fn sync(&self) -> Result<(), RunError> {
        let (path, events) = &self.events;
        events.sync().map_err(at(path))?;
        match &self.layers {
            Some((path, layers)) => layers.sync().map_err(at(path)),
            None => Ok(()),
        }
    }

    /// A validation loss that is not finite.
    pub(crate) fn diverged_in_evaluation(
        &mut self,
        trainer: &Trainer,
        dataset: &Dataset,
        step: u64,
        loss: f64,
    ) -> Result<(), RunError> {
        let layer = trainer.where_evaluation_diverged(dataset)?;
        info!(
            "step {step}: the validation loss is {loss}: diverged{}",
            beginning(layer.as_deref())
        );
        self.diverge(step, loss, layer)
    }

    fn diverge(&mut self, step: u64, value: f64, layer: Option<String>) -> Result<(), RunError> {
        self.diverged_in.clone_from(&layer);
        let value = value.to_string();
        self.event(step, EventKind::Divergence { value, layer })
    }

    fn tell(&mut self, step: u64, found: Found, skip: bool) -> Result<(), RunError> {
        let and_so = if skip { "; its update is skipped" } else { "" };
        let say = |what: &str, Score { value, median, z }: Score| {
            info!("step {step}: the {what} is {value:.4}, a spike above {median:.4}, z {z:.1}{and_so}");
        };
        if let Some(score) = found.loss {
            say("loss", score);
            self.event(step, EventKind::LossSpike(score))?;
        }
        if let Some(score) = found.grad_norm {
            say("gradient's norm", score);
            self.event(step, EventKind::GradNormSpike(score))?;
        }
        if skip {
            self.event(step, EventKind::SkippedUpdate)?;
        }
        Ok(())
    }

    fn event(&mut self, step: u64, kind: EventKind) -> Result<(), RunError> {
        let (path, events) = &mut self.events;
        events.push(&Event { step, kind }).map_err(at(path))
    }

    fn write(&mut self, rows: &[LayerRow]) -> Result<(), RunError> {
        let Some((path, layers)) = &mut self.layers else {
            return Ok(());
        };
        layers.push(rows).map_err(at(path))
    }
}

fn update(trainer: &mut Trainer, gradient: Gradient, skip: bool) {
    if !skip {
        let lr = gradient.step.lr;
        trainer.update(gradient, lr);
    }
}

fn beginning(layer: Option<&str>) -> String {
    layer
        .map(|layer| format!(", first in {layer}"))
        .unwrap_or_default()
}
