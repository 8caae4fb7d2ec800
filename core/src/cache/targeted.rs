//! Targeted fields such as `CDN-Cache-Control` (RFC 9213): a dictionary of structured fields.
//!
//! Unlike `Cache-Control` they are read strictly (RFC 8941): one that does not parse, is empty, or
//! gives a directive a value of the wrong type counts as absent, and what it would have replaced
//! stands.

use crate::cache::directives::Directives;

/// Reads the lines of a targeted field; `None` if it counts as absent.
pub fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Directives> {
    let joined: Vec<&[u8]> = lines.collect();
    let joined = joined.join(&b","[..]);
    let mut members: Vec<(String, Item)> = Vec::new();
    let mut scan = Scan { rest: &joined };
    while scan.eat(b' ') {}
    while let Member::Pair(name, item) = scan.member()? {
        // Of a key that comes twice the last counts (RFC 8941 section 3.2).
        members.retain(|(known, _)| *known != name);
        members.push((name, item));
    }
    if members.is_empty() {
        return None;
    }
    let mut said = Directives::default();
    for (name, item) in &members {
        note(&mut said, name, item)?;
    }
    Some(said)
}

fn note(said: &mut Directives, name: &str, item: &Item) -> Option<()> {
    match (name, item) {
        ("max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error", item) => {
            let Item::Integer(digits) = item else { return None };
            said.note(name, Some(digits));
        }
        ("no-cache" | "private", Item::Text(fields)) => said.note(name, Some(fields)),
        (_, Item::Boolean(true)) => said.note(name, None),
        (
            "no-cache" | "private" | "no-store" | "must-understand" | "public" | "must-revalidate"
            | "proxy-revalidate" | "immutable",
            Item::Integer(_) | Item::Text(_) | Item::Other,
        ) => return None,
        (_, Item::Boolean(false) | Item::Integer(_) | Item::Text(_) | Item::Other) => {}
    }
    Some(())
}

#[derive(Debug)]
enum Member {
    Pair(String, Item),
    End,
}

/// The value of a member, as far as directives care.
#[derive(Debug)]
enum Item {
    /// Digits without a sign.
    Integer(Vec<u8>),
    /// A string, with its quotes.
    Text(Vec<u8>),
    Boolean(bool),
    /// Anything else that reads well.
    Other,
}

/// What is left to read. Each method takes what it names and is `None` if it is not there.
struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    fn member(&mut self) -> Option<Member> {
        if self.rest.is_empty() {
            return Some(Member::End);
        }
        let name = self.key()?;
        let item = if self.eat(b'=') { self.value()? } else { Item::Boolean(true) };
        self.parameters()?;
        self.blanks();
        if self.rest.is_empty() {
            return Some(Member::Pair(name, item));
        }
        self.eat(b',').then_some(())?;
        self.blanks();
        // A comma at the end promises a member that is not there.
        (!self.rest.is_empty()).then_some(Member::Pair(name, item))
    }

    fn key(&mut self) -> Option<String> {
        let first = self.rest.first()?;
        (first.is_ascii_lowercase() || *first == b'*').then_some(())?;
        let key = self.take(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        });
        String::from_utf8(key.to_vec()).ok()
    }

    fn value(&mut self) -> Option<Item> {
        if !self.eat(b'(') {
            return self.bare();
        }
        loop {
            while self.eat(b' ') {}
            if self.eat(b')') {
                return Some(Item::Other);
            }
            self.bare()?;
            self.parameters()?;
            matches!(self.rest.first(), Some(b' ' | b')')).then_some(())?;
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            while self.eat(b' ') {}
            self.key()?;
            if self.eat(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn bare(&mut self) -> Option<Item> {
        match self.rest.first()? {
            b'0'..=b'9' => self.number(),
            b'-' => {
                self.eat(b'-');
                self.number().map(|_| Item::Other)
            }
            b'"' => self.text(),
            b'?' => {
                self.eat(b'?');
                let truth = self.eat(b'1');
                (truth || self.eat(b'0')).then_some(Item::Boolean(truth))
            }
            b':' => {
                self.eat(b':');
                self.take(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.eat(b':').then_some(Item::Other)
            }
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.take(|byte| byte.is_ascii_alphanumeric() || TOKEN_MARKS.contains(&byte));
                Some(Item::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let whole = self.take(|byte| byte.is_ascii_digit()).to_vec();
        if !self.eat(b'.') {
            return (1..=INTEGER_DIGITS_MAX).contains(&whole.len()).then_some(Item::Integer(whole));
        }
        let fraction = self.take(|byte| byte.is_ascii_digit()).len();
        let fits = (1..=12).contains(&whole.len()) && (1..=3).contains(&fraction);
        fits.then_some(Item::Other)
    }

    fn text(&mut self) -> Option<Item> {
        let mut text = vec![b'"'];
        self.eat(b'"');
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            text.push(*byte);
            match byte {
                b'"' => return Some(Item::Text(text)),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    matches!(escaped, b'"' | b'\\').then_some(())?;
                    self.rest = rest;
                    text.push(*escaped);
                }
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }

    fn take(&mut self, belongs: impl Fn(u8) -> bool) -> &[u8] {
        let count = self.rest.iter().take_while(|byte| belongs(**byte)).count();
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }

    fn eat(&mut self, wanted: u8) -> bool {
        match self.rest.split_first() {
            Some((byte, rest)) if *byte == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn blanks(&mut self) {
        while self.eat(b' ') || self.eat(b'\t') {}
    }
}

/// The most digits of an integer in a structured field (RFC 8941 section 3.3.1).
const INTEGER_DIGITS_MAX: usize = 15;
const TOKEN_MARKS: &[u8] = b"!#$%&'*+-.^_`|~:/";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read_one(line: &str) -> Option<Directives> {
        read([line.as_bytes()].into_iter())
    }

    #[test]
    fn directives_are_read_with_parameters_and_extensions() {
        let said =
            read_one("foobar, max-age=3600;x=1, private=?0, y=(a \"b\";z 1.5), no-store").unwrap();
        assert_eq!(said.max_age, Some(Duration::from_secs(3600)));
        assert!(said.no_store);
        assert_eq!(said.private, crate::cache::directives::Extent::Nothing);
    }

    #[test]
    fn the_last_of_two_counts() {
        let lines = [&b"max-age=1"[..], b"max-age=2"];
        assert_eq!(read(lines.into_iter()).unwrap().max_age, Some(Duration::from_secs(2)));
    }

    #[test]
    fn every_form_of_a_value_reads_and_blanks_stand_around_members() {
        for line in ["*a, no-store", "x=:YWI+/w==:, no-store", "x=\"a\\\"b\\\\\", no-store"] {
            assert!(read_one(line).is_some_and(|said| said.no_store), "{line}");
        }
        for line in ["  no-store", "no-store  ", "no-store\t,\t x", "  no-store\t"] {
            assert!(read_one(line).is_some_and(|said| said.no_store), "{line}");
        }
    }

    #[test]
    fn what_does_not_parse_counts_as_absent() {
        for line in [
            "",
            "max-age=10000, &&&&&",
            "max-age=\"10000\"",
            "max-age",
            "max-age=1.5",
            "max-age=-1",
            "MaX-aGe=3600",
            "max-age =100",
            "max-age= 100",
            "max-age=100,",
            "no-store=5",
            "max-age=1234567890123456",
            "x=\"open",
            "x=(a",
            "x=:a",
            "1a",
            "x=1.",
            "x=1.1234",
            "x=1234567890123.5",
            "x=\"a\\b\"",
            "\nx",
            "\tx",
            "x\n",
        ] {
            assert_eq!(read_one(line), None, "{line}");
        }
    }
}
