//! How far training is: a bar where stderr is a terminal, now and then a plain line where it is none.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wgrad::data::Event;
use wgrad::gpu::Proving;
use wgrad::train::Progress;

use super::output::complain;
use super::text;

/// Time between two plain lines.
const PAUSE: Duration = Duration::from_secs(10);

fn style(template: &str) -> ProgressStyle {
    let plain = ProgressStyle::default_bar();
    plain.clone().template(template).unwrap_or(plain).progress_chars("━╸─")
}

/// How far the loading of a data set is: one task after the other, each with a bar, or a line where there is no terminal.
#[derive(Default)]
pub struct Loading {
    shown: Option<(String, ProgressBar)>,
}

impl Loading {
    /// Something happened.
    pub fn show(&mut self, event: Event) {
        let (task, done, total, is_file) = match event {
            Event::Download { file, received, total } => (file, received, total, true),
            Event::Inspect { done, total } => ("reading headers", done as u64, total as u64, false),
            Event::Decode { done, total } => ("decoding", done as u64, total as u64, false),
            _ => return,
        };
        if self.shown.as_ref().is_none_or(|(shown, _)| shown != task) {
            self.clear();
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let measure =
                if is_file { "{bytes}/{total_bytes} {bytes_per_sec}" } else { "{human_pos}/{human_len} pictures" };
            bar.set_style(style(&format!("  {{msg:26}} {{bar:24}} {measure}")));
            bar.set_message(task.to_owned());
            // Headers are read in a moment, so that is told on a terminal alone.
            match event {
                Event::Download { .. } if bar.is_hidden() => {
                    complain(&format!("downloading {task} ({})", text::bytes(total)));
                }
                Event::Decode { .. } if bar.is_hidden() => {
                    complain(&format!("decoding {}", text::counted(total, "picture")));
                }
                _ => {}
            }
            self.shown = Some((task.to_owned(), bar));
        }
        if let Some((_, bar)) = &self.shown {
            // Reports of several threads may overtake each other.
            bar.set_position(done.max(bar.position()));
        }
        if done == total {
            self.clear();
        }
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if let Some((_, bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

/// How far the proof of kernels on a device is, on a terminal: a first start would be silent for a while.
#[derive(Default)]
pub struct Proofs {
    shown: Mutex<Option<ProgressBar>>,
}

impl Proofs {
    /// Some kernels are done.
    pub fn show(&self, Proving { done, all }: Proving) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if done == 0 {
            let bar = ProgressBar::with_draw_target(Some(all as u64), ProgressDrawTarget::stderr());
            bar.set_style(style(
                "  {bar:24} {pos}/{len} kernels  {elapsed}  proving them on this adapter, once for its driver",
            ));
            bar.enable_steady_tick(Duration::from_millis(250));
            *shown = Some(bar);
        }
        if let Some(bar) = &*shown {
            // Reports of several threads may overtake each other.
            bar.set_position((done as u64).max(bar.position()));
        }
        if let Some(bar) = shown.take_if(|_| done == all) {
            bar.finish_and_clear();
        }
    }
}

/// A bar for cases that are asked.
pub fn cases(count: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    bar.set_style(style("  {bar:24} {pos}/{len} cases  {elapsed}"));
    bar
}

/// A bar for rows that are measured.
pub fn rows(count: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    bar.set_style(style("  {bar:24} {pos}/{len} rows  {elapsed}  {msg}"));
    bar
}

/// The progress of a run.
#[derive(Debug, Clone)]
pub struct Bar {
    bar: ProgressBar,
    over: Over,
    told: Instant,
}

/// What a bar runs over.
#[derive(Debug, Clone)]
enum Over {
    /// One epoch after the other, of so many.
    Epochs(u64),
    /// All of a run that has a name and so many steps.
    Run(String, u64),
}

impl Bar {
    /// For a run of so many epochs.
    pub fn new(epochs: u64) -> Self {
        Self::over(Over::Epochs(epochs))
    }

    /// For a run with a name, of so many steps.
    pub fn of(name: String, steps: u64) -> Self {
        Self::over(Over::Run(name, steps))
    }

    fn over(over: Over) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style("  {prefix} {bar:24} {pos}/{len} steps  {msg}"));
        Self { bar, over, told: Instant::now() }
    }

    /// Some steps are done.
    pub fn advance(&mut self, progress: &Progress) {
        let (prefix, step, steps) = match &self.over {
            Over::Epochs(epochs) => (format!("epoch {}/{epochs}", progress.epoch), progress.step, progress.steps),
            Over::Run(name, steps) => (name.clone(), progress.total, *steps),
        };
        let figures = format!(
            "{}  loss {}  accuracy {}",
            text::speed(progress.images_per_second),
            text::loss(progress.loss),
            text::percent(progress.accuracy)
        );
        if self.bar.is_hidden() {
            if self.told.elapsed() >= PAUSE {
                self.told = Instant::now();
                complain(&format!("{prefix}  step {step}/{steps}  {figures}"));
            }
            return;
        }
        if self.bar.prefix() != prefix {
            self.bar.reset();
            self.bar.set_length(steps);
            self.bar.set_prefix(prefix);
        }
        self.bar.set_message(if step == steps { "validating".to_owned() } else { figures });
        self.bar.set_position(step);
    }

    /// Prints without tearing the bar.
    pub fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
