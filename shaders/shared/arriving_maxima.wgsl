// What arrives at a convolution's output behind which a max pool stands, whose windows tile it: the gradient of a window goes to the
// place of its maximum, and nothing to what no window covers.

#import pooled_derivative

// Height and width of a window.
const POOL_H: u32 = 1u;
const POOL_W: u32 = 1u;

@group(0) @binding(5) var<storage, read> dy: array<f32>; // [n, h_windows, w_windows, c_dst]
@group(0) @binding(7) var<storage, read> places: array<u32>; // as dy, the forward argmax

// At channel o of pixel (i, j) of image n, the pixel of this number.
fn arriving(pixel: u32, n: u32, i: u32, j: u32, o: u32) -> f32 {
    let row = i / POOL_H;
    let column = j / POOL_W;
    let inside = (row < params.h_windows) & (column < params.w_windows);
    let at = select(0u, ((n * params.h_windows + row) * params.w_windows + column) * params.c_dst + o, inside);
    let mine = inside & (places[at] == i * params.w_dst + j);
    return select(0.0, pooled(at), mine);
}
