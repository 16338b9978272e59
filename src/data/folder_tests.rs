//! Folders of tiny pictures, good and bad.

use super::*;
use crate::data::PictureOptions;
use image::{GrayImage, Luma, Rgb, RgbImage};
use std::path::PathBuf;
use std::sync::Mutex;

/// A directory with a folder for pictures, `data`, and one for the cache.
struct Place {
    root: tempfile::TempDir,
    options: PictureOptions,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), options: PictureOptions::default() }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The path of a file below `data`, whose folders are made.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.data().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// A grey picture of 4×6 whose pixels are all `value`.
    fn grey(&self, name: &str, value: u8) {
        GrayImage::from_pixel(6, 4, Luma([value])).save(self.file(name)).unwrap();
    }

    /// The data set, and what was noted about it.
    fn load(&self) -> (Result<Dataset>, Vec<String>) {
        let notes = Mutex::new(Vec::new());
        let observe = |event: Event| {
            if let Event::Note(note) = event {
                notes.lock().unwrap().push(note.to_owned());
            }
        };
        let cache_dir = Some(self.root.path().join("cache"));
        let options = LoadOptions { cache_dir, pictures: self.options, observe: &observe, ..LoadOptions::default() };
        let loaded = load(&self.data(), &options);
        (loaded, notes.into_inner().unwrap())
    }

    fn good(&self) -> Dataset {
        self.load().0.unwrap()
    }

    fn complaint(&self) -> String {
        let error = self.load().0.unwrap_err().to_string();
        assert!(error.starts_with(&self.data().display().to_string()) && !error.contains('\n'), "{error}");
        error
    }

    /// Whether the data set came from the cache.
    fn is_kept(&self) -> bool {
        let (loaded, notes) = self.load();
        loaded.unwrap();
        notes.iter().any(|note| note.starts_with("decoded earlier"))
    }

    fn kept(&self) -> PathBuf {
        let mut files = std::fs::read_dir(self.root.path().join("cache/pictures")).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }
}

/// Training and test folder with two classes.
fn split() -> Place {
    let place = Place::new();
    for (name, value) in
        [("train/dog/a.png", 10), ("train/dog/b.png", 20), ("train/cat/c.png", 30), ("test/dog/d.png", 40)]
    {
        place.grey(name, value);
    }
    std::fs::create_dir(place.data().join("test/cat")).unwrap();
    place
}

/// Class folders alone: 26 cats and 4 dogs.
fn whole() -> Place {
    let place = Place::new();
    (0..26).for_each(|index| place.grey(&format!("cat/{index:02}.png"), index));
    (0..4).for_each(|index| place.grey(&format!("dog/{index}.png"), 100 + index));
    place
}

#[test]
fn folders_of_splits_and_classes_are_read_in_order() {
    let place = split();
    for name in ["train/dog/.DS_Store", "train/.hidden/x.png", "test/dog/Thumbs.db", "train/labels.csv", "notes.txt"] {
        std::fs::write(place.file(name), "no picture").unwrap();
    }
    let dataset = place.good();
    assert_eq!(dataset.classes, ["cat", "dog"]);
    assert_eq!((dataset.train.shape, dataset.train.labels.as_slice()), ([4, 6, 1], &[0, 1, 1][..]));
    assert_eq!([0, 1, 2].map(|index| dataset.train.image(index)[23]), [30, 10, 20]);
    assert_eq!((dataset.test.labels.as_slice(), dataset.test.image(0)), (&[1][..], &[40; 24][..]));
}

#[test]
fn without_a_test_folder_a_tenth_of_each_class_is_drawn_and_stays_drawn() {
    let place = whole();
    let (loaded, notes) = place.load();
    let before = loaded.unwrap();
    assert!(notes[0].contains("a tenth of each class"), "{notes:?}");
    assert_eq!((before.train.len(), before.test.len()), (26, 4));
    assert_eq!(before.test.labels, [0, 0, 0, 1]);
    place.grey("cat/new.png", 77);
    let after = place.good();
    let drawn = |dataset: &Dataset| (0..3).map(|index| dataset.test.image(index)[0]).collect::<Vec<_>>();
    let stayed = drawn(&before).iter().filter(|value| drawn(&after).contains(value)).count();
    assert!(stayed >= 2, "{:?} {:?}", drawn(&before), drawn(&after));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let place = whole();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| decode(&Listing::read(&place.data()).unwrap(), &LoadOptions::default()).unwrap())
    };
    assert_eq!(with(1), with(5));
}

#[test]
fn bad_folders_get_a_sentence_each() {
    let cases: [(&[&str], &str); 9] = [
        (&[], "is empty"),
        (&["a.png", "b.png"], "holds files but no class folders"),
        (&["cat/a.png"], "holds one class folder alone, `cat`"),
        (&["cat/a.png", "dog/b.png"], "has one picture a class"),
        (&["cat/a.png", "dog/.hidden"], "dog: is a class folder without a picture"),
        (&["train/cat/a.png", "train/dog/b.png"], "has a folder `train` but no folder `test`"),
        (
            &["train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "test/cow/d.png"],
            "`dog` is in `train` but not in `test`",
        ),
        (&["train/cat/a.png", "train/dog/b.png", "test/x.png"], "test: holds files but no class folders"),
        (&["cat/more/a.png", "dog/b.png"], "more: is a folder inside a class folder"),
    ];
    for (files, expected) in cases {
        let place = Place::new();
        std::fs::create_dir(place.data()).unwrap();
        files.iter().for_each(|name| {
            if name.ends_with("hidden") { std::fs::write(place.file(name), "").unwrap() } else { place.grey(name, 1) }
        });
        let error = place.complaint();
        assert!(error.contains(expected), "expected \"{expected}\", found: {error}");
    }
}

#[test]
fn the_first_bad_picture_is_named_and_skipped_only_on_request() {
    let mut place = whole();
    std::fs::write(place.file("cat/03b.png"), "no picture").unwrap();
    let error = place.complaint();
    assert!(error.contains("03b.png: is neither a PNG nor a JPEG picture; 1 of 31 pictures cannot be used"), "{error}");
    let whole = std::fs::read(place.file("dog/0.png")).unwrap();
    std::fs::write(place.file("dog/0b.png"), &whole[..whole.len() - 20]).unwrap();
    for _ in 0..2 {
        // The second time, what is bad is known from the cache.
        let error = place.complaint();
        assert!(error.contains("03b.png: is neither") && error.contains("2 of 32 pictures"), "{error}");
        assert!(error.contains("--skip-bad"), "{error}");
    }
    place.options.skip_bad = true;
    let dataset = place.good();
    assert_eq!((dataset.train.len(), dataset.test.len()), (26, 4));
    assert_eq!(dataset.pictures, Some(place.options));
    for index in 0..4 {
        std::fs::write(place.file(&format!("dog/{index}.png")), "").unwrap();
    }
    assert!(place.complaint().contains("no training picture of the class `dog` can be used"));
}

#[test]
fn pictures_of_several_sizes_need_one_to_be_brought_to() {
    let mut place = whole();
    RgbImage::from_pixel(8, 4, Rgb([9, 9, 200])).save(place.file("dog/wide.png")).unwrap();
    let error = place.complaint();
    assert!(error.contains("cat/00.png has 4×6 pixels and dog/wide.png has 4×8; say with --image"), "{error}");
    place.options.size = Some("2x2".parse().unwrap());
    let colour = place.good();
    assert_eq!(colour.train.shape, [2, 2, 3], "one picture in colour makes all so");
    let blue = |split: &Split| (0..split.len()).any(|index| split.image(index) == [9, 9, 200].repeat(4));
    assert!(blue(&colour.train) || blue(&colour.test));
    place.options.size = Some("2x3x1".parse().unwrap());
    assert_eq!(place.good().train.shape, [2, 3, 1]);
    for (size, said) in [("2x2x4", "1 (grey) or 3 (RGB) channels"), ("100000x100000", "up to 64 million pixels")] {
        place.options.size = Some(size.parse().unwrap());
        let error = place.load().0.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_was_decoded_is_kept_until_a_picture_changes() {
    let place = split();
    let first = place.good();
    assert!(place.is_kept());
    assert_eq!(place.good(), first);
    place.grey("train/dog/a.png", 11);
    let changed = |name: &str, seconds| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(place.file(name)).unwrap().set_modified(time).unwrap();
    };
    changed("train/dog/a.png", 1_000_000);
    assert!(!place.is_kept() && place.is_kept());
    assert_eq!(place.good().train.image(1)[0], 11);
    std::fs::remove_file(place.file("train/dog/b.png")).unwrap();
    assert!(!place.is_kept());
    place.kept();
}

#[test]
fn a_damaged_file_in_the_cache_is_not_believed() {
    let place = split();
    let first = place.good();
    let whole = std::fs::read(place.kept()).unwrap();
    let mut damaged: Vec<Vec<u8>> = [0, 3, 16, whole.len() - 1].map(|length| whole[..length].to_vec()).to_vec();
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        damaged.push(flipped);
    }
    damaged.push([&whole[..], b"more"].concat());
    for bytes in damaged {
        std::fs::write(place.kept(), &bytes).unwrap();
        assert!(!place.is_kept(), "a damaged file was believed");
        assert_eq!(std::fs::read(place.kept()).unwrap(), whole, "it was not written anew");
    }
    assert_eq!(place.good(), first);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let place = split();
    std::fs::write(place.root.path().join("cache"), "a file").unwrap();
    assert!(!place.is_kept() && !place.is_kept());
}
