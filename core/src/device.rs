//! The device gate: what waits while this machine itself has no network.
//!
//! Being offline is nobody's failure: no breaker trips, no budget pays. But a hundred calls that each
//! find it out for themselves only wake the radio. So lanes that were found dark are held, one
//! attempt at a time probes for all of them, and the first sign of life lights them all. Only lanes
//! with evidence of their own are held: a resolver that fails for one name must not stop the calls
//! to another host, nor those to this machine.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::advice::ErrorKind;
use crate::call::{AttemptId, HostKey};

/// What an attempt shows of this machine's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sight {
    /// There is none.
    Offline,
    /// Something answered.
    Online,
    /// It can be either.
    Unclear,
}

/// The gate over all lanes.
#[derive(Debug, Default)]
pub struct Device {
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    pause: Duration,
    next_probe: Instant,
    probe: Option<AttemptId>,
    dark: BTreeSet<HostKey>,
    /// Whether somebody was told that it lasts.
    is_lasting: bool,
}

impl Sight {
    /// What an attempt shows that ended in this error, or in an answer.
    pub fn of(error: Option<ErrorKind>) -> Self {
        let Some(kind) = error else { return Self::Online };
        match kind {
            ErrorKind::DeviceOffline => Self::Offline,
            ErrorKind::DnsError
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionTerminated
            | ErrorKind::TlsCertificateError
            | ErrorKind::TlsProtocolError
            | ErrorKind::ConnectionReadTimeout
            | ErrorKind::HttpResponseIncomplete
            | ErrorKind::HttpResponseBodySize
            | ErrorKind::HttpResponseHeaderSectionSize
            | ErrorKind::HttpResponseContentCoding
            | ErrorKind::HttpProtocolError
            | ErrorKind::RedirectRefused
            | ErrorKind::TooManyRedirects
            | ErrorKind::HttpStatus
            | ErrorKind::Business
            | ErrorKind::Decode => Self::Online,
            ErrorKind::InvalidRequest
            | ErrorKind::RequestBody
            | ErrorKind::InvalidConfig
            | ErrorKind::ShuttingDown
            | ErrorKind::Overloaded
            | ErrorKind::QueueFull
            | ErrorKind::CircuitOpen
            | ErrorKind::RateLimited
            | ErrorKind::Cancelled
            | ErrorKind::Superseded
            | ErrorKind::DeadlineExceeded
            | ErrorKind::DestinationIpProhibited
            | ErrorKind::DestinationUnavailable
            | ErrorKind::ConnectionTimeout
            | ErrorKind::HttpResponseTimeout
            | ErrorKind::Internal => Self::Unclear,
        }
    }
}

impl Device {
    /// An attempt of a lane ended and showed this; whether lanes went dark or were lit.
    pub fn learn(&mut self, now: Instant, (attempt, lane): (AttemptId, &HostKey), sight: Sight) {
        match (sight, &mut self.outage) {
            (Sight::Offline, None) => self.outage = Some(Outage::new(now, lane)),
            (Sight::Offline, Some(outage)) => {
                outage.dark.insert(lane.clone());
                if outage.probe == Some(attempt) {
                    outage.pause = (outage.pause * 2).min(PAUSE_MAX);
                    outage.next_probe = now.checked_add(outage.pause).unwrap_or(now);
                    outage.probe = None;
                }
            }
            (Sight::Online, Some(outage)) if outage.dark.contains(lane) => self.outage = None,
            (Sight::Online | Sight::Unclear, _) => {}
        }
    }

    /// An attempt has ended, whatever it showed: a probe that showed nothing may be followed at once.
    pub fn end(&mut self, now: Instant, attempt: AttemptId) {
        if let Some(outage) = self.outage.as_mut().filter(|o| o.probe == Some(attempt)) {
            (outage.probe, outage.next_probe) = (None, now);
        }
    }

    /// Lets an attempt of a dark lane go as the probe, if it is time for one.
    pub fn probe(&mut self, now: Instant, attempt: AttemptId) -> Result<(), Instant> {
        let Some(outage) = &mut self.outage else { return Ok(()) };
        if let Some(until) = outage.refuses_until(now) {
            return Err(until);
        }
        outage.probe = Some(attempt);
        Ok(())
    }

    /// A lane is not needed any more; with the last that was held ends what is known of the outage,
    /// for nothing is left to show that it is over.
    pub fn forget(&mut self, lane: &HostKey) {
        let Some(outage) = &mut self.outage else { return };
        outage.dark.remove(lane);
        if outage.dark.is_empty() {
            self.outage = None;
        }
    }

    /// The lanes that are held.
    pub fn dark(&self) -> impl Iterator<Item = &HostKey> {
        self.outage.iter().flat_map(|outage| &outage.dark)
    }

    /// Whether this lane is held.
    pub fn is_dark(&self, lane: &HostKey) -> bool {
        self.outage.as_ref().is_some_and(|outage| outage.dark.contains(lane))
    }

    /// Whether any lane is held.
    pub fn is_offline(&self) -> bool {
        self.outage.is_some()
    }

    /// Until when no further probe goes; `None` if one may go now.
    pub fn refuses_until(&self, now: Instant) -> Option<Instant> {
        self.outage.as_ref()?.refuses_until(now)
    }

    /// Whether it has lasted so long that nobody shall wait for its end.
    pub fn is_lasting(&mut self, now: Instant) -> bool {
        let Some(outage) = &mut self.outage else { return false };
        outage.is_lasting |= outage.lasts_from() <= now;
        outage.is_lasting
    }

    /// When [`Device::is_lasting`] is to be asked; `None` once it has said so: who still waits then
    /// waits for a slot to probe with, and no time brings that.
    pub fn next_lasting(&self) -> Option<Instant> {
        let outage = self.outage.as_ref().filter(|outage| !outage.is_lasting)?;
        Some(outage.lasts_from())
    }
}

impl Outage {
    fn new(now: Instant, lane: &HostKey) -> Self {
        let next_probe = now.checked_add(PAUSE_MIN).unwrap_or(now);
        let dark = BTreeSet::from([lane.clone()]);
        Self { since: now, pause: PAUSE_MIN, next_probe, probe: None, dark, is_lasting: false }
    }

    fn refuses_until(&self, now: Instant) -> Option<Instant> {
        match self.probe {
            // Nobody knows how long a probe takes: the next one would come after a pause.
            Some(_) => now.checked_add(self.pause),
            None => Some(self.next_probe).filter(|next| *next > now),
        }
    }

    fn lasts_from(&self) -> Instant {
        self.since.checked_add(PATIENCE).unwrap_or(self.since)
    }
}

/// The time from the first sign of being offline to the first probe; it doubles with each.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest time between two probes.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long calls wait for the network to come back, as when a device changes from one to another;
/// who calls later is told at once.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;
    use crate::call::FlightId;

    #[test]
    fn one_probe_at_a_time_with_longer_and_longer_pauses() {
        let mut now = Instant::now();
        let mut device = Device::default();
        let lane = HostKey::from("a");
        device.learn(now, (attempt(1), &lane), Sight::Offline);
        let mut pauses_ms = Vec::new();
        for n in 2..8 {
            let due = device.refuses_until(now).expect("it is too early");
            assert_eq!(device.probe(now, attempt(n)), Err(due));
            pauses_ms.push((due - now).as_millis());
            now = due;
            assert_eq!(device.probe(now, attempt(n)), Ok(()));
            assert!(device.probe(now, attempt(99)).is_err(), "one at a time");
            device.learn(now, (attempt(n), &lane), Sight::Offline);
            device.end(now, attempt(n));
        }
        assert_eq!(pauses_ms, [250, 500, 1_000, 2_000, 4_000, 5_000]);
    }

    #[test]
    fn first_sign_of_life_lights_all_lanes_and_that_of_another_none() {
        let now = Instant::now();
        let mut device = Device::default();
        let [a, b, local] = ["a", "b", "localhost"].map(HostKey::from);
        device.learn(now, (attempt(1), &a), Sight::Offline);
        device.learn(now, (attempt(2), &b), Sight::Offline);
        device.learn(now, (attempt(3), &local), Sight::Online);
        assert!(device.is_dark(&a) && device.is_dark(&b) && !device.is_dark(&local));
        device.learn(now, (attempt(4), &b), Sight::Unclear);
        assert!(device.is_offline());
        device.learn(now, (attempt(5), &b), Sight::Online);
        assert!(!device.is_offline() && !device.is_dark(&a));
        assert_eq!(device.probe(now, attempt(6)), Ok(()));
    }

    #[test]
    fn outage_ends_with_the_last_host_that_knew_of_it() {
        let now = Instant::now();
        let mut device = Device::default();
        let [a, b] = ["a", "b"].map(HostKey::from);
        device.learn(now, (attempt(1), &a), Sight::Offline);
        device.learn(now, (attempt(2), &b), Sight::Offline);
        device.forget(&a);
        assert!(device.is_offline());
        device.forget(&b);
        assert!(!device.is_offline(), "nobody is left to find out that it is over");
        let later = now + Duration::from_secs(3_600);
        device.learn(later, (attempt(3), &a), Sight::Offline);
        assert!(!device.is_lasting(later), "it is another one");
    }

    #[test]
    fn probe_that_shows_nothing_is_followed_at_once() {
        let now = Instant::now();
        let mut device = Device::default();
        let lane = HostKey::from("a");
        device.learn(now, (attempt(1), &lane), Sight::Offline);
        let later = now + PAUSE_MIN;
        assert_eq!(device.probe(later, attempt(2)), Ok(()));
        device.learn(later, (attempt(2), &lane), Sight::Unclear);
        device.end(later, attempt(2));
        assert_eq!(device.probe(later, attempt(3)), Ok(()));
    }

    #[test]
    fn what_answers_badly_still_shows_a_network() {
        assert_eq!(Sight::of(None), Sight::Online);
        assert_eq!(Sight::of(Some(ErrorKind::ConnectionRefused)), Sight::Online);
        assert_eq!(Sight::of(Some(ErrorKind::Cancelled)), Sight::Unclear);
        assert_eq!(Sight::of(Some(ErrorKind::DestinationUnavailable)), Sight::Unclear);
        let offline =
            ErrorKind::ALL.iter().filter(|kind| Sight::of(Some(**kind)) == Sight::Offline);
        assert_eq!(offline.collect::<Vec<_>>(), [&ErrorKind::DeviceOffline]);
    }

    fn attempt(flight: u64) -> AttemptId {
        AttemptId { flight: FlightId(flight), n: 1 }
    }
}
