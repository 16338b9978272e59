//! One typed error for the whole library. Its texts are what a user reads, so each is one sentence that names
//! what was wrong and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong, by who has to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operator cannot take these shapes or attributes. Raised when a network is built, never when it runs.
    #[error("{op}: {problem}")]
    Shape {
        /// The operator's or the layer's name.
        op: String,
        /// What is impossible about it.
        problem: String,
    },
    /// A network, an option or a value given by the caller makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A file could not be read, written or understood.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file as the user named it.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A download failed or brought something else than expected.
    #[error("{url}: {problem}")]
    Download {
        /// The address that was asked.
        url: String,
        /// What came instead.
        problem: String,
    },
    /// No adapter fits what was asked for, or the chosen one refused.
    #[error("{0}")]
    Device(String),
    /// The device has too little memory for what was asked.
    #[error("{0}")]
    Memory(String),
    /// A WGSL source does not compose or compile; a bug of this crate or a limit of the driver.
    #[error("{file}:{line}: {problem}")]
    Shader {
        /// The WGSL file below `shaders/`.
        file: String,
        /// Line in that file, counted from 1.
        line: usize,
        /// The compiler's complaint.
        problem: String,
    },
    /// The GPU failed while it ran (lost, out of memory, validation). The session refuses all further work.
    #[error("the GPU failed: {0}; nothing computed after this is kept")]
    Gpu(String),
    /// Training left the finite numbers.
    #[error("training stopped at step {step}: {operator} produced {value} (first of {count} non-finite elements)")]
    Diverged {
        /// The step, counted from 1, whose update was not applied.
        step: u64,
        /// The first operator in execution order whose output was not finite.
        operator: String,
        /// Its first non-finite element, as text.
        value: String,
        /// How many elements of that output were not finite.
        count: usize,
    },
    /// A step that was checked beside training came out wrong on the device.
    #[error("training stopped at step {step}: {device} disagrees with the float64 reference in {operator}")]
    Disagreed {
        /// The step, counted from 1, which was taken back.
        step: u64,
        /// The first operator that was wrong, or what else was.
        operator: String,
        /// The device.
        device: String,
        /// All that is known about it, in several lines.
        story: String,
    },
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A shape error of operator `op`.
    pub fn shape(op: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Shape { op: op.into(), problem: problem.into() }
    }

    /// An error about the file `path`.
    pub fn file(path: impl AsRef<Path>, problem: impl ToString) -> Self {
        Self::File { path: path.as_ref().to_owned(), problem: problem.to_string() }
    }
}
