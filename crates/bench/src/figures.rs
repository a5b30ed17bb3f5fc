//! What was measured: samples by row, subject and metric, and what went wrong.

use std::collections::BTreeMap;

use crate::subject::Subject;

/// The name of a table row. The plan defines them all.
pub type Row = &'static str;

/// A kind of figure. Its unit is part of its meaning, and of its heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Per second: messages, requests, topics or syncs, by the row's name.
    Rate,
    /// 10^6 payload bytes per second.
    Megabytes,
    /// Broker processor time a message, microseconds.
    BrokerCpu,
    /// Client processor time a message, microseconds.
    ClientCpu,
    /// Broker processor time of the whole measurement, seconds.
    BrokerSeconds,
    /// Broker processor time of an idle broker, percent of one core.
    IdleCpu,
    /// Resident memory, 10^6 bytes.
    Rss,
    /// Resident memory a topic, 10^3 bytes.
    RssEach,
    /// Median and 99th percentile of a request or an acknowledgement, milliseconds.
    P50,
    P99,
    /// Median and 99th percentile from send to receipt, milliseconds.
    E2eP50,
    E2eP99,
    /// From the creation of a consumer to its first record, milliseconds.
    First,
    /// From launch to `/readyz`, milliseconds.
    Ready,
    /// From launch to the first acknowledged produce, milliseconds.
    FirstAck,
}

impl Metric {
    pub fn heading(self) -> &'static str {
        match self {
            Self::Rate => "per s",
            Self::Megabytes => "MB/s",
            Self::BrokerCpu => "broker CPU us/msg",
            Self::ClientCpu => "client CPU us/msg",
            Self::BrokerSeconds => "broker CPU s",
            Self::IdleCpu => "broker CPU %",
            Self::Rss => "RSS MB",
            Self::RssEach => "RSS kB a topic",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::E2eP50 => "end to end p50 ms",
            Self::E2eP99 => "end to end p99 ms",
            Self::First => "first message ms",
            Self::Ready => "ready ms",
            Self::FirstAck => "first ack ms",
        }
    }
}

/// The middle and the ends of a set of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    pub samples: usize,
}

/// All samples of a run.
#[derive(Default)]
pub struct Figures {
    samples: BTreeMap<(Row, Subject, Metric), Vec<f64>>,
    faults: Vec<String>,
}

impl Figures {
    pub fn add(&mut self, row: Row, subject: Subject, metric: Metric, value: f64) {
        self.samples.entry((row, subject, metric)).or_default().push(value);
    }

    /// Notes a measurement that gave no figure, and why.
    pub fn fault(&mut self, text: String) {
        eprintln!("bench: {text}");
        self.faults.push(text);
    }

    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Forgets the samples but not the faults: the end of a warm-up.
    pub fn forget_samples(&mut self) {
        self.samples.clear();
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        for (key, values) in other.samples {
            self.samples.entry(key).or_default().extend(values);
        }
        self.faults.extend(other.faults);
    }

    pub fn summary(&self, row: Row, subject: Subject, metric: Metric) -> Option<Summary> {
        summary(self.samples.get(&(row, subject, metric))?)
    }

    pub fn median(&self, row: Row, subject: Subject, metric: Metric) -> Option<f64> {
        self.summary(row, subject, metric).map(|found| found.median)
    }
}

pub fn summary(samples: &[f64]) -> Option<Summary> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
    Some(Summary { median, least, most, samples: sorted.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_halfway_between_two() {
        let odd = summary(&[9.0, 1.0, 4.0]).expect("not empty");
        assert_eq!(odd, Summary { median: 4.0, least: 1.0, most: 9.0, samples: 3 });
        assert_eq!(summary(&[4.0, 2.0]).expect("not empty").median, 3.0);
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn a_warm_up_leaves_its_faults_and_no_samples() {
        let mut kept = Figures::default();
        kept.add("row", Subject::Tansu, Metric::Rate, 1.0);
        let mut warm_up = Figures::default();
        warm_up.add("row", Subject::Tansu, Metric::Rate, 100.0);
        warm_up.fault("said so".to_owned());
        warm_up.forget_samples();
        kept.merge(warm_up);
        assert_eq!(kept.summary("row", Subject::Tansu, Metric::Rate).expect("one sample").samples, 1);
        assert_eq!(kept.faults(), ["said so"]);
    }
}
