//! How long an answer is fresh, and how old it is (RFC 9111 section 4.2).

use std::time::Duration;

use crate::cache::date::Wall;
use crate::cache::directives::Directives;
use crate::cache::fields::{Fields, delta_seconds};
use crate::cache::rules::{Mode, Rules};
use crate::cache::targeted;

/// What an answer says about its use, and which field said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The directives.
    pub directives: Directives,
    /// Whether a targeted field said them, in which case `Expires` does not count.
    pub by_target: bool,
}

/// When a request was sent and its answer's head came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// When the request was sent.
    pub requested: Wall,
    /// When the head of the answer came.
    pub received: Wall,
}

/// How long an answer is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// From its making.
    pub fresh_for: Duration,
    /// Who says so.
    pub source: Source,
}

/// What gives an answer its lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `s-maxage`, for shared caches.
    SharedMaxAge,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// A share of the time since `Last-Modified`.
    Heuristic,
    /// The rules, for an answer that says that there is nothing.
    Negative,
    /// Nothing: it is stale from the start.
    Nothing,
}

/// The age of an answer and how long it stays fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// How long it is fresh, and why.
    pub lifetime: Lifetime,
    /// How old it was when it came.
    pub initial_age: Duration,
    /// When it came.
    pub received: Wall,
}

impl Said {
    /// Reads an answer: the first targeted field that counts, or else `Cache-Control`.
    pub fn read(rules: &Rules, response: &(impl Fields + ?Sized)) -> Self {
        let mut targets = rules.targeted.iter();
        if let Some(directives) = targets.find_map(|name| targeted::read(response.lines(name))) {
            return Self { directives, by_target: true };
        }
        let directives = Directives::read(response.lines("cache-control"));
        Self { directives, by_target: false }
    }
}

impl Lifetime {
    /// Whether the answer itself says it.
    pub fn is_explicit(&self) -> bool {
        match self.source {
            Source::SharedMaxAge | Source::MaxAge | Source::Expires => true,
            Source::Heuristic | Source::Negative | Source::Nothing => false,
        }
    }
}

impl Freshness {
    /// What an answer's head says of its age and lifetime.
    pub fn read(
        rules: &Rules,
        status: u16,
        response: &(impl Fields + ?Sized),
        said: &Said,
        exchange: Exchange,
    ) -> Self {
        let received = exchange.received;
        let date = response.first("date").and_then(|date| Wall::parse(date, received));
        let date = date.unwrap_or(received);
        let lifetime = lifetime(rules, status, response, said, date);
        let apparent = received.since(date);
        let delay = received.since(exchange.requested);
        let claimed = age(response).saturating_add(delay);
        Self { lifetime, initial_age: apparent.max(claimed), received }
    }

    /// How old the answer is.
    pub fn age(&self, now: Wall) -> Duration {
        self.initial_age.saturating_add(now.since(self.received))
    }

    /// How long it stays fresh; `None` once it is stale.
    pub fn left(&self, now: Wall) -> Option<Duration> {
        let left = self.lifetime.fresh_for.checked_sub(self.age(now))?;
        (!left.is_zero()).then_some(left)
    }

    /// For how long it has been stale; zero while it is fresh.
    pub fn staleness(&self, now: Wall) -> Duration {
        self.age(now).saturating_sub(self.lifetime.fresh_for)
    }
}

fn lifetime(
    rules: &Rules,
    status: u16,
    response: &(impl Fields + ?Sized),
    said: &Said,
    date: Wall,
) -> Lifetime {
    let directives = &said.directives;
    if let (Mode::Shared, Some(fresh_for)) = (rules.mode, directives.s_maxage) {
        return Lifetime { fresh_for, source: Source::SharedMaxAge };
    }
    if let Some(fresh_for) = directives.max_age {
        return Lifetime { fresh_for, source: Source::MaxAge };
    }
    if !said.by_target && response.has("expires") {
        return Lifetime { fresh_for: until_expiry(response, date), source: Source::Expires };
    }
    let guessed = directives.public || HEURISTIC_STATUSES.contains(&status);
    let modified = response.first("last-modified").and_then(|text| Wall::parse(text, date));
    match modified {
        Some(modified) if guessed => {
            let share = Some(rules.heuristic_share).filter(|share| share.is_finite());
            let share = share.unwrap_or_default().clamp(0.0, 1.0);
            let fresh_for = date.since(modified).mul_f64(share);
            let fresh_for = fresh_for.min(rules.heuristic_max);
            Lifetime { fresh_for, source: Source::Heuristic }
        }
        None if NEGATIVE_STATUSES.contains(&status) && !rules.negative.is_zero() => {
            Lifetime { fresh_for: rules.negative, source: Source::Negative }
        }
        Some(_) | None => Lifetime { fresh_for: Duration::ZERO, source: Source::Nothing },
    }
}

/// What is no date has passed (RFC 9111 section 5.3), and so has what says two things.
fn until_expiry(response: &(impl Fields + ?Sized), date: Wall) -> Duration {
    let mut dates = response.lines("expires").map(|text| Wall::parse(text.trim_ascii(), date));
    let first = dates.next().flatten();
    let agree = dates.all(|date| date == first);
    first.filter(|_| agree).map_or(Duration::ZERO, |expires| expires.since(date))
}

/// The age that is claimed: the first number of the first line, or none.
fn age(response: &(impl Fields + ?Sized)) -> Duration {
    let first = response.members("age").next().and_then(delta_seconds);
    Duration::from_secs(first.unwrap_or_default())
}

/// The statuses whose lifetime may be guessed (RFC 9110 section 15.1), but for 206.
pub const HEURISTIC_STATUSES: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// The statuses that say that there is nothing, and are likely to say so again.
pub const NEGATIVE_STATUSES: [u16; 5] = [404, 405, 410, 414, 501];

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_secs(1_795_348_800);

    fn freshness(fields: &[(&str, &str)]) -> Freshness {
        let rules = Rules { targeted: vec!["cdn-cache-control".into()], ..Rules::default() };
        let said = Said::read(&rules, fields);
        let exchange = Exchange { requested: NOW, received: NOW };
        Freshness::read(&rules, 200, fields, &said, exchange)
    }

    fn at(offset: i64) -> String {
        Wall::from_secs(NOW.0.as_secs().checked_add_signed(offset).unwrap()).to_string()
    }

    #[test]
    fn the_narrowest_word_gives_the_lifetime() {
        let expires = at(50);
        for (fields, seconds, source) in [
            (&[("Cache-Control", "max-age=1, s-maxage=2")][..], 2, Source::SharedMaxAge),
            (&[("Cache-Control", "max-age=1"), ("Expires", &expires)], 1, Source::MaxAge),
            (&[("Expires", &expires)], 50, Source::Expires),
            (&[("Expires", "0")], 0, Source::Expires),
            (&[("Expires", &expires), ("Expires", "0")], 0, Source::Expires),
            (&[("Date", "foo"), ("Expires", &expires)], 50, Source::Expires),
            (&[("Last-Modified", &at(-1000))], 100, Source::Heuristic),
            (&[("Last-Modified", &at(-100_000_000))], 86_400, Source::Heuristic),
            (&[("Last-Modified", "foo")], 0, Source::Nothing),
            (&[], 0, Source::Nothing),
            (
                &[("CDN-Cache-Control", "max-age=9"), ("Cache-Control", "max-age=1")],
                9,
                Source::MaxAge,
            ),
            (&[("CDN-Cache-Control", "&"), ("Cache-Control", "max-age=1")], 1, Source::MaxAge),
            (&[("CDN-Cache-Control", "foo"), ("Expires", &expires)], 0, Source::Nothing),
        ] {
            let lifetime = freshness(fields).lifetime;
            let expected = Lifetime { fresh_for: Duration::from_secs(seconds), source };
            assert_eq!(lifetime, expected, "{fields:?}");
        }
    }

    #[test]
    fn lifetimes_are_not_guessed_for_every_status() {
        let rules = Rules::default();
        let exchange = Exchange { requested: NOW, received: NOW };
        let source = |status, fields: &[(&str, &str)]| {
            let said = Said::read(&rules, fields);
            Freshness::read(&rules, status, fields, &said, exchange).lifetime.source
        };
        let modified = at(-1000);
        assert_eq!(source(404, &[("Last-Modified", &modified)]), Source::Heuristic);
        for status in [201, 202, 302, 403, 502, 503, 599] {
            assert_eq!(
                source(status, &[("Last-Modified", &modified)]),
                Source::Nothing,
                "{status}"
            );
        }
        let public = [("Last-Modified", &*modified), ("Cache-Control", "public")];
        assert_eq!(source(201, &public), Source::Heuristic);
    }

    #[test]
    fn absence_is_remembered_for_as_long_as_the_rules_say() {
        let exchange = Exchange { requested: NOW, received: NOW };
        let lifetime = |secs: u64, status| {
            let rules = Rules { negative: Duration::from_secs(secs), ..Rules::default() };
            let said = Said::read(&rules, &[][..]);
            Freshness::read(&rules, status, &[][..], &said, exchange).lifetime
        };
        for status in NEGATIVE_STATUSES {
            let (fresh_for, source) = (Duration::from_secs(2), Source::Negative);
            assert_eq!(lifetime(2, status), Lifetime { fresh_for, source }, "{status}");
            assert_eq!(lifetime(0, status).source, Source::Nothing, "{status}");
        }
        assert_eq!(lifetime(2, 200).source, Source::Nothing);
    }

    #[test]
    fn age_is_the_larger_of_what_is_claimed_and_what_shows() {
        let age = |fields: &[(&str, &str)]| freshness(fields).age(NOW).as_secs();
        assert_eq!(age(&[("Age", "30")]), 30);
        assert_eq!(age(&[("Date", &at(-40)), ("Age", "30")]), 40);
        assert_eq!(age(&[("Date", &at(40)), ("Age", "30")]), 30);
        for (claimed, seconds) in [
            ("7200, 0", 7200),
            ("0, 7200", 0),
            ("abc", 0),
            ("-7200", 0),
            ("7200.0", 0),
            ("18446744073709551615", u64::MAX),
            ("99999999999999999999", u64::MAX),
        ] {
            assert_eq!(age(&[("Age", claimed)]), seconds, "{claimed}");
        }
        let two = freshness(&[("Age", "7200"), ("Age", "0")]);
        assert_eq!(two.age(NOW).as_secs(), 7200);
    }

    #[test]
    fn time_in_transit_and_in_the_store_counts() {
        let fields = [("Cache-Control", "max-age=10"), ("Age", "1")];
        let rules = Rules::default();
        let said = Said::read(&rules, &fields[..]);
        let received = Wall::from_secs(NOW.0.as_secs() + 2);
        let exchange = Exchange { requested: NOW, received };
        let freshness = Freshness::read(&rules, 200, &fields[..], &said, exchange);
        let later = Wall::from_secs(NOW.0.as_secs() + 7);
        assert_eq!(freshness.age(later), Duration::from_secs(8));
        assert_eq!(freshness.left(later), Some(Duration::from_secs(2)));
        let expired = Wall::from_secs(NOW.0.as_secs() + 9);
        assert_eq!((freshness.left(expired), freshness.staleness(expired)), (None, Duration::ZERO));
        assert_eq!(freshness.staleness(Wall::from_secs(NOW.0.as_secs() + 12)).as_secs(), 3);
    }
}
