//! One picture from a file, of any size, as the bytes that a network was trained on: what `predict` reads.
//!
//! A network knows only its own kind of image: one trained on MNIST or on the built-in digits expects a white digit
//! on black, near the middle. Dark ink on light paper needs [`Options::invert`].

use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, Rgb, RgbImage};

use crate::error::{Error, Result};

/// How a picture is fitted to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `[h, w, c]` of the network's input; c is 1 (grey) or 3 (red, green, blue).
    pub shape: [usize; 3],
    /// Whether black and white change places, after transparent parts have become black paper.
    pub invert: bool,
}

/// Reads a PNG or JPEG (told apart by content, not by name) into h·w·c bytes in `[h, w, c]`. Transparency is
/// composited over black, grey is the luminance, and the picture is stretched to h×w.
///
/// # Errors
/// [`Error::File`] where the file cannot be read or is no such picture; [`Error::Invalid`] for other channel counts
/// than 1 and 3 and for an empty shape.
pub fn read(path: &Path, options: Options) -> Result<Vec<u8>> {
    let [h, w, c] = options.shape;
    let sizes = (u32::try_from(h).unwrap_or(0), u32::try_from(w).unwrap_or(0));
    if !matches!(c, 1 | 3) || sizes.0 == 0 || sizes.1 == 0 {
        return Err(Error::Invalid(format!("a picture cannot become {h}×{w}×{c}: channels are 1 (grey) or 3 (RGB)")));
    }
    let unreadable = |e: std::io::Error| Error::file(path, format!("cannot be read: {e}"));
    let reader = image::ImageReader::open(path).map_err(unreadable)?.with_guessed_format().map_err(unreadable)?;
    let picture = reader.decode().map_err(|e| match e {
        image::ImageError::Unsupported(_) => Error::file(path, "is neither a PNG nor a JPEG picture"),
        image::ImageError::IoError(e) => Error::file(path, format!("is a damaged or truncated picture ({e})")),
        e => Error::file(path, format!("is a damaged picture ({e})")),
    })?;
    let picture = DynamicImage::ImageRgb8(over_black(&picture));
    // Grey before resizing: a third of the work, and the filter sees what the network sees.
    let picture = if c == 1 { DynamicImage::ImageLuma8(picture.into_luma8()) } else { picture };
    let mut bytes = picture.resize_exact(sizes.1, sizes.0, FilterType::Triangle).into_bytes();
    if options.invert {
        bytes.iter_mut().for_each(|byte| *byte = 255 - *byte);
    }
    Ok(bytes)
}

/// The picture on black paper.
fn over_black(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let rgba = picture.to_rgba8();
    let (width, height) = rgba.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0;
        Rgb([r, g, b].map(|value| ((u32::from(value) * u32::from(a) + 127) / 255) as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, LumaA, RgbaImage};

    const MNIST: Options = Options { shape: [28, 28, 1], invert: false };

    fn saved(picture: impl Into<DynamicImage>, name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        picture.into().save(&path).unwrap();
        (dir, path)
    }

    #[test]
    fn a_picture_of_the_right_size_and_kind_comes_through_unchanged() {
        let picture = GrayImage::from_fn(28, 28, |x, y| Luma([(x * 9 + y) as u8]));
        let (_dir, path) = saved(picture.clone(), "digit.png");
        assert_eq!(read(&path, MNIST).unwrap(), picture.into_raw());
    }

    #[test]
    fn rows_come_first_and_channels_last() {
        let picture = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 200]));
        let (_dir, path) = saved(picture, "small.png");
        let bytes = read(&path, Options { shape: [2, 3, 3], invert: false }).unwrap();
        assert_eq!(bytes, [0, 0, 200, 1, 0, 200, 2, 0, 200, 0, 1, 200, 1, 1, 200, 2, 1, 200]);
    }

    #[test]
    fn any_size_is_stretched_and_a_jpeg_under_a_wrong_name_is_recognised() {
        let picture = GrayImage::from_fn(100, 40, |x, _| Luma([if x < 50 { 0 } else { 250 }]));
        let (_dir, path) = saved(picture, "photo.jpg");
        let renamed = path.with_extension("png");
        std::fs::rename(&path, &renamed).unwrap();
        let bytes = read(&renamed, MNIST).unwrap();
        assert_eq!(bytes.len(), 784);
        assert!(bytes[28 * 14 + 3] < 10 && bytes[28 * 14 + 24] > 240);
    }

    #[test]
    fn transparent_becomes_black_and_invert_swaps_black_and_white() {
        let picture = RgbaImage::from_pixel(5, 5, image::Rgba([255, 255, 255, 0]));
        let (_dir, path) = saved(picture, "clear.png");
        assert_eq!(read(&path, MNIST).unwrap(), [0; 784]);
        assert_eq!(read(&path, Options { invert: true, ..MNIST }).unwrap(), [255; 784]);
        let half = image::ImageBuffer::<LumaA<u8>, _>::from_pixel(5, 5, LumaA([200, 128]));
        let (_dir, path) = saved(half, "half.png");
        assert_eq!(read(&path, MNIST).unwrap(), [100; 784]);
    }

    #[test]
    fn what_is_no_picture_is_named_with_the_reason() {
        let (dir, path) = saved(GrayImage::new(20, 20), "whole.png");
        let bytes = std::fs::read(&path).unwrap();
        let cases: &[(&str, &[u8], &str)] = &[
            ("notes.txt", b"no picture at all", "is neither a PNG nor a JPEG picture"),
            ("empty.png", b"", "is "),
            ("cut.png", &bytes[..bytes.len() / 2], "is a damaged"),
        ];
        for (name, bytes, expected) in cases {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path, MNIST).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
        let error = read(&dir.path().join("missing.png"), MNIST).unwrap_err().to_string();
        assert!(error.contains("missing.png: cannot be read"), "{error}");
        assert!(read(&path, Options { shape: [28, 28, 4], invert: false }).is_err());
    }
}
