//! Numbers of a server, for Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the seconds that requests took.
const SECONDS: [f64; 12] = [
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// An endpoint and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    pub endpoint: String,
    pub status: u16,
}

/// Numbers that are counted while a model is served.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub requests: Family<Answered, Counter>,
    pub abandoned: Counter,
    pub prompt_tokens: Counter,
    pub new_tokens: Counter,
    pub rows: Gauge,
    pub running: Gauge,
    pub waiting: Gauge,
    pub seconds: Histogram,
    /// Requests that named no seed, which is their seed.
    pub unseeded: AtomicU64,
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("eurus"),
            requests: Family::default(),
            abandoned: Counter::default(),
            prompt_tokens: Counter::default(),
            new_tokens: Counter::default(),
            rows: Gauge::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
            seconds: Histogram::new(SECONDS),
            unseeded: AtomicU64::new(0),
        };
        let registry = &mut metrics.registry;
        let (requests, seconds) = (metrics.requests.clone(), metrics.seconds.clone());
        registry.register("requests", "Requests by endpoint and status", requests);
        registry.register("request_seconds", "Seconds of answered requests", seconds);
        let counters = [
            (
                "abandoned_requests",
                "Prompts whose client left before their answers",
                &metrics.abandoned,
            ),
            (
                "prompt_tokens",
                "Tokens of prompts that were let in",
                &metrics.prompt_tokens,
            ),
            ("new_tokens", "Tokens that were drawn", &metrics.new_tokens),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            (
                "rows",
                "Answers that advance or wait for a row",
                &metrics.rows,
            ),
            (
                "running_requests",
                "Requests that are being answered",
                &metrics.running,
            ),
            (
                "waiting_requests",
                "Requests that wait for a place",
                &metrics.waiting,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        metrics
    }

    /// All of them, as Prometheus reads them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// One more in a gauge, for as long as it is held.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }

    /// The same, unless there are so many.
    pub fn below(gauge: &Gauge, most: usize) -> Option<Self> {
        let before = gauge.inc();
        let counted = Self(gauge.clone());
        (before < i64::try_from(most).unwrap_or(i64::MAX)).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
