//! A directory of class folders with PNG and JPEG pictures as a data set.
//!
//! ```text
//! DIR/train/CLASS/*.png and DIR/test/CLASS/*.png       or DIR/CLASS/*.png, of which a tenth become test images
//! ```
//! The directory is listed; the pictures' headers tell the size; then all are decoded, on all processors, each into its own place,
//! so that the order never changes. What was decoded is kept (`kept`) until a file is added, removed or changed.

mod kept;
mod listing;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::picture::{self, MOST_PIXELS};
use super::{Dataset, Event, ImageSize, LoadOptions, Split};
use crate::error::{Error, Result};
use crate::format::cache;
use listing::{Found, Listing};

/// Pictures that are named when they are left out; the others are counted.
const MOST_NAMED: usize = 20;

/// A picture that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bad {
    /// Its path below the directory.
    name: String,
    /// Why, as the rest of a sentence that begins with it.
    problem: String,
}

/// A folder's pictures, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decoded {
    train: Split,
    test: Split,
    classes: Vec<String>,
    /// What could not be used, by path.
    bad: Vec<Bad>,
}

/// Loads the pictures of `dir` as `options.pictures` wants them; [`picture::read`] says how they are fitted to a size. Without
/// a size all must have one; without a number of channels there is one if every picture is stored without colours, else three.
///
/// # Errors
/// [`Error::File`] for a directory that is no folder of class folders (empty, one class, no pictures) and for the first picture
/// that cannot be used, unless these are to be skipped; [`Error::Invalid`] for a size that pictures cannot have.
pub fn load(dir: &Path, options: &LoadOptions) -> Result<Dataset> {
    let size = options.pictures.size;
    if let Some(ImageSize { height, width, channels }) = size
        && !(matches!(channels, None | Some(1 | 3))
            && (1..=MOST_PIXELS).contains(&(height as u64).saturating_mul(width as u64)))
    {
        let most = MOST_PIXELS / 1_000_000;
        return Err(Error::Invalid(format!(
            "--image {height}×{width}{} is impossible: pictures become images of 1 (grey) or 3 (RGB) channels and up to {most} \
             million pixels",
            channels.map_or(String::new(), |channels| format!("×{channels}"))
        )));
    }
    let listing = Listing::read(dir)?;
    let key = listing.fingerprint();
    let place = options.cache_dir.clone().or_else(cache::directory);
    let place = place.map(|root| kept::place(&root, dir, &size.map_or(String::new(), |size| size.to_string())));
    let known = place.as_ref().and_then(|place| kept::read(place, &key));
    let was_kept = known.is_some();
    let decoded = match known {
        Some(decoded) => decoded,
        None => decode(&listing, options)?,
    };
    if let (Some(place), false) = (&place, was_kept) {
        kept::write(place, key, &decoded);
    }
    judge(&listing, &decoded.bad, options.pictures.skip_bad)?;
    if !listing.split {
        (options.observe)(Event::Note("a tenth of each class, always the same pictures, are the test images"));
    }
    if let (Some(place), true) = (&place, was_kept) {
        let note = format!("decoded earlier and unchanged since: taken from {}", place.display());
        (options.observe)(Event::Note(&note));
    }
    let Decoded { train, test, classes, .. } = decoded;
    if test.is_empty() {
        let problem = match listing.split {
            true => "has no picture in its test folder that can be used",
            false => "has one picture a class, and a test image is taken from classes with two or more; add pictures",
        };
        return Err(Error::file(dir, problem));
    }
    let mut dataset = Dataset::new(dir.display().to_string(), train, test, classes)?;
    dataset.pictures = Some(options.pictures);
    Ok(dataset)
}

/// Decodes a listing's pictures.
fn decode(listing: &Listing, options: &LoadOptions) -> Result<Decoded> {
    let total = listing.pictures.len();
    let observe = options.observe;
    let report = Reporter::new(total, |done| observe(Event::Inspect { done, total }));
    let headers = listing.pictures.par_iter().map(|found| {
        let header = picture::header(&found.path);
        report.one();
        header
    });
    let headers: Vec<Result<picture::Header>> = headers.collect();
    report.end();
    let shape = shape(listing, &headers, options.pictures.size)?;
    let image: usize = shape.iter().product();
    let bytes = image.checked_mul(total).filter(|&bytes| bytes < isize::MAX as usize);
    let mut pixels = Vec::new();
    if bytes.is_none_or(|bytes| pixels.try_reserve_exact(bytes).is_err()) {
        let [h, w, c] = shape;
        let problem = format!("{total} images of {h}×{w}×{c} do not fit into memory; choose smaller ones with --image");
        return Err(Error::file(&listing.dir, problem));
    }
    pixels.resize(image * total, 0);
    // A picture whose header says enough against it is not looked at again.
    let report = Reporter::new(total, |done| observe(Event::Decode { done, total }));
    let results = pixels.par_chunks_mut(image).zip(&listing.pictures).zip(headers).map(|((pixels, found), header)| {
        let read = header.and_then(|_| picture::read(&found.path, picture::Options { shape, invert: false }));
        let result = read.map(|bytes| pixels.copy_from_slice(&bytes));
        report.one();
        result
    });
    let results: Vec<Result<()>> = results.collect();
    report.end();
    Ok(sort_out(listing, &pixels, results, shape))
}

/// Gives the good pictures to their splits and lists the bad ones.
fn sort_out(listing: &Listing, pixels: &[u8], results: Vec<Result<()>>, shape: [usize; 3]) -> Decoded {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (index, (found, result)) in listing.pictures.iter().zip(results).enumerate() {
        match result {
            Ok(()) => good.push((index, found)),
            Err(Error::File { problem, .. }) => bad.push(Bad { name: found.name.clone(), problem }),
            Err(other) => bad.push(Bad { name: found.name.clone(), problem: format!("cannot be used: {other}") }),
        }
    }
    let image: usize = shape.iter().product();
    let is_test = listing.test_images(&good.iter().map(|&(_, found)| found).collect::<Vec<_>>());
    let split = |test: bool| {
        let members = || good.iter().zip(&is_test).filter(|&(_, &is_test)| is_test == test).map(|(member, _)| *member);
        let mut images = Vec::with_capacity(members().count() * image);
        members().for_each(|(index, _)| images.extend_from_slice(&pixels[index * image..][..image]));
        Split { images, labels: members().map(|(_, found)| found.label).collect(), shape }
    };
    Decoded { train: split(false), test: split(true), classes: listing.classes.clone(), bad }
}

/// Refuses bad pictures, or warns of each where they are to be skipped. That whole classes are bad is refused in any case.
fn judge(listing: &Listing, bad: &[Bad], skip: bool) -> Result<()> {
    let Some(first) = bad.first() else { return Ok(()) };
    let (count, total) = (bad.len(), listing.pictures.len());
    if !skip {
        let them = if count == 1 { "it" } else { "them" };
        let others = format!("{count} of {total} pictures cannot be used, and --skip-bad leaves {them} out");
        return Err(Error::file(listing.dir.join(&first.name), format!("{}; {others}", first.problem)));
    }
    for Bad { name, problem } in bad.iter().take(MOST_NAMED) {
        tracing::warn!("skipped {}: {problem}", listing.dir.join(name).display());
    }
    if count > MOST_NAMED {
        tracing::warn!("skipped {} more pictures for such reasons, {count} of {total} in all", count - MOST_NAMED);
    }
    let names: HashSet<&str> = bad.iter().map(|bad| bad.name.as_str()).collect();
    for (label, class) in listing.classes.iter().enumerate() {
        let of_class = |found: &&Found| found.label == label as u32 && found.test != Some(true);
        if listing.pictures.iter().filter(of_class).all(|found| names.contains(found.name.as_str())) {
            return Err(Error::file(&listing.dir, format!("no training picture of the class `{class}` can be used")));
        }
    }
    Ok(())
}

/// Height, width and channels of the images.
fn shape(listing: &Listing, headers: &[Result<picture::Header>], size: Option<ImageSize>) -> Result<[usize; 3]> {
    let mut good =
        listing.pictures.iter().zip(headers).filter_map(|(found, header)| Some((found, header.as_ref().ok()?)));
    let grey = || headers.iter().flatten().all(|header| header.grey);
    let channels = size.and_then(|size| size.channels).unwrap_or_else(|| if grey() { 1 } else { 3 });
    if let Some(ImageSize { height, width, .. }) = size {
        return Ok([height, width, channels]);
    }
    // Where no picture is good, whatever size there would be is told with the first bad one.
    let Some((first, header)) = good.next() else { return Ok([1, 1, channels]) };
    let [height, width] = header.size;
    if let Some((other, picture::Header { size: [h, w], .. })) = good.find(|(_, other)| other.size != header.size) {
        let (first, other) = (&first.name, &other.name);
        let problem = format!(
            "its pictures differ in size: {first} has {height}×{width} pixels and {other} has {h}×{w}; say with --image to which \
             size all are brought, such as --image 32x32"
        );
        return Err(Error::file(&listing.dir, problem));
    }
    Ok([height, width, channels])
}

/// Counts what several threads have done, and tells now and then.
struct Reporter<F> {
    done: AtomicUsize,
    every: usize,
    total: usize,
    observe: F,
}

impl<F: Fn(usize)> Reporter<F> {
    fn new(total: usize, observe: F) -> Self {
        observe(0);
        Self { done: AtomicUsize::new(0), every: (total / 200).max(1), total, observe }
    }

    fn one(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(self.every) && done < self.total {
            (self.observe)(done);
        }
    }

    fn end(&self) {
        (self.observe)(self.total);
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
