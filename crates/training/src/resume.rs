//! Going on with a run: from its newest intact checkpoint, and under another recipe where that was asked for.

use std::{fs, io};

use tracing::{info, warn};

use crate::{
    Recipe, RunError, TrialFiles,
    change::{Change, MAY_CHANGE, Refusal, continued, differences},
    checkpoint::{self, CheckpointError, Checkpoints, Progress},
    records::write_atomically,
    run::{at, lock},
    trainer::Trainer,
};

/// Has the trial in `files` go on under `recipe`, where that differs from the trial's own in nothing but keys of `asked`
/// which are among [`MAY_CHANGE`], and the trial would have computed the same under it so far. Its `recipe.toml` is
/// replaced; the next checkpoint records what has changed, and so does the log. A result that it has already is kept, as
/// `result-STEP.json`.
///
/// Where the directory holds no trial yet, or another process is at it, nothing happens.
///
/// # Errors
/// The keys that differ, or why the trial does not go on under the new recipe.
pub fn adopt(recipe: &Recipe, asked: &[String], files: &TrialFiles) -> Result<(), RunError> {
    if !files.recipe().exists() {
        return Ok(());
    }
    let Some(_lock) = lock(files)? else {
        return Ok(());
    };
    let before = fs::read_to_string(files.recipe()).map_err(at(&files.recipe()))?;
    let now = recipe.to_toml();
    let refused = |refusal| another(files, refusal);
    let differences = differences(&before, &now).map_err(refused)?;
    let was_asked = |key: &String| MAY_CHANGE.contains(&key.as_str()) && asked.contains(key);
    if !differences.iter().all(|difference| was_asked(&difference.key)) {
        return Err(refused(Refusal::Keys(differences)));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let made = Checkpoints::new(files.checkpoints(), recipe).newest_step()?;
    continued(&before, recipe, made.unwrap_or(0)).map_err(refused)?;
    // The result is that of the recipe before.
    let result = files.result();
    if result.exists() {
        let aside = files
            .directory()
            .join(format!("result-{}.json", made.unwrap_or(0)));
        fs::rename(&result, &aside).map_err(at(&aside))?;
    }
    write_atomically(&files.recipe(), now.as_bytes()).map_err(at(&files.recipe()))
}

/// Writes the resolved recipe down, or checks that it is the one that is there.
pub(crate) fn claim(recipe: &Recipe, files: &TrialFiles) -> Result<(), RunError> {
    let path = files.recipe();
    let toml = recipe.to_toml();
    match fs::read_to_string(&path) {
        Ok(there) if there == toml => Ok(()),
        Ok(there) => {
            let refusal = differences(&there, &toml).map_or_else(|refusal| refusal, Refusal::Keys);
            Err(another(files, refusal))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_atomically(&path, toml.as_bytes()).map_err(at(&path))
        }
        Err(error) => Err(at(&path)(error)),
    }
}

fn another(files: &TrialFiles, refusal: Refusal) -> RunError {
    RunError::AnotherRecipe {
        directory: files.directory().display().to_string(),
        refusal,
    }
}

/// Takes up the newest checkpoint that can be taken up; none where the run begins.
pub(crate) fn restore(
    checkpoints: &mut Checkpoints,
    recipe: &Recipe,
    trainer: &mut Trainer,
) -> Result<Option<Progress>, CheckpointError> {
    let restored = checkpoints.newest(|saved| {
        let model = checkpoint::load(saved, trainer.model().clone(), &mut trainer.optimizer)?;
        trainer.put_model(model);
        Ok(saved.clone())
    })?;
    let Some(saved) = restored else {
        if checkpoints.newest_step()?.is_some() {
            warn!("no checkpoint can be gone on from: the run begins anew");
        }
        return Ok(None);
    };
    let mut progress = saved.progress;
    info!("going on from {}", saved.path.display());
    // That it is continued by this recipe, `newest` has seen.
    for difference in differences(&saved.recipe, &recipe.to_toml()).unwrap_or_default() {
        info!("changed before step {}: {difference}", progress.step);
        progress.changes.push(Change {
            step: progress.step,
            difference,
        });
    }
    progress.recipe = recipe.hash();
    Ok(Some(progress))
}
