// What a kernel writes for a pixel: its value as it is. shared/window_maximum.wgsl stands in for this where pixels are pooled.

struct Best {
    value: vec4<f32>,
}

fn nothing() -> Best {
    return Best(vec4<f32>());
}

// Takes the value of a pixel: its first one or not, at this place of its image.
fn take(best: Best, value: vec4<f32>, first: bool, place: u32) -> Best {
    return Best(value);
}

fn store_place(at: u32, best: Best) {
}
