//! What a configuration says of hedging.

use serde::Deserialize;
use spillgate_core::call::HedgeDelay;
use spillgate_core::hedge::HedgeOptions;

use super::value::{Number, Scalar, Span};

/// The table `hedge`; whoever says how means that it is on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct HedgeShape {
    enabled: Option<Switch>,
    delay: Option<Delay>,
    budget: Option<Number>,
    busy_max: Option<Number>,
}

/// Whether it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(super) struct Switch(pub(super) bool);

/// `"live"` or a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
struct Delay(HedgeDelay);

impl HedgeShape {
    pub(super) fn apply(&self, hedge: &mut Option<HedgeOptions>) {
        let is_told = self.delay.is_some() || self.of_host().is_some();
        let is_on = self.enabled.map_or(hedge.is_some() || is_told, |enabled| enabled.0);
        if !is_on {
            *hedge = None;
            return;
        }
        let options = hedge.get_or_insert_default();
        options.delay = self.delay.map_or(options.delay, |delay| delay.0);
        options.ratio = self.budget.map_or(options.ratio, |number| number.0);
        options.busy_max = self.busy_max.map_or(options.busy_max, |number| number.0);
    }

    /// The first key that only a host can have: routes share what is earned.
    pub(super) fn of_host(&self) -> Option<&'static str> {
        let budget = self.budget.map(|_| "hedge.budget");
        budget.or(self.busy_max.map(|_| "hedge.busy_max"))
    }
}

impl TryFrom<Scalar> for Switch {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        match scalar {
            Scalar::Flag(flag) => Ok(Self(flag)),
            Scalar::Integer(_)
            | Scalar::Float(_)
            | Scalar::Text(_)
            | Scalar::List
            | Scalar::Table => Err(format!("{scalar} is no switch, expected true or false")),
        }
    }
}

impl TryFrom<Scalar> for Delay {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        if let Scalar::Text(text) = &scalar
            && text == "live"
        {
            return Ok(Self(HedgeDelay::LiveP95));
        }
        match Span::try_from(scalar) {
            Ok(Span(delay)) => Ok(Self(HedgeDelay::Fixed(delay))),
            Err(text) => Err(text.replace("expected a text", "expected \"live\" or a text")),
        }
    }
}
