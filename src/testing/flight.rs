//! The requests in flight, in all and per host, and the highest count there ever was.
//!
//! A peak is a claim that other tests build on, so it must not be inflated by a connection whose
//! client has left: before a new peak is believed all connections are swept for dead ones, that of
//! the new request included, whose client may have said goodbye right after it.
//! A sweep costs one system call per connection in flight and runs only when a peak would rise.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pulse::{Line, Pulse};

/// Requests in flight, by connection.
#[derive(Debug)]
pub(super) struct Flights {
    open: BTreeMap<Seat, Flight>,
    all: Tide,
    hosts: Vec<Tide>,
}

/// The place of one request: its connection, then its number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Seat {
    pub(super) connection: u64,
    pub(super) number: u64,
}

/// One request in flight.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) line: Line,
    /// Whether it is one stream of several that its connection may carry.
    pub(super) is_stream: bool,
    pub(super) path: Option<Arc<str>>,
    pub(super) key: Option<Arc<str>>,
}

/// A peak that is not to be believed yet: a connection had unread bytes that may say goodbye, or
/// streams that may have said it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    host: usize,
    all: Tide,
    on_host: Tide,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tide {
    current: usize,
    peak: usize,
    gone: usize,
}

impl Flights {
    pub(super) fn new(hosts: usize) -> Self {
        Self { open: BTreeMap::new(), all: Tide::default(), hosts: vec![Tide::default(); hosts] }
    }

    /// Adds a request and returns those whose clients turned out to be gone, and the doubt left.
    pub(super) fn enter(
        &mut self,
        seat: Seat,
        flight: Flight,
    ) -> (Vec<(Seat, Flight)>, Option<Doubt>) {
        let host = flight.line.host;
        self.open.insert(seat, flight);
        self.tides(host, |tide| tide.current += 1);
        if !self.rises(host) {
            return (Vec::new(), None);
        }
        let (gone, doubtful) = self.sweep();
        if !doubtful {
            self.tides(host, |tide| tide.peak = tide.peak.max(tide.current));
            return (gone, None);
        }
        (gone, Some(Doubt { host, all: self.all, on_host: self.host(host) }))
    }

    /// Believes what is left of a doubtful peak after the event loop has turned.
    pub(super) fn settle(&mut self, doubt: Doubt) {
        self.all.settle(doubt.all);
        if let Some(tide) = self.hosts.get_mut(doubt.host) {
            tide.settle(doubt.on_host);
        }
    }

    /// Removes a request whose answer is about to end.
    pub(super) fn leave(&mut self, seat: Seat) -> Option<Flight> {
        let flight = self.open.remove(&seat)?;
        self.tides(flight.line.host, |tide| tide.current -= 1);
        Some(flight)
    }

    /// Removes a request whose client went away.
    pub(super) fn lose(&mut self, seat: Seat) -> Option<Flight> {
        let flight = self.leave(seat)?;
        self.tides(flight.line.host, |tide| tide.gone += 1);
        Some(flight)
    }

    pub(super) fn current(&self) -> usize {
        self.all.current
    }

    pub(super) fn peak(&self) -> usize {
        self.all.peak
    }

    pub(super) fn current_on(&self, host: usize) -> usize {
        self.host(host).current
    }

    pub(super) fn peak_on(&self, host: usize) -> usize {
        self.host(host).peak
    }

    pub(super) fn peak_per_host(&self) -> usize {
        self.hosts.iter().map(|tide| tide.peak).max().unwrap_or(0)
    }

    fn sweep(&mut self) -> (Vec<(Seat, Flight)>, bool) {
        let mut doubtful = false;
        let mut gone = Vec::new();
        let mut asked = None;
        for (seat, flight) in &self.open {
            let pulse = match asked {
                Some((connection, pulse)) if connection == seat.connection => pulse,
                Some(_) | None => flight.line.pulse(),
            };
            asked = Some((seat.connection, pulse));
            match pulse {
                // The reset of a stream may have been read, and its handler not dropped yet.
                Pulse::Alive if flight.is_stream => doubtful = true,
                Pulse::Alive => {}
                Pulse::Gone => gone.push(*seat),
                Pulse::Doubtful => doubtful = true,
            }
        }
        let gone = gone.into_iter().filter_map(|seat| Some((seat, self.lose(seat)?))).collect();
        (gone, doubtful)
    }

    fn rises(&self, host: usize) -> bool {
        let on_host = self.host(host);
        self.all.current > self.all.peak || on_host.current > on_host.peak
    }

    fn host(&self, host: usize) -> Tide {
        self.hosts.get(host).copied().unwrap_or_default()
    }

    fn tides(&mut self, host: usize, change: impl Fn(&mut Tide)) {
        change(&mut self.all);
        if let Some(tide) = self.hosts.get_mut(host) {
            change(tide);
        }
    }
}

impl Tide {
    fn settle(&mut self, then: Self) {
        let gone_since = self.gone - then.gone;
        self.peak = self.peak.max(then.current.saturating_sub(gone_since));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn two_living_clients_raise_the_peak_to_two() {
        let (mut flights, first, second) =
            (Flights::new(1), Client::new(1).await, Client::new(2).await);
        first.enter(&mut flights);
        let (gone, doubt) = second.enter(&mut flights);
        assert!(gone.is_empty() && doubt.is_none());
        assert_eq!((flights.current(), flights.peak(), flights.peak_on(0)), (2, 2, 2));
    }

    #[tokio::test]
    async fn a_dead_client_leaves_before_the_peak_is_taken() {
        let (mut flights, first, second) =
            (Flights::new(1), Client::new(1).await, Client::new(2).await);
        first.enter(&mut flights);
        drop(first.near);
        first.far.readable().await.unwrap();
        let (gone, doubt) = second.enter(&mut flights);
        assert_eq!(gone.len(), 1);
        assert!(doubt.is_none());
        assert_eq!((flights.current(), flights.peak(), flights.peak_on(0)), (1, 1, 1));
    }

    #[tokio::test]
    async fn a_doubtful_peak_counts_those_who_stayed() {
        for stayed in [true, false] {
            let (mut flights, mut first) = (Flights::new(1), Client::new(1).await);
            let second = Client::new(2).await;
            first.enter(&mut flights);
            first.near.write_all(b"goodbye").await.unwrap();
            first.far.readable().await.unwrap();
            let (gone, doubt) = second.enter(&mut flights);
            assert!(gone.is_empty());
            assert_eq!(flights.peak(), 1, "not believed yet");
            if stayed {
                flights.leave(first.seat).unwrap();
            } else {
                flights.lose(first.seat).unwrap();
            }
            flights.settle(doubt.unwrap());
            let peak = if stayed { 2 } else { 1 };
            assert_eq!((flights.peak(), flights.peak_on(0)), (peak, peak));
        }
    }

    #[tokio::test]
    async fn leaving_twice_counts_once() {
        let (mut flights, client) = (Flights::new(1), Client::new(0).await);
        client.enter(&mut flights);
        assert!(flights.leave(client.seat).is_some());
        assert!(flights.leave(client.seat).is_none() && flights.lose(client.seat).is_none());
        assert_eq!(flights.current(), 0);
    }

    struct Client {
        near: TcpStream,
        far: Arc<TcpStream>,
        seat: Seat,
    }

    impl Client {
        async fn new(connection: u64) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let far = Arc::new(listener.accept().await.unwrap().0);
            Self { near, far, seat: Seat { connection, number: connection } }
        }

        fn enter(&self, flights: &mut Flights) -> (Vec<(Seat, Flight)>, Option<Doubt>) {
            let line = Line::new(self.seat.connection, 0, Arc::downgrade(&self.far));
            let is_stream = false;
            flights.enter(self.seat, Flight { line, is_stream, path: None, key: None })
        }
    }
}
