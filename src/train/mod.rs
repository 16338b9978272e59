//! Training: what a run is asked to do, the graphs it runs, the loop, and the directory it leaves behind.

pub mod config;
mod diverged;
pub mod evaluation;
pub mod program;
pub mod run;
pub mod schedule;
mod trainer;

pub use config::{OptimizerConfig, TrainConfig};
pub use evaluation::{Evaluation, Evaluator};
pub use schedule::Schedule;
pub use trainer::{Ending, EpochReport, Event, Outcome, Progress, Trainer};
