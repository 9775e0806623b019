use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sweep::{Ending, Observer, Plan, Trial};
use training::{CurveRow, Status};

/// Shows a sweep's progress on the terminal: a bar over the tokens of all trials, and a line for each trial at work.
///
/// Where the standard error is no terminal, a line is printed whenever a trial ends.
pub struct Progress {
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: Option<ProgressBar>,
    /// Tokens of the trials that are over.
    over: u64,
    /// By hash, each trial at work: its line, and the tokens that it has learnt from.
    working: BTreeMap<String, (ProgressBar, u64)>,
    ended: usize,
    trials: usize,
    best: Option<f64>,
}

impl Progress {
    pub fn new() -> Self {
        Self {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5)),
            state: Mutex::new(State::default()),
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        let _ = self.bars.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: &str) {
        if self.bars.is_hidden() {
            eprintln!("{line}");
        } else {
            let _ = self.bars.println(line);
        }
    }
}

impl State {
    fn show(&self) {
        let Some(total) = &self.total else { return };
        let working: u64 = self.working.values().map(|(_, tokens)| tokens).sum();
        total.set_position(self.over + working);
        let best = self
            .best
            .map(|best| format!(", best val_loss {best:.4}"))
            .unwrap_or_default();
        total.set_message(format!("{}/{} trials{best}", self.ended, self.trials));
    }

    fn better(&mut self, loss: Option<f64>) {
        self.best = [self.best, loss].into_iter().flatten().reduce(f64::min);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Observer for Progress {
    fn planned(&self, plan: &Plan, done: usize) {
        self.say(&format!(
            "{}: {} trials, {done} of them finished before",
            plan.name,
            plan.trials.len()
        ));
        let total = self.bars.add(ProgressBar::new(plan.tokens()));
        total.set_style(style("{elapsed} {wide_bar} {percent}% {msg}, {eta} left"));
        let mut state = self.state();
        state.trials = plan.trials.len();
        state.ended = done;
        // Finished trials count by their number here: a plan's trials cost nearly the same.
        state.over = plan.tokens() * done as u64 / plan.trials.len().max(1) as u64;
        total.set_position(state.over);
        total.reset_eta();
        state.total = Some(total);
        state.show();
    }

    fn started(&self, trial: &Trial) {
        let line = self.bars.add(ProgressBar::new(trial.tokens()));
        line.set_style(style("  {bar:16} {prefix}  {msg}"));
        line.set_prefix(trial.id.to_string());
        self.state().working.insert(trial.id.hash().to_owned(), (line, 0));
    }

    fn advanced(&self, trial: &Trial, row: &CurveRow) {
        let mut state = self.state();
        state.better(row.val_loss);
        if let Some((line, tokens)) = state.working.get_mut(trial.id.hash()) {
            *tokens = row.tokens;
            line.set_position(row.tokens);
            let loss = row
                .train_loss
                .map(|loss| format!(", loss {loss:.4}"))
                .unwrap_or_default();
            let speed = row
                .tokens_per_second
                .map(|speed| format!(", {speed:.0} tokens/s"))
                .unwrap_or_default();
            line.set_message(format!("step {}{loss}{speed}", row.step));
        }
        state.show();
    }

    fn ended(&self, trial: &Trial, ending: &Ending) {
        let mut state = self.state();
        if let Some((line, _)) = state.working.remove(trial.id.hash()) {
            line.finish_and_clear();
        }
        let text = match ending {
            Ending::Finished(result) => {
                state.better(result.best_val_loss);
                state.over += trial.tokens();
                state.ended += 1;
                match (result.status, result.best_val_loss) {
                    (Status::Diverged, _) => format!("diverged at step {}", result.steps),
                    (Status::Completed, Some(loss)) => format!("val_loss {loss:.4}, {:.1} s", result.seconds),
                    (Status::Completed, None) => "completed".to_owned(),
                }
            }
            Ending::Failed(failure) => {
                state.over += trial.tokens();
                state.ended += 1;
                format!(
                    "failed ({})\n    {}",
                    failure.ended,
                    failure.last_lines.join("\n    ")
                )
            }
            Ending::Stopped => "stopped".to_owned(),
        };
        state.show();
        let place = format!("[{}/{}]", state.ended, state.trials);
        drop(state);
        self.say(&format!("{place} {}  {text}", trial.id));
    }
}
