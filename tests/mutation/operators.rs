//! What a mutant is, and every way in which a shader is made wrong: one change at a time, for every operator token, constant,
//! index, guard, assignment and barrier.

use std::ops::Range;

use crate::tokens::{Function, Kind, Text};

/// A wrong version of a shader; of several replacements the first that compiles is taken.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The shader, by its path below `shaders/`.
    pub file: &'static str,
    /// The function, or nothing for constants of the file.
    pub function: String,
    /// What is done.
    pub operator: &'static str,
    /// The bytes that are replaced.
    pub at: Range<usize>,
    /// What stands there instead.
    pub choices: Vec<String>,
}

impl Mutant {
    /// The whole wrong file.
    pub fn apply(&self, text: &str, choice: &str) -> String {
        format!("{}{choice}{}", &text[..self.at.start], &text[self.at.end..])
    }

    /// The lines that change: as they were, and as they become.
    pub fn lines(&self, text: &str, choice: &str) -> [String; 2] {
        let start = text[..self.at.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[self.at.end..].find('\n').map_or(text.len(), |at| self.at.end + at);
        let becomes = format!("{}{choice}{}", &text[start..self.at.start], &text[self.at.end..end]);
        [&text[start..end], &becomes].map(|lines| lines.trim().to_owned())
    }
}

/// Binary operators with what is put in their place.
const SWAPS: [(&str, &str); 19] = [
    ("+", "-"),
    ("-", "+"),
    ("*", "+"),
    ("/", "*"),
    ("%", "/"),
    ("<", "<="),
    ("<=", "<"),
    (">", ">="),
    (">=", ">"),
    ("==", "!="),
    ("!=", "=="),
    ("&&", "||"),
    ("||", "&&"),
    ("<<", ">>"),
    (">>", "<<"),
    ("&", "|"),
    ("|", "&"),
    ("^", "&"),
    ("++", "+= 2u"),
];

/// Assignments with an operator, with what is put in their place.
const UPDATES: [(&str, [&str; 2]); 4] =
    [("+=", ["=", "-="]), ("-=", ["=", "+="]), ("*=", ["=", "+="]), (">>=", ["=", "<<="])];

const KEYWORDS: [&str; 21] = [
    "let", "var", "const", "if", "else", "for", "while", "loop", "return", "break", "continue", "true", "false", "u32",
    "i32", "f32", "bool", "fn", "function", "params", "_",
];

/// Built-in functions of one argument that may be left out, with what stands for them (nothing: the argument).
const DROPPED: [(&str, &str); 5] = [("abs", ""), ("sqrt", ""), ("exp", ""), ("is_nan", "false"), ("is_finite", "true")];

/// All mutants of a file.
pub fn mutants(file: &'static str, text: &str) -> Vec<Mutant> {
    let text = Text::new(text);
    let mut maker =
        Maker { file, text: &text, function: String::new(), found: Vec::new(), members: text.members("Params") };
    for (name, value) in text.constants() {
        maker.constant(name, value);
    }
    for function in text.functions() {
        maker.function.clone_from(&function.name);
        maker.body(&function);
    }
    maker.found
}

struct Maker<'a> {
    file: &'static str,
    text: &'a Text<'a>,
    function: String,
    found: Vec<Mutant>,
    members: Vec<(&'a str, &'a str)>,
}

impl<'a> Maker<'a> {
    fn add(&mut self, operator: &'static str, at: Range<usize>, choice: impl Into<String>) {
        self.choose(operator, at, vec![choice.into()]);
    }

    fn choose(&mut self, operator: &'static str, at: Range<usize>, choices: Vec<String>) {
        if choices.iter().any(|choice| *choice != self.text.text[at.clone()]) {
            self.found.push(Mutant { file: self.file, function: self.function.clone(), operator, at, choices });
        }
    }

    /// The value of a top-level constant: another number, and for blocks numbers far off.
    fn constant(&mut self, name: &str, value: Range<usize>) {
        for i in value.clone() {
            self.literal(i);
        }
        if value.len() == 1 && self.text.tokens[value.start].kind == Kind::Integer {
            let at = self.text.span(value.clone());
            let old = self.text.spanned(value).trim_end_matches(['u', 'i']);
            let (Ok(number), false) = (old.parse::<u32>(), name == "KIND") else { return };
            let suffix = &self.text.text[at.start + old.len()..at.end];
            let far: &[u32] = if name == "BLOCK" { &[1, 1 << 16] } else { &[] };
            for other in [number * 2, number / 2].iter().chain(far) {
                if *other > 0 && *other != number {
                    self.add("constant far off", at.clone(), format!("{other}{suffix}"));
                }
            }
        }
    }

    fn literal(&mut self, i: usize) {
        let (token, word) = (&self.text.tokens[i], self.text.word(i));
        match token.kind {
            Kind::Integer => {
                let digits = word.trim_end_matches(['u', 'i']);
                let suffix = &word[digits.len()..];
                let number = match digits.strip_prefix("0x") {
                    Some(hex) => i64::from_str_radix(hex, 16),
                    None => digits.parse(),
                };
                let Ok(number) = number else { return };
                self.add("constant one more", token.at.clone(), format!("{}{suffix}", number + 1));
                if number > 0 {
                    self.add("constant one less", token.at.clone(), format!("{}{suffix}", number - 1));
                } else if suffix.is_empty() {
                    self.add("constant one less", token.at.clone(), "(-1)");
                }
            }
            Kind::Float => {
                let Ok(number) = word.trim_end_matches('f').parse::<f64>() else { return };
                self.add("constant one more", token.at.clone(), format!("{:?}", number + 1.0));
                if number != 0.0 {
                    self.add("constant a hundredth more", token.at.clone(), format!("{:?}", number * 1.01));
                }
            }
            _ => {}
        }
    }

    fn body(&mut self, function: &Function) {
        let text = self.text;
        let mut scopes: Vec<Vec<&str>> = vec![function.parameters.iter().map(String::as_str).collect(), Vec::new()];
        let mut statement = true;
        for i in function.body.clone() {
            if statement && !["{", "}"].contains(&text.word(i)) {
                self.statement(i);
            }
            statement = matches!(text.word(i), "{" | "}" | ";") && !self.in_parentheses(i, &function.body);
            match text.word(i) {
                "{" => scopes.push(Vec::new()),
                "}" => drop(scopes.pop()),
                _ => {}
            }
            match text.tokens[i].kind {
                Kind::Mark => self.mark(i),
                Kind::Integer | Kind::Float => self.literal(i),
                Kind::Word => self.name(i, &scopes, &function.body),
                Kind::Template => {}
            }
            // A name is known after the statement that declares it.
            if text.word(i) == ";" || text.word(i) == "{" {
                let declared = self.declared(i, &function.body);
                scopes.last_mut().into_iter().for_each(|scope| scope.extend(declared));
            }
        }
    }

    fn in_parentheses(&self, at: usize, body: &Range<usize>) -> bool {
        let mut depth = 0;
        for i in (body.start..at).rev() {
            match self.text.word(i) {
                "(" => depth += 1,
                ")" => depth -= 1,
                "{" | "}" if depth == 0 => return false,
                _ => {}
            }
        }
        depth > 0
    }

    /// The name that the statement (or the loop's head) which ends with token `end` declares.
    fn declared(&self, end: usize, body: &Range<usize>) -> Option<&'a str> {
        let text = self.text;
        let start =
            (body.start..end).rev().find(|&i| matches!(text.word(i), ";" | "{" | "}")).map_or(body.start, |i| i + 1);
        let at = (start..end).find(|&i| matches!(text.word(i), "let" | "var"))?;
        Some(text.word(at + 1))
    }

    /// Guards, and statements that can be left out.
    fn statement(&mut self, i: usize) {
        let text = self.text;
        let end_of = |from: usize, mark: &str| (from..text.tokens.len()).find(|&at| text.word(at) == mark);
        let mut start = i;
        if text.word(start) == "else" {
            start += 1;
        }
        match text.word(start) {
            "if" | "while" => {
                let Some(open) = end_of(start, "{") else { return };
                let at = text.span(start + 1..open);
                self.add("guard never met", at.clone(), "false");
                if text.word(start) == "if" {
                    self.add("guard always met", at, "true");
                }
            }
            "let" | "var" | "const" | "for" | "loop" | "return" | "{" | ";" => {}
            "continue" => {}
            _ => {
                let Some(end) = end_of(start, ";") else { return };
                let name = match text.word(start) {
                    "workgroupBarrier" | "storageBarrier" => "barrier dropped",
                    _ => "statement dropped",
                };
                self.add(name, text.span(start..end + 1), "");
                // The binding stays in use, so that the host has nothing to complain about.
                let equals = (start..end).find(|&at| text.word(at) == "=");
                if let Some(equals) = equals.filter(|_| text.word(start + 1) == "[") {
                    let old = text.spanned(start..equals);
                    self.add("output not written", text.span(start..end + 1), format!("{old} = {old};"));
                }
            }
        }
    }

    fn mark(&mut self, i: usize) {
        let (text, mark) = (self.text, self.text.word(i));
        let at = text.tokens[i].at.clone();
        let prefix = matches!(
            text.word(i - 1),
            "(" | "," | "=" | "return" | "[" | "{" | "&&" | "||" | "+" | "*" | "<" | ">" | "=="
        ) || text.word(i - 1) == "if";
        match mark {
            "-" | "!" if prefix => return self.add("sign dropped", at, ""),
            "(" => return self.call(i),
            "<" if self.unrolled(i) => {
                // The composer wants this form of a loop's head.
                let end = (i..text.tokens.len()).find(|&at| text.word(at) == ";").unwrap_or(i);
                let bound = text.span(i..end);
                let old = &text.text[bound.clone()];
                self.add("bound one more", bound.clone(), format!("{old} + 1u"));
                return self.add("bound one less", bound, format!("{old} - 1u"));
            }
            _ => {}
        }
        if let Some((_, other)) = SWAPS.iter().find(|(old, _)| *old == mark) {
            self.add("operator swapped", at, *other);
        } else if let Some((_, others)) = UPDATES.iter().find(|(old, _)| *old == mark) {
            others.iter().for_each(|other| self.add("update swapped", at.clone(), *other));
        }
    }

    /// Whether a token stands in the head of a loop that the composer writes out.
    fn unrolled(&self, i: usize) -> bool {
        let text = self.text.text;
        let line = text[..self.text.tokens[i].at.start].rfind('\n').unwrap_or(0);
        let above = text[..line].rfind('\n').map_or(0, |at| at + 1);
        text[above..line].trim() == "//#unroll"
    }

    /// A call: its arguments change places, or it is left out.
    fn call(&mut self, open: usize) {
        let text = self.text;
        let name = text.word(open - 1);
        let named = text.tokens[open - 1].kind == Kind::Word && !["if", "while", "for", "return"].contains(&name);
        if !named && text.tokens[open - 1].kind != Kind::Template {
            return;
        }
        let arguments = text.arguments(open);
        let spanned: Vec<&str> = arguments.iter().map(|range| text.spanned(range.clone())).collect();
        for pair in 0..arguments.len().saturating_sub(1) {
            // Of commutative functions the order does not matter.
            if spanned[pair] != spanned[pair + 1] && !["min", "max"].contains(&name) {
                let at = text.span(arguments[pair].start..arguments[pair + 1].end);
                self.add("arguments swapped", at, format!("{}, {}", spanned[pair + 1], spanned[pair]));
            }
        }
        let whole = text.tokens[open - 1].at.start..text.tokens[text.closing(open)].at.end;
        match name {
            "min" | "max" => {
                let other = if name == "min" { "max" } else { "min" };
                self.add("min and max swapped", text.tokens[open - 1].at.clone(), other);
                spanned.iter().for_each(|one| self.add("bound dropped", whole.clone(), format!("({one})")));
            }
            "clamp" => self.add("bound dropped", whole, format!("({})", spanned[0])),
            _ => {
                if let Some((_, instead)) = DROPPED.iter().find(|(dropped, _)| *dropped == name) {
                    let instead = if instead.is_empty() { format!("({})", spanned[0]) } else { (*instead).into() };
                    self.add("call dropped", whole, instead);
                }
            }
        }
    }

    /// A variable, a constant or a member: another one of the same type in its place.
    fn name(&mut self, i: usize, scopes: &[Vec<&str>], body: &Range<usize>) {
        let (text, name) = (self.text, self.text.word(i));
        let at = text.tokens[i].at.clone();
        let before = if i == 0 { "" } else { text.word(i - 1) };
        let after = text.word(i + 1);
        if before == "." {
            let others: Vec<String> = match text.word(i - 2) {
                "params" => self.siblings(name),
                _ if name.len() == 1 && "xyzw".contains(name) => {
                    "xyzw".chars().filter(|c| c.to_string() != name).map(String::from).collect()
                }
                _ => text.all_members().into_iter().filter(|other| *other != name).map(String::from).collect(),
            };
            return self.choose("variable swapped", at, others);
        }
        let typed = text.tokens.get(i + 1).is_some_and(|next| next.kind == Kind::Template);
        if KEYWORDS.contains(&name) || ["let", "var", "const", ":"].contains(&before) || typed {
            return;
        }
        let constants = text.constants();
        if constants.iter().any(|(constant, _)| *constant == name) {
            let mut others: Vec<String> =
                constants.iter().filter(|(other, _)| *other != name).map(|(other, _)| (*other).to_owned()).collect();
            others.truncate(2);
            others.extend([format!("({name} + 1u)"), format!("({name} + 1)")]);
            return self.choose("variable swapped", at, others);
        }
        let imported = name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        if imported {
            return self.choose("variable swapped", at, vec![format!("({name} + 1u)"), format!("({name} + 1)")]);
        }
        let known: Vec<&str> = scopes.iter().flatten().copied().collect();
        if !known.contains(&name) || after == "(" {
            return;
        }
        // What is assigned to is left to the dropping of statements.
        let written = matches!(before, ";" | "{" | "}") && !self.in_parentheses(i, body);
        if written {
            return;
        }
        let mut others: Vec<String> = Vec::new();
        for other in known.iter().rev().filter(|other| **other != name) {
            if !others.iter().any(|seen| seen == other) {
                others.push((*other).to_owned());
            }
        }
        self.choose("variable swapped", at, others);
    }

    /// Other members of `params` with the type of this one, those of like names first.
    fn siblings(&self, name: &str) -> Vec<String> {
        let Some((_, kind)) = self.members.iter().find(|(member, _)| *member == name) else { return Vec::new() };
        let twin = |a: &str, b: &str| name.ends_with(a).then(|| format!("{}{b}", &name[..name.len() - a.len()]));
        let twins = [("_h", "_w"), ("_w", "_h")].iter().filter_map(|(a, b)| twin(a, b));
        let heads = [("h_", "w_"), ("w_", "h_")]
            .iter()
            .filter_map(|(a, b)| name.strip_prefix(a).map(|rest| format!("{b}{rest}")));
        let place = self.members.iter().position(|(member, _)| *member == name).unwrap_or(0);
        let rest = self.members.iter().cycle().skip(place + 1).take(self.members.len() - 1);
        let same: Vec<String> =
            rest.filter(|(_, other)| other == kind).map(|(member, _)| (*member).to_owned()).collect();
        twins.chain(heads).filter(|twin| same.contains(twin)).chain(same.clone()).collect()
    }
}
