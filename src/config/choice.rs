//! The values that are a choice: words, switches and numbers in one place.

use serde::Deserialize;
use serde::de;
use spillgate_core::backoff::HintUse;
use spillgate_core::limit::LimitKind;

use super::near;
use super::value::{HINT, Scalar, Span};

/// How a limit moves: `true`, `false`, `"vegas"` or `"aimd"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct Adaptive(pub(super) LimitKind);

/// How `Retry-After` is taken: `"obey"`, or how much later than the delay it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct Hinted(pub(super) HintUse);

/// A value, or `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrOff<T> {
    /// Nothing.
    Off,
    /// The value.
    On(T),
}

impl TryFrom<Scalar> for Adaptive {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        let kind = match &scalar {
            Scalar::Flag(true) => Some(LimitKind::Vegas),
            Scalar::Flag(false) => Some(LimitKind::Fixed),
            Scalar::Text(text) if text == "vegas" => Some(LimitKind::Vegas),
            Scalar::Text(text) if text == "aimd" => Some(LimitKind::Aimd),
            Scalar::Integer(_)
            | Scalar::Float(_)
            | Scalar::Text(_)
            | Scalar::List
            | Scalar::Table => None,
        };
        kind.map(Self).ok_or_else(|| {
            let hint = meant(&scalar, &["vegas", "aimd"]);
            format!(
                "{scalar} is no way to adapt, expected true, false, \"vegas\" or \"aimd\"{hint}"
            )
        })
    }
}

impl TryFrom<Scalar> for Hinted {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        if matches!(&scalar, Scalar::Text(text) if text == "obey") {
            return Ok(Self(HintUse::Obey));
        }
        let hint = meant(&scalar, &["obey"]);
        let refusal =
            format!("{scalar} is no use, expected \"obey\" or a time such as \"5s\"{hint}");
        Span::try_from(scalar).map(|span| Self(HintUse::Clamp(span.0))).map_err(|_| refusal)
    }
}

impl<T: TryFrom<Scalar, Error = String>> TryFrom<Scalar> for OrOff<T> {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        match &scalar {
            Scalar::Text(text) if text == "off" => Ok(Self::Off),
            Scalar::Integer(_)
            | Scalar::Float(_)
            | Scalar::Flag(_)
            | Scalar::Text(_)
            | Scalar::List
            | Scalar::Table => T::try_from(scalar).map(Self::On),
        }
    }
}

impl<'de, T: TryFrom<Scalar, Error = String>> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Scalar::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The word that was probably meant, as the end of an error.
fn meant(scalar: &Scalar, words: &[&str]) -> String {
    let near = match scalar {
        Scalar::Text(text) => near::nearest(text, words),
        Scalar::Integer(_) | Scalar::Float(_) | Scalar::Flag(_) | Scalar::List | Scalar::Table => {
            None
        }
    };
    near.map_or_else(String::new, |word| format!("{HINT}did you mean `{word}`?"))
}
