//! Header lines as the rules read them.
//!
//! A trait rather than a type, so that the rules see a message's own table without a copy.

/// A message's header.
pub trait Fields {
    /// The lines of a field, in order; `name` is in lower case.
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// The first line of a field, without surrounding blanks.
    fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.lines(name).next().map(<[u8]>::trim_ascii)
    }

    /// Whether a field is present at all.
    fn has(&self, name: &str) -> bool {
        self.lines(name).next().is_some()
    }

    /// The members of a field that is a comma-separated list, over all its lines, without blanks
    /// and without empty ones.
    fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines(name).flat_map(members)
    }
}

impl Fields for [(&str, &str)] {
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_bytes())
    }
}

/// The members of one line: between commas outside of quotes, without blanks and empty ones.
pub fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    split_unquoted(line, b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The pieces of a line between separators that do not stand in a quoted string.
pub fn split_unquoted(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    line.split(move |byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted && !was_escaped => escaped = true,
            b'"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        *byte == separator && !quoted
    })
}

/// What a quoted string says, or a token as it is; `None` if a quote is left open.
pub fn unquote(value: &[u8]) -> Option<Vec<u8>> {
    let Some(rest) = value.strip_prefix(b"\"") else { return Some(value.to_vec()) };
    let inner = rest.strip_suffix(b"\"")?;
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => plain.push(*bytes.next()?),
            b'"' => return None,
            _ => plain.push(*byte),
        }
    }
    Some(plain)
}

/// A whole number of seconds, saturating; `None` if it is anything but digits.
pub fn delta_seconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = value.iter().map(|byte| u64::from(byte - b'0'));
    Some(digits.fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslash_escapes_within_quotes_alone_and_is_escaped_by_another() {
        let split = |line: &'static [u8]| split_unquoted(line, b',').collect::<Vec<_>>();
        assert_eq!(split(br#"a\"b,c"d,e"#), [&br#"a\"b,c"d"#[..], b"e"]);
        assert_eq!(split(br#""a\\",b"#), [&br#""a\\""#[..], b"b"]);
        assert_eq!(split(br#""a\",b",c"#), [&br#""a\",b""#[..], b"c"]);
    }

    #[test]
    fn commas_within_quotes_separate_nothing() {
        let split: Vec<&[u8]> = members(br#"a="x, y", b , ,c="\",""#).collect();
        assert_eq!(split, [&br#"a="x, y""#[..], b"b", br#"c="\",""#]);
    }

    #[test]
    fn quoted_strings_lose_their_escapes_and_open_ones_say_nothing() {
        assert_eq!(unquote(br#""a\"b""#).as_deref(), Some(&br#"a"b"#[..]));
        assert_eq!(unquote(b"plain").as_deref(), Some(&b"plain"[..]));
        for open in [&br#""a"#[..], br#"""#, br#""a"b""#, br#""a\""#] {
            assert_eq!(unquote(open), None, "{open:?}");
        }
    }

    #[test]
    fn seconds_are_digits_and_saturate() {
        assert_eq!(delta_seconds(b"003600"), Some(3600));
        assert_eq!(delta_seconds(b"18446744073709551616"), Some(u64::MAX));
        for wrong in [&b""[..], b"-1", b"+1", b"1.0", b"1a", b" 1", b"'1'"] {
            assert_eq!(delta_seconds(wrong), None, "{wrong:?}");
        }
    }
}
