//! Who calls: a few dozen callers with habits, each asking, waiting for the answer, and resting.
//!
//! They are a closed loop: on a slow machine they ask less often, and never pile up without bound.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use spillgate_actors::core::call::Priority;
use spillgate_actors::core::rng::Rng;
use spillgate_actors::fetch::{Fetch, Key};
use tokio::task::JoinSet;

use super::service::Service;
use super::upstreams::{Role, Upstream};

/// What a caller does, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Reads something of its own, and is soon answered.
    Reads,
    /// Twenty at once want the same.
    Herds,
    /// Asks whether all is well; nothing is more urgent.
    WatchesHealth,
    /// A person waits for it.
    Browses,
    /// Sends a heap of background work at once.
    Floods,
    /// Gives the upstream less time than it needs.
    Hurries,
    /// Loses interest before the answer is there.
    Cancels,
    /// Meets a 503 now and then.
    MeetsFlaps,
    /// Meets connections that break.
    MeetsBreaks,
    /// Posts, with and without an idempotency key.
    Posts,
    /// Is asked to leave the upstream alone now and then.
    MeetsThrottling,
    /// Depends on an upstream that goes down.
    MeetsOutages,
    /// Opens a page that takes answers of all upstreams at once, more than there are slots.
    OpensPages,
}

/// One caller: a habit, an upstream, and dice.
struct Caller {
    service: Arc<Service>,
    host: Upstream,
    everywhere: Arc<[Upstream]>,
    habit: Habit,
    dice: Rng,
}

/// Lets all callers loose; they end when the service closes.
pub(super) fn start(service: &Arc<Service>, hosts: &[Upstream], seed: u64) -> JoinSet<()> {
    let mut dice = Rng::new(seed);
    let everywhere: Arc<[Upstream]> = hosts.into();
    let mut callers = JoinSet::new();
    let mut begin = |host: &Upstream, habit| {
        let (service, everywhere) = (service.clone(), everywhere.clone());
        let (host, dice) = (host.clone(), Rng::new(dice.next_u64()));
        callers.spawn(Caller { service, host, everywhere, habit, dice }.live());
    };
    for host in hosts {
        for (habit, callers_of_it) in host.roles.iter().flat_map(|role| cast(*role)) {
            (0..*callers_of_it).for_each(|_| begin(host, *habit));
        }
    }
    // A page is nobody's in particular, but is served from somewhere.
    hosts.first().into_iter().for_each(|home| begin(home, Habit::OpensPages));
    callers
}

fn cast(role: Role) -> &'static [(Habit, usize)] {
    match role {
        Role::Steady => &[(Habit::Reads, 4), (Habit::Herds, 1), (Habit::WatchesHealth, 1)],
        Role::Slow => {
            &[(Habit::Browses, 3), (Habit::Floods, 1), (Habit::Hurries, 1), (Habit::Cancels, 2)]
        }
        Role::Flaky => &[(Habit::MeetsFlaps, 3), (Habit::MeetsBreaks, 1), (Habit::Posts, 1)],
        Role::Throttling => &[(Habit::MeetsThrottling, 4)],
        Role::Failing => &[(Habit::MeetsOutages, 6)],
    }
}

impl Caller {
    async fn live(mut self) {
        let (least, most) = self.habit.pause_ms();
        for turn in 0.. {
            let pause = Duration::from_millis(least + self.dice.below(most - least));
            if !self.service.is_open_after(pause).await {
                return;
            }
            self.ask(turn).await;
        }
    }

    async fn ask(&mut self, turn: u64) {
        match self.habit {
            Habit::Reads => self.message("/ok?bytes=512&", DEADLINE).await,
            Habit::Herds => self.herd().await,
            Habit::WatchesHealth => self.watch_health().await,
            Habit::Browses => self.browse().await,
            Habit::Floods => self.flood().await,
            Habit::Hurries => self.message("/delay/400?", HURRY).await,
            Habit::Cancels => self.cancel(turn).await,
            Habit::MeetsFlaps => self.message("/flap?ok=9&fail=1&key=flap&", DEADLINE).await,
            Habit::MeetsBreaks => self.meet_breaks(turn).await,
            Habit::Posts => self.post(turn).await,
            Habit::MeetsThrottling => self.meet_throttling(turn).await,
            Habit::MeetsOutages => self.meet_outages().await,
            Habit::OpensPages => self.open_page().await,
        }
    }

    async fn message(&self, path: &str, deadline: Duration) {
        self.service.ask(Fetch::get(self.own(path)).deadline(deadline)).await;
    }

    async fn herd(&self) {
        let url = self.own("/delay/25?");
        let call = || self.service.ask(Fetch::get(&url).deadline(DEADLINE));
        join_all((0..HERD).map(|_| call())).await;
    }

    async fn watch_health(&self) {
        let request = self.service.client().get(self.own("/ok?"));
        self.service.send(request.priority(Priority::Critical).deadline(DEADLINE)).await;
    }

    async fn browse(&mut self) {
        let path = format!("/delay/{}?", 10 + self.dice.below(30));
        let request = self.service.client().get(self.own(&path));
        self.service.send(request.priority(Priority::Foreground).deadline(DEADLINE)).await;
    }

    async fn flood(&self) {
        let call = || {
            let fetch = Fetch::get(self.own("/delay/30?")).priority(Priority::Background);
            self.service.ask(fetch.deadline(FLOOD_DEADLINE))
        };
        join_all((0..FLOOD).map(|_| call())).await;
    }

    async fn cancel(&mut self, turn: u64) {
        let patience = Duration::from_millis(self.dice.below(50));
        let url = self.own("/delay/300?");
        if turn.is_multiple_of(2) {
            let fetch = Fetch::get(url).deadline(DEADLINE);
            return self.service.ask_and_cancel(fetch, patience).await;
        }
        let request = self.service.client().get(url).deadline(DEADLINE);
        self.service.send_and_cancel(request, patience).await;
    }

    async fn meet_breaks(&self, turn: u64) {
        let paths = ["/reset?", "/truncate?bytes=200&", "/close?", "/reset?after=100&", "/stall?"];
        let path = paths.iter().cycle().nth(usize::try_from(turn % 5).unwrap_or(0));
        let request = self.service.client().get(self.own(path.copied().unwrap_or("/close?")));
        let request = request.timeout(BREAK_TIMEOUT).retries(1).deadline(DEADLINE);
        self.service.send(request).await;
    }

    async fn post(&self, turn: u64) {
        // Without a key the 503 is final: the upstream may have acted on the request.
        let (path, key) = match turn % 3 {
            0 => ("/flap?ok=1&fail=1&key=orders&", Some(Key::auto())),
            1 => ("/flap?ok=3&fail=1&key=notes&", None),
            _ => ("/echo?", None),
        };
        let request = self.service.client().post(self.own(path));
        let request = request.json(&[("item", turn)]).deadline(DEADLINE);
        match key {
            Some(key) => self.service.send(request.idempotency_key(key)).await,
            None => self.service.send(request).await,
        }
    }

    async fn meet_throttling(&self, turn: u64) {
        // Who has time waits for the end of the hold; who has none is told so at once.
        let deadline = if turn.is_multiple_of(3) { DEADLINE } else { THROTTLED_DEADLINE };
        self.message("/scenario/throttling?key=throttling&", deadline).await;
    }

    async fn meet_outages(&self) {
        let request = self.service.client().get(self.own("/ok?bytes=128&"));
        self.service.send(request.deadline(DEADLINE)).await;
    }

    async fn open_page(&self) {
        let part = |host: &Upstream| {
            let fetch = Fetch::get(self.url(host, "/delay/40?")).priority(Priority::Foreground);
            self.service.ask(fetch.deadline(PAGE_DEADLINE))
        };
        let parts = self.everywhere.iter().flat_map(|host| std::iter::repeat_n(host, PAGE_PARTS));
        join_all(parts.map(part)).await;
    }

    fn own(&self, path: &str) -> String {
        self.url(&self.host, path)
    }

    /// A URL that no other call has, so that the call shares no other's flight. An upstream that is
    /// down fails whatever it is asked for.
    fn url(&self, host: &Upstream, path: &str) -> String {
        let is_down = host.roles.contains(&Role::Failing) && self.service.is_stormy();
        let path = if is_down { OUTAGE } else { path };
        format!("{}{path}n={}", host.url, self.service.number())
    }
}

impl Habit {
    /// The shortest and the longest rest between two turns.
    fn pause_ms(self) -> (u64, u64) {
        match self {
            Self::Reads | Self::MeetsFlaps => (20, 50),
            Self::Herds => (80, 120),
            Self::WatchesHealth => (300, 400),
            Self::Browses => (20, 60),
            Self::Floods => (1_200, 1_800),
            Self::Hurries => (250, 400),
            Self::Cancels => (40, 120),
            Self::MeetsBreaks => (500, 700),
            Self::Posts => (40, 80),
            Self::MeetsThrottling => (40, 70),
            Self::MeetsOutages => (20, 40),
            Self::OpensPages => (400, 600),
        }
    }
}

/// What an upstream that is down answers.
const OUTAGE: &str = "/status/503?";

/// Callers of a herd.
const HERD: usize = 20;
/// Calls of a flood: more than may wait.
const FLOOD: usize = 300;
/// Parts of a page at each upstream.
const PAGE_PARTS: usize = 8;

/// The standard leaves a call 30 s; nobody watches a demo end for that long.
const DEADLINE: Duration = Duration::from_secs(2);
const HURRY: Duration = Duration::from_millis(150);
const FLOOD_DEADLINE: Duration = Duration::from_millis(800);
const THROTTLED_DEADLINE: Duration = Duration::from_millis(500);
const PAGE_DEADLINE: Duration = Duration::from_secs(1);
const BREAK_TIMEOUT: Duration = Duration::from_millis(250);
