//! Pictures in rows and columns, as one PNG: what a network sees, and maps of it in colours that eyes can order.
//!
//! Small images are enlarged by whole factors, so that a pixel stays a square. Strengths are drawn in Viridis, which grows lighter
//! evenly, and numbers with a sign in blue and red, white at 0 (both by `colorous`).

use std::io::Cursor;
use std::path::Path;

use colorous::{Color, Gradient};
use image::{ImageFormat, Rgb, RgbImage, imageops};

use crate::error::{Error, Result};
use crate::format::write_atomic;
use crate::train::explain::Map;

/// Pixels between tiles.
const GAP: u32 = 4;
/// The colour between tiles.
const PAPER: Rgb<u8> = Rgb([255; 3]);
/// The most pixels that a side of a sheet may have.
const MOST: u32 = 1 << 15;

/// The whole factor by which images of `size` (height and width) are enlarged so that their longer side has about `wanted` pixels.
pub fn enlargement(size: [usize; 2], wanted: usize) -> usize {
    (wanted / size[0].max(size[1]).max(1)).max(1)
}

/// One picture of a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile(RgbImage);

impl Tile {
    /// A tile of this height and width whose pixel (row, column) has the colour that `colour` says.
    fn new([height, width]: [usize; 2], colour: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        Self(RgbImage::from_fn(width as u32, height as u32, |x, y| Rgb(colour(y as usize, x as usize))))
    }

    /// An image of bytes `[h, w, c]`, each pixel `factor`×`factor` large. Of other channels than 1 (grey) and 3 (RGB) the first is shown.
    pub fn image(bytes: &[u8], [h, w, c]: [usize; 3], factor: usize) -> Self {
        Self::new([h * factor, w * factor], |row, column| {
            let pixel = &bytes[(row / factor * w + column / factor) * c..][..c];
            <[u8; 3]>::try_from(pixel).unwrap_or([pixel[0]; 3])
        })
    }

    /// Strengths from 0 to `most`, each place `factor`×`factor` large.
    pub fn strengths(map: &Map, most: f64, factor: usize) -> Self {
        Self::coloured(map, factor, |value| (colorous::VIRIDIS, unit(value / most)))
    }

    /// Numbers from −`most` (blue) by 0 (white) to `most` (red), each place `factor`×`factor` large.
    pub fn signed(map: &Map, most: f64, factor: usize) -> Self {
        Self::coloured(map, factor, |value| {
            let strength = unit(value.abs() / most).copysign(value);
            (colorous::RED_BLUE, 0.5 - 0.5 * strength)
        })
    }

    fn coloured(map: &Map, factor: usize, place: impl Fn(f64) -> (Gradient, f64)) -> Self {
        Self::new(map.size.map(|side| side * factor), |row, column| {
            let (gradient, at) = place(map.values[row / factor * map.size[1] + column / factor]);
            colour(gradient, at)
        })
    }

    /// This tile with the strengths of `map`, from 0 to `most`, laid over it: the stronger, the more of their colour.
    pub fn under(&self, map: &Map, most: f64) -> Self {
        let size = [self.0.height() as usize, self.0.width() as usize];
        let over = map.resized(size);
        Self::new(size, |row, column| {
            let strength = unit(over.values[row * size[1] + column] / most);
            let (below, share) = (self.0.get_pixel(column as u32, row as u32).0, 0.15 + 0.6 * strength);
            let above = colour(colorous::VIRIDIS, strength);
            [0, 1, 2].map(|c| (f64::from(below[c]) * (1.0 - share) + f64::from(above[c]) * share).round() as u8)
        })
    }
}

/// A share of a scale; of a scale that ends at 0, nothing.
fn unit(share: f64) -> f64 {
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
}

fn colour(gradient: Gradient, at: f64) -> [u8; 3] {
    let Color { r, g, b } = gradient.eval_continuous(at);
    [r, g, b]
}

/// The PNG of `rows` of tiles; all tiles of a row and of a column take the room of the largest.
///
/// # Errors
/// [`Error::Invalid`] where the sheet would have no pixel, or more than 32,768 on a side.
pub fn png(rows: &[Vec<Tile>]) -> Result<Vec<u8>> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let side = |tiles: &mut dyn Iterator<Item = u32>| tiles.max().unwrap_or(0);
    let heights: Vec<u32> = rows.iter().map(|row| side(&mut row.iter().map(|tile| tile.0.height()))).collect();
    let widths: Vec<u32> = (0..columns)
        .map(|column| side(&mut rows.iter().filter_map(|row| row.get(column)).map(|tile| tile.0.width())))
        .collect();
    let whole = |sides: &[u32]| GAP + sides.iter().map(|side| side + GAP).sum::<u32>();
    let (width, height) = (whole(&widths), whole(&heights));
    if columns == 0 || width > MOST || height > MOST {
        return Err(Error::Invalid(format!(
            "a sheet of {width}×{height} pixels cannot be drawn: it may have up to {MOST} on a side; ask for fewer pictures"
        )));
    }
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);
    let mut y = GAP;
    for (row, height) in rows.iter().zip(&heights) {
        let mut x = GAP;
        for (tile, width) in row.iter().zip(&widths) {
            imageops::replace(&mut sheet, &tile.0, i64::from(x), i64::from(y));
            x += width + GAP;
        }
        y += height + GAP;
    }
    let mut bytes = Cursor::new(Vec::new());
    let written = sheet.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|error| Error::Invalid(format!("the sheet cannot be encoded: {error}")))?;
    Ok(bytes.into_inner())
}

/// Writes the PNG of `rows` of tiles, see [`png`].
///
/// # Errors
/// As [`png`], and [`Error::File`] where it cannot be written.
pub fn write(path: &Path, rows: &[Vec<Tile>]) -> Result<()> {
    write_atomic(path, &png(rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_stand_in_rows_and_columns_with_their_pixels_enlarged() {
        let tile = |byte: u8| Tile::image(&[byte, 0, 0, byte], [2, 2, 1], 3);
        let rows = [vec![tile(10), tile(20)], vec![tile(30)]];
        let sheet = image::load_from_memory(&png(&rows).unwrap()).unwrap().into_rgb8();
        assert_eq!(sheet.dimensions(), (2 * 6 + 3 * 4, 2 * 6 + 3 * 4));
        for (x, y, wanted) in [(4, 4, 10), (6, 6, 10), (7, 6, 0), (19, 9, 20), (4, 14, 30), (14, 14, 255), (0, 0, 255)]
        {
            assert_eq!(sheet.get_pixel(x, y).0, [wanted; 3], "{x} {y}");
        }
        assert!(png(&[]).is_err());
    }

    #[test]
    fn colours_follow_strength_and_sign() {
        let map = Map { size: [1, 3], values: vec![-2.0, 0.0, 2.0] };
        let Tile(signed) = Tile::signed(&map, 2.0, 1);
        let [blue, white, red] = [0, 1, 2].map(|x| signed.get_pixel(x, 0).0);
        assert!(blue[2] > blue[0] + 50 && red[0] > red[2] + 50 && white.iter().all(|&part| part > 230));
        let light = |[r, g, b]: [u8; 3]| 0.3 * f64::from(r) + 0.59 * f64::from(g) + 0.11 * f64::from(b);
        let Tile(strengths) = Tile::strengths(&Map { size: [1, 3], values: vec![0.0, 1.0, 2.0] }, 2.0, 1);
        let lights = [0, 1, 2].map(|x| light(strengths.get_pixel(x, 0).0));
        assert!(lights[0] < lights[1] && lights[1] < lights[2], "{lights:?}");
        // A map of nothing is dark, not a division by 0.
        let Tile(nothing) = Tile::strengths(&Map { size: [1, 1], values: vec![0.0] }, 0.0, 1);
        assert!(light(nothing.get_pixel(0, 0).0) < 60.0);
    }

    #[test]
    fn only_small_images_are_enlarged() {
        assert_eq!([28, 32, 100, 224].map(|side| enlargement([side, 3], 112)), [4, 3, 1, 1]);
    }
}
