//! TOML files that remember where everything stands: checked against a [`super::schema`], then read by key.

use std::ops::Range as Span;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::schema::{Key, Kind, Range, Section, Tagged, listed};
use crate::error::{Error, Result};

/// Words as near as this to a wrong one are offered instead of it (Jaro–Winkler).
const NEAR: f64 = 0.85;

/// The word among these that was perhaps meant.
pub fn nearest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = words.into_iter().map(|word| (strsim::jaro_winkler(word, wrong), word));
    near.filter(|(likeness, _)| *likeness >= NEAR).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// What a file says, with places.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    root: Spanned<DeTable<'t>>,
}

/// One table of a [`Document`].
#[derive(Debug, Clone)]
pub struct Table<'d> {
    text: &'d str,
    table: &'d DeTable<'d>,
    span: Span<usize>,
}

/// `line 3, column 1: `, counted in characters from 1.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {}, column {column}: ", before.matches('\n').count() + 1)
}

impl<'t> Document<'t> {
    /// Reads TOML and checks it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one sentence that begins with line and column.
    pub fn read(text: &'t str, section: &Section) -> Result<Self> {
        let document = Self::parse(text)?;
        document.table().check(section)?;
        Ok(document)
    }

    /// Reads TOML without checking what it says.
    ///
    /// # Errors
    /// [`Error::Invalid`] as for [`Document::read`].
    pub fn parse(text: &'t str) -> Result<Self> {
        let root = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(String::new(), |span| place(text, span.start));
            Error::Invalid(format!("{at}{}", error.message().replace('\n', ", ")))
        })?;
        Ok(Self { text, root })
    }

    /// All of it.
    pub fn table(&self) -> Table<'_> {
        Table { text: self.text, table: self.root.get_ref(), span: 0..0 }
    }
}

impl<'d> Table<'d> {
    fn fail<T>(&self, at: &Span<usize>, problem: String) -> Result<T> {
        Err(Error::Invalid(place(self.text, at.start) + &problem))
    }

    fn get(&self, name: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    fn inner(&self, value: &'d Spanned<DeValue<'d>>) -> Option<Table<'d>> {
        let table = value.get_ref().as_table()?;
        Some(Table { text: self.text, table, span: value.span() })
    }

    /// Whether the key is written.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// An error about what stands behind a key, or about the table where it is not written.
    pub fn wrong<T>(&self, name: &str, problem: impl Into<String>) -> Result<T> {
        let at = self.get(name).map_or(self.span.clone(), Spanned::span);
        self.fail(&at, problem.into())
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&'d str> {
        self.get(name)?.get_ref().as_str()
    }

    /// Texts.
    pub fn texts(&self, name: &str) -> Vec<&'d str> {
        let list = self.get(name).and_then(|value| value.get_ref().as_array());
        list.into_iter().flat_map(|list| list.iter()).filter_map(|item| item.get_ref().as_str()).collect()
    }

    /// True or false.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.get_ref().as_bool()
    }

    /// A whole number.
    pub fn whole(&self, name: &str) -> Option<u64> {
        whole(self.get(name)?.get_ref())
    }

    /// A whole number that counts things in memory.
    pub fn size(&self, name: &str) -> Option<usize> {
        self.whole(name).and_then(|number| number.try_into().ok())
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<f64> {
        number(self.get(name)?.get_ref())
    }

    /// Numbers.
    pub fn numbers<const N: usize>(&self, name: &str) -> Option<[f64; N]> {
        let list: Option<Vec<f64>> =
            self.get(name)?.get_ref().as_array()?.iter().map(|n| number(n.get_ref())).collect();
        list?.try_into().ok()
    }

    /// Whole numbers that count things in memory.
    pub fn sizes<const N: usize>(&self, name: &str) -> Option<[usize; N]> {
        self.numbers(name).map(|numbers| numbers.map(|number: f64| number as usize))
    }

    /// A table.
    pub fn section(&self, name: &str) -> Option<Table<'d>> {
        self.inner(self.get(name)?)
    }

    /// Tables.
    pub fn sections(&self, name: &str) -> Vec<Table<'d>> {
        let list = self.get(name).and_then(|value| value.get_ref().as_array());
        list.into_iter().flat_map(|list| list.iter()).filter_map(|item| self.inner(item)).collect()
    }

    /// The word of a [`Kind::Choice`], and its options where it is a table.
    pub fn choice(&self, name: &str, tagged: &Tagged) -> Option<(&'d str, Option<Table<'d>>)> {
        let value = self.get(name)?;
        match self.inner(value) {
            Some(table) => Some((table.text(tagged.tag)?, Some(table))),
            None => Some((value.get_ref().as_str()?, None)),
        }
    }

    /// Checks keys and values.
    ///
    /// # Errors
    /// [`Error::Invalid`] with line, column and one sentence about the first mistake.
    pub fn check(&self, section: &Section) -> Result<()> {
        self.check_keys(section.title, None, &[section.keys])
    }

    /// `tag` is a key that is checked already.
    fn check_keys(&self, title: &str, tag: Option<&str>, keys: &[&'static [Key]]) -> Result<()> {
        let known = || keys.iter().flat_map(|keys| keys.iter());
        let mut entries: Vec<_> = self.table.iter().filter(|(key, _)| Some(key.get_ref().as_ref()) != tag).collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let (name, at) = (key.get_ref().as_ref(), key.span());
            let Some(known_key) = known().find(|known| known.name == name) else {
                let instead = match nearest(name, known().map(|key| key.name)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        let all: Vec<_> = known().map(|key| key.name).collect();
                        format!("it takes {}", all.join(", "))
                    }
                };
                return self.fail(&at, format!("{title} has no key `{name}`; {instead}"));
            };
            self.check_value(known_key, value)?;
        }
        match known().find(|key| key.is_required() && !self.has(key.name)) {
            Some(key) => self.fail(&self.span, format!("{title} lacks `{}`, {}", key.name, key.kind)),
            None => Ok(()),
        }
    }

    fn check_value(&self, key: &Key, value: &'d Spanned<DeValue<'d>>) -> Result<()> {
        let (name, kind, found) = (key.name, key.kind, value.get_ref());
        let wrong = || self.fail(&value.span(), format!("`{name}` must be {kind}, not {}", shown(found)));
        let list = || found.as_array().map(|list| list.iter()).into_iter().flatten();
        let counted = |count: usize| found.as_array().is_some_and(|list| list.len() == count);
        match kind {
            Kind::Text if found.as_str().is_some_and(|text| !text.is_empty()) => Ok(()),
            Kind::Flag if found.is_bool() => Ok(()),
            Kind::Whole { least, most } if whole(found).is_some_and(|n| (least..=most).contains(&n)) => Ok(()),
            Kind::Number(range) if within(found, range) => Ok(()),
            Kind::Pair(range) if counted(2) && list().all(|n| within(n.get_ref(), range)) => Ok(()),
            Kind::Texts if found.is_array() && list().all(|text| text.get_ref().is_str()) => Ok(()),
            Kind::Sizes { count, least } => {
                let right = list().all(|n| whole(n.get_ref()).is_some_and(|n| n >= least && n <= MOST));
                let many = if count == 0 { list().next().is_some() } else { counted(count) };
                if many && right { Ok(()) } else { wrong() }
            }
            Kind::Word(words) => match found.as_str() {
                Some(word) => self.check_word(name, word, words, value),
                None => wrong(),
            },
            Kind::Words(words) if found.is_array() => list().try_for_each(|item| match item.get_ref().as_str() {
                Some(word) => self.check_word(name, word, words, item),
                None => wrong(),
            }),
            Kind::Choice(tagged) => self.check_choice(name, tagged, value),
            Kind::Table(section) => match self.inner(value) {
                Some(table) => table.check(section),
                None => wrong(),
            },
            Kind::Tables(_) | Kind::Variants(_) if found.is_array() => list().try_for_each(|item| {
                let table = self.inner(item);
                match (kind, table) {
                    (Kind::Tables(section), Some(table)) => table.check(section),
                    (Kind::Variants(tagged), Some(table)) => table.check_variant(tagged),
                    _ => wrong(),
                }
            }),
            _ => wrong(),
        }
    }

    fn check_word(&self, name: &str, word: &str, words: &[&str], at: &Spanned<DeValue<'_>>) -> Result<()> {
        if words.contains(&word) {
            return Ok(());
        }
        let near = nearest(word, words.iter().copied());
        let meant = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let words = listed(words.iter().copied());
        self.fail(&at.span(), format!("`{name}` must be {words}, not `{word}`{meant}"))
    }

    /// The tag's word decides which keys a table has.
    fn check_variant(&self, tagged: &'static Tagged) -> Result<()> {
        let Tagged { tag, common, .. } = tagged;
        let name = self.text("name").map_or("a table of this list".to_owned(), |name| format!("layer {name}"));
        let Some(value) = self.get(tag) else {
            return self.fail(&self.span, format!("{name} lacks `{tag}`, which is {}", listed(tagged.words())));
        };
        let words: Vec<_> = tagged.words().collect();
        let Some(word) = value.get_ref().as_str() else {
            return self.fail(&value.span(), format!("`{tag}` of {name} must be a text"));
        };
        self.check_word(tag, word, &words, value)?;
        let keys = tagged.find(word).map_or(&[][..], |kind| kind.keys);
        self.check_keys(&format!("{name} ({word})"), Some(tag), &[common, keys])
    }

    fn check_choice(&self, name: &str, tagged: &'static Tagged, value: &'d Spanned<DeValue<'d>>) -> Result<()> {
        let Tagged { tag, common, .. } = tagged;
        let words: Vec<_> = tagged.words().collect();
        let table = self.inner(value);
        let tagging = match &table {
            None => value,
            Some(table) => match table.get(tag) {
                Some(value) => value,
                None => return self.fail(&value.span(), format!("`{name}` lacks `{tag}`: {}", listed(words))),
            },
        };
        let Some(word) = tagging.get_ref().as_str() else {
            let kind = Kind::Choice(tagged);
            return self.fail(&tagging.span(), format!("`{name}` must be {kind}, not {}", shown(tagging.get_ref())));
        };
        self.check_word(name, word, &words, tagging)?;
        let keys = tagged.find(word).map_or(&[][..], |kind| kind.keys);
        let title = format!("{name} \"{word}\"");
        match table {
            Some(table) => table.check_keys(&title, Some(tag), &[common, keys]),
            None => match common.iter().chain(keys).find(|key| key.is_required()) {
                Some(key) => {
                    let problem =
                        format!("{title} needs `{0}`; write {name} = {{ {tag} = \"{word}\", {0} = … }}", key.name);
                    self.fail(&value.span(), problem)
                }
                None => Ok(()),
            },
        }
    }
}

/// Sizes beyond this count nothing that fits a machine.
const MOST: u64 = 1 << 48;

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    integer(value.as_integer()?)?.try_into().ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value.as_integer() {
        Some(whole) => integer(whole).map(|whole| whole as f64),
        None => value.as_float()?.as_str().parse().ok(),
    }
}

fn within(value: &DeValue<'_>, range: Range) -> bool {
    number(value).is_some_and(|number| range.contains(number))
}

/// A value as a sentence shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 40 => format!("\"{text}\""),
        DeValue::String(_) => "this text".to_owned(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(list) => format!("a list of {}", list.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
