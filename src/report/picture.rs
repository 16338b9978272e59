//! A plot that is drawn: as a figure of a page, as a file of SVG that stands alone in the light and in the dark, and as a PNG.

use std::sync::LazyLock;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::page::{THEMES, escaped, light};
use super::text::shortened;
use crate::error::{Error, Result};

/// Curves that have a colour of their own; further ones are dashed, then dotted.
pub const COLOURS: usize = 8;
/// How the lines of the first curves, of the next and of all others are interrupted.
const DASHES: [&str; 3] = ["none", "7 4", "2 4"];
/// Dots of a PNG for a unit of the picture.
const SCALE: f32 = 2.0;
/// Height of a line of letters above a picture that stands alone, and width of a key there.
const LINE: u32 = 24;
const KEY: u32 = 240;
/// Characters of a key's name.
const LETTERS: usize = 27;

/// A picture with its title and what explains its colours.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// What it shows.
    pub title: String,
    /// Width and height.
    pub size: (u32, u32),
    /// The drawing, an element `svg` whose colours are variables of [`THEMES`].
    pub svg: String,
    /// What its colours mean.
    pub keys: Vec<Key>,
}

/// What a colour means.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// The curve of this number has this name.
    Curve(usize, String),
    /// Name and unit of numbers that run from one to another as their colour becomes stronger.
    Ramp(String, [String; 2]),
}

/// How the line of a curve is drawn, as attributes of SVG.
pub(super) fn stroke(index: usize) -> String {
    let dash = DASHES[(index / COLOURS).min(DASHES.len() - 1)];
    format!("\"var(--c{})\" stroke-dasharray=\"{dash}\"", index % COLOURS)
}

impl Key {
    fn html(&self) -> String {
        match self {
            Self::Curve(index, name) => format!(
                "<span class=\"key\"><svg class=\"swatch\" viewBox=\"0 0 26 10\"><path d=\"M0 5H26\" stroke-width=\"4\" stroke={}/></svg>{}</span>",
                stroke(*index),
                escaped(name)
            ),
            Self::Ramp(of, [low, high]) => {
                format!("<span class=\"key\">{}: {low} <i class=\"ramp\"></i> {high}</span>", escaped(of))
            }
        }
    }

    /// At this place of a picture.
    fn svg(&self, x: u32, y: u32) -> String {
        let letters = "fill=\"var(--faint)\" font-size=\"14\"";
        match self {
            Self::Curve(index, name) => format!(
                "<path d=\"M{x} {}h26\" stroke-width=\"4\" stroke={}/><text x=\"{}\" y=\"{y}\" {letters}>{}</text>",
                y - 5,
                stroke(*index),
                x + 32,
                escaped(&shortened(name, LETTERS))
            ),
            Self::Ramp(of, [low, high]) => format!(
                "<text x=\"{x}\" y=\"{y}\" {letters}>{}: from {low} (faint) to {high} (strong)</text>",
                escaped(of)
            ),
        }
    }
}

/// A figure that has nothing to show yet.
pub(super) fn nothing(title: &str) -> String {
    format!(
        "<figure><figcaption>{}</figcaption><p class=\"meta\">Nothing was measured yet.</p></figure>\n",
        escaped(title)
    )
}

impl Picture {
    /// As a figure of a page.
    pub fn figure(&self) -> String {
        let keys: String = self.keys.iter().map(Key::html).collect();
        format!("<figure><figcaption>{} {keys}</figcaption>{}</figure>\n", escaped(&self.title), self.svg)
    }

    /// As a file of SVG, whose colours follow what the viewer prefers.
    pub fn file(&self) -> String {
        self.alone(&format!("<style>{THEMES}</style>"))
    }

    fn alone(&self, style: &str) -> String {
        let (width, height) = self.size;
        let row = (width / KEY).max(1) as usize;
        let ramp = self.keys.iter().any(|key| matches!(key, Key::Ramp(..)));
        let rows = if ramp { self.keys.len() } else { self.keys.len().div_ceil(row) };
        let place = |index: usize| match ramp {
            true => [12, index as u32],
            false => [12 + KEY * (index % row) as u32, (index / row) as u32],
        };
        let keys: String = self
            .keys
            .iter()
            .enumerate()
            .map(|(index, key)| (key, place(index)))
            .map(|(key, [x, line])| key.svg(x, 52 + LINE * line))
            .collect();
        let top = 36 + LINE * rows as u32;
        let inner =
            self.svg.replacen("<svg ", &format!("<svg x=\"0\" y=\"{top}\" width=\"{width}\" height=\"{height}\" "), 1);
        let whole = top + height;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {whole}\" width=\"{width}\" height=\"{whole}\" \
             font-family=\"sans-serif\">{style}<rect width=\"100%\" height=\"100%\" fill=\"var(--page)\"/>\
             <text x=\"12\" y=\"26\" fill=\"var(--text)\" font-size=\"17\" font-weight=\"600\">{}</text>{keys}{inner}</svg>\n",
            escaped(&self.title)
        )
    }

    /// As a PNG in the light; none where this machine has no font to write with.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it cannot be drawn.
    pub fn png(&self) -> Result<Option<Vec<u8>>> {
        let Some(fonts) = FONTS.as_ref() else { return Ok(None) };
        let wrong =
            |problem: String| Error::Invalid(format!("the picture of {} cannot be drawn: {problem}", self.title));
        let plain = light().fold(self.alone(""), |svg, (name, colour)| svg.replace(&format!("var({name})"), colour));
        let options = Options { fontdb: fonts.clone(), ..Options::default() };
        let tree = Tree::from_str(&plain, &options).map_err(|error| wrong(error.to_string()))?;
        let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| wrong("it has no size".into()))?;
        let mut dots = Pixmap::new(size.width(), size.height()).ok_or_else(|| wrong("it is too large".into()))?;
        resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut dots.as_mut());
        dots.encode_png().map(Some).map_err(|error| wrong(error.to_string()))
    }
}

/// The fonts of this machine, with one that stands for all that have no serifs; none where there is no font.
static FONTS: LazyLock<Option<std::sync::Arc<fontdb::Database>>> = LazyLock::new(|| {
    const USUAL: [&str; 7] =
        ["DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica", "Segoe UI", "Helvetica Neue"];
    let mut fonts = fontdb::Database::new();
    fonts.load_system_fonts();
    let families: Vec<String> =
        fonts.faces().filter_map(|face| face.families.first()).map(|(family, _)| family.clone()).collect();
    let usual = USUAL.into_iter().find(|usual| families.iter().any(|family| family == usual));
    let family = usual.map(str::to_owned).or_else(|| families.into_iter().next())?;
    fonts.set_sans_serif_family(family);
    Some(std::sync::Arc::new(fonts))
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::{Curve, Plot, Scale};

    #[test]
    fn a_picture_stands_alone_as_svg_and_as_png() {
        let curve = |index: usize| Curve {
            name: format!("number {index} & as long a name as there may be"),
            points: vec![[1.0, index as f64], [2.0, 1.0 + index as f64]],
            marked: index == 0,
        };
        let curves = (0..18).map(curve).collect();
        let plot = Plot { title: "Loss".into(), x: "step".into(), y: "nats".into(), scale: Scale::Linear, curves };
        let picture = plot.picture().unwrap().unwrap();
        let file = picture.file();
        for part in ["prefers-color-scheme:dark", "Loss", "stroke-dasharray=\"7 4\"", "number 17", "nats", "--page:"] {
            assert!(file.contains(part), "{part}: {file}");
        }
        // The only address is the name of the format.
        assert_eq!(file.matches("http").count(), 1);
        Tree::from_str(&file, &Options::default()).unwrap();
        let Some(png) = picture.png().unwrap() else { return };
        let dots = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(dots.width(), 2 * picture.size.0);
        let blue = dots.pixels().filter(|dot| dot.0 == [0x09, 0x69, 0xda]).count();
        let dark = dots.pixels().filter(|dot| dot.0 == [0x1b, 0x1f, 0x24]).count();
        assert!(
            dots.get_pixel(0, 0).0 == [255; 3] && blue > 500 && dark > 50,
            "{blue} dots of a curve, {dark} of letters"
        );
    }
}
