//! How a page is written: its parts in order, each of varying length behind its length, and a
//! digest of all in front. What does not read back to the last byte is no page.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use spillgate_actors::core::cache::date::Wall;
use spillgate_actors::core::cache::directives::{Directives, Extent};
use spillgate_actors::core::cache::freshness::{Freshness, Lifetime, Said, Source};
use spillgate_actors::core::cache::storing::Entry;

use crate::cache::page::{Page, Stored};

/// Writes a page; `opened` tells this opening of the store from others.
pub(super) fn write(page: &Page, opened: u64) -> Vec<u8> {
    let mut row = Row(vec![0; DIGEST_BYTES]);
    row.number(FORMAT);
    row.number(opened);
    row.bytes(page.url.as_bytes());
    row.number(page.variants.len() as u64);
    page.variants.iter().for_each(|stored| row.stored(stored));
    let Row(mut row) = row;
    let digest = row.get(DIGEST_BYTES..).map(blake3::hash);
    if let (Some(digest), Some(place)) = (digest, row.get_mut(..DIGEST_BYTES)) {
        place.copy_from_slice(digest.as_bytes());
    }
    row
}

/// Reads a page; `None` if it is not what was written.
///
/// The count by which answers are told older or newer is that of one opening: what another one
/// wrote is older than all of this.
pub(super) fn read(row: &[u8], opened: u64) -> Option<Page> {
    let (digest, row) = row.split_at_checked(DIGEST_BYTES)?;
    (blake3::hash(row).as_bytes().as_slice() == digest).then_some(())?;
    // Bodies share what was read.
    let whole = Bytes::copy_from_slice(row);
    let mut scan = Scan { rest: row, whole: &whole };
    (scan.number()? == FORMAT).then_some(())?;
    let same = scan.number()? == opened;
    let url = String::from_utf8(scan.bytes()?.to_vec()).ok()?;
    let count = scan.number()?;
    let mut variants = Vec::new();
    for _ in 0..count {
        let stored = scan.stored()?;
        let began = if same { stored.began } else { 0 };
        variants.push(Arc::new(Stored { began, ..stored }));
    }
    scan.rest.is_empty().then_some(Page { url, variants })
}

struct Row(Vec<u8>);

impl Row {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn duration(&mut self, duration: Duration) {
        self.number(duration.as_secs());
        self.number(u64::from(duration.subsec_nanos()));
    }

    fn maybe(&mut self, duration: Option<Duration>) {
        self.number(u64::from(duration.is_some()));
        self.duration(duration.unwrap_or_default());
    }

    fn names(&mut self, names: &[String]) {
        self.number(names.len() as u64);
        names.iter().for_each(|name| self.bytes(name.as_bytes()));
    }

    fn extent(&mut self, extent: &Extent) {
        match extent {
            Extent::Nothing => self.number(0),
            Extent::Whole => self.number(1),
            Extent::Fields(names) => {
                self.number(2);
                self.names(names);
            }
        }
    }

    fn stored(&mut self, stored: &Stored) {
        let Stored { entry, headers, body, selection, owner, began } = stored;
        let Entry { status, freshness, said, selecting } = entry;
        self.number(u64::from(*status));
        self.duration(freshness.lifetime.fresh_for);
        self.number(source_number(freshness.lifetime.source));
        self.duration(freshness.initial_age);
        self.duration(freshness.received.0);
        self.said(said);
        self.names(selecting);
        self.number(headers.len() as u64);
        for (name, value) in headers {
            self.bytes(name.as_str().as_bytes());
            self.bytes(value.as_bytes());
        }
        self.bytes(selection);
        self.bytes(owner.as_ref().map_or(&[], <[u8; 32]>::as_slice));
        self.number(*began);
        self.bytes(body);
    }

    fn said(&mut self, said: &Said) {
        let directives = &said.directives;
        self.maybe(directives.max_age);
        self.maybe(directives.s_maxage);
        self.maybe(directives.stale_while_revalidate);
        self.maybe(directives.stale_if_error);
        self.extent(&directives.no_cache);
        self.extent(&directives.private);
        let flags = [
            directives.no_store,
            directives.must_understand,
            directives.public,
            directives.must_revalidate,
            directives.proxy_revalidate,
            directives.immutable,
            said.by_target,
        ];
        self.number(flags.iter().rev().fold(0, |all, flag| all << 1 | u64::from(*flag)));
    }
}

/// What is left to read of a row.
struct Scan<'a> {
    rest: &'a [u8],
    whole: &'a Bytes,
}

impl<'a> Scan<'a> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn body(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.number()?).ok()?;
        let at = self.whole.len() - self.rest.len();
        (length <= self.rest.len()).then_some(())?;
        self.rest = self.rest.get(length..)?;
        Some(self.whole.slice(at..at + length))
    }

    fn duration(&mut self) -> Option<Duration> {
        let (seconds, nanos) = (self.number()?, u32::try_from(self.number()?).ok()?);
        (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
    }

    fn maybe(&mut self, into: &mut Option<Duration>) -> Option<()> {
        let present = self.number()? == 1;
        let duration = self.duration()?;
        *into = present.then_some(duration);
        Some(())
    }

    fn names(&mut self) -> Option<Vec<String>> {
        let count = self.number()?;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(String::from_utf8(self.bytes()?.to_vec()).ok()?);
        }
        Some(names)
    }

    fn extent(&mut self) -> Option<Extent> {
        match self.number()? {
            0 => Some(Extent::Nothing),
            1 => Some(Extent::Whole),
            2 => self.names().map(Extent::Fields),
            _ => None,
        }
    }

    fn stored(&mut self) -> Option<Stored> {
        let status = u16::try_from(self.number()?).ok()?;
        let fresh_for = self.duration()?;
        let source = source_of(self.number()?)?;
        let lifetime = Lifetime { fresh_for, source };
        let (initial_age, received) = (self.duration()?, Wall(self.duration()?));
        let freshness = Freshness { lifetime, initial_age, received };
        let said = self.said()?;
        let selecting = self.names()?;
        let headers = self.headers()?;
        let selection = self.bytes()?.to_vec();
        let owner = match self.bytes()? {
            [] => None,
            owner => Some(<[u8; 32]>::try_from(owner).ok()?),
        };
        let began = self.number()?;
        let entry = Entry { status, freshness, said, selecting };
        Some(Stored { entry, headers, body: self.body()?, selection, owner, began })
    }

    fn headers(&mut self) -> Option<HeaderMap> {
        let count = self.number()?;
        let mut headers = HeaderMap::new();
        for _ in 0..count {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            headers.append(name, HeaderValue::from_bytes(self.bytes()?).ok()?);
        }
        Some(headers)
    }

    fn said(&mut self) -> Option<Said> {
        let mut directives = Directives::default();
        self.maybe(&mut directives.max_age)?;
        self.maybe(&mut directives.s_maxage)?;
        self.maybe(&mut directives.stale_while_revalidate)?;
        self.maybe(&mut directives.stale_if_error)?;
        directives.no_cache = self.extent()?;
        directives.private = self.extent()?;
        let flags = self.number()?;
        let flag = |at: u32| flags >> at & 1 == 1;
        directives.no_store = flag(0);
        directives.must_understand = flag(1);
        directives.public = flag(2);
        directives.must_revalidate = flag(3);
        directives.proxy_revalidate = flag(4);
        directives.immutable = flag(5);
        Some(Said { directives, by_target: flag(6) })
    }
}

fn source_number(source: Source) -> u64 {
    match source {
        Source::SharedMaxAge => 0,
        Source::MaxAge => 1,
        Source::Expires => 2,
        Source::Heuristic => 3,
        Source::Nothing => 4,
        Source::Negative => 5,
    }
}

fn source_of(number: u64) -> Option<Source> {
    let sources = [
        Source::SharedMaxAge,
        Source::MaxAge,
        Source::Expires,
        Source::Heuristic,
        Source::Nothing,
        Source::Negative,
    ];
    sources.get(usize::try_from(number).ok()?).copied()
}

/// A number of this format: rows of another are forgotten.
const FORMAT: u64 = 1;
const DIGEST_BYTES: usize = 32;
