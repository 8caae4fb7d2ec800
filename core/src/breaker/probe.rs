//! The probes of a half-open breaker: a few leases, each with an end.
//!
//! A lease comes back when its call is cancelled or says nothing, and counts as failed when it
//! stays away: a lost probe must not wedge the breaker (resilience4j#1389).

use std::time::Instant;

use crate::breaker::options::BreakerOptions;

/// Numbers a probe's lease within its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease(pub(super) u64);

/// The leases given and the successes seen since it became half-open.
#[derive(Debug, Clone, Default)]
pub(super) struct Probes {
    leases: Vec<(Lease, Instant)>,
    successes: u32,
}

impl Probes {
    /// Gives a lease, or says when one comes free at the latest.
    pub(super) fn lend(
        &mut self,
        now: Instant,
        lease: Lease,
        options: &BreakerOptions,
    ) -> Result<(), Instant> {
        if self.leases.len() >= options.probes_max.max(1) as usize {
            // A caller cannot know how the probe ends: its lease is the honest bound.
            return Err(self.next_expiry().unwrap_or(now));
        }
        let expiry = now.checked_add(options.probe_lease).unwrap_or(now);
        self.leases.push((lease, expiry));
        Ok(())
    }

    /// Takes a lease back and says whether it was out.
    pub(super) fn take_back(&mut self, lease: Lease) -> bool {
        let before = self.leases.len();
        self.leases.retain(|(other, _)| *other != lease);
        self.leases.len() < before
    }

    /// Counts a good probe and says whether it was the last one needed.
    pub(super) fn succeed(&mut self, options: &BreakerOptions) -> bool {
        self.successes += 1;
        self.successes >= options.success_threshold
    }

    /// When the first lease ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.leases.iter().map(|(_, expiry)| *expiry).min()
    }
}
