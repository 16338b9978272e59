//! The directory that a run leaves behind.
