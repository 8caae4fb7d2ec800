//! How a caller wants its request repeated, shared, guarded, hedged and told of.

use std::sync::Arc;

use spillgate_core::call::{BreakerUse, HedgeDelay, HedgeUse};

use crate::fetch::{Fetch, RepeatWish, Sharing};
use crate::transport::{Handover, Interim, Trailers};

impl Fetch {
    /// Allows this many retries, each an attempt beyond the first.
    pub fn retries(mut self, retries: u32) -> Self {
        self.wishes.attempts_max = Some(retries.saturating_add(1));
        self
    }

    /// Sends it once.
    pub fn no_retry(mut self) -> Self {
        self.wishes.repeat = RepeatWish::Forbidden;
        self
    }

    /// Sends it again only if nothing of it can have reached the upstream, whatever the method.
    pub fn retry_if_never_sent(mut self) -> Self {
        self.wishes.repeat = RepeatWish::IfNeverSent;
        self
    }

    /// Shows interim answers (1xx) of the upstream as they come, of every attempt; the standard
    /// transport cannot see them.
    pub fn on_interim(mut self, interim: Interim) -> Self {
        self.beside.interim = Some(interim);
        self
    }

    /// Hands the connection over once an attempt has made it a tunnel: with `CONNECT`, or a 101 to
    /// `Upgrade`. The call then ends like any other, and the tunnel is its owner's; the standard
    /// transport makes none.
    pub fn on_tunnel(mut self, handover: Handover) -> Self {
        self.beside.handover = Some(handover);
        self
    }

    /// Passes on what goes behind the request's body and what comes behind the answer's; the standard
    /// transport does neither.
    pub fn trailers(mut self, trailers: Arc<dyn Trailers>) -> Self {
        self.beside.trailers = Some(trailers);
        self
    }

    /// Says that sending it twice does no harm, whatever the method.
    pub fn allow_retry(mut self) -> Self {
        self.wishes.repeat = RepeatWish::Allowed;
        self
    }

    /// Never shares another call's answer.
    pub fn no_coalesce(mut self) -> Self {
        self.wishes.sharing = Sharing::Alone;
        self
    }

    /// Neither asks nor tells the breaker.
    pub fn no_breaker(mut self) -> Self {
        self.wishes.breaker = BreakerUse::Bypassed;
        self
    }

    /// Says whether a slow attempt gets a second one beside it, and when.
    pub fn hedge(mut self, hedge: impl Into<HedgeUse>) -> Self {
        self.wishes.hedge = hedge.into();
        match self.wishes.hedge {
            HedgeUse::On(HedgeDelay::Fixed(delay)) if delay.is_zero() => {
                self.spoil("a hedge after 0s sends everything twice; expected more than zero")
            }
            HedgeUse::On(_) | HedgeUse::Off | HedgeUse::ByPolicy => self,
        }
    }

    /// Notes for the report what is not noted of every call: how many were ahead in the queue and who
    /// joined, and shows every decision in the call's span.
    pub fn explain(mut self) -> Self {
        self.wishes.explains = true;
        self
    }
}
