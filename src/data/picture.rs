//! One picture from a file, of any size, as the bytes that a network is trained on: what folders of pictures consist of, and what
//! `predict` reads.
//!
//! A network knows only its own kind of image: one trained on MNIST or on the built-in digits expects a white digit
//! on black, near the middle. Dark ink on light paper needs [`Options::invert`].

mod decode;

use std::path::Path;

use image::DynamicImage;
use image::imageops::FilterType;

use crate::error::{Error, Result};

pub use decode::{Header, MOST_PIXELS, header};

/// How a picture is fitted to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `[h, w, c]` of the network's input; c is 1 (grey) or 3 (red, green, blue).
    pub shape: [usize; 3],
    /// Whether black and white change places, after transparent parts have become black paper.
    pub invert: bool,
}

/// Reads a PNG or JPEG (told apart by content, not by name) into h·w·c bytes in `[h, w, c]`. The picture is turned upright where
/// its EXIF data say so, transparency is composited over black, grey is the luminance. The largest part in the middle that has
/// the shape of h×w is taken and resized by a triangle filter (as wide as the pixels that become one, so nothing is skipped).
///
/// # Errors
/// [`Error::File`] where the file cannot be read, is no such picture, is damaged or truncated, has 16 bits a channel, is CMYK, or
/// has more than [`MOST_PIXELS`]; [`Error::Invalid`] for other channel counts than 1 and 3 and for an empty shape.
pub fn read(path: &Path, options: Options) -> Result<Vec<u8>> {
    let [h, w, c] = options.shape;
    let sizes = (u32::try_from(h).unwrap_or(0), u32::try_from(w).unwrap_or(0));
    if !matches!(c, 1 | 3) || sizes.0 == 0 || sizes.1 == 0 {
        return Err(Error::Invalid(format!("a picture cannot become {h}×{w}×{c}: channels are 1 (grey) or 3 (RGB)")));
    }
    let picture = decode::decode(path)?;
    // Grey before resizing: a third of the work, and the filter sees what the network sees.
    let picture = match c {
        1 => DynamicImage::ImageLuma8(picture.into_luma8()),
        _ => DynamicImage::ImageRgb8(picture.into_rgb8()),
    };
    let [x, y, width, height] = middle([picture.height(), picture.width()], [sizes.0, sizes.1]);
    let picture = picture.crop_imm(x, y, width, height);
    let mut bytes = picture.resize_exact(sizes.1, sizes.0, FilterType::Triangle).into_bytes();
    if options.invert {
        bytes.iter_mut().for_each(|byte| *byte = 255 - *byte);
    }
    Ok(bytes)
}

/// Left, top, width and height of the largest part in the middle of a picture that has the shape of `to`; both are height and width.
fn middle([height, width]: [u32; 2], to: [u32; 2]) -> [u32; 4] {
    let [h, w] = to.map(u64::from);
    let scaled = |side: u32, by: u64, of: u64| ((u64::from(side) * by + of / 2) / of).max(1) as u32;
    let (part_width, part_height) = match u64::from(width) * h > u64::from(height) * w {
        true => (scaled(height, w, h).min(width), height),
        false => (width, scaled(width, h, w).min(height)),
    };
    [(width - part_width) / 2, (height - part_height) / 2, part_width, part_height]
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, LumaA, Rgb, RgbImage, RgbaImage};

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
    fn any_size_is_fitted_and_a_jpeg_under_a_wrong_name_is_recognised() {
        let picture = GrayImage::from_fn(120, 40, |x, _| Luma([if x < 60 { 0 } else { 250 }]));
        let (_dir, path) = saved(picture, "photo.jpg");
        let renamed = path.with_extension("png");
        std::fs::rename(&path, &renamed).unwrap();
        let bytes = read(&renamed, MNIST).unwrap();
        assert_eq!(bytes.len(), 784);
        assert!(bytes[28 * 14 + 3] < 10 && bytes[28 * 14 + 24] > 240);
    }

    #[test]
    fn what_is_too_wide_or_too_high_loses_both_ends() {
        assert_eq!(middle([40, 100], [28, 28]), [30, 0, 40, 40]);
        assert_eq!(middle([100, 41], [20, 20]), [0, 29, 41, 41]);
        assert_eq!(middle([30, 40], [3, 4]), [0, 0, 40, 30]);
        assert_eq!(middle([1, 64_000_000], [8_000, 1]), [31_999_999, 0, 1, 1]);
        let stripes = GrayImage::from_fn(30, 10, |x, _| Luma([if (10..20).contains(&x) { 200 } else { 0 }]));
        let (_dir, path) = saved(stripes, "stripes.png");
        assert_eq!(read(&path, Options { shape: [5, 5, 1], invert: false }).unwrap(), [200; 25]);
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
    fn a_picture_is_turned_upright_as_its_exif_data_say() {
        let (_dir, path) = saved(GrayImage::from_fn(16, 8, |x, _| Luma([if x < 8 { 0 } else { 250 }])), "lies.jpg");
        let jpeg = std::fs::read(&path).unwrap();
        // TIFF header, one directory with one entry: orientation (0x112), a short, 6: turn by 90° clockwise to view.
        let tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let segment = [&[0xff, 0xe1, 0, tiff.len() as u8 + 2], &tiff[..]].concat();
        std::fs::write(&path, [&jpeg[..2], &segment, &jpeg[2..]].concat()).unwrap();
        assert_eq!(header(&path).unwrap(), Header { size: [16, 8], grey: true });
        let upright = read(&path, Options { shape: [16, 8, 1], invert: false }).unwrap();
        assert!(upright[..8].iter().all(|&top| top < 10) && upright[120..].iter().all(|&bottom| bottom > 240));
    }

    #[test]
    fn what_is_no_picture_is_named_with_the_reason() {
        let (dir, path) = saved(GrayImage::new(20, 20), "whole.png");
        let bytes = std::fs::read(&path).unwrap();
        let wide = image::ImageBuffer::<Luma<u16>, Vec<u16>>::new(4, 4);
        DynamicImage::ImageLuma16(wide).save(dir.path().join("deep.png")).unwrap();
        let deep = std::fs::read(dir.path().join("deep.png")).unwrap();
        // The size stands in the header, with a checksum behind it; 10,000 is 0x2710.
        let mut huge = bytes[..33].to_vec();
        huge[16..24].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
        let mut crc = flate2::Crc::new();
        crc.update(&huge[12..29]);
        huge[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        huge.extend(&bytes[33..]);
        let cases: &[(&str, &[u8], &str)] = &[
            ("notes.txt", b"no picture at all", "is neither a PNG nor a JPEG picture"),
            ("notes.png", b"no picture at all", "is neither a PNG nor a JPEG picture"),
            ("empty.png", b"", "is empty"),
            ("moving.gif", b"GIF89a\x01\0\x01\0\0\0\0;", "is neither a PNG nor a JPEG picture but a GIF"),
            ("cut.png", &bytes[..bytes.len() / 2], "is a damaged"),
            ("deep.png", &deep, "has 16 bits a channel"),
            ("huge.png", &huge, "is too large: 10000×10000 pixels, and pictures may have up to 64 million"),
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

    /// A colour JPEG of 32×32 that needs all of its bytes.
    fn jpeg() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
        let noise = |x: u32, y: u32| (x * 97 + y * 61 + x * y * 13) as u8;
        let picture = RgbImage::from_fn(32, 32, |x, y| Rgb([noise(x, y), noise(y, x), noise(x + 5, y + 3)]));
        let (dir, path) = saved(picture, "whole.jpg");
        let bytes = std::fs::read(&path).unwrap();
        (dir, path, bytes)
    }

    #[test]
    fn a_jpeg_cut_off_anywhere_is_refused() {
        let (_dir, path, bytes) = jpeg();
        let options = Options { shape: [32, 32, 3], invert: false };
        assert_eq!(header(&path).unwrap(), Header { size: [32, 32], grey: false });
        read(&path, options).unwrap();
        for length in 2..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = read(&path, options).map(drop).unwrap_err().to_string();
            assert!(error.contains("truncated") || error.contains("neither"), "{length}: {error}");
        }
        // What follows the end belongs to nobody.
        std::fs::write(&path, [&bytes[..], b"trailer \xff\xda"].concat()).unwrap();
        read(&path, options).unwrap();
    }

    #[test]
    fn a_jpeg_with_four_channels_is_cmyk() {
        let (_dir, path, bytes) = jpeg();
        // Frame and scan headers with a fourth component like the third.
        let mut cmyk = Vec::new();
        let mut at = 2;
        cmyk.extend(&bytes[..2]);
        while at < bytes.len() && bytes[at + 1] != 0xd9 {
            let (code, length) = (bytes[at + 1], usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])));
            let mut segment = bytes[at..at + 2 + length].to_vec();
            let fourth: &[u8] = match code {
                0xc0 => &[4, 0x11, 1],
                0xda => &[4, 0x11],
                _ => &[],
            };
            if !fourth.is_empty() {
                let (count, end) = if code == 0xc0 { (9, segment.len()) } else { (4, segment.len() - 3) };
                segment[count] = 4;
                segment[3] += fourth.len() as u8;
                segment.splice(end..end, fourth.iter().copied());
            }
            cmyk.extend(segment);
            at += 2 + length;
            if code == 0xda {
                break;
            }
        }
        cmyk.extend(&bytes[at..]);
        std::fs::write(&path, cmyk).unwrap();
        for error in [header(&path).unwrap_err(), read(&path, MNIST).unwrap_err()] {
            assert!(error.to_string().contains("is a CMYK picture"), "{error}");
        }
    }
}
