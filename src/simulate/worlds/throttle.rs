//! Adaptive throttling: clients that refuse their own calls once the upstream refuses too many.
//!
//! After "Handling Overload" in Google's Site Reliability Engineering (2016): over two minutes a
//! client counts its requests and the upstream's accepts, and refuses with the probability
//! `max(0, (requests - K * accepts) / (requests + 1))`.

use std::collections::VecDeque;

use spillgate_core::rng::Rng;

use crate::simulate::chance::{happens, index};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::number;

/// One client's last two minutes, a second at a time.
#[derive(Debug, Default)]
struct Window {
    seconds: VecDeque<(u32, u32)>,
    requests: u32,
    accepts: u32,
}

/// Ten times more is asked for than the upstream can serve.
pub(super) fn published(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    finding.read("S8/k=2/x=10", "backend_rps", backend_rps(2.0, seed));
    finding.read("S8/k=1.1/x=10", "backend_rps", backend_rps(1.1, seed));
    if !lab.draws(seed) {
        return finding;
    }
    let curve = [1.1, 1.25, 1.5, 2.0, 2.5, 3.0].map(|k| (k, backend_rps(k, seed)));
    finding.draw("throttle", "requests that reach the upstream", curve.to_vec());
    let capacity = [(1.1, CAPACITY), (3.0, CAPACITY)];
    finding.draw("throttle", "what it can serve", capacity.to_vec());
    finding
}

/// Requests that reach the upstream in a second, once all have learned.
fn backend_rps(k: f64, seed: u64) -> f64 {
    let mut rng = Rng::new(seed);
    let mut windows: Vec<Window> = (0..CLIENTS).map(|_| Window::default()).collect();
    let (mut reached, mut room) = (0, 0.0);
    for second in 0..LEARN + MEASURE {
        windows.iter_mut().for_each(Window::turn);
        for _ in 0..OFFERED {
            // What a tenth of a second does not use is lost.
            room = (room + CAPACITY / f64::from(OFFERED)).min(CAPACITY / 10.0);
            let client = index(&mut rng, CLIENTS);
            let Some(window) = windows.get_mut(client) else { continue };
            let refusal = window.refusal(k);
            window.count(1, 0);
            if happens(&mut rng, refusal) {
                continue;
            }
            reached += usize::from(second >= LEARN);
            if room >= 1.0 - 1e-9 {
                room -= 1.0;
                window.count(0, 1);
            }
        }
    }
    number(reached) / f64::from(MEASURE)
}

impl Window {
    fn turn(&mut self) {
        self.seconds.push_back((0, 0));
        if self.seconds.len() > SPAN
            && let Some((requests, accepts)) = self.seconds.pop_front()
        {
            self.requests -= requests;
            self.accepts -= accepts;
        }
    }

    fn count(&mut self, requests: u32, accepts: u32) {
        self.requests += requests;
        self.accepts += accepts;
        if let Some(second) = self.seconds.back_mut() {
            *second = (second.0 + requests, second.1 + accepts);
        }
    }

    fn refusal(&self, k: f64) -> f64 {
        let (requests, accepts) = (f64::from(self.requests), f64::from(self.accepts));
        (requests - k * accepts) / (requests + 1.0)
    }
}

const CLIENTS: usize = 10;
const OFFERED: u32 = 10_000;
const CAPACITY: f64 = 1_000.0;
const SPAN: usize = 120;
const LEARN: u32 = 240;
const MEASURE: u32 = 60;
