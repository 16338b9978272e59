//! The one rule for tests that need an adapter: without one they say so in a visible line and pass, unless the environment
//! says `WGRAD_REQUIRE_GPU=1`, which turns a missing adapter into a failure. Included by each test binary with `#[path]`.

use wgrad::gpu::Gpu;

/// The adapter, or `None` after a visible line where there is none and none is required.
pub fn adapter() -> Option<Gpu> {
    match Gpu::shared() {
        Ok(gpu) => Some(gpu),
        Err(problem) => {
            let required = std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "WGRAD_REQUIRE_GPU is set, but {problem}");
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            println!("skipped: {test}: no GPU adapter ({problem})");
            None
        }
    }
}
