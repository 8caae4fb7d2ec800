//! What must hold of a hedge that is sent.

use spillgate_core::call::{AttemptId, BreakerUse, HedgeUse, Repeat};
use spillgate_core::verdict::{Cost, Offer};

use crate::reach::{Mark, Reach};
use crate::supply::Keeper;

impl Keeper {
    /// A hedge starts: beside a running attempt that may be repeated, earned, and paid for.
    pub(super) fn start_hedge(&mut self, offer: &Offer, probe: bool, reach: &mut Reach) {
        let id = offer.attempt;
        let beside = offer.beside.expect("it is a hedge");
        let first = AttemptId { flight: id.flight, n: beside.n };
        assert_eq!(self.running.get(&first), Some(&None), "{id:?} runs beside nothing");
        assert_eq!((offer.repeat, offer.cost), (Repeat::Always, Cost::Token), "{id:?}");
        let wanted = match offer.hedge {
            HedgeUse::On(_) => true,
            HedgeUse::ByPolicy => self.policy.hedge.is_some(),
            HedgeUse::Off => false,
        };
        assert!(wanted && !probe, "nobody wants {id:?}, or it probes");
        let options = self.policy.hedge.unwrap_or_default();
        if offer.lane == self.key {
            let others = u32::try_from(self.own_slots() - 1).unwrap_or(u32::MAX);
            let free = f64::from(others) <= f64::from(self.limit) * options.busy_max;
            assert!(free, "{id:?} goes while {others} of {} slots are taken", self.limit);
        }
        if offer.breaker == BreakerUse::Guarded {
            self.breakers.expect_plain(&offer.scope);
        }
        (self.paid, self.hedges) = (self.paid + 1, self.hedges + 1);
        let bound = options.ratio * f64::from(self.firsts);
        assert!(f64::from(self.hedges) <= bound + 1e-6, "{} hedges, bound {bound}", self.hedges);
        reach.hit(Mark::HedgeSent);
    }
}
