//! Who made which connection: the join between the connector, which knows the attempt, and the
//! answer, which knows the two ends.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use spillgate_actors::transport::ConnectionOrigin;

/// Remembers the attempts behind the youngest connections.
///
/// A forgotten connection is an old one, and counts as reused.
#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    made: Mutex<Made>,
}

/// Counts what one pool has connected within the life of an idle connection.
#[derive(Debug)]
pub(super) struct Connects {
    connects_max: usize,
    span: Duration,
    since: Mutex<(Instant, usize)>,
    are_many: AtomicBool,
}

/// The two ends of a connection: ours and the upstream's.
pub(super) type Ends = (SocketAddr, SocketAddr);

#[derive(Debug, Default)]
struct Made {
    by_ends: HashMap<Ends, Origin>,
    by_age: VecDeque<(Ends, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    requester: u64,
    stood_at: Instant,
}

impl ConnectionTable {
    /// Remembers that an attempt's connect delivered this connection.
    pub(super) fn insert(&self, ends: Ends, requester: u64) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = &mut *made;
        made.by_ends.insert(ends, Origin { requester, stood_at: Instant::now() });
        made.by_age.push_back((ends, requester));
        if made.by_age.len() <= CONNECTIONS_MAX {
            return;
        }
        if let Some((oldest, requester)) = made.by_age.pop_front()
            && made.by_ends.get(&oldest).is_some_and(|origin| origin.requester == requester)
        {
            made.by_ends.remove(&oldest);
        }
    }

    /// Where a connection came from, seen by an attempt that began at `began` and used it.
    pub(super) fn origin(&self, ends: Ends, requester: u64, began: Instant) -> ConnectionOrigin {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match made.by_ends.get(&ends) {
            Some(origin) if origin.requester == requester => ConnectionOrigin::Fresh,
            Some(origin) if origin.stood_at > began => ConnectionOrigin::Adopted,
            Some(_) | None => ConnectionOrigin::Reused,
        }
    }
}

impl Connects {
    /// None yet; more than `connects_max` within `span` are many.
    pub(super) fn new(connects_max: usize, span: Duration) -> Self {
        let since = Mutex::new((Instant::now(), 0));
        Self { connects_max, span, since, are_many: AtomicBool::new(false) }
    }

    /// A connection stands.
    pub(super) fn count(&self) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.0.elapsed() > self.span {
            *since = (Instant::now(), 0);
        }
        since.1 += 1;
        if since.1 >= self.connects_max {
            *since = (Instant::now(), 0);
            self.are_many.store(true, Ordering::Release);
        }
    }

    /// Whether there were many, told once.
    pub(super) fn are_many(&self) -> bool {
        // Asked for each exchange: a look shares what a swap would take for itself.
        self.are_many.load(Ordering::Relaxed) && self.are_many.swap(false, Ordering::AcqRel)
    }
}

/// Connections whose origin is remembered; about 160 bytes each.
const CONNECTIONS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        (SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([127, 0, 0, 1], 80)))
    }

    #[test]
    fn origin_depends_on_who_connected_and_when() {
        let table = ConnectionTable::default();
        let before = Instant::now();
        table.insert(ends(1000), 7);
        let after = Instant::now() + Duration::from_secs(1);
        assert_eq!(table.origin(ends(1000), 7, before), ConnectionOrigin::Fresh);
        assert_eq!(table.origin(ends(1000), 8, before), ConnectionOrigin::Adopted);
        assert_eq!(table.origin(ends(1000), 8, after), ConnectionOrigin::Reused);
        assert_eq!(table.origin(ends(1001), 8, before), ConnectionOrigin::Reused);
    }

    #[test]
    fn table_is_bounded_and_keeps_a_port_that_was_used_again() {
        let table = ConnectionTable::default();
        let began = Instant::now();
        table.insert(ends(1), 1);
        table.insert(ends(1), 2);
        for n in 0..u16::try_from(CONNECTIONS_MAX).unwrap() - 1 {
            table.insert(ends(100 + n), 100 + u64::from(n));
        }
        assert_eq!(table.origin(ends(1), 2, began), ConnectionOrigin::Fresh);
        table.insert(ends(2), 3);
        assert_eq!(table.origin(ends(1), 2, began), ConnectionOrigin::Reused);
        let made = table.made.lock().unwrap();
        assert_eq!(made.by_age.len(), CONNECTIONS_MAX);
        assert_eq!(made.by_ends.len(), CONNECTIONS_MAX);
    }
}
