//! What a TOML file may say: every key with its kind, range, default and meaning, said once. [`super::document`] checks files
//! against it, so that each mistake gets one sentence with its line and column, and documents are written from it.

use std::fmt;

/// The default of a key that has none.
pub const REQUIRED: &str = "required";

/// The keys of a table.
#[derive(Debug)]
pub struct Section {
    /// What sentences call it: `[train]`; or, in a [`Tagged`], the tag's word.
    pub title: &'static str,
    /// What it is for.
    pub says: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What stands behind it.
    pub kind: Kind,
    /// What holds where it is not written, in TOML, or in words; or [`REQUIRED`].
    pub default: &'static str,
    /// What it means, with its unit.
    pub says: &'static str,
}

impl Key {
    /// Whether it must be written.
    pub fn is_required(&self) -> bool {
        self.default == REQUIRED
    }
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text but the empty one.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number from `least` to `most`.
    Whole {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// A number of this range.
    Number(Range),
    /// Two numbers of this range.
    Pair(Range),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words.
    Words(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// So many whole numbers (0: one or more), each from `least`.
    Sizes {
        /// How many.
        count: usize,
        /// The smallest.
        least: u64,
    },
    /// The word of a kind alone, or a table with the kind and its options.
    Choice(&'static Tagged),
    /// A table.
    Table(&'static Section),
    /// A list of tables of one kind.
    Tables(&'static Section),
    /// A list of tables of several kinds.
    Variants(&'static Tagged),
}

/// Tables whose keys depend on the word behind one of them.
#[derive(Debug)]
pub struct Tagged {
    /// The key whose word decides.
    pub tag: &'static str,
    /// The keys that all have, beside the tag.
    pub common: &'static [Key],
    /// The words, each with its own keys.
    pub kinds: &'static [Section],
}

impl Tagged {
    /// The kind that a word names.
    pub fn find(&self, word: &str) -> Option<&'static Section> {
        self.kinds.iter().find(|kind| kind.title == word)
    }

    /// All words.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.iter().map(|kind| kind.title)
    }
}

/// A range of numbers; none of them holds infinities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Any number.
    Any,
    /// Above 0.
    Positive,
    /// From 0.
    NotNegative,
    /// From 0 to 1.
    Share,
    /// From 0, below 1.
    BelowOne,
    /// Above 0, below 1.
    Inside,
    /// From 0 to this number.
    UpTo(u32),
}

impl Range {
    /// Whether a number lies in it.
    pub fn contains(self, number: f64) -> bool {
        number.is_finite()
            && match self {
                Self::Any => true,
                Self::Positive => number > 0.0,
                Self::NotNegative => number >= 0.0,
                Self::Share => (0.0..=1.0).contains(&number),
                Self::BelowOne => (0.0..1.0).contains(&number),
                Self::Inside => number > 0.0 && number < 1.0,
                Self::UpTo(most) => (0.0..=most.into()).contains(&number),
            }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "",
            Self::Positive => " above 0",
            Self::NotNegative => " from 0",
            Self::Share => " from 0 to 1",
            Self::BelowOne => " from 0, below 1",
            Self::Inside => " between 0 and 1",
            Self::UpTo(most) => return write!(f, " from 0 to {most}"),
        })
    }
}

/// `a`, `b` or `c`, each in backticks.
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

impl fmt::Display for Kind {
    /// As sentences and documents say it: "a whole number from 1".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Flag => f.write_str("true or false"),
            Self::Whole { least, most } if *most >= i64::MAX as u64 => write!(f, "a whole number from {least}"),
            Self::Whole { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Number(range) => write!(f, "a number{range}"),
            Self::Pair(range) => write!(f, "two numbers{range}"),
            Self::Word(words) => write!(f, "{}", listed(words.iter().copied())),
            Self::Words(words) => write!(f, "a list of {}", listed(words.iter().copied())),
            Self::Texts => f.write_str("a list of texts"),
            Self::Sizes { count: 0, least } => write!(f, "a list of whole numbers from {least}"),
            Self::Sizes { count, least } => write!(f, "{count} whole numbers from {least}"),
            Self::Choice(tagged) => {
                write!(f, "{}, or a table with `{}` and options", listed(tagged.words()), tagged.tag)
            }
            Self::Table(_) => f.write_str("a table"),
            Self::Tables(_) | Self::Variants(_) => f.write_str("a list of tables"),
        }
    }
}
