// The largest of several pixels, four channels at a time: what a max pool makes of them.

struct Best {
    value: vec4<f32>,
    place: vec4<u32>,
}

fn nothing() -> Best {
    return Best(vec4<f32>(), vec4<u32>());
}

// Takes the value of a pixel: its first one or not, at this place of its image. A NaN wins.
fn take(best: Best, value: vec4<f32>, first: bool, place: u32) -> Best {
    // By its bits: compilers may assume that there is none.
    let is_nan = (bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    let wins = (value > best.value) | is_nan | vec4<bool>(first);
    // Not select: of integers, some GLSL compilers know none.
    return Best(select(best.value, value, wins), best.place + vec4<u32>(wins) * (vec4<u32>(place) - best.place));
}
