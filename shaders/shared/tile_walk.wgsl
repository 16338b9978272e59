// How conv2d_tiled.wgsl walks along rows and columns of its matrices with few divisions: each is as much code as many multiply-adds, and
// small problems wait for their code more than for anything else. The importing file imports tile_problem.

// The sum of two places of three digits, the last ones below these sizes, as such a place.
fn carried(sum: vec3<u32>, middle: u32, last: u32) -> vec3<u32> {
    var place = sum;
    if place.z >= last {
        place.z -= last;
        place.y += 1u;
    }
    if place.y >= middle {
        place.y -= middle;
        place.x += 1u;
    }
    return place;
}

// A matrix column: tap (p, q) and channel c; or what leads from any column to one further on.
struct Column {
    p: u32,
    q: u32,
    c: u32,
}

// Column k of so many.
fn column_at(p: Params, k: u32) -> Column {
    let tap = k / p.c_src;
    // Where no tap reads a remainder of the pixels, there may be no column of taps.
    let row = tap / max(p.k_w, 1u);
    return Column(row, tap - row * p.k_w, k - tap * p.c_src);
}

fn next_column(p: Params, at: Column, by: Column) -> Column {
    let next = carried(vec3<u32>(at.p + by.p, at.q + by.q, at.c + by.c), p.k_w, p.c_src);
    return Column(next.x, next.y, next.z);
}

// Whether there is such a column.
fn exists(p: Params, at: Column) -> bool {
    return (at.p < p.k_h) & (p.k_w > 0u);
}

// Of a column, the weight to column 0.
fn weight_of(p: Params, at: Column) -> u32 {
    return p.w_first + at.p * p.w_row + at.q * p.w_tap + at.c * p.w_c;
}

// Number `index` of the pixels (or windows) of all images: image, row and column; or how far it is from any to one further on.
fn place_at(p: Params, index: u32) -> vec3<u32> {
    let line = index / p.w_dst;
    let image = line / p.h_dst;
    return vec3<u32>(image, line - image * p.h_dst, index - line * p.w_dst);
}

fn next_place(p: Params, at: vec3<u32>, by: vec3<u32>) -> vec3<u32> {
    return carried(at + by, p.h_dst, p.w_dst);
}

// Where tap 0 of a pixel reads: an image, a row and a column of it, and the number of that pixel among all that are read, which means
// nothing outside of the image.
struct Pixel {
    image: u32,
    row: i32,
    col: i32,
    index: u32,
}

fn pixel_at(p: Params, image: u32, i: u32, j: u32) -> Pixel {
    let row = i32(i) * p.mul_h + p.off_h;
    let col = i32(j) * p.mul_w + p.off_w;
    let line = i32(image * p.h_src) + row;
    return Pixel(image, row, col, u32(line * i32(p.w_src) + col));
}

// How far from there a column reads.
struct Shift {
    down: i32,
    across: i32,
    on: u32,
}

fn shift_of(p: Params, at: Column) -> Shift {
    // A column that does not exist reads far outside.
    let down = select(0x40000000, i32(at.p) * p.step_h, exists(p, at));
    let across = i32(at.q) * p.step_w;
    return Shift(down, across, u32(down * i32(p.w_src) + across));
}

// Where a pixel reads through a column.
struct Read {
    h: u32,
    w: u32,
    index: u32,
    inside: bool,
}

fn shifted(p: Params, start: Pixel, by: Shift) -> Read {
    // What lies before the first row or column is a large number once it has no sign.
    let h = u32(start.row + by.down);
    let w = u32(start.col + by.across);
    // Not &&: a chain of branches in each unrolled load keeps one software driver compiling for minutes.
    return Read(h, w, start.index + by.on, (h < p.h_src) & (w < p.w_src));
}
