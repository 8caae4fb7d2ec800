//! The ledger with its lock and its bell: the server writes, tests read and wait.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::flight::{Doubt, Seat};
use super::ledger::Ledger;
use super::pulse::Line;

/// The shared ledger.
#[derive(Debug)]
pub(super) struct Book {
    ledger: Mutex<Ledger>,
    changed: Notify,
}

/// The duty to say how a request ended; dropped unsaid, its client went away.
#[derive(Debug)]
pub(super) struct Ticket {
    book: Arc<Book>,
    seat: Seat,
    open: bool,
}

/// A begun request's ticket and what its handler has to know.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) ticket: Ticket,
    pub(super) turn: Option<u64>,
    pub(super) doubt: Option<Doubt>,
}

impl Book {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger: Mutex::new(ledger), changed: Notify::new() }
    }

    pub(super) fn begin(
        self: &Arc<Self>,
        line: Line,
        peer: SocketAddr,
        parts: &Parts,
        key: Option<&str>,
    ) -> Entry {
        let begun = self.write(|ledger| ledger.begin(line, peer, parts, key));
        let ticket = Ticket { book: Arc::clone(self), seat: begun.seat, open: true };
        Entry { ticket, turn: begun.turn, doubt: begun.doubt }
    }

    /// Changes the ledger and rings for those who wait.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        // A panicking reader leaves the ledger as it was: reads change nothing.
        let changed = change(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
        changed
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves at the first change after the returned future was enabled.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl Ticket {
    /// Says that the answer's last bytes are about to be handed to the socket.
    pub(super) fn complete(mut self) {
        self.open = false;
        self.book.write(|ledger| ledger.complete(self.seat));
    }

    pub(super) fn note_body(&self, len: u64, blake3: [u8; 32]) {
        self.book.write(|ledger| ledger.note_body(self.seat, len, blake3));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.book.write(|ledger| ledger.abort(self.seat));
        }
    }
}
