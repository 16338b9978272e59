//! WGSL as a row of tokens with their places: enough of a parser to change one thing at a time.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or a keyword.
    Word,
    /// `16u`, `0xff`, `4`
    Integer,
    /// `0.5`, `1e-6`
    Float,
    /// Everything else; angle brackets of templates are [`Kind::Template`].
    Mark,
    /// `<` and `>` of `array<f32>`.
    Template,
}

/// A token of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands, in bytes.
    pub at: Range<usize>,
}

/// Marks of several characters, longest first.
const MARKS: [&str; 20] = [
    "<<=", ">>=", "&&", "||", "<<", ">>", "<=", ">=", "==", "!=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "++", "--",
    "->",
];

/// Words after which `<` opens a template.
const TEMPLATES: [&str; 7] = ["array", "vec2", "vec3", "vec4", "bitcast", "ptr", "var"];

/// The tokens of a text, without comments, lines of the composer (`#import`) and attributes.
pub fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let (mut found, mut at): (Vec<Token>, usize) = (Vec::new(), 0);
    let mut templates = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let next = bytes[at];
        if next.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if rest.starts_with("//") || next == b'#' {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if next == b'@' {
            at += attribute(rest);
            continue;
        }
        let (kind, len) = if next.is_ascii_alphabetic() || next == b'_' {
            (Kind::Word, rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len()))
        } else if next.is_ascii_digit() {
            number(rest)
        } else {
            let opens = next == b'<' && found.last().is_some_and(|last| TEMPLATES.contains(&&text[last.at.clone()]));
            match () {
                () if opens => (Kind::Template, 1),
                () if next == b'>' && templates > 0 => (Kind::Template, 1),
                () => (Kind::Mark, MARKS.iter().find(|mark| rest.starts_with(**mark)).map_or(1, |mark| mark.len())),
            }
        };
        if kind == Kind::Template {
            templates = if next == b'<' { templates + 1 } else { templates - 1 };
        }
        found.push(Token { kind, at: at..at + len });
        at += len;
    }
    found
}

/// The length of an attribute with its parentheses.
fn attribute(rest: &str) -> usize {
    let name = rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |end| end + 1);
    match rest[name..].starts_with('(') {
        true => name + rest[name..].find(')').map_or(0, |end| end + 1),
        false => name,
    }
}

fn number(rest: &str) -> (Kind, usize) {
    if rest.starts_with("0x") {
        return (Kind::Integer, rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len()));
    }
    let mut len = 0;
    let mut float = false;
    let bytes = rest.as_bytes();
    while len < bytes.len() {
        let exponent = matches!(bytes[len], b'-' | b'+') && bytes[len - 1] == b'e';
        match bytes[len] {
            b'0'..=b'9' => {}
            b'.' | b'e' => float = true,
            b'-' | b'+' if exponent => {}
            _ => break,
        }
        len += 1;
    }
    let suffix = usize::from(matches!(bytes.get(len), Some(b'u' | b'i' | b'f')));
    (if float || bytes.get(len) == Some(&b'f') { Kind::Float } else { Kind::Integer }, len + suffix)
}

/// A function of a file.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its parameters' names.
    pub parameters: Vec<String>,
    /// The tokens of its body, by number, without the outer braces.
    pub body: Range<usize>,
}

/// A file as it is mutated.
pub struct Text<'a> {
    /// The text.
    pub text: &'a str,
    /// Its tokens.
    pub tokens: Vec<Token>,
}

impl<'a> Text<'a> {
    /// Reads a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, tokens: tokens(text) }
    }

    /// The word or mark of token `i`; nothing where there is none.
    pub fn word(&self, i: usize) -> &'a str {
        self.tokens.get(i).map_or("", |token| &self.text[token.at.clone()])
    }

    /// What the tokens of a range span.
    pub fn span(&self, range: Range<usize>) -> Range<usize> {
        self.tokens[range.start].at.start..self.tokens[range.end - 1].at.end
    }

    /// The text that the tokens of a range span.
    pub fn spanned(&self, range: Range<usize>) -> &'a str {
        &self.text[self.span(range)]
    }

    /// The number of the token that closes the bracket which token `open` is.
    pub fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for i in open..self.tokens.len() {
            match self.word(i) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return i;
            }
        }
        self.tokens.len() - 1
    }

    /// Every function, in order.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        let mut i = 0;
        while i < self.tokens.len() {
            if self.word(i) != "fn" {
                i += 1;
                continue;
            }
            let end = self.closing(i + 2);
            let named = (i + 3..end).filter(|&at| self.word(at + 1) == ":");
            let parameters = named.map(|at| self.word(at).to_owned()).collect();
            let open = (end..self.tokens.len()).find(|&at| self.word(at) == "{").unwrap_or(end);
            let close = self.closing(open);
            found.push(Function { name: self.word(i + 1).to_owned(), parameters, body: open + 1..close });
            i = close;
        }
        found
    }

    /// The right-hand sides of top-level constants: (name, tokens).
    pub fn constants(&self) -> Vec<(&'a str, Range<usize>)> {
        let mut found = Vec::new();
        for i in (0..self.tokens.len()).filter(|&i| self.word(i) == "const") {
            let end = (i..self.tokens.len()).find(|&at| self.word(at) == ";").unwrap_or(i);
            if let Some(equals) = (i..end).find(|&at| self.word(at) == "=") {
                found.push((self.word(i + 1), equals + 1..end));
            }
        }
        found
    }

    /// The members of the struct `name`, with their types.
    pub fn members(&self, name: &str) -> Vec<(&'a str, &'a str)> {
        let Some(at) = (0..self.tokens.len()).find(|&i| self.word(i) == "struct" && self.word(i + 1) == name) else {
            return Vec::new();
        };
        (at + 3..self.closing(at + 2))
            .filter(|&i| self.word(i) == ":")
            .map(|i| (self.word(i - 1), self.word(i + 1)))
            .collect()
    }

    /// The members of every struct.
    pub fn all_members(&self) -> Vec<&'a str> {
        let structs = (0..self.tokens.len()).filter(|&i| self.word(i) == "struct").map(|i| self.word(i + 1));
        structs.filter(|name| *name != "Params").flat_map(|name| self.members(name)).map(|(member, _)| member).collect()
    }

    /// The arguments of the call whose `(` is token `open`.
    pub fn arguments(&self, open: usize) -> Vec<Range<usize>> {
        let close = self.closing(open);
        let (mut found, mut start, mut depth) = (Vec::new(), open + 1, 0);
        for i in open + 1..=close {
            match self.word(i) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if i < close => depth -= 1,
                _ => {}
            }
            if (self.word(i) == "," && depth == 0 && !self.inside_template(i, open)) || i == close {
                if i > start {
                    found.push(start..i);
                }
                start = i + 1;
            }
        }
        found
    }

    fn inside_template(&self, at: usize, from: usize) -> bool {
        let mut depth = 0;
        for token in &self.tokens[from..at] {
            if token.kind == Kind::Template {
                depth += if &self.text[token.at.clone()] == "<" { 1 } else { -1 };
            }
        }
        depth > 0
    }
}

#[test]
fn words_numbers_and_marks_are_told_apart() {
    let text = "@compute fn f() { // no\n let a = array<vec4<f32>, 4>(x[1u] >> 0xffu, -1e-6 <= 2.5); }";
    let read = Text::new(text);
    let words: Vec<_> = (0..read.tokens.len()).map(|i| read.word(i)).collect();
    let expected = "fn f ( ) { let a = array < vec4 < f32 > , 4 > ( x [ 1u ] >> 0xffu , - 1e-6 <= 2.5 ) ; }";
    assert_eq!(words.join(" "), expected);
    assert_eq!(read.tokens.iter().filter(|token| token.kind == Kind::Template).count(), 4);
    let open = words.iter().rposition(|word| *word == "(").unwrap();
    assert_eq!(read.arguments(open).len(), 2);
}
