// A gradient has no bias (conv2d_tiled.wgsl).

fn bias(o: u32) -> f32 {
    return 0.0;
}
