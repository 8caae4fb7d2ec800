//! What the drill saw: hits, arrivals, requests in flight, connections, clients that left.
//!
//! One owner writes it, the book; tests read it under the book's lock and so see one consistent
//! moment. Everything in it has a limit: the log keeps the newest 100,000 requests, unless told
//! otherwise, in 128 MiB at most; the tables by path and by key stop taking new names at 100,000;
//! both count what they dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;

use super::flight::{Doubt, Flight, Flights, Seat};
use super::pulse::Line;
use super::received::{Arrival, Outcome, Received};
use super::tally::Tallies;

/// The drill's record of everything that reached it.
///
/// `/`, `/count` and `/inflight` are not recorded.
#[derive(Debug)]
pub struct Ledger {
    hits: u64,
    aborted: u64,
    connections: u64,
    paths: Tallies,
    keys: Tallies,
    flights: Flights,
    log: VecDeque<Received>,
    log_max: usize,
    log_bytes: usize,
}

/// A request that has just begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) seat: Seat,
    /// Hits of its key before it; nothing when it has no key or the table is full.
    pub(super) turn: Option<u64>,
    /// What is left to settle before its peak is believed.
    pub(super) doubt: Option<Doubt>,
}

impl Ledger {
    pub(super) fn new(hosts: usize, log_max: usize) -> Self {
        Self {
            hits: 0,
            aborted: 0,
            connections: 0,
            paths: Tallies::new(NAMES_MAX),
            keys: Tallies::new(NAMES_MAX),
            flights: Flights::new(hosts),
            log: VecDeque::new(),
            log_max,
            log_bytes: 0,
        }
    }

    /// Counts an accepted connection and answers its number.
    pub(super) fn connect(&mut self) -> u64 {
        self.connections += 1;
        self.connections - 1
    }

    pub(super) fn begin(
        &mut self,
        line: Line,
        peer: std::net::SocketAddr,
        parts: &Parts,
        key: Option<&str>,
    ) -> Begun {
        let number = self.hits;
        self.hits += 1;
        let at = Instant::now();
        let seat = Seat { connection: line.connection, number };
        let arrival = Arrival { number, at, connection: line.connection, host: line.host, peer };
        let path = self.paths.hit(parts.uri.path()).map(|(path, _)| path);
        let (key, turn) = key.and_then(|key| self.keys.hit(key)).unzip();
        self.keep(arrival, parts, path.clone(), key.clone());
        let is_stream = parts.version == http::Version::HTTP_2;
        let (gone, doubt) = self.flights.enter(seat, Flight { line, is_stream, path, key });
        for (seat, flight) in gone {
            self.note_aborted(seat, &flight);
        }
        Begun { seat, turn, doubt }
    }

    pub(super) fn settle(&mut self, doubt: Doubt) {
        self.flights.settle(doubt);
    }

    /// Counts a hit of a key that no request of its own carries, a scenario's step.
    pub(super) fn turn(&mut self, key: &str) -> Option<u64> {
        self.keys.hit(key).map(|(_, turn)| turn)
    }

    pub(super) fn note_body(&mut self, seat: Seat, len: u64, blake3: [u8; 32]) {
        if let Some(received) = self.logged(seat) {
            received.note_body(len, blake3);
        }
    }

    pub(super) fn complete(&mut self, seat: Seat) {
        if self.flights.leave(seat).is_none() {
            return;
        }
        if let Some(received) = self.logged(seat) {
            received.note_outcome(Outcome::Served);
        }
    }

    pub(super) fn abort(&mut self, seat: Seat) {
        if let Some(flight) = self.flights.lose(seat) {
            self.note_aborted(seat, &flight);
        }
    }

    /// Requests received.
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// Requests received for a path, as sent and without the query.
    pub fn hits_at(&self, path: &str) -> u64 {
        self.paths.of(path).hits
    }

    /// Requests received for a key: the `key` parameter, or the path and query of a path that
    /// counts its own hits (`/status` with `times`, `/flap`, `/delay` with `jitter`, `/scenario`),
    /// which at a listener other than the first begins with `host 1 ` and so on.
    pub fn hits_of(&self, key: &str) -> u64 {
        self.keys.of(key).hits
    }

    /// Requests for a path whose client went away before the answer ended.
    pub fn aborted(&self, path: &str) -> u64 {
        self.paths.of(path).aborted
    }

    /// Requests of a key whose client went away before the answer ended.
    pub fn aborted_of(&self, key: &str) -> u64 {
        self.keys.of(key).aborted
    }

    /// All requests whose client went away before the answer ended.
    pub fn aborted_in_all(&self) -> u64 {
        self.aborted
    }

    /// Requests in flight.
    ///
    /// A request is in flight from its parsed head until just before the last bytes of its answer
    /// are handed to the socket (HTTP/2: to the connection's frame buffer), or until its client is
    /// seen to be gone. A client that closes only its sending half counts as gone; one that sends
    /// further requests without waiting and then leaves is seen to be gone when the next would
    /// raise the peak.
    pub fn in_flight(&self) -> usize {
        self.flights.current()
    }

    /// The most requests there ever were in flight at once, over all hosts.
    pub fn peak(&self) -> usize {
        self.flights.peak()
    }

    /// Requests in flight at one listener, by its index.
    pub fn in_flight_on(&self, host: usize) -> usize {
        self.flights.current_on(host)
    }

    /// The most requests there ever were in flight at once at one listener, by its index.
    pub fn peak_on(&self, host: usize) -> usize {
        self.flights.peak_on(host)
    }

    /// The highest peak of any one listener.
    pub fn peak_per_host(&self) -> usize {
        self.flights.peak_per_host()
    }

    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// The logged requests, oldest first.
    pub fn requests(&self) -> impl Iterator<Item = &Received> {
        self.log.iter()
    }

    /// The logged requests for a path, oldest first; looks at the whole log.
    pub fn requests_at(&self, path: &str) -> impl Iterator<Item = &Received> {
        self.log.iter().filter(move |received| received.path() == path)
    }

    /// When the logged requests for a path arrived, oldest first; looks at the whole log.
    pub fn arrivals_at(&self, path: &str) -> Vec<Instant> {
        self.requests_at(path).map(Received::at).collect()
    }

    /// When the logged requests of a key arrived, oldest first; looks at the whole log.
    pub fn arrivals_of(&self, key: &str) -> Vec<Instant> {
        self.log.iter().filter(|received| received.key() == Some(key)).map(Received::at).collect()
    }

    /// Requests that the log has dropped to make room for newer ones.
    pub fn requests_dropped(&self) -> u64 {
        self.hits - self.log.len() as u64
    }

    /// Hits that could not be counted by path or by key: the table full, the name over a kilobyte.
    pub fn names_dropped(&self) -> u64 {
        self.paths.overflowed() + self.keys.overflowed()
    }

    fn keep(
        &mut self,
        arrival: Arrival,
        parts: &Parts,
        path: Option<Arc<str>>,
        key: Option<Arc<str>>,
    ) {
        let path = path.unwrap_or_else(|| parts.uri.path().into());
        let received = Received::new(arrival, parts, path, key);
        self.log_bytes += received.bytes();
        self.log.push_back(received);
        while self.log.len() > self.log_max || self.log_bytes > LOG_BYTES_MAX {
            let Some(oldest) = self.log.pop_front() else { return };
            self.log_bytes -= oldest.bytes();
        }
    }

    fn logged(&mut self, seat: Seat) -> Option<&mut Received> {
        let first = self.log.front()?.number();
        let index = usize::try_from(seat.number.checked_sub(first)?).ok()?;
        self.log.get_mut(index)
    }

    fn note_aborted(&mut self, seat: Seat, flight: &Flight) {
        self.aborted += 1;
        if let Some(path) = &flight.path {
            self.paths.abort(path);
        }
        if let Some(key) = &flight.key {
            self.keys.abort(key);
        }
        if let Some(received) = self.logged(seat) {
            received.note_outcome(Outcome::Aborted);
        }
    }
}

/// Requests that the log keeps unless told otherwise.
pub(super) const LOG_MAX: usize = 100_000;
/// Memory that the log takes, whatever its length: request heads may be large.
const LOG_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Names that each table takes.
const NAMES_MAX: usize = 100_000;
