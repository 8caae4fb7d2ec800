//! The way to the reporter thread: bounded, never blocking, counting what it drops.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Sender, TrySendError};

use crate::record::JournalEntry;

/// Takes entries for the reporter thread.
#[derive(Debug)]
pub struct Journal {
    sender: Option<Sender<JournalEntry>>,
    dropped: AtomicU64,
}

impl Journal {
    /// A journal that writes into a bounded channel.
    pub fn new(sender: Sender<JournalEntry>) -> Self {
        Self { sender: Some(sender), dropped: AtomicU64::new(0) }
    }

    /// A journal that nobody reads.
    pub fn unread() -> Self {
        Self { sender: None, dropped: AtomicU64::new(0) }
    }

    /// Hands an entry over, or counts it as dropped when the reporter lags.
    pub fn write(&self, entry: JournalEntry) {
        let Some(sender) = &self.sender else { return };
        match sender.try_send(entry) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many entries were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
