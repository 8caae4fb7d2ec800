//! A request as others look at it before it is sent: a cache, for one.

use http::{HeaderMap, Method};
use spillgate_core::call::Priority;
use url::Url;

use crate::cache_use::CacheMark;
use crate::fetch::{Fetch, next_ticket};
use crate::request_body::Body;

impl Fetch {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Where it goes; `None` if that cannot be read.
    pub fn url(&self) -> Option<&Url> {
        self.url.as_ref().ok()?.as_ref()
    }

    /// The headers so far.
    pub fn header_map(&self) -> &HeaderMap {
        &self.headers
    }

    /// The name of its path, if it has one.
    pub fn route_name(&self) -> Option<&str> {
        self.wishes.route.as_deref()
    }

    /// Whether it carries no body.
    pub fn is_bodiless(&self) -> bool {
        matches!(self.body, Body::Empty)
    }

    /// Changes the headers.
    pub fn edit_headers(mut self, edit: impl FnOnce(&mut HeaderMap)) -> Self {
        edit(&mut self.headers);
        self
    }

    /// The same request once more, under a number of its own; `None` if it has a body.
    pub fn again(&self) -> Option<Self> {
        if !self.is_bodiless() {
            return None;
        }
        Some(Self {
            ticket: next_ticket(),
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: Body::Empty,
            wishes: self.wishes.clone(),
            span: self.span.clone(),
            parent: self.parent,
            beside: self.beside.clone(),
            mark: None,
        })
    }

    /// Leaves a mark on the flight that the call begins; who joins it finds the mark on its answer.
    pub fn marked(mut self, mark: CacheMark) -> Self {
        self.mark = Some(mark);
        self
    }

    /// As nobody waits for it: behind all others, and by the time the plan gives it.
    pub fn in_background(mut self) -> Self {
        self.wishes.priority = Priority::Background;
        (self.wishes.deadline, self.wishes.parent_deadline) = (None, None);
        self
    }
}
