//! The roofs: what a device can do at best, measured on it, never looked up. One is its copy bandwidth, the other its rate of
//! multiply-adds on numbers that stay in registers. No kernel gets above both.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::probe::{Memory, Probe};

/// What a device can do at best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roofs {
    /// Multiply-adds that stay in registers, two operations each, in operations a second.
    pub flops: f64,
    /// Bytes a second that a copy of a large buffer moves, read and written ones together.
    pub bytes: f64,
}

/// Which roof a piece of work meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// It computes more than it moves.
    Compute,
    /// It moves more than it computes.
    Memory,
}

impl Bound {
    /// `compute` or `memory`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Memory => "memory",
        }
    }
}

impl Roofs {
    /// Measures both on a device.
    pub fn measure(gpu: &Gpu) -> Result<Self> {
        Ok(Self { flops: multiply_adds(gpu)?, bytes: copied(gpu)? })
    }

    /// The seconds below which work of so many operations and bytes cannot be done, and the roof that says so.
    pub fn least(&self, flops: u64, bytes: u64) -> (f64, Bound) {
        let (compute, memory) = (flops as f64 / self.flops, bytes as f64 / self.bytes);
        if compute > memory { (compute, Bound::Compute) } else { (memory, Bound::Memory) }
    }
}

/// Invocations of a workgroup of the kernels here.
const WORKGROUP: u32 = 64;
/// Trips of the loop of multiply-adds.
const TRIPS: u32 = 256;
/// Multiply-adds of each chain in a trip.
const UNROLLED: u32 = 16;
/// Time that one kernel or copy is given to show its best.
const PATIENCE: Duration = Duration::from_millis(250);
/// Tries that it has at least.
const TRIES: usize = 4;

/// The shortest time of several tries.
fn best(mut run: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let (started, mut shortest, mut tries) = (Instant::now(), run()?, 0);
    while tries < TRIES || started.elapsed() < PATIENCE {
        shortest = shortest.min(run()?);
        tries += 1;
    }
    Ok(shortest.as_secs_f64().max(1e-9))
}

/// Multiply-adds of `vectors` independent vectors of four, as `x * a + b` or through `fma`: which number of chains hides the
/// latency, and whether a driver joins the two by itself, differs.
fn program(vectors: u32, fused: bool) -> String {
    let (mut begin, mut body, mut sum) = (String::new(), String::new(), String::new());
    for v in 0..vectors {
        let _ = writeln!(begin, "    var x{v} = vec4<f32>({v}.0, {v}.25, {v}.5, {v}.75) + a;");
        let _ = write!(sum, "{}x{v}", if v == 0 { "" } else { " + " });
    }
    for _ in 0..UNROLLED {
        for v in 0..vectors {
            let _ = match fused {
                true => writeln!(body, "        x{v} = fma(x{v}, vec4<f32>(a), vec4<f32>(b));"),
                false => writeln!(body, "        x{v} = x{v} * a + b;"),
            };
        }
    }
    format!(
        "@group(0) @binding(0) var<storage, read> zeros: array<vec4<f32>>; // [invocations]
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>; // [invocations]

@compute @workgroup_size({WORKGROUP})
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>) {{
    let a = 0.9990234375 + zeros[id.x].x;
    let b = 0.5 + f32(id.x % 64u) + zeros[id.x].y;
{begin}    for (var i = 0u; i < {TRIPS}u; i++) {{
{body}    }}
    y[id.x] = {sum};
}}
"
    )
}

/// The best rate of multiply-adds, in operations a second.
fn multiply_adds(gpu: &Gpu) -> Result<f64> {
    // Enough invocations for the largest GPUs, and few enough for processors.
    let workgroups: u32 = if gpu.caps().cpu { 64 } else { 16_384 };
    let bytes = u64::from(workgroups * WORKGROUP) * 16;
    let memory = Memory::new(gpu, &[bytes, bytes])?;
    let mut fastest: f64 = 0.0;
    for (vectors, fused) in [(2, false), (3, false), (4, false), (6, false), (3, true), (6, true)] {
        let probe = Probe::new(gpu, &program(vectors, fused), &memory)?;
        let seconds = best(|| probe.time(workgroups, 1))?;
        let chains = f64::from(4 * vectors * TRIPS * UNROLLED);
        fastest = fastest.max(2.0 * chains * f64::from(workgroups * WORKGROUP) / seconds);
    }
    Ok(fastest)
}

/// Vectors of four that an invocation of the copying kernel moves.
const MOVED: u32 = 4;

/// The best bandwidth of a copy: the driver's own, or a kernel's.
fn copied(gpu: &Gpu) -> Result<f64> {
    let most = if gpu.caps().cpu { 64 << 20 } else { 256 << 20 };
    let part = u64::from(WORKGROUP * MOVED) * 16;
    let limit = u64::from(gpu.caps().max_workgroups) * part;
    let bytes = gpu.caps().max_binding_bytes.min(gpu.adapter().max_buffer_bytes).min(most).min(limit) / part * part;
    let memory = Memory::new(gpu, &[bytes, bytes])?;
    let stride = bytes / 16 / u64::from(MOVED);
    let lines: String =
        (0..u64::from(MOVED)).map(|line| format!("    y[id.x + {0}u] = x[id.x + {0}u];\n", line * stride)).collect();
    let program = format!(
        "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // [{0}]
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>; // [{0}]

@compute @workgroup_size({WORKGROUP})
fn copy(@builtin(global_invocation_id) id: vec3<u32>) {{
{lines}}}
",
        bytes / 16
    );
    let probe = Probe::new(gpu, &program, &memory)?;
    // Several in one submission, so that the submission costs nothing beside them.
    let times = if gpu.caps().cpu { 1 } else { 8 };
    let workgroups = (stride / u64::from(WORKGROUP)) as u32;
    let shortest = best(|| memory.copy(times))?.min(best(|| probe.time(workgroups, times))?);
    Ok(2.0 * bytes as f64 * times as f64 / shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roof_that_takes_longer_binds() {
        let roofs = Roofs { flops: 100.0, bytes: 10.0 };
        assert_eq!(roofs.least(1000, 10), (10.0, Bound::Compute));
        assert_eq!(roofs.least(10, 1000), (100.0, Bound::Memory));
    }
}
