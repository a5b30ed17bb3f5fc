//! Client quotas in force: who has used how much, and how long whom is to wait (KIP-13, KIP-124, KIP-219, KIP-599, KIP-612).
//!
//! Costs nothing as long as no quota is set: nobody is looked up, nothing is counted.

mod bucket;
mod rate;
mod resolve;

use std::collections::HashMap;

use chronik_config::BrokerConfig;
use chronik_metadata::image::Quotas;
use parking_lot::Mutex;

use self::bucket::Bucket;
use self::rate::{Rate, Windows};
use self::resolve::Applicable;

/// What a quota is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    /// Bytes of produce requests.
    Produce,
    /// Bytes of fetched records.
    Fetch,
    /// Time on the threads that handle requests, in percent of one of them.
    Request,
    /// Partitions created and deleted.
    ControllerMutation,
}

impl Use {
    fn key(self) -> &'static str {
        match self {
            Use::Produce => "producer_byte_rate",
            Use::Fetch => "consumer_byte_rate",
            Use::Request => "request_percentage",
            Use::ControllerMutation => "controller_mutation_rate",
        }
    }
}

const CONNECTION_CREATION_RATE: &str = "connection_creation_rate";
/// The longest a connection waits for its use of threads, in windows: what it did is over.
const MOST_REQUEST_WINDOWS: i64 = 1;
/// Counters kept; above it those not used for the longest windows go.
const SWEEP_ABOVE: usize = 10_000;

/// The client that makes a request.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) user: &'a str,
    pub(crate) client_id: &'a str,
}

/// Those who share a quota.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sharers {
    Clients { of: Use, user: Option<String>, client_id: Option<String> },
    Address(String),
}

struct Counter {
    counted: Counted,
    used_ms: i64,
}

enum Counted {
    Rate(Rate),
    Bucket(Bucket),
}

pub(crate) struct ClientQuotas {
    windows: Windows,
    mutation_windows: Windows,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    by_sharers: HashMap<Sharers, Counter, foldhash::fast::FixedState>,
    swept_ms: i64,
}

impl Counters {
    /// The counter of those who share a quota, made by `new` where there is none. Now and then those go that nobody used for
    /// `idle_ms`: they count nothing any more.
    fn of(&mut self, sharers: Sharers, now_ms: i64, idle_ms: i64, new: impl FnOnce() -> Counted) -> &mut Counted {
        if self.by_sharers.len() >= SWEEP_ABOVE && now_ms - self.swept_ms >= idle_ms {
            self.by_sharers.retain(|_, counter| now_ms - counter.used_ms < idle_ms);
            self.swept_ms = now_ms;
        }
        let counter = self.by_sharers.entry(sharers).or_insert_with(|| Counter { counted: new(), used_ms: now_ms });
        counter.used_ms = now_ms;
        &mut counter.counted
    }
}

impl ClientQuotas {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let windows = |(count, seconds): (usize, i64)| Windows { count, size_ms: seconds * 1_000 };
        ClientQuotas {
            windows: windows(config.quota_windows),
            mutation_windows: windows(config.controller_quota_windows),
            counters: Mutex::default(),
        }
    }

    /// Counts what a client used. How long it is to wait, in milliseconds.
    pub(crate) fn charge(&self, quotas: &Quotas, of: Use, client: Client<'_>, now_ms: i64, amount: f64) -> i64 {
        let Some(found) = resolve::of_client(quotas, of.key(), client.user, client.client_id) else { return 0 };
        let throttle_ms = self.with_rate(sharers(of, client, &found), now_ms, |rate| {
            rate.record(self.windows, now_ms, amount);
            rate.throttle_ms(self.windows, now_ms, found.quota)
        });
        match of {
            Use::Request => throttle_ms.min(MOST_REQUEST_WINDOWS * self.windows.size_ms),
            _ => throttle_ms,
        }
    }

    /// Takes back what was counted but did not happen.
    pub(crate) fn take_back(&self, quotas: &Quotas, of: Use, client: Client<'_>, now_ms: i64, amount: f64) {
        if let Some(found) = resolve::of_client(quotas, of.key(), client.user, client.client_id) {
            self.with_rate(sharers(of, client, &found), now_ms, |rate| rate.record(self.windows, now_ms, -amount));
        }
    }

    /// The most a client may fetch at once without waiting longer than all windows; `None` without a quota.
    pub(crate) fn most_at_once(&self, quotas: &Quotas, client: Client<'_>) -> Option<usize> {
        let found = resolve::of_client(quotas, Use::Fetch.key(), client.user, client.client_id)?;
        Some(self.windows.most(found.quota) as usize)
    }

    /// Counts partitions that a client creates or deletes. A `strict` client is refused while it has to wait, and then nothing
    /// is counted; the error says how long. Another one is told how long to wait.
    pub(crate) fn mutate(
        &self,
        quotas: &Quotas,
        client: Client<'_>,
        now_ms: i64,
        partitions: usize,
        strict: bool,
    ) -> Result<i64, i64> {
        let of = Use::ControllerMutation;
        let Some(Applicable { quota, by_user, by_client }) =
            resolve::of_client(quotas, of.key(), client.user, client.client_id)
        else {
            return Ok(0);
        };
        let burst = quota * self.mutation_windows.count as f64 * self.mutation_windows.size_ms as f64 / 1e3;
        let sharers = sharers(of, client, &Applicable { quota, by_user, by_client });
        let mut counters = self.counters.lock();
        let new = || Counted::Bucket(Bucket::full(now_ms, burst));
        let Counted::Bucket(bucket) = counters.of(sharers, now_ms, self.idle_ms(), new) else { return Ok(0) };
        let wait_ms = bucket.wait_ms(now_ms, quota, burst);
        if strict && wait_ms > 0 {
            return Err(wait_ms);
        }
        bucket.take(now_ms, quota, burst, partitions as f64);
        Ok(if strict { 0 } else { bucket.wait_ms(now_ms, quota, burst) })
    }

    /// Counts a connection from an address. How long it is to wait, in milliseconds.
    pub(crate) fn connect(&self, quotas: &Quotas, address: &str, now_ms: i64) -> i64 {
        let Some(quota) = resolve::of_address(quotas, CONNECTION_CREATION_RATE, address) else { return 0 };
        self.with_rate(Sharers::Address(address.to_owned()), now_ms, |rate| {
            rate.record(self.windows, now_ms, 1.0);
            let throttle_ms = rate.throttle_ms(self.windows, now_ms, quota);
            if throttle_ms > 0 {
                // It is not let in.
                rate.record(self.windows, now_ms, -1.0);
            }
            throttle_ms.min(self.windows.size_ms)
        })
    }

    /// After so long a counter is as a new one.
    fn idle_ms(&self) -> i64 {
        [self.windows, self.mutation_windows]
            .map(|windows| windows.size_ms * windows.count as i64)
            .into_iter()
            .max()
            .unwrap_or(0)
    }

    fn with_rate<T>(&self, sharers: Sharers, now_ms: i64, work: impl FnOnce(&mut Rate) -> T) -> T
    where
        T: Default,
    {
        let mut counters = self.counters.lock();
        match counters.of(sharers, now_ms, self.idle_ms(), || Counted::Rate(Rate::default())) {
            Counted::Rate(rate) => work(rate),
            Counted::Bucket(_) => T::default(),
        }
    }
}

fn sharers(of: Use, client: Client<'_>, found: &Applicable) -> Sharers {
    Sharers::Clients {
        of,
        user: found.by_user.then(|| client.user.to_owned()),
        client_id: found.by_client.then(|| client.client_id.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(parts: &[(&str, Option<&str>)], key: &str, value: f64) -> Quotas {
        let entity = parts.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect();
        [(entity, [(key.to_owned(), value)].into())].into()
    }

    fn client_quotas() -> ClientQuotas {
        let windows = Windows { count: 11, size_ms: 1_000 };
        ClientQuotas { windows, mutation_windows: windows, counters: Mutex::default() }
    }

    const A: Client<'_> = Client { user: "u", client_id: "a" };
    const B: Client<'_> = Client { user: "u", client_id: "b" };

    #[test]
    fn clients_of_one_user_share_the_users_quota_and_no_other() {
        let counted = client_quotas();
        let of_user = quotas(&[("user", Some("u"))], "producer_byte_rate", 100.0);
        assert_eq!(counted.charge(&of_user, Use::Produce, A, 0, 1_000.0), 0);
        assert!(counted.charge(&of_user, Use::Produce, B, 0, 1_000.0) > 0);
        let of_each = quotas(&[("client-id", None)], "producer_byte_rate", 100.0);
        assert_eq!(counted.charge(&of_each, Use::Produce, A, 0, 1_000.0), 0);
        assert_eq!(counted.charge(&of_each, Use::Produce, B, 0, 1_000.0), 0);
        assert_eq!(counted.charge(&of_each, Use::Fetch, B, 0, 1e9), 0, "no quota on fetching");
    }

    #[test]
    fn a_strict_client_is_refused_and_a_lenient_one_made_to_wait() {
        let counted = client_quotas();
        let of_user = quotas(&[("user", Some("u"))], "controller_mutation_rate", 1.0);
        assert_eq!(counted.mutate(&of_user, A, 0, 15, true), Ok(0), "a burst of 11, and beyond it on credit");
        assert_eq!(counted.mutate(&of_user, A, 0, 1, true), Err(4_000));
        assert_eq!(counted.mutate(&of_user, A, 0, 1, false), Ok(5_000));
        assert_eq!(counted.mutate(&of_user, A, 5_000, 1, true), Ok(0));
    }

    #[test]
    fn use_of_threads_waits_for_one_window_at_most() {
        let counted = client_quotas();
        let of_user = quotas(&[("user", None)], "request_percentage", 1.0);
        assert_eq!(counted.charge(&of_user, Use::Request, A, 0, 100_000.0), 1_000);
    }

    #[test]
    fn a_connection_above_the_rate_is_not_counted() {
        let counted = client_quotas();
        let rate = quotas(&[("ip", None)], "connection_creation_rate", 1.0);
        let waits: Vec<i64> = (0..12).map(|_| counted.connect(&rate, "10.0.0.1", 0)).collect();
        assert_eq!(waits.iter().filter(|wait| **wait == 0).count(), 10);
        assert_eq!(counted.connect(&rate, "10.0.0.2", 0), 0);
    }

    #[test]
    fn counters_nobody_uses_go() {
        let counted = client_quotas();
        let of_each = quotas(&[("client-id", None)], "producer_byte_rate", 1.0);
        for i in 0..SWEEP_ABOVE {
            counted.charge(&of_each, Use::Produce, Client { user: "u", client_id: &i.to_string() }, 0, 1.0);
        }
        counted.charge(&of_each, Use::Produce, A, 60_000, 1.0);
        assert_eq!(counted.counters.lock().by_sharers.len(), 1);
    }
}
