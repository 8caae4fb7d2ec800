//! The service of the demo: embeds the client, asks through both its doors, keeps its own count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use spillgate_actors::coordinator::Coordinator;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::breaker::options::BreakerOptions;
use spillgate_actors::core::chaos::{Harm, Strike, exposure};
use spillgate_actors::core::event::BreakerState;
use spillgate_actors::core::outcome::Exposure;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::Fetch;
use spillgate_actors::messages::Cancel;
use tokio_util::sync::CancellationToken;

use super::chronicle::Chronicle;
use super::meter::{Meter, Wire};
use super::tally::Tally;
use super::upstreams::Weather;
use crate::chaos::Chaos;
use crate::cli::chaos;
use crate::client::Client;
use crate::request::RequestBuilder;
use crate::response::Response;
use crate::telemetry::options::TelemetryOptions;
use crate::transport::ReqwestTransport;
use crate::transport::options::TransportOptions;

/// A service that calls others.
pub(super) struct Service {
    client: Client,
    addr: actix::Addr<Coordinator>,
    closing: CancellationToken,
    numbers: AtomicU64,
    tally: Tally,
    chronicle: Arc<Chronicle>,
    wire: Arc<Wire>,
    weather: Weather,
}

impl Service {
    /// Starts the client with its standard pipeline, but for what [`Self::client`] says.
    pub(super) fn start(
        seed: u64,
        otlp: Option<String>,
        chaos: Option<Chaos>,
    ) -> Result<Self, Error> {
        let options = TransportOptions::default();
        let transport = ReqwestTransport::new(&options)
            .map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()))?;
        let (meter, wire) = Meter::new(transport);
        let chronicle = Arc::<Chronicle>::default();
        let told = chronicle.clone();
        let mut builder = Client::builder()
            .seed(seed)
            .transport(Arc::new(meter))
            .on_breaker(move |event| told.note(event))
            .defaults(|config| {
                // What takes a minute in earnest has to be seen within seconds.
                config.defaults.breaker = BreakerOptions {
                    window: BREAKER_WINDOW,
                    reset_timeout: BREAKER_RESET,
                    // An outage is played on a path of its own, and means the host.
                    learn: false,
                    ..BreakerOptions::standard()
                };
                config.limits.queue_max = QUEUE_MAX;
            });
        if otlp.is_some() {
            let service_name = SERVICE_NAME.to_owned();
            let options = TelemetryOptions { otlp, service_name, ..TelemetryOptions::default() };
            builder = builder.telemetry(options);
        }
        if let Some(chaos) = chaos {
            chaos::announce(&chaos);
            builder = builder.chaos(chaos);
        }
        let client = builder.build()?;
        Ok(Self {
            addr: client.addr(),
            client,
            closing: CancellationToken::new(),
            numbers: AtomicU64::new(0),
            tally: Tally::default(),
            chronicle,
            wire,
            weather: Weather::new(Instant::now()),
        })
    }

    /// Sends a request as a message to the coordinator and waits for its answer.
    pub(super) async fn ask(&self, fetch: Fetch) {
        self.tally.called();
        // A mailbox that closes on a caller leaves the call unanswered, and the count says so.
        if let Ok(answer) = self.addr.send(fetch).await {
            self.tally.answered(&answer);
        }
    }

    /// Like [`Self::ask`], and sends the message `Cancel` after a while.
    pub(super) async fn ask_and_cancel(&self, fetch: Fetch, patience: Duration) {
        let ticket = fetch.ticket();
        let cancel = async {
            tokio::time::sleep(patience).await;
            self.addr.do_send(Cancel { ticket, kind: ErrorKind::Cancelled });
        };
        tokio::join!(self.ask(fetch), cancel);
    }

    /// Sends a request through the facade and waits for its answer.
    pub(super) async fn send(&self, request: RequestBuilder) {
        self.tally.called();
        let answer = request.send().await;
        self.tally.answered(&answer.map(Response::into_inner));
    }

    /// Like [`Self::send`], and cancels the caller's token after a while.
    pub(super) async fn send_and_cancel(&self, request: RequestBuilder, patience: Duration) {
        let token = CancellationToken::new();
        let cancel = async {
            tokio::time::sleep(patience).await;
            token.cancel();
        };
        tokio::join!(self.send(request.cancel_on(&token)), cancel);
    }

    /// Asks each upstream whose breaker is not closed until it is.
    pub(super) async fn heal(&self) {
        loop {
            let snapshot = self.client.snapshot();
            let mut ill = snapshot.hosts.iter().filter(|host| host.breaker != BreakerState::Closed);
            let Some(host) = ill.next() else { return };
            let url = format!("{}/ok?n={}", host.host, self.number());
            self.send(self.client.get(url).deadline(PROBE_MAX)).await;
            tokio::time::sleep(PROBE_PAUSE).await;
        }
    }

    /// Begins no more calls.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    /// Waits for that long; says whether the service is still open.
    pub(super) async fn is_open_after(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// A number that no other call has, for URLs that are to differ.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    /// Whether the failing upstream is down.
    pub(super) fn is_stormy(&self) -> bool {
        self.weather.is_down(Instant::now())
    }

    /// The facade.
    ///
    /// It is the standard client but for a shorter breaker window, a shorter reset time and a
    /// shorter queue: a show of seconds has no time for those of earnest.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Attempts that chaos failed as ones that are proven never sent, whose retries cost nothing.
    pub(super) fn unsent_by_chaos(&self) -> u64 {
        let injected = self.client.injected().into_iter();
        let unsent = injected.filter(|one| match one.harm {
            Harm::Strike(Strike::Error(kind)) => exposure(kind) == Some(Exposure::NeverSent),
            Harm::Strike(_) | Harm::Latency { .. } => false,
        });
        unsent.map(|one| one.times).sum()
    }

    /// What the callers count.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What the breakers told.
    pub(super) fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// What went over the wire.
    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }
}

/// Its name in traces.
pub(super) const SERVICE_NAME: &str = "spillgate-demo";

/// The standard looks at 10 s and waits 5 s.
const BREAKER_WINDOW: Duration = Duration::from_secs(1);
const BREAKER_RESET: Duration = Duration::from_millis(500);

/// The standard lets 1,000 wait.
const QUEUE_MAX: usize = 250;

const PROBE_MAX: Duration = Duration::from_secs(1);
const PROBE_PAUSE: Duration = Duration::from_millis(40);
