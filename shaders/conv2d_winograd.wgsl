// Convolution of 3 x 3 neighbouring taps and stride 1 for GPUs, channels in fours: Winograd's F(2 x 2, 3 x 3). A patch is 4 x 4 pixels
// of src, and its 2 x 2 pixels of dst; patches lie 2 pixels apart. (Their name is a reserved word: variables say block.)
//
//   gather  M[i,j] = sum_c (B d_c B^T)[i,j] * (G g_c G^T)[i,j] of a patch d and the kernel g of an output channel: 16 products a patch
//           and channel, where the sums over taps have 36; the patch of dst is f(b[o] + A M A^T), f as in conv2d_tiled.wgsl, with
//               | 1  0 -1  0 |      |  1    0    0  |
//           B = | 0  1  1  0 |  G = | 1/2  1/2  1/2 |  A = | 1  1  1  0 |
//               | 0 -1  1  0 |      | 1/2 -1/2  1/2 |      | 0  1 -1 -1 |
//               | 0  1  0 -1 |      |  0    0    1  |
//           tap (p,q) reads src at (p,q) of the patch and has the weight w[w_first + p*w_row + q*w_tap + c*w_c + o*w_o]
//
// (A. Lavin, S. Gray: Fast algorithms for convolutional neural networks. CVPR 2016, section 4.1.) What is not finite spreads over a patch.
// A workgroup computes 32 patches of 32 channels: 16 matrix products, of which 16 invocations have each, 8 x 8 outputs an invocation.
// Dispatch: one workgroup a tile; the tile of channels is fastest, then patches.
// Definition: src/ops/conv2d.rs. Host: src/kernels/conv2d_winograd.rs.

#import grid
#import activate
#import bias

struct Params {
    patches: u32, // in all, h_patches * w_patches an image
    h_patches: u32,
    w_patches: u32,
    h_dst: u32,
    w_dst: u32,
    c_dst: u32,
    h_src: u32,
    w_src: u32,
    c_src: u32,
    off_h: i32, // where the first patch of an image begins
    off_w: i32,
    bias: u32, // whether b is one
    tiles_n: u32,
    w_first: u32,
    w_row: i32,
    w_tap: i32,
    w_c: u32,
    w_o: u32,
    slope: f32, // of the activation
}

// Patches and output channels of a workgroup.
const TILE: u32 = 32u;
const THREADS: u32 = 256u;
// Where the transformed kernels begin in workgroup memory.
const KERNELS: u32 = 512u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [n, h_src, w_src, c_src / 4]
@group(0) @binding(2) var<storage, read> w: array<f32>; // weights
@group(0) @binding(4) var<storage, read_write> dst: array<vec4<f32>>; // [n, h_dst, w_dst, c_dst / 4]
// 3: b

// Four input channels of the transformed patches, [16, patch], and of the transformed kernels, [16, output channel]; after the sums over
// all channels eight patches of these, [16, patch, output channel / 4].
var<workgroup> tile: array<vec4<f32>, 1024>;

// Where a patch of src begins.
struct Patch {
    n: u32,
    top: i32,
    left: i32,
}

fn patch_at(index: u32) -> Patch {
    let line = index / params.w_patches;
    let top = i32(line % params.h_patches * 2u) + params.off_h;
    let left = i32(index % params.w_patches * 2u) + params.off_w;
    return Patch(line / params.h_patches, top, left);
}

// Channels c to c + 3 of a pixel of a patch; 0 outside of the image.
fn pixel(block: Patch, row: u32, col: u32, c: u32) -> vec4<f32> {
    // What lies before the first row or column is a large number once it has no sign.
    let h = u32(block.top + i32(row));
    let x = u32(block.left + i32(col));
    if !((h < params.h_src) & (x < params.w_src)) {
        return vec4<f32>(0.0);
    }
    return src[(((block.n * params.h_src + h) * params.w_src + x) * params.c_src + c) / 4u];
}

// Row i of B d B^T.
fn load_patch(found: ptr<function, array<vec4<f32>, 4>>, block: Patch, i: u32, c: u32) {
    // Each row of B takes one row of d and adds or subtracts another.
    let first = select(i, 1u, i == 3u);
    let second = select(select(2u, 1u, i == 2u), 3u, i == 3u);
    let sign = select(-1.0, 1.0, i == 1u);
    var rows: array<vec4<f32>, 4>;
    //#unroll
    for (var col = 0u; col < 4u; col++) {
        rows[col] = pixel(block, first, col, c) + sign * pixel(block, second, col, c);
    }
    (*found)[0] = rows[0] - rows[2];
    (*found)[1] = rows[1] + rows[2];
    (*found)[2] = rows[2] - rows[1];
    (*found)[3] = rows[1] - rows[3];
}

// Channels c to c + 3 of tap (p, q) of output channel o.
fn weights(p: u32, q: u32, c: u32, o: u32) -> vec4<f32> {
    let at = u32(i32(params.w_first) + i32(p) * params.w_row + i32(q) * params.w_tap) + c * params.w_c + o * params.w_o;
    var four: vec4<f32>;
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        four[e] = w[at + e * params.w_c];
    }
    return four;
}

// Row i of G g G^T.
fn load_kernel(found: ptr<function, array<vec4<f32>, 4>>, o: u32, i: u32, c: u32) {
    var rows: array<vec4<f32>, 3>;
    let middle = select(0.5, -0.5, i == 2u);
    //#unroll
    for (var q = 0u; q < 3u; q++) {
        // The first and the last row of G take a row of g as it is.
        if i == 0u {
            rows[q] = weights(0u, q, c, o);
        } else if i == 3u {
            rows[q] = weights(2u, q, c, o);
        } else {
            rows[q] = 0.5 * (weights(0u, q, c, o) + weights(2u, q, c, o)) + middle * weights(1u, q, c, o);
        }
    }
    let outer = 0.5 * (rows[0] + rows[2]);
    (*found)[0] = rows[0];
    (*found)[1] = outer + 0.5 * rows[1];
    (*found)[2] = outer - 0.5 * rows[1];
    (*found)[3] = rows[2];
}

// Adds the products of what workgroup memory holds: of matrix product m, every fourth patch from `block` on times every fourth place of
// a kernel from `place` on.
fn multiply(acc: ptr<function, array<vec4<f32>, 16>>, m: u32, block: u32, place: u32) {
    var a: array<vec4<f32>, 8>;
    //#unroll
    for (var r = 0u; r < 8u; r++) {
        a[r] = tile[m * TILE + block + 4u * r];
    }
    //#unroll
    for (var o = 0u; o < 8u; o++) {
        let b = tile[KERNELS + m * TILE + place + 4u * o];
        //#unroll
        for (var r = 0u; r < 8u; r++) {
            (*acc)[r * 2u + o / 4u][o % 4u] += dot(a[r], b);
        }
    }
}

// Output (i, j) of a patch of the eight whose sums workgroup memory holds, four channels.
fn output(i: u32, j: u32, block: u32, four: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    //#unroll
    for (var p = 0u; p < 3u; p++) {
        //#unroll
        for (var q = 0u; q < 3u; q++) {
            // The second row of A subtracts all but the first of its three.
            let sign = select(1.0, -1.0, (p > 0u && i == 1u) != (q > 0u && j == 1u));
            sum += sign * tile[((i + p) * 4u + j + q) * 64u + block * 8u + four];
        }
    }
    return sum;
}

@compute @workgroup_size(THREADS)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let unit = linear_group(group, groups);
    let n0 = unit % params.tiles_n * TILE;
    let m0 = unit / params.tiles_n * TILE;
    // As loaded: the first half of the invocations a row of a patch each, the other half one of a kernel. Kernels lie so that the eight
    // neighbours that an invocation multiplies with are four places apart.
    let mine = lane % 128u % TILE;
    let row = lane % 128u / TILE;
    let of_image = lane < 128u;
    // Patches and channels beyond the last are computed like that, and written nowhere.
    let block = patch_at(min(m0 + mine, params.patches - 1u));
    let kernel = min(n0 + mine, params.c_dst - 1u);
    let to = select(KERNELS + row * 4u * TILE + mine % 8u * 4u + mine / 8u, row * 4u * TILE + mine, of_image);
    // As multiplied.
    let m = lane / 16u;
    let first = lane % 16u / 4u;
    let place = lane % 4u;
    var acc: array<vec4<f32>, 16>;
    var found: array<vec4<f32>, 4>;
    // What is found in one turn is multiplied in the next.
    for (var c = 0u; c < params.c_src + 4u; c += 4u) {
        if c > 0u {
            //#unroll
            for (var j = 0u; j < 4u; j++) {
                tile[to + j * TILE] = found[j];
            }
        }
        workgroupBarrier();
        if c < params.c_src {
            if of_image {
                load_patch(&found, block, row, c);
            } else {
                load_kernel(&found, kernel, row, c);
            }
        }
        if c > 0u {
            multiply(&acc, m, first, place);
        }
        workgroupBarrier();
    }
    let four = lane % 8u;
    let i = lane / 16u % 2u;
    let j = lane / 8u % 2u;
    let o = n0 + four * 4u;
    //#unroll
    for (var eight = 0u; eight < 4u; eight++) {
        //#unroll
        for (var r = 0u; r < 2u; r++) {
            //#unroll
            for (var half = 0u; half < 2u; half++) {
                tile[m * 64u + (first + 4u * r) * 8u + place * 2u + half] = acc[(eight * 2u + r) * 2u + half];
            }
        }
        workgroupBarrier();
        let index = m0 + eight * 8u + lane / TILE;
        let line = index / params.w_patches;
        let h = line % params.h_patches * 2u + i;
        let x = index % params.w_patches * 2u + j;
        if (index < params.patches) & (h < params.h_dst) & (x < params.w_dst) & (o < params.c_dst) {
            let at = ((line / params.h_patches * params.h_dst + h) * params.w_dst + x) * params.c_dst + o;
            let sums = output(i, j, lane / TILE, four);
            var value: vec4<f32>;
            //#unroll
            for (var e = 0u; e < 4u; e++) {
                value[e] = activate(sums[e] + bias(o + e), params.slope);
            }
            dst[at / 4u] = value;
        }
        workgroupBarrier();
    }
}
