// What a kernel does with a sum before it writes it, where it activates what it reads: nothing.

fn finish(sum: f32, at: u32, slope: f32) -> f32 {
    return sum;
}
