//! How far training is: a bar where stderr is a terminal, now and then a plain line where it is none.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wgrad::train::Progress;

use super::output::complain;
use super::text;

/// Time between two plain lines.
const PAUSE: Duration = Duration::from_secs(10);

fn style(template: &str) -> ProgressStyle {
    let plain = ProgressStyle::default_bar();
    plain.clone().template(template).unwrap_or(plain).progress_chars("━╸─")
}

/// A bar for a download.
pub fn download() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style("  {msg:26} {bar:24} {bytes}/{total_bytes} {bytes_per_sec}"));
    bar
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
    epochs: u64,
    told: Instant,
}

impl Bar {
    /// For a run of so many epochs.
    pub fn new(epochs: u64) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style("  {prefix} {bar:24} {pos}/{len} steps  {msg}"));
        Self { bar, epochs, told: Instant::now() }
    }

    /// Some steps are done.
    pub fn advance(&mut self, progress: &Progress) {
        let Progress { epoch, step, steps, .. } = *progress;
        let figures = format!(
            "{}  loss {}  accuracy {}",
            text::speed(progress.images_per_second),
            text::loss(progress.loss),
            text::percent(progress.accuracy)
        );
        let prefix = format!("epoch {epoch}/{}", self.epochs);
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
