//! A PNG or JPEG file as a picture of 8 bits a channel, upright, on black. What cannot be shown faithfully is refused, before it is
//! decoded where its header says so: the header costs no memory, whatever size it promises.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, Limits, RgbImage};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use crate::error::{Error, Result};

/// Most pixels of a picture: 8,000 × 8,000.
pub const MOST_PIXELS: u64 = 64_000_000;
/// Most bytes of a file: what the most pixels take uncompressed, in colour with transparency.
const MOST_BYTES: u64 = 4 * MOST_PIXELS;

/// What a file says about its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Height and width as it is shown.
    pub size: [usize; 2],
    /// Whether it is stored without colours.
    pub grey: bool,
}

/// Reads what a file says about its picture, which may still turn out to be damaged.
///
/// # Errors
/// [`Error::File`] where the file cannot be read, is no PNG or JPEG, or holds a picture that `decode` refuses.
pub fn header(path: &Path) -> Result<Header> {
    let refused = |problem| Error::file(path, problem);
    let (bytes, format) = read(path)?;
    match format {
        ImageFormat::Png => Png::open(&bytes).map(|png| png.header),
        _ => Jpeg::open(&bytes).map(|jpeg| jpeg.header),
    }
    .map_err(refused)
}

/// Decodes a file, told apart by content and not by name, to 8-bit grey or RGB.
///
/// # Errors
/// As [`header`], and where the picture is damaged or truncated.
pub fn decode(path: &Path) -> Result<DynamicImage> {
    let refused = |problem| Error::file(path, problem);
    let (bytes, format) = read(path)?;
    match format {
        ImageFormat::Png => Png::open(&bytes).and_then(Png::decode),
        _ => Jpeg::open(&bytes).and_then(Jpeg::decode),
    }
    .map_err(refused)
}

/// The bytes of a PNG or JPEG file, and which of them it is.
fn read(path: &Path) -> Result<(Vec<u8>, ImageFormat)> {
    let unreadable = |e: std::io::Error| Error::file(path, format!("cannot be read: {e}"));
    let refused = |problem: String| Err(Error::file(path, problem));
    // Opening what is no file (a pipe, say) might wait for ever.
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_file() {
        return refused("is no file".into());
    }
    if kind.len() > MOST_BYTES {
        return refused(format!("is too large: pictures may have up to {} MB", MOST_BYTES / 1_000_000));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).map_err(unreadable)?;
    match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => Ok((bytes, format)),
        Ok(other) => {
            let name = other.extensions_str().first().map_or("picture of another kind".into(), |e| e.to_uppercase());
            refused(format!("is neither a PNG nor a JPEG picture but a {name}"))
        }
        Err(_) if bytes.is_empty() => refused("is empty".into()),
        Err(_) => refused("is neither a PNG nor a JPEG picture".into()),
    }
}

/// The header of a picture stored with this size, unless that is too large.
fn admitted([height, width]: [usize; 2], orientation: Orientation, grey: bool) -> Result<Header, String> {
    if height == 0 || width == 0 {
        return Err("is a damaged picture (it has no pixels)".into());
    }
    if height as u64 * width as u64 > MOST_PIXELS {
        let most = MOST_PIXELS / 1_000_000;
        return Err(format!("is too large: {height}×{width} pixels, and pictures may have up to {most} million"));
    }
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let lies = matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
    Ok(Header { size: if lies { [width, height] } else { [height, width] }, grey })
}

/// A PNG whose header was admitted.
struct Png<'a> {
    header: Header,
    orientation: Orientation,
    decoder: PngDecoder<Cursor<&'a [u8]>>,
}

impl<'a> Png<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MOST_BYTES);
        let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(damage)?;
        let grey = match decoder.color_type() {
            ColorType::L8 | ColorType::La8 => true,
            ColorType::Rgb8 | ColorType::Rgba8 => false,
            _ => return Err("has 16 bits a channel, and only 8 are read; convert it first".into()),
        };
        let orientation = decoder.orientation().map_err(damage)?;
        let (width, height) = decoder.dimensions();
        let header = admitted([height as usize, width as usize], orientation, grey)?;
        Ok(Self { header, orientation, decoder })
    }

    fn decode(self) -> Result<DynamicImage, String> {
        let mut picture = over_black(DynamicImage::from_decoder(self.decoder).map_err(damage)?);
        picture.apply_orientation(self.orientation);
        Ok(picture)
    }
}

/// What is wrong with a PNG.
fn damage(error: ImageError) -> String {
    match error {
        ImageError::Limits(_) => "is a damaged picture (it wants too much memory)".into(),
        ImageError::IoError(e) => format!("is a damaged or truncated picture ({e})"),
        e => format!("is a damaged picture ({e})"),
    }
}

/// The picture on black paper.
fn over_black(picture: DynamicImage) -> DynamicImage {
    let over = |value: u8, alpha: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
    let (width, height) = (picture.width(), picture.height());
    match picture {
        DynamicImage::ImageLumaA8(grey) => DynamicImage::ImageLuma8(GrayImage::from_fn(width, height, |x, y| {
            let [value, alpha] = grey.get_pixel(x, y).0;
            image::Luma([over(value, alpha)])
        })),
        DynamicImage::ImageRgba8(colour) => DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
            let [r, g, b, alpha] = colour.get_pixel(x, y).0;
            image::Rgb([r, g, b].map(|value| over(value, alpha)))
        })),
        opaque => opaque,
    }
}

/// A JPEG whose header was admitted.
struct Jpeg<'a> {
    header: Header,
    orientation: Orientation,
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
}

impl<'a> Jpeg<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, String> {
        if !has_end(bytes) {
            return Err("is a truncated picture: the marker of its end is missing".into());
        }
        // Strict: where the decoder notices wrong bits, it would otherwise paint the rest grey and say nothing. JPEG has no
        // checksum, so it cannot notice all.
        let options =
            DecoderOptions::default().set_strict_mode(true).set_max_width(usize::MAX).set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(broken)?;
        let grey = match decoder.input_colorspace() {
            Some(ColorSpace::Luma) => true,
            Some(ColorSpace::CMYK | ColorSpace::YCCK) => {
                return Err("is a CMYK picture, made for print; convert it to RGB first".into());
            }
            _ => false,
        };
        decoder.set_options(options.jpeg_set_out_colorspace(if grey { ColorSpace::Luma } else { ColorSpace::RGB }));
        let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        let (width, height) = decoder.dimensions().unwrap_or_default();
        let header = admitted([height, width], orientation, grey)?;
        Ok(Self { header, orientation, decoder })
    }

    fn decode(mut self) -> Result<DynamicImage, String> {
        let samples = self.decoder.decode().map_err(broken)?;
        let (width, height) = self.decoder.dimensions().unwrap_or_default();
        let (width, height) = (width as u32, height as u32);
        let mut picture = match self.header.grey {
            true => GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
            false => RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
        }
        .ok_or("is a damaged picture (its header contradicts its pixels)")?;
        picture.apply_orientation(self.orientation);
        Ok(picture)
    }
}

/// What is wrong with a JPEG.
fn broken(error: DecodeErrors) -> String {
    match error {
        DecodeErrors::Unsupported(kind) => format!("is a JPEG picture of a kind that is not read ({kind:?})"),
        // The decoder's own words have line breaks.
        e => format!("is a damaged picture ({})", format!("{e:?}").split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}

/// Whether a JPEG has the marker of its end (ITU-T T.81, annex B). The decoder does not miss it
/// where only the last rows are cut off.
fn has_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // A marker is 0xff and a code; in compressed data 0xff is followed by 0, or begins a restart marker.
        let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7);
        let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(2).position(is_marker)) else { return false };
        at += found + 2;
        match (bytes[at - 1], bytes.get(at..at + 2)) {
            (0xd9, _) => return true,
            // Thumbnails in segments of their own have ends too, so segments are skipped by their lengths.
            (_, Some(length)) => at += usize::from(u16::from_be_bytes([length[0], length[1]])),
            (_, None) => return false,
        }
    }
}
