//! Training: what a run is asked to do, the graphs it runs, the loop, and the directory it leaves behind.

mod board;
pub mod config;
mod diverged;
mod divergence;
mod epoch;
pub mod evaluation;
mod events;
pub mod flow;
pub mod lockstep;
pub mod oracle;
mod pair;
pub mod predict;
pub mod profile;
pub mod program;
pub mod recipe;
pub mod run;
mod saving;
pub mod schedule;
mod shadow;
mod tally;
mod trainer;

pub use board::Board;
pub use config::{OptimizerConfig, TrainConfig};
pub use divergence::{Cause, Divergence};
pub use evaluation::{Evaluation, Evaluator};
pub use events::{Ending, EpochReport, Event, Outcome, Progress, StepFigures};
pub use flow::{Flow, Verdict};
pub use lockstep::Lockstep;
pub use pair::Drift;
pub use predict::Predictor;
pub use profile::Profile;
pub use recipe::Recipe;
pub use schedule::Schedule;
pub use shadow::ShadowReport;
pub use trainer::Trainer;
