//! How a flight follows a redirect: the next hop is a new order to another lane, if need be.

use std::sync::Arc;
use std::time::Instant;

use http::header::LOCATION;
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::Target;
use spillgate_core::outcome::Exposure;

use crate::course::NoteKind;
use crate::hostname::HostName;
use crate::ledger::Work;
use crate::order::{Order, Payload};
use crate::redirect::{self, BodyState, Next, NextBody, RedirectRefusal, RequestParts};
use crate::route_class;
use crate::seams::Seams;
use crate::transport::TransportError;

impl Work {
    /// Turns a redirect that is to be followed into the next order and its target; one that must
    /// not be followed becomes the flight's error.
    pub(super) fn redirect(&mut self, now: Instant, seams: &Seams) -> Option<(HostName, Target)> {
        let Some(Ok(arrival)) = &self.outturn else { return None };
        if !arrival.head.status.is_redirection() || self.order.redirects_max == 0 {
            return None;
        }
        let parts = RequestParts {
            method: &self.order.method,
            url: &self.order.url,
            headers: &self.order.headers,
            body: match self.order.body {
                Payload::Empty => BodyState::Absent,
                Payload::Bytes(_) => BodyState::Replayable,
                Payload::Once if self.once.is_some() => BodyState::Replayable,
                Payload::Once => BodyState::OneShot,
            },
        };
        let location = arrival.head.headers.get(LOCATION);
        match redirect::follow(parts, arrival.head.status, location) {
            Ok(None) => None,
            Ok(Some(_)) if self.hops >= self.order.redirects_max => {
                self.fail(ErrorKind::TooManyRedirects, None);
                None
            }
            Ok(Some(next)) => self.follow(now, next, seams),
            Err(refusal) => {
                self.fail(ErrorKind::RedirectRefused, Some(refusal));
                None
            }
        }
    }

    fn follow(&mut self, now: Instant, next: Next, seams: &Seams) -> Option<(HostName, Target)> {
        let host = HostName::of(&next.url)?;
        let lane = host.key();
        if host != self.order.host {
            self.breaker = None;
        }
        if host != self.order.host || self.target.class.is_some() {
            // What the caller said of its scope was said of the first host.
            let (method, path) = (&next.method, next.url.path());
            self.target = route_class::target(&seams.registry, lane.clone(), method, path);
        }
        let body = match next.body {
            NextBody::Kept => self.order.body.clone(),
            NextBody::Dropped => {
                self.once = None;
                Payload::Empty
            }
        };
        self.note(now, None, NoteKind::Redirected { host: lane.clone() });
        let order = Order {
            method: next.method,
            safe_url: (seams.redact)(&next.url).into(),
            url: next.url,
            headers: next.headers,
            body,
            host: host.clone(),
            lane,
            ..Order::clone(&self.order)
        };
        self.order = Arc::new(order);
        self.hops += 1;
        self.waits(now, None);
        Some((host, self.target.clone()))
    }

    /// The next hop's host finds no room.
    pub(super) fn stranded(&mut self) {
        self.fail(ErrorKind::Overloaded, None);
    }

    fn fail(&mut self, kind: ErrorKind, refusal: Option<RedirectRefusal>) {
        let mut failure =
            TransportError { kind, exposure: Exposure::MaybeSent, phase: None, source: None };
        if let Some(refusal) = refusal {
            failure = failure.caused_by(refusal);
        }
        self.outturn = Some(Err(failure));
    }
}
