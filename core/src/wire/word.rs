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
    /// The next byte of a word, which may or may not be this one.
    pub(super) fn next(&mut self, byte: u8, word: &[u8]) {
        *self = match *self {
            Self::SoFar(count) if word.get(count) == Some(&byte) => Self::SoFar(count + 1),
            Self::SoFar(_) | Self::Other => Self::Other,
        };
    }

    /// Whether the word has ended as this one.
    pub(super) fn is(self, word: &[u8]) -> bool {
        self == Self::SoFar(word.len())
    }
}
