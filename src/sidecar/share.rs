//! Requests for the same answer wait for one, if its head says that they may have it.
//!
//! The first to ask begins a flight, which belongs to all who wait: it goes on when its first client
//! leaves, and ends when the last does. The head decides. An answer that may be stored is read by all for whom it is; a failure
//! is told to all once; anything else releases all others at once, and is remembered for a while, so
//! that the next burst does not wait at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, SET_COOKIE};
use quick_cache::sync::Cache as Table;
use spillgate_actors::answer::StreamingResponse;
use spillgate_actors::core::cache::status::CacheStatus;
use spillgate_actors::error::Error;
use tokio::sync::watch;

use crate::cache::audience::Audience;
use crate::cache::fate::{Kept, Replacement};
use crate::sidecar::stream::{SharedBody, SharedReader};
use crate::sidecar::trailers::Behind;

/// What requests have in common that may wait for the same answer.
pub(super) type Place = (([u8; 32], Option<[u8; 32]>), Vec<u8>);

/// How a flight ended, as far as those who wait are concerned.
#[derive(Clone)]
pub(super) enum Landing {
    /// Its answer is for all whom it suits.
    Shared(Arc<Shared>),
    /// What is stored takes its place.
    Replaced(Arc<Replacement>),
    /// It failed, and so it has for all.
    Failed(Error),
    /// It is for the one who asked; the others ask for themselves.
    Released,
}

/// An answer that several clients read.
pub(super) struct Shared {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) audience: Told,
    pub(super) body: Arc<SharedBody>,
    pub(super) cache_status: CacheStatus,
}

/// Who may have an answer beside the one who asked.
pub(super) enum Told {
    /// It is stored, and they are those whom it would be used for.
    Kept(Box<Kept>),
    /// It is a failure, which is told but not stored.
    Failure(Box<Audience>),
}

/// Who tells those who wait how a flight ended; if it is dropped before, they ask for themselves.
pub(super) type Landings = Arc<watch::Sender<Option<Landing>>>;

/// A flight, as those see it who wait for it.
pub(super) struct Flight {
    landings: Weak<watch::Sender<Option<Landing>>>,
    /// The answer that is only for the one who asked.
    own: Mutex<Option<Own>>,
}

/// An answer for one client.
pub(super) struct Own {
    pub(super) response: StreamingResponse,
    pub(super) cache_status: CacheStatus,
    /// What comes behind its body.
    pub(super) behind: Arc<Behind>,
}

/// A seat in a flight.
pub(super) struct Seat {
    pub(super) flight: Arc<Flight>,
    /// What the flight is to be ended with, if it was begun for this seat.
    pub(super) first: Option<Landings>,
    landing: watch::Receiver<Option<Landing>>,
}

/// The flights that are under way, and the places where waiting is of no use.
pub(super) struct Flights {
    under_way: UnderWay,
    apart: Table<([u8; 32], Option<[u8; 32]>), Instant>,
}

type UnderWay = Arc<Mutex<HashMap<Place, Arc<Flight>>>>;

/// Keeps a flight that has landed among those that are joined, and takes it off when it is dropped,
/// however its reading ended.
pub(super) struct Leaving {
    under_way: UnderWay,
    place: Place,
    _landings: Option<Landings>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

impl Default for Flights {
    fn default() -> Self {
        Self { under_way: Arc::default(), apart: Table::new(APART_MAX) }
    }
}

impl Flights {
    /// Joins the flight of a place, or begins it; `None` where waiting is of no use.
    pub(super) fn join(&self, place: &Place) -> Option<Seat> {
        if self.apart.get(&place.0).is_some_and(|until| until > Instant::now()) {
            return None;
        }
        let mut under_way = self.under_way();
        if let Some(flight) = under_way.get(place)
            && let Some(landings) = flight.landings.upgrade()
        {
            let (flight, landing) = (flight.clone(), landings.subscribe());
            return Some(Seat { flight, first: None, landing });
        }
        if under_way.len() >= FLIGHTS_MAX {
            return None;
        }
        let (landings, landing) = watch::channel(None);
        let landings = Arc::new(landings);
        let flight = Flight { landings: Arc::downgrade(&landings), own: Mutex::new(None) };
        let flight = Arc::new(flight);
        under_way.insert(place.clone(), flight.clone());
        Some(Seat { flight, first: Some(landings), landing })
    }

    /// Waits until nobody waits for a flight any more, and takes it off.
    pub(super) async fn abandoned(&self, place: &Place, landings: &Landings) {
        loop {
            landings.closed().await;
            let mut under_way = self.under_way();
            // Nobody joins while the table is held.
            if landings.receiver_count() == 0 {
                under_way.remove(place);
                return;
            }
        }
    }

    /// Takes a flight off later, once what it returns is dropped; until then it is joined.
    pub(super) fn leaving(&self, flight: &Flight, place: &Place) -> Leaving {
        let landings = flight.landings.upgrade();
        Leaving { under_way: self.under_way.clone(), place: place.clone(), _landings: landings }
    }

    /// Takes a flight off: whoever asks from here on begins another.
    pub(super) fn take_off(&self, place: &Place) {
        self.under_way().remove(place);
    }

    /// Remembers that waiting at a place is of no use, unless the answer was that to a condition or to
    /// a part alone.
    pub(super) fn keep_apart(&self, place: &Place, status: StatusCode) {
        if matches!(status, StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT) {
            return;
        }
        self.apart.insert(place.0, Instant::now() + APART);
    }

    /// Forgets it.
    pub(super) fn let_together(&self, place: &Place) {
        self.apart.remove(&place.0);
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Place, Arc<Flight>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits for the landing; `None` if the flight ended without.
    pub(super) async fn landed(&mut self) -> Option<Landing> {
        self.landing.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Flight {
    pub(super) fn leave_own(&self, own: Own) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
    }

    pub(super) fn take_own(&self) -> Option<Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    /// A reader, if the answer suits the request and its start is still there.
    pub(super) fn join(&self, request: &HeaderMap) -> Option<SharedReader> {
        let suits = match &self.audience {
            Told::Kept(kept) => kept.is_for(request),
            Told::Failure(audience) => audience.is_for(request),
        };
        if suits { self.body.join() } else { None }
    }

    /// Whether nobody else may have it while it comes.
    pub(super) fn is_for_one(&self) -> bool {
        self.kept().is_some_and(Kept::is_for_one)
    }

    /// What it is stored by, if it is.
    pub(super) fn kept(&self) -> Option<&Kept> {
        match &self.audience {
            Told::Kept(kept) => Some(kept),
            Told::Failure(_) => None,
        }
    }

    /// Its fields, for the one who asked or for another.
    pub(super) fn headers_for(&self, first: bool) -> HeaderMap {
        if first {
            return self.headers.clone();
        }
        let mut headers = match &self.audience {
            Told::Kept(kept) => kept.headers().clone(),
            Told::Failure(audience) => audience.headers().clone(),
        };
        // A cookie is for the one who asked, even where it is stored.
        headers.remove(SET_COOKIE);
        headers
    }

    /// The whole body, if it has come.
    pub(super) fn whole(&self) -> Option<Bytes> {
        self.body.whole()
    }
}

/// Flights under way; beyond it requests go alone.
const FLIGHTS_MAX: usize = 65_536;
/// Places that are remembered as of no use to wait at.
const APART_MAX: usize = 16_384;
/// How long they are.
const APART: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flight_is_joined_until_it_is_read_and_begun_anew_if_it_is_lost() {
        let (flights, place) = (Flights::default(), (([1; 32], None), Vec::new()));
        let begins = || flights.join(&place).unwrap().first;
        let lead = flights.join(&place).unwrap();
        assert!(begins().is_none());
        let leaving = flights.leaving(&lead.flight, &place);
        lead.first.as_ref().unwrap().send(Some(Landing::Released)).unwrap();
        drop(lead);
        assert!(begins().is_none(), "it has landed and is not read yet");
        drop(leaving);
        let lost = begins().unwrap();
        assert!(begins().is_none());
        drop(lost);
        assert!(begins().is_some());
    }
}
