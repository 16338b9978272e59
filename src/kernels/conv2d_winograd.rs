//! Winograd's F(2 × 2, 3 × 3) for GPUs: `shaders/conv2d_winograd.wgsl`.

use super::activation::epilogue;
use super::conv2d_gather::Gather;
use super::{Dispatch, Edges, Limits, Lowered, Operand, Variant};
use crate::ops::Activation;

/// The variant's name.
pub(super) const NAME: &str = "winograd";
/// Patches and output channels of a workgroup.
const TILE: usize = 32;
/// Height and width of what a patch writes.
const PATCH: usize = 2;

/// See [`Variant`].
pub(super) const VARIANT: Variant = Variant {
    name: NAME,
    limits: Limits::DEFAULT,
    // Transforms add up the pixels of a patch.
    spreads: true,
    // Sizes that four does not divide are no problems of this variant: `verify::sweep` has its edges in a room of their own.
    edges: |_, _| Edges::default(),
};

/// Whether it serves a gather: 3 × 3 neighbouring taps of an image whose neighbouring pixels are written side by side.
pub(super) fn serves(problem: &Gather) -> bool {
    let neighbours = [[1, 1], [-1, -1]].contains(&problem.step) && problem.mul == [1, 1];
    let fours = problem.src[2].is_multiple_of(4) && problem.dst[2].is_multiple_of(4);
    let alone = problem.lattice.stride == [1, 1] && problem.windows.is_none() && problem.derivative.is_none();
    problem.kernel == [3, 3] && neighbours && fours && alone
}

/// Lowers a gather.
pub(super) fn gather(problem: &Gather) -> Option<Lowered> {
    if !serves(problem) {
        return None;
    }
    let [h, w] = [problem.dst[0], problem.dst[1]].map(|size| size.div_ceil(PATCH));
    let (patches, tiles) = (problem.n * h * w, problem.dst[2].div_ceil(TILE));
    let [row, tap] = [problem.w_strides[0], problem.w_strides[1]].map(|stride| stride as i32);
    // Taps that go backwards, as those of the gradient of an input, are counted from the last.
    let backwards = problem.step == [-1, -1];
    let (first, sign, off) = match backwards {
        false => (problem.w_first, 1, problem.off),
        true => (problem.w_first + 2 * (row + tap) as usize, -1, problem.off.map(|off| off - 2)),
    };
    let (src, weights, bias) = problem.operands;
    // The most common activations, and none, are one program.
    let activation = match problem.activation {
        None => Activation::LeakyRelu { slope: 1.0 },
        Some(Activation::Relu) => Activation::LeakyRelu { slope: 0.0 },
        Some(other) => other,
    };
    let main = epilogue(Dispatch::new("conv2d_winograd.wgsl", "gather"), Some(activation))
        .set("patches", patches)
        .set("h_patches", h)
        .set("w_patches", w)
        .set("h_dst", problem.dst[0])
        .set("w_dst", problem.dst[1])
        .set("c_dst", problem.dst[2])
        .set("h_src", problem.src[0])
        .set("w_src", problem.src[1])
        .set("c_src", problem.src[2])
        .set("off_h", off[0])
        .set("off_w", off[1])
        .set("tiles_n", tiles)
        .set("w_first", first)
        .set("w_row", sign * row)
        .set("w_tap", sign * tap)
        .set("w_c", problem.w_strides[2])
        .set("w_o", problem.w_strides[3])
        .bind("src", src)
        .bind("w", weights)
        .bias(bias, weights)
        .bind("dst", Operand::Output(0))
        .workgroups(patches.div_ceil(TILE) * tiles)
        .trips(problem.src[2] / 4 + 1);
    Some(Lowered { variant: NAME, workspaces: Vec::new(), dispatches: vec![main] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Caps;
    use crate::kernels::{BASELINE, Problem, variants};
    use crate::ops::{Conv2d, Op, Operator};
    use crate::tensor::Spec;

    fn offered(conv: Conv2d, channels: [usize; 2], caps: &Caps) -> Vec<&'static str> {
        let [c_in, c_out] = channels;
        let inputs = [Spec::f32([2, 8, 8, c_in]), Spec::f32([3, 3, c_in, c_out])];
        let op = Op::from(conv);
        let outputs = op.infer(&inputs).unwrap();
        variants(&op, &Problem { inputs: &inputs, outputs: &outputs, caps })
    }

    #[test]
    fn it_is_never_guessed() {
        for cpu in [false, true] {
            let offered = offered(Conv2d::default(), [8, 16], &Caps { cpu, ..Caps::DESKTOP });
            let place = |wanted| offered.iter().position(|name| *name == wanted).unwrap();
            assert!(place(BASELINE) < place(NAME), "{offered:?}");
        }
    }

    #[test]
    fn it_serves_neighbouring_taps_and_channels_in_fours_alone() {
        let serves = |conv, channels| offered(conv, channels, &Caps::DESKTOP).contains(&NAME);
        let plain = Conv2d::default();
        assert!(serves(plain, [4, 4]));
        assert!(!serves(plain, [3, 4]) && !serves(plain, [4, 6]));
        assert!(!serves(Conv2d { stride: [1, 2], ..plain }, [4, 4]));
        assert!(!serves(Conv2d { dilation: [2, 1], ..plain }, [4, 4]));
    }
}
