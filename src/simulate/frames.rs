//! The plots: what each is called, and what it shows.

use crate::simulate::plot::Scale::{Linear, Logarithmic};
use crate::simulate::plot::{Axis, Frame, Scale};

const fn axis(label: &'static str, scale: Scale) -> Axis {
    Axis { label, scale }
}

/// All plots, in the order in which one reads them.
pub(super) const FRAMES: &[Frame] = &[
    Frame {
        name: "partial_success",
        title: "Partial failure: what callers get",
        x: axis("requests that the upstream fails, %", Linear),
        y: axis("calls with a good answer, %", Linear),
    },
    Frame {
        name: "partial_load",
        title: "Partial failure: what the upstream gets",
        x: axis("requests that the upstream fails, %", Linear),
        y: axis("attempts for each call", Linear),
    },
    Frame {
        name: "breaker",
        title: "A breaker must not cost what the upstream still gives (100 calls a second)",
        x: axis("requests that the upstream fails, %", Linear),
        y: axis("calls with a good answer, %", Linear),
    },
    Frame {
        name: "backoff",
        title: "Back-off under contention: jitter saves work",
        x: axis("clients that update one row", Linear),
        y: axis("writes until all are done", Linear),
    },
    Frame {
        name: "herd",
        title: "1,000 clients told to come back in 5 s",
        x: axis("seconds since the first request", Linear),
        y: axis("requests in each 100 ms", Linear),
    },
    Frame {
        name: "overload",
        title: "An upstream at 93 % that hangs for 10 s",
        x: axis("seconds since it is back", Linear),
        y: axis("calls with a good answer, %", Linear),
    },
    Frame {
        name: "cold",
        title: "An upstream that comes back with a cold cache",
        x: axis("seconds since it is back", Linear),
        y: axis("calls with a good answer, %", Linear),
    },
    Frame {
        name: "stampede",
        title: "10,300 calls a second for what expires each second",
        x: axis("seconds since the first call", Linear),
        y: axis("requests a second at the origin", Logarithmic),
    },
    Frame {
        name: "outage",
        title: "A cache whose origin is away for ten minutes",
        x: axis("seconds since it went away", Linear),
        y: axis("calls with a good answer, %", Linear),
    },
    Frame {
        name: "tail",
        title: "A thousand reads a request: the tail with and without hedges",
        x: axis("milliseconds", Logarithmic),
        y: axis("requests that take longer, %", Logarithmic),
    },
    Frame {
        name: "hedging",
        title: "Hedging under load: never worse than without",
        x: axis("utilisation, %", Linear),
        y: axis("99th percentile, ms", Linear),
    },
    Frame {
        name: "ranks",
        title: "One host asked for a third too much: who waits",
        x: axis("milliseconds", Logarithmic),
        y: axis("calls that take longer, %", Logarithmic),
    },
    Frame {
        name: "throttle",
        title: "Adaptive throttling at ten times the load",
        x: axis("K: requests for each accept", Linear),
        y: axis("requests a second", Linear),
    },
    Frame {
        name: "layers",
        title: "Retries at each layer above a dead bottom",
        x: axis("layers", Linear),
        y: axis("requests at the bottom for each call", Logarithmic),
    },
    Frame {
        name: "deadlines",
        title: "Work for nobody: attempts after the caller's deadline",
        x: axis("layers", Linear),
        y: axis("attempts, of 2,000 calls", Linear),
    },
];
