//! The turns of debounced keys: which call of a key is the newest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

/// A key's place in a client's table, and the pause.
#[derive(Clone)]
pub(crate) struct Place {
    turns: Arc<watch::Sender<u64>>,
    pub(crate) wait: Duration,
}

/// A call's turn at a debounced key.
pub(crate) struct Turn {
    number: u64,
    turns: watch::Receiver<u64>,
    wait: Duration,
    /// Keeps the key's sender, or the receiver would see it close.
    _place: Arc<watch::Sender<u64>>,
}

/// The debounced keys of a client that are in use.
#[derive(Debug, Default)]
pub(crate) struct Places {
    keys: Mutex<HashMap<String, Weak<watch::Sender<u64>>>>,
}

impl Places {
    /// The place of a key; keys that nobody holds any more are forgotten on the way.
    pub(crate) fn of(&self, key: &str, wait: Duration) -> Place {
        let mut keys = self.lock();
        if let Some(turns) = keys.get(key).and_then(Weak::upgrade) {
            return Place { turns, wait };
        }
        keys.retain(|_, held| held.strong_count() > 0);
        let turns = Arc::new(watch::Sender::new(0));
        keys.insert(key.to_owned(), Arc::downgrade(&turns));
        Place { turns, wait }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<watch::Sender<u64>>>> {
        // The table is whole after every statement: a panic elsewhere cannot have torn it.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes the newest turn, which ends every older one.
    pub(crate) fn take_turn(&self) -> Turn {
        let mut number = 0;
        self.turns.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let turns = self.turns.subscribe();
        Turn { number, turns, wait: self.wait, _place: self.turns.clone() }
    }
}

impl Turn {
    /// Resolves when a newer turn is taken.
    pub(crate) async fn superseded(&mut self) {
        let number = self.number;
        if self.turns.wait_for(|newest| *newest != number).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The pause before sending.
    pub(crate) fn pause(&self) -> Duration {
        self.wait
    }
}
