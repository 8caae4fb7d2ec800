//! A word that comes byte by byte and may be one that is looked for.

/// How far a word is one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// So many of its bytes are.
    SoFar(usize),
    /// It is another one.
    Other,
}

impl Default for Known {
    fn default() -> Self {
        Self::SoFar(0)
    }
}

impl Known {
    /// The next part of a word, which may or may not be this one.
    pub(super) fn go_on(&mut self, part: &[u8], word: &[u8], same: fn(&[u8], &[u8]) -> bool) {
        let Self::SoFar(count) = *self else { return };
        let expected = word.get(count..).and_then(|rest| rest.get(..part.len()));
        *self = match expected {
            Some(expected) if same(expected, part) => Self::SoFar(count + part.len()),
            Some(_) | None => Self::Other,
        };
    }

    /// Whether the word has ended as this one.
    pub(super) fn is(self, word: &[u8]) -> bool {
        self == Self::SoFar(word.len())
    }
}
