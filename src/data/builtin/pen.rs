//! The pen: draws lines of varying width and ink on a small grey picture, with smooth edges, and dims the paper.
//!
//! Only additions, multiplications, divisions and square roots are used here, which IEEE 754 fixes to the last bit:
//! that is why the same seed gives the same bytes on every platform.

/// Height and width of a picture in pixels.
pub const SIZE: usize = 28;

/// Where the pen is, in pixels, and how it touches the paper.
#[derive(Debug, Clone, Copy)]
pub struct Dot {
    /// Pixels from the left edge of the picture.
    pub x: f32,
    /// Pixels from the upper edge.
    pub y: f32,
    /// Half the width of the line, in pixels.
    pub radius: f32,
    /// Brightness of the line, 0 to 1.
    pub ink: f32,
}

/// A grey picture, 0 (paper) to 1 (ink).
pub struct Paper {
    pixels: [f32; SIZE * SIZE],
}

impl Paper {
    /// An empty picture.
    pub fn new() -> Self {
        Self { pixels: [0.0; SIZE * SIZE] }
    }

    /// The brightness of pixel `index` (row-major).
    pub fn pixel(&self, index: usize) -> f32 {
        self.pixels[index]
    }

    /// Draws the line from `a` to `b`: a pixel becomes as bright as the line that covers it best, with an edge one
    /// pixel wide. Only the pixels of the line's bounding box are visited.
    pub fn line(&mut self, a: Dot, b: Dot) {
        let reach = a.radius.max(b.radius) + 0.5;
        let (left, right) = span(a.x.min(b.x) - reach, a.x.max(b.x) + reach);
        let (top, bottom) = span(a.y.min(b.y) - reach, a.y.max(b.y) + reach);
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let inverse = 1.0 / (dx * dx + dy * dy).max(1e-12);
        for row in top..bottom {
            for column in left..right {
                let (px, py) = (column as f32 + 0.5 - a.x, row as f32 + 0.5 - a.y);
                let along = ((px * dx + py * dy) * inverse).clamp(0.0, 1.0);
                let (ex, ey) = (px - along * dx, py - along * dy);
                let distance = (ex * ex + ey * ey).sqrt();
                let radius = a.radius + along * (b.radius - a.radius);
                let cover = (radius + 0.5 - distance).clamp(0.0, 1.0);
                let value = cover * (a.ink + along * (b.ink - a.ink));
                let pixel = &mut self.pixels[row * SIZE + column];
                *pixel = pixel.max(value);
            }
        }
    }

    /// Blurs with the weights (`side`, 1 - 2 `side`, `side`) along rows and then along columns.
    pub fn blur(&mut self, side: f32) {
        let middle = 1.0 - 2.0 * side;
        for (step, lines) in [(1, SIZE), (SIZE, 1)] {
            for line in 0..SIZE {
                let mut before = 0.0;
                for i in 0..SIZE {
                    let at = line * lines + i * step;
                    let after = if i + 1 < SIZE { self.pixels[at + step] } else { 0.0 };
                    let here = self.pixels[at];
                    self.pixels[at] = middle * here + side * (before + after);
                    before = here;
                }
            }
        }
    }
}

/// The pixels that the interval from `low` to `high` touches, cut to the picture.
fn span(low: f32, high: f32) -> (usize, usize) {
    // `as` saturates, so what lies outside becomes an empty interval at the edge.
    (low as usize, (high as usize + 1).min(SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(x: f32, y: f32) -> Dot {
        Dot { x, y, radius: 1.0, ink: 1.0 }
    }

    #[test]
    fn a_line_covers_its_pixels_and_nothing_far_away() {
        let mut paper = Paper::new();
        paper.line(dot(4.0, 10.0), dot(20.0, 10.0));
        assert_eq!(paper.pixel(9 * SIZE + 12), 1.0);
        assert_eq!(paper.pixel(10 * SIZE + 12), 1.0);
        assert_eq!(paper.pixel(12 * SIZE + 12), 0.0);
        assert_eq!(paper.pixel(10 * SIZE + 23), 0.0);
    }

    #[test]
    fn lines_outside_the_picture_are_cut_and_not_refused() {
        let mut paper = Paper::new();
        paper.line(dot(-9.0, -9.0), dot(-5.0, 50.0));
        paper.line(dot(60.0, 60.0), dot(90.0, 40.0));
        assert!((0..SIZE * SIZE).all(|i| paper.pixel(i) == 0.0));
        paper.line(dot(-5.0, 5.0), dot(50.0, 5.0));
        assert_eq!(paper.pixel(5 * SIZE), 1.0);
        assert_eq!(paper.pixel(5 * SIZE + SIZE - 1), 1.0);
    }

    #[test]
    fn blur_keeps_the_sum_of_what_lies_inside() {
        let mut paper = Paper::new();
        paper.line(dot(10.0, 10.0), dot(18.0, 15.0));
        let sum = |paper: &Paper| (0..SIZE * SIZE).map(|i| paper.pixel(i)).sum::<f32>();
        let before = sum(&paper);
        paper.blur(0.1);
        assert!((sum(&paper) - before).abs() < 1e-3 * before);
    }
}
