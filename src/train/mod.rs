//! Training: what a run is asked to do, the graphs it runs, the loop, and the directory it leaves behind.

pub mod config;
mod diverged;
pub mod evaluation;
mod events;
pub mod oracle;
pub mod predict;
pub mod program;
pub mod run;
mod saving;
pub mod schedule;
mod tally;
mod trainer;

pub use config::{OptimizerConfig, TrainConfig};
pub use evaluation::{Evaluation, Evaluator};
pub use events::{Ending, EpochReport, Event, Outcome, Progress, StepFigures};
pub use predict::Predictor;
pub use schedule::Schedule;
pub use trainer::Trainer;
