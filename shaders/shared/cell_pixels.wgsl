// The pixels of a cell (conv2d_few_channels.wgsl) as they are: each is written, and the gradient of each is loaded.

#import pixel

@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>; // [n, h_out, w_out, c_out]
@group(0) @binding(5) var<storage, read> dy: array<vec4<f32>>; // [n, h_out, w_out, c_out]

// Stores the value of a pixel, which is element `at` of y, if it is `inside`.
fn store_pixel(at: u32, inside: bool, best: Best) {
    if inside {
        y[at] = best.value;
    }
}

fn finish(best: Best, cell: u32) {
}

// What arrives at a cell as a whole: nothing.
fn arriving(cell: u32) -> Best {
    return nothing();
}

// What of it is for the pixel at this place of its image, which is element `at` of dy, if it is `inside`.
fn share(arrived: Best, place: u32, at: u32, inside: bool) -> vec4<f32> {
    return select(vec4<f32>(), dy[select(0u, at, inside)], inside);
}
