//! An answer made from what is stored, for one request.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, SET_COOKIE};
use http::{Method, StatusCode};
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::cache::conditions::{self, Condition};
use spillgate_actors::core::cache::date::Wall;
use spillgate_actors::core::cache::ranges::{self, Part};
use spillgate_actors::core::cache::status::{CacheStatus, Life};

use crate::cache::page::{Lines, Stored};

/// An answer from the store.
#[derive(Clone)]
pub struct Served {
    /// The status: the stored one, or 304, 206 or 416 as the request asked.
    pub status: StatusCode,
    /// The fields, with the `Age` that is due.
    pub headers: HeaderMap,
    /// The body, or the part of it that was asked for.
    pub body: Bytes,
    /// What the cache did, for `Cache-Status`.
    pub cache_status: CacheStatus,
    /// How old it is.
    pub age: Duration,
    /// How stale it is; zero if it is fresh.
    pub staleness: Duration,
    /// The failure of a moment ago that it stands in for, if nobody asked again.
    pub instead_of: Option<ErrorKind>,
}

impl Served {
    /// Answers a request from a stored answer that it may have.
    pub(super) fn from_stored(
        stored: &Stored,
        method: &Method,
        request: &HeaderMap,
        now: Wall,
    ) -> Self {
        let freshness = &stored.entry.freshness;
        let (age, staleness) = (freshness.age(now), freshness.staleness(now));
        let life = freshness.left(now).map_or(Life::Stale(staleness), Life::Left);
        let mut headers = stored.headers.clone();
        headers.insert(AGE, HeaderValue::from(age.as_secs().min(AGE_SECS_MAX)));
        let status = StatusCode::from_u16(stored.entry.status).unwrap_or(StatusCode::OK);
        let body = stored.body.clone();
        let cache_status = CacheStatus::hit(life);
        let instead_of = None;
        let whole = Self { status, headers, body, cache_status, age, staleness, instead_of };
        whole.cut_for(method, request, now)
    }

    /// The same, because of a failure.
    pub(super) fn in_place_of(mut self, failed: ErrorKind) -> Self {
        self.cache_status.detail = Some("stale-if-error");
        Self { instead_of: Some(failed), ..self }
    }

    /// Gives what the request asks for: nothing new, a part, or only the head.
    pub(super) fn cut_for(mut self, method: &Method, request: &HeaderMap, now: Wall) -> Self {
        let asked = Lines(request);
        if self.status == StatusCode::OK {
            match conditions::evaluate(&asked, &Lines(&self.headers), now) {
                Condition::NotModified => return self.not_modified(),
                Condition::Send if *method == Method::GET => self.cut(request),
                Condition::Send => {}
            }
        }
        if *method == Method::HEAD {
            if !self.headers.contains_key(CONTENT_LENGTH) && !self.body.is_empty() {
                self.headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
            }
            self.body = Bytes::new();
        }
        self
    }

    fn not_modified(mut self) -> Self {
        self.status = StatusCode::NOT_MODIFIED;
        self.body = Bytes::new();
        self.headers.remove(CONTENT_LENGTH);
        self.headers.remove(SET_COOKIE);
        self
    }

    fn cut(&mut self, request: &HeaderMap) {
        let length = self.body.len() as u64;
        match ranges::wanted(&Lines(request), &Lines(&self.headers), length) {
            Part::Whole => {}
            Part::Unsatisfiable => {
                self.status = StatusCode::RANGE_NOT_SATISFIABLE;
                self.body = Bytes::new();
                self.tell_range(format!("bytes */{length}"));
            }
            Part::Bytes { first, last } => {
                let ends = usize::try_from(first).ok().zip(usize::try_from(last).ok());
                let Some((first, last)) = ends.filter(|(_, last)| *last < self.body.len()) else {
                    return;
                };
                self.status = StatusCode::PARTIAL_CONTENT;
                self.body = self.body.slice(first..=last);
                self.tell_range(format!("bytes {first}-{last}/{length}"));
            }
        }
    }

    fn tell_range(&mut self, range: String) {
        if let Ok(range) = HeaderValue::try_from(range) {
            self.headers.insert(CONTENT_RANGE, range);
        }
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
    }
}

impl fmt::Debug for Served {
    /// Leaves fields and body out: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Served");
        shown.field("status", &self.status).field("bytes", &self.body.len());
        shown.field("cache_status", &self.cache_status).finish_non_exhaustive()
    }
}

/// The largest `Age` that every receiver can hold (RFC 9111 section 1.2.2).
const AGE_SECS_MAX: u64 = 2_147_483_648;
