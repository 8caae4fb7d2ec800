//! Lines of fields, of a head or behind the chunks, up to the empty line; and of them the two that
//! say where a body ends.

use super::word::Known;
use super::{Fault, is_text, is_token, run};

/// Reads the lines and keeps what they say of the body.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    place: Place,
    length_name: Known,
    coding_name: Known,
    length: Option<u64>,
    is_coded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Line,
    Name,
    Value(Value),
    LineEnd,
    LastEnd,
}

/// A value, and of those that count how much has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Other,
    LengthBegin,
    Length(u64),
    LengthEnd(u64),
    CodingBegin,
    Coding(usize),
    CodingEnd,
}

impl Fields {
    /// The length that was given, if one was.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether the coding was given, which is `chunked`.
    pub(super) fn is_coded(&self) -> bool {
        self.is_coded
    }

    /// Reads at least one byte: what is left, and whether it was the last one of the last line.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<(&'a [u8], bool), Fault> {
        if self.place == Place::Value(Value::Other)
            && let Some((_, after)) = run(bytes, is_text)
        {
            return Ok((after, false));
        }
        if self.place == Place::Name
            && let Some((part, after)) = run(bytes, is_token)
        {
            self.name(part);
            return Ok((after, false));
        }
        let Some((byte, after)) = bytes.split_first() else { return Ok((bytes, false)) };
        if self.place == Place::LastEnd && *byte == b'\n' {
            return Ok((after, true));
        }
        self.place = self.follow(*byte)?;
        Ok((after, false))
    }

    /// The place after a byte that is not the last.
    fn follow(&mut self, byte: u8) -> Result<Place, Fault> {
        match (self.place, byte) {
            (Place::Line, b'\r') => Ok(Place::LastEnd),
            (Place::Line, b' ' | b'\t') => Err(Fault::Folded),
            (Place::Line, byte) if is_token(byte) => {
                (self.length_name, self.coding_name) = (Known::default(), Known::default());
                self.name(&[byte]);
                Ok(Place::Name)
            }
            (Place::Name, b':') => self.begin_value().map(Place::Value),
            (Place::Value(value), b'\r') => self.end_value(value).map(|()| Place::LineEnd),
            (Place::Value(value), byte) if is_text(byte) => go_on(value, byte).map(Place::Value),
            (Place::LineEnd, b'\n') => Ok(Place::Line),
            (Place::LineEnd | Place::LastEnd, _) | (_, b'\r' | b'\n') => Err(Fault::LineEnd),
            (Place::Value(_), _) => Err(Fault::FieldValue),
            (Place::Line | Place::Name, _) => Err(Fault::FieldName),
        }
    }

    /// Goes on with a name.
    fn name(&mut self, part: &[u8]) {
        self.length_name.go_on(part, LENGTH, <[u8]>::eq_ignore_ascii_case);
        self.coding_name.go_on(part, CODING, <[u8]>::eq_ignore_ascii_case);
    }

    fn begin_value(&self) -> Result<Value, Fault> {
        match (self.length_name.is(LENGTH), self.coding_name.is(CODING)) {
            (true, _) if self.length.is_some() => Err(Fault::Length),
            (true, _) => Ok(Value::LengthBegin),
            (_, true) if self.is_coded => Err(Fault::Coding),
            (_, true) => Ok(Value::CodingBegin),
            (false, false) => Ok(Value::Other),
        }
    }

    fn end_value(&mut self, value: Value) -> Result<(), Fault> {
        match value {
            Value::Other => Ok(()),
            Value::Length(length) | Value::LengthEnd(length) => {
                self.length = Some(length);
                Ok(())
            }
            Value::CodingEnd => {
                self.is_coded = true;
                Ok(())
            }
            Value::Coding(count) if count == CHUNKED.len() => {
                self.is_coded = true;
                Ok(())
            }
            Value::LengthBegin => Err(Fault::Length),
            Value::CodingBegin | Value::Coding(_) => Err(Fault::Coding),
        }
    }
}

/// A value after another of its characters.
fn go_on(value: Value, byte: u8) -> Result<Value, Fault> {
    let blank = matches!(byte, b' ' | b'\t');
    match value {
        Value::Other => Ok(value),
        Value::LengthBegin | Value::LengthEnd(_) | Value::CodingBegin | Value::CodingEnd
            if blank =>
        {
            Ok(value)
        }
        Value::LengthBegin => digit(0, byte).map(Value::Length),
        Value::Length(length) if blank => Ok(Value::LengthEnd(length)),
        Value::Length(length) => digit(length, byte).map(Value::Length),
        Value::LengthEnd(_) => Err(Fault::Length),
        Value::CodingBegin => letter(0, byte),
        Value::Coding(count) if blank && count == CHUNKED.len() => Ok(Value::CodingEnd),
        Value::Coding(count) => letter(count, byte),
        Value::CodingEnd => Err(Fault::Coding),
    }
}

/// A length and one more digit; there are readers who count in 63 bits.
fn digit(length: u64, byte: u8) -> Result<u64, Fault> {
    let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let longer = digit.and_then(|digit| length.checked_mul(10)?.checked_add(digit));
    longer.filter(|length| i64::try_from(*length).is_ok()).ok_or(Fault::Length)
}

/// The only coding that is read, and one more letter of it.
fn letter(count: usize, byte: u8) -> Result<Value, Fault> {
    let expected = CHUNKED.get(count) == Some(&byte.to_ascii_lowercase());
    if expected { Ok(Value::Coding(count + 1)) } else { Err(Fault::Coding) }
}

const LENGTH: &[u8] = b"content-length";
const CODING: &[u8] = b"transfer-encoding";
const CHUNKED: &[u8] = b"chunked";
