//! A body that several clients read while it comes.
//!
//! Up to a cap all of it stays, so that whoever comes late reads it from the start, and it can be
//! stored. Beyond the cap nobody joins any more, and what all have read is let go: the slowest
//! reader then sets the pace.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use spillgate_actors::error::Error;
use tokio::sync::Notify;

/// The writer's end.
pub(super) struct SharedBody {
    state: Mutex<State>,
    /// Told when a reader has read or left.
    read: Notify,
    cap: usize,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// The number of the first chunk that is still here.
    first: usize,
    /// Bytes that are here.
    held: usize,
    /// Whether all of the body so far is here.
    whole: bool,
    ended: Option<Result<(), Error>>,
    readers: BTreeMap<u64, Place>,
    last_reader: u64,
    /// Whether whoever asked may still be about to read.
    awaited: bool,
}

#[derive(Default)]
struct Place {
    next: usize,
    waker: Option<Waker>,
}

/// One reader's end; dropping it leaves the others alone.
pub(super) struct SharedReader {
    body: Arc<SharedBody>,
    number: u64,
}

impl SharedBody {
    /// An empty body that is kept whole up to `cap` bytes.
    pub(super) fn new(cap: usize) -> Arc<Self> {
        let state = State { whole: true, awaited: true, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), read: Notify::new(), cap })
    }

    /// A reader from the start; `None` if the start is gone.
    pub(super) fn join(self: &Arc<Self>) -> Option<SharedReader> {
        let mut state = self.state();
        if !state.whole || matches!(state.ended, Some(Err(_))) {
            return None;
        }
        state.last_reader += 1;
        let number = state.last_reader;
        state.readers.insert(number, Place::default());
        // What is beyond the cap may wait for it.
        self.read.notify_one();
        Some(SharedReader { body: self.clone(), number })
    }

    /// Adds a chunk, as soon as the slowest reader leaves room for it; `false` if nobody reads any
    /// more. Beyond the cap it waits for the first reader, for no longer than a client that is there
    /// takes to join.
    pub(super) async fn push(&self, chunk: Bytes) -> bool {
        if !self.state().awaited {
            return self.put(chunk).await;
        }
        if let Ok(pushed) = tokio::time::timeout(JOIN_MAX, self.put(chunk.clone())).await {
            return pushed;
        }
        self.state().awaited = false;
        self.put(chunk).await
    }

    async fn put(&self, chunk: Bytes) -> bool {
        loop {
            let room = self.read.notified();
            {
                let mut state = self.state();
                let alone = state.readers.is_empty();
                if alone && !state.awaited {
                    // Nobody may join what is read no further.
                    state.whole = false;
                    return false;
                }
                let fits = state.held + chunk.len() <= self.cap;
                // Whoever is about to read needs it from the start.
                if fits || !alone && state.has_room_for(chunk.len(), self.cap) {
                    state.push(chunk);
                    state.awaited &= alone;
                    return true;
                }
            }
            room.await;
        }
    }

    /// Says how the body ended.
    pub(super) fn end(&self, how: Result<(), Error>) {
        let mut state = self.state();
        state.ended = Some(how);
        state.wake();
    }

    /// All of the body, if it is here and ended well.
    pub(super) fn whole(&self) -> Option<Bytes> {
        let state = self.state();
        if !state.whole || !matches!(state.ended, None | Some(Ok(()))) {
            return None;
        }
        let mut chunks = state.chunks.iter();
        match (chunks.next(), state.chunks.len()) {
            (None, _) => Some(Bytes::new()),
            (Some(only), 1) => Some(only.clone()),
            (Some(first), _) => {
                let mut all = BytesMut::with_capacity(state.held);
                all.extend_from_slice(first);
                chunks.for_each(|chunk| all.extend_from_slice(chunk));
                Some(all.freeze())
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room_for(&mut self, bytes: usize, cap: usize) -> bool {
        if self.held + bytes <= cap {
            return true;
        }
        self.whole = false;
        self.let_go();
        self.held == 0 || self.held + bytes <= cap
    }

    /// Drops the chunks that all readers have read.
    fn let_go(&mut self) {
        let slowest = self.readers.values().map(|place| place.next).min();
        while self.first < slowest.unwrap_or(self.first)
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.held -= chunk.len();
            self.first += 1;
        }
    }

    fn push(&mut self, chunk: Bytes) {
        self.held += chunk.len();
        self.chunks.push_back(chunk);
        self.wake();
    }

    fn wake(&mut self) {
        self.readers.values_mut().filter_map(|place| place.waker.take()).for_each(Waker::wake);
    }
}

impl Stream for SharedReader {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.body.state();
        let State { chunks, first, ended, readers, whole, .. } = &mut *state;
        let Some(place) = readers.get_mut(&self.number) else { return Poll::Ready(None) };
        let next = place.next.checked_sub(*first).and_then(|at| chunks.get(at));
        if let Some(chunk) = next {
            place.next += 1;
            let chunk = chunk.clone();
            if !*whole {
                state.let_go();
                self.body.read.notify_one();
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
        match ended {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                place.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for SharedReader {
    fn drop(&mut self) {
        let mut state = self.body.state();
        state.readers.remove(&self.number);
        if !state.whole {
            state.let_go();
        }
        drop(state);
        self.body.read.notify_one();
    }
}

/// How long what is beyond the cap waits for its first reader: a client that is there joins at once.
const JOIN_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    fn pushes(body: &SharedBody, bytes: &'static str) -> Option<bool> {
        body.put(Bytes::from_static(bytes.as_bytes())).now_or_never()
    }

    #[test]
    fn what_nobody_came_for_is_taken_as_long_as_it_can_be_stored() {
        let body = SharedBody::new(4);
        assert_eq!(pushes(&body, "abc"), Some(true));
        body.end(Ok(()));
        assert_eq!(body.whole(), Some(Bytes::from_static(b"abc")));
    }

    #[test]
    fn what_cannot_be_stored_waits_for_its_first_reader_until_it_is_given_up() {
        for given_up in [false, true] {
            let body = SharedBody::new(4);
            assert_eq!((pushes(&body, "abc"), pushes(&body, "de")), (Some(true), None));
            if given_up {
                body.state().awaited = false;
                assert_eq!(pushes(&body, "de"), Some(false));
                assert!(body.join().is_none() && body.whole().is_none());
                continue;
            }
            let mut reader = body.join().unwrap();
            assert_eq!(reader.next().now_or_never().unwrap().unwrap().unwrap(), "abc");
            assert_eq!(pushes(&body, "de"), Some(true));
        }
    }

    #[test]
    fn what_all_have_left_is_given_up_and_the_slowest_sets_the_pace_beyond_the_cap() {
        let body = SharedBody::new(4);
        let readers = [body.join().unwrap(), body.join().unwrap()];
        assert_eq!(pushes(&body, "abc"), Some(true));
        assert_eq!(pushes(&body, "de"), None, "nobody has read the first");
        drop(readers);
        assert_eq!(pushes(&body, "de"), Some(false));
    }
}
