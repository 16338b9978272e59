//! Integer constant expressions, as far as the composer needs them: literals, named constants, `+ - * / %`,
//! parentheses.

use std::collections::HashMap;

/// The value of `text`, or `None` when it is not such an expression.
pub(super) fn evaluate(text: &str, names: &HashMap<String, i64>) -> Option<i64> {
    let mut parser = Parser { rest: text.trim(), names };
    let value = parser.sum()?;
    parser.rest.is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
    names: &'a HashMap<String, i64>,
}

impl Parser<'_> {
    fn take(&mut self, symbol: char) -> bool {
        let found = self.rest.starts_with(symbol);
        if found {
            self.rest = self.rest[symbol.len_utf8()..].trim_start();
        }
        found
    }

    fn sum(&mut self) -> Option<i64> {
        let mut value = self.product()?;
        loop {
            if self.take('+') {
                value = value.checked_add(self.product()?)?;
            } else if self.take('-') {
                value = value.checked_sub(self.product()?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<i64> {
        let mut value = self.atom()?;
        loop {
            if self.take('*') {
                value = value.checked_mul(self.atom()?)?;
            } else if self.take('/') {
                value = value.checked_div(self.atom()?)?;
            } else if self.take('%') {
                value = value.checked_rem(self.atom()?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn atom(&mut self) -> Option<i64> {
        if self.take('(') {
            let value = self.sum()?;
            return self.take(')').then_some(value);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            word.trim_end_matches(['u', 'i']).parse().ok()
        } else {
            self.names.get(word).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_follows_the_usual_order() {
        let names = HashMap::from([("TILE".to_owned(), 8)]);
        assert_eq!(evaluate("2u + TILE * (3 - 1) / 4u % 3", &names), Some(3));
        assert_eq!(evaluate("TILE", &names), Some(8));
        assert_eq!(evaluate("params.n", &names), None);
        assert_eq!(evaluate("1 / 0", &names), None);
    }
}
