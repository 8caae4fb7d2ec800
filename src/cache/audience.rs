//! Who may be told of an answer that is not stored: a failure, which many wait for at once.
//!
//! Telling it to those who wait is no storing, but what is meant for one stays with that one: an
//! answer that says `private`, its cookies, and what was chosen by fields in which they differ.

use http::header::{HeaderMap, SET_COOKIE};
use spillgate_actors::core::cache::directives::Extent;
use spillgate_actors::core::cache::freshness::Said;
use spillgate_actors::core::cache::rules::Mode;
use spillgate_actors::core::cache::{updating, vary};

use crate::cache::ask::Pending;
use crate::cache::page::Lines;

/// Those who may be told of an answer beside the one who asked.
pub struct Audience {
    headers: HeaderMap,
    selecting: Vec<String>,
    selection: Vec<u8>,
    remembers: bool,
}

impl Audience {
    /// Reads it from an answer's fields; `None` if the answer is for the one who asked alone.
    pub fn of(pending: &Pending, headers: &HeaderMap) -> Option<Self> {
        let (rules, lines) = (&pending.rules, Lines(headers));
        let said = Said::read(rules, &lines).directives;
        if rules.mode == Mode::Shared && said.private == Extent::Whole {
            return None;
        }
        let selecting = vary::selecting(&lines)?;
        let selection = vary::selection(&selecting, &Lines(&pending.ask.headers));
        let told = headers.iter().filter(|(name, _)| {
            **name != SET_COOKIE && updating::is_kept(rules, name.as_str(), &lines, &said)
        });
        let headers = told.map(|(name, value)| (name.clone(), value.clone())).collect();
        Some(Self { headers, selecting, selection, remembers: !said.no_store })
    }

    /// Whether another request would be answered so.
    pub fn is_for(&self, request: &HeaderMap) -> bool {
        vary::selection(&self.selecting, &Lines(request)) == self.selection
    }

    /// The answer's fields as others may have them.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether those may be told who ask later.
    pub fn remembers(&self) -> bool {
        self.remembers
    }
}
