//! From a caller's message to a call that can be queued: checks, defaults and keys.
//!
//! Runs in the caller's task, so that the shard's thread only arbitrates.

use std::sync::Arc;
use std::time::Instant;

use crate::address;
use crate::deadline::DeadlineWish;
use crate::error::Error;
use crate::fetch::{Fetch, RepeatWish, Sharing};
use crate::hostname::HostName;
use crate::order::{Delivery, Order, Origin, Payload, Prepared};
use crate::plan::{CallFacts, CallPlan, Coalesce, MethodRepeat};
use crate::replay::{REPLAY_MAX, Replay};
use crate::request_body::Body;
use crate::route_class;
use crate::seams::Seams;
use crate::userinfo;
use http::Method;
use http::header::{AUTHORIZATION, HeaderName};
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{CallSpec, FlightKey, HedgeDelay, HedgeUse, Repeat, ScopeKey, Target};
use spillgate_core::deadline::saturating_add;
use spillgate_core::policy::Timeouts;
use url::Url;

/// Checks a fetch and fills in what its caller left to the plan.
pub(crate) fn prepare(
    seams: &Seams,
    mut fetch: Fetch,
    delivery: Delivery,
) -> Result<Prepared, Error> {
    let began = Instant::now();
    let (url, host) = place_of(seams, &mut fetch)?;
    let plan = plan_of(seams, &fetch, &host, url.path());
    let kept_max = fetch.wishes.replay_max.unwrap_or(REPLAY_MAX);
    let (body, once) = split(std::mem::take(&mut fetch.body), kept_max);
    let (target, route) = target_of(seams, &fetch, (&host, url.path()), &plan);
    let (wishes, timeouts) = (&fetch.wishes, timeouts_of(&fetch, &plan));
    let mut spec = CallSpec {
        ticket: fetch.ticket,
        target: target.clone(),
        priority: wishes.priority,
        caller: wishes.caller.as_ref().map(|name| seams.keys.caller(&name.0)).unwrap_or_default(),
        deadline: deadline_of(&fetch, &plan, began),
        key: None,
        repeat: repeat_of(&fetch, &plan),
        attempts_max: Some(wishes.attempts_max.unwrap_or(plan.attempts_max)),
        timeout: Some(timeouts.attempt),
        breaker: wishes.breaker,
        hedge: if once.is_some() { HedgeUse::Off } else { hedge_of(wishes.hedge, &plan, delivery) },
    };
    if shares(&fetch, &plan, delivery) && once.is_none() {
        spec.key = key_of(seams, &fetch, &url, (&body, &manner_of(&spec, &timeouts)));
    }
    let safe_url: Arc<str> = (seams.redact)(&url).into();
    let parent = fetch.parent.or_else(|| (seams.parent_of)(&fetch.span));
    let origin = Origin {
        ticket: fetch.ticket,
        context: seams.ids.span(parent),
        parent_span_id: parent.map(|parent| parent.span_id),
        method: fetch.method.clone(),
        url: safe_url.clone(),
        host: target.lane.clone(),
        route,
        scope: target.scope,
        priority: wishes.priority,
        began,
        deadline: spec.deadline,
        explains: wishes.explains,
    };
    let order = Order {
        method: fetch.method,
        url,
        safe_url,
        headers: fetch.headers,
        body,
        host,
        lane: target.lane,
        timeouts,
        body_max: plan.body_max,
        redirects_max: plan.redirects_max,
        delivery,
        beside: fetch.beside,
        mark: fetch.mark,
    };
    // A scope that the caller named is not the route's, whose options are meant for its own.
    let own = plan.route.filter(|_| fetch.wishes.scope.is_none());
    Ok(Prepared { spec, order, once, origin, breaker: own.and_then(|(_, breaker)| breaker) })
}

/// Where the call goes, with the headers that follow from it and from the client.
fn place_of(seams: &Seams, fetch: &mut Fetch) -> Result<(Url, HostName), Error> {
    complete(seams, fetch);
    let url = std::mem::replace(&mut fetch.url, Ok(None))?.ok_or_else(gone)?;
    address::check_length(url.as_str())?;
    let host = HostName::of(&url).ok_or_else(|| invalid("the URL names no host"))?;
    Ok((url, host))
}

/// Adds what the client and the URL say to the headers; doing it twice changes nothing.
pub(crate) fn complete(seams: &Seams, fetch: &mut Fetch) {
    let Ok(Some(url)) = &mut fetch.url else { return };
    if let Some(credentials) = userinfo::take(url) {
        fetch.headers.entry(AUTHORIZATION).or_insert(credentials);
    }
    url.set_fragment(None);
    for (name, value) in &seams.headers {
        fetch.headers.entry(name).or_insert_with(|| value.clone());
    }
}

fn shares(fetch: &Fetch, plan: &CallPlan, delivery: Delivery) -> bool {
    match (fetch.wishes.sharing, plan.coalesce, delivery) {
        (Sharing::ByPlan, Coalesce::Identical, Delivery::Whole) => true,
        (Sharing::Alone, _, _) | (_, Coalesce::Off, _) | (_, _, Delivery::Stream) => false,
    }
}

/// What calls share a flight by.
fn key_of(
    seams: &Seams,
    fetch: &Fetch,
    url: &Url,
    (body, manner): (&Payload, &[u8]),
) -> Option<FlightKey> {
    let bytes = body.bytes().map_or(&[][..], |bytes| bytes);
    seams.keys.key(&fetch.method, url, &fetch.headers, (bytes, manner))
}

/// What a flight does for all of its callers alike: only who wishes the same shares it.
fn manner_of(spec: &CallSpec, timeouts: &Timeouts) -> Vec<u8> {
    let Timeouts { connect, attempt, read_idle } = timeouts;
    let mut manner = Vec::with_capacity(64);
    for timeout in [connect, attempt, read_idle] {
        manner.extend_from_slice(&timeout.as_nanos().to_le_bytes());
    }
    manner.extend_from_slice(&spec.attempts_max.unwrap_or_default().to_le_bytes());
    manner.extend_from_slice(&[spec.repeat as u8, spec.breaker as u8]);
    manner.extend_from_slice(&match spec.hedge {
        HedgeUse::ByPolicy => [0; 16],
        HedgeUse::Off => [1; 16],
        HedgeUse::On(HedgeDelay::LiveP95) => [2; 16],
        HedgeUse::On(HedgeDelay::Fixed(delay)) => delay.as_nanos().to_be_bytes(),
    });
    // A route that gets a breaker of its own meanwhile is the same route.
    let Target { scope, lane, class, .. } = &spec.target;
    manner.extend_from_slice(if class.is_some() { lane } else { scope }.as_bytes());
    manner
}

fn timeouts_of(fetch: &Fetch, plan: &CallPlan) -> Timeouts {
    let (wishes, timeouts) = (&fetch.wishes, &plan.timeouts);
    Timeouts {
        connect: wishes.connect_timeout.unwrap_or(timeouts.connect),
        attempt: wishes.timeout.unwrap_or(timeouts.attempt),
        read_idle: wishes.read_timeout.unwrap_or(timeouts.read_idle),
    }
}

fn plan_of(seams: &Seams, fetch: &Fetch, host: &HostName, path: &str) -> CallPlan {
    let route = fetch.wishes.route.as_deref();
    seams.plan.load().call(&CallFacts { host, method: &fetch.method, path, route })
}

/// Where the call goes and the name of its path.
///
/// A scope of the caller's own belongs to no host: an actor of its own keeps its breaker, while the
/// slots stay the host's.
fn target_of(
    seams: &Seams,
    fetch: &Fetch,
    (host, path): (&HostName, &str),
    plan: &CallPlan,
) -> (Target, Option<Arc<str>>) {
    let lane = host.key();
    let configured = plan.route.as_ref().map(|(name, _)| Arc::from(name.as_str()));
    let route: Option<Arc<str>> = fetch.wishes.route.clone().or(configured);
    let target = match (&fetch.wishes.scope, &route) {
        (Some(scope), _) => {
            Target { lane, keeper: scope.clone(), scope: scope.clone(), class: None }
        }
        (None, Some(route)) => {
            let scope: ScopeKey = [&*lane, " ", &**route].concat().into();
            Target { keeper: lane.clone(), lane, scope, class: None }
        }
        (None, None) => route_class::target(&seams.registry, lane, &fetch.method, path),
    };
    (target, route)
}

fn deadline_of(fetch: &Fetch, plan: &CallPlan, began: Instant) -> Instant {
    let own = match fetch.wishes.deadline {
        Some(DeadlineWish::In(budget)) => saturating_add(began, budget),
        Some(DeadlineWish::At(deadline)) => deadline.instant(),
        None => saturating_add(began, plan.deadline),
    };
    fetch.wishes.parent_deadline.map_or(own, |parent| own.min(parent.instant()))
}

fn repeat_of(fetch: &Fetch, plan: &CallPlan) -> Repeat {
    let has_key = fetch.headers.contains_key(HeaderName::from_static("idempotency-key"));
    match (fetch.wishes.repeat, plan.repeat) {
        (RepeatWish::Forbidden, _) => Repeat::Never,
        (RepeatWish::Allowed, _) | (RepeatWish::ByMethod, MethodRepeat::Idempotent) => {
            Repeat::Always
        }
        (RepeatWish::ByMethod, MethodRepeat::Unsafe) if has_key => Repeat::Always,
        (RepeatWish::IfNeverSent, _) | (RepeatWish::ByMethod, MethodRepeat::Unsafe) => {
            Repeat::IfNeverSent
        }
    }
}

/// What the caller wishes, or else the plan; a stream's second head would come too late.
fn hedge_of(wish: HedgeUse, plan: &CallPlan, delivery: Delivery) -> HedgeUse {
    match (delivery, wish) {
        (Delivery::Stream, _) => HedgeUse::Off,
        (Delivery::Whole, HedgeUse::ByPolicy) => plan.hedge,
        (Delivery::Whole, HedgeUse::Off | HedgeUse::On(_)) => wish,
    }
}

fn split(body: Body, kept_max: usize) -> (Payload, Option<Replay>) {
    match body {
        Body::Empty => (Payload::Empty, None),
        Body::Bytes(bytes) => (Payload::Bytes(bytes), None),
        Body::Stream(stream) => (Payload::Once, Some(Replay::new(stream, kept_max))),
    }
}

fn invalid(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, problem)
}

fn gone() -> Error {
    Error::new(ErrorKind::Internal, "the fetch was already taken")
}

/// Methods that a plan without opinion of its own repeats (RFC 9110 section 9.2.2, of which only
/// those without effects on the upstream).
pub const REPEATABLE: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];
