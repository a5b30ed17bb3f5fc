//! The tables, as markdown.

use std::fmt::Write;

use crate::bench::Bench;
use crate::figures::{Figures, Metric, Row};
use crate::goals::goals;
use crate::machine::Machine;
use crate::plan::{
    CEILING_1K, CEILING_100B, CEILING_IDEMPOTENT, COMMITS, CONSUME, CREATE_BATCH, CREATE_SINGLE, IDLE, LATENCY_ALL,
    LATENCY_ONE, MANY_CREATE, MANY_CREATE_FEW, MANY_METADATA, METADATA, PING_PONG, PRODUCE, Plan, START_CLEAN,
    START_EMPTY, START_KILLED, START_TOPICS, SYNC_RATE, WINDOWS,
};
use crate::subject::Subject;

/// The whole report.
pub fn markdown(bench: &Bench, machine: &Machine) -> String {
    let mut out = String::new();
    head(&mut out, bench, machine);
    tables(&mut out, &bench.figures);
    goal_table(&mut out, &bench.figures);
    faults(&mut out, &bench.figures);
    out
}

/// A part of a page that a run may replace, between two lines that the page keeps.
#[derive(Clone, Copy)]
pub enum Part {
    Benchmarks,
    FirstRecord,
}

impl Part {
    fn lines(self) -> (&'static str, &'static str) {
        match self {
            Part::Benchmarks => ("<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"),
            Part::FirstRecord => ("<!-- first record: begin -->", "<!-- first record: end -->"),
        }
    }
}

/// The text to write to a file that holds `page` now: `report` between the page's two marker lines, and everything
/// around them as it was; `report` alone if the page does not have both.
pub fn placed(page: &str, part: Part, report: &str) -> String {
    let (begin, end) = part.lines();
    let between = page.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    match between {
        Some((before, after)) => format!("{before}{begin}\n{}\n{end}{after}", report.trim_end()),
        None => report.to_owned(),
    }
}

/// Writing to a `String` cannot fail; this keeps the calls short.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($text:tt)*) => {{ let _ = writeln!($out, $($text)*); }};
}

/// What stands above the first-record table.
pub fn first_record_head(machine: &Machine, rounds: u32) -> String {
    let Machine { date, commit, hardware, .. } = machine;
    format!(
        "## First record, {date}\n\n- Commit {commit}; command: `cargo xtask bench first-record`; {hardware}\n\
         - Milliseconds from the start of the broker's process on an empty directory until a client, whose own start is \
         excluded, has produced a record to a topic that did not exist and read it back through a new group, with its \
         own defaults. Medians of {rounds} (least..most).\n"
    )
}

fn head(out: &mut String, bench: &Bench, machine: &Machine) {
    let Plan { rounds, warm_ups, messages_100b, messages_1k, .. } = bench.plan;
    line!(out, "## Benchmarks, {}", machine.date);
    line!(out);
    line!(out, "- Commit {}; command: `{}`", machine.commit, machine.command);
    line!(out, "- {}; load before the run {}", machine.hardware, machine.load);
    for version in bench.tools.versions(&bench.brokers) {
        line!(out, "- {version}");
    }
    line!(
        out,
        "- Medians of {rounds} round{} (least..most), after {warm_ups} that did not count; {messages_100b} messages of \
         100 B or {messages_1k} of 1 KiB a produce run; `linger.ms=5`, else librdkafka's defaults. One client, one \
         broker, one machine: client and broker share its cores.",
        if rounds == 1 { "" } else { "s" }
    );
    line!(
        out,
        "- Every produce and closed-loop row was read back from its first offset: the number of records, their bytes \
         and gapless order must be what was acknowledged, or there is no figure. chronik-sync and kafka-flush \
         (`flush.messages=1`) acknowledge what is synced to disk, chronik-async and kafka what is in the page cache, \
         tansu what is in its memory."
    );
    line!(
        out,
        "- librdkafka waits a fixed 500 ms before an idempotent producer's first message, whatever the broker: it is \
         within the idempotent rows, and the client's own ceiling shows it. A consumer's first message is taken with \
         the leaders known, for otherwise the same wait would be all it shows."
    );
    line!(
        out,
        "- `start` and `topics` used {} topics, `many` {}, `partitions` {} topics of {} partitions.",
        bench.plan.topics,
        bench.plan.many_topics,
        bench.plan.partition_topics,
        bench.plan.partitions_each
    );
}

fn tables(out: &mut String, figures: &Figures) {
    use Metric::{
        BrokerCpu, BrokerSeconds, ClientCpu, E2eP50, E2eP99, First, FirstAck, IdleCpu, Megabytes, P50, P99, Rate,
        Ready, Rss, RssEach,
    };
    let produce = PRODUCE.map(|row| row.name);
    let windows = WINDOWS.map(|row| row.name);
    table(out, figures, "Produce", &produce, &[Rate, Megabytes, BrokerCpu, ClientCpu, Rss]);
    table(out, figures, "Consume", &CONSUME, &[Rate, Megabytes, BrokerCpu, ClientCpu, First]);
    table(out, figures, "Latency", &[LATENCY_ONE, LATENCY_ALL], &[P50, P99, E2eP50, E2eP99, BrokerSeconds]);
    table(out, figures, "Closed loop", &windows, &[Rate, P50, P99, BrokerCpu]);
    table(out, figures, "Offset commits", &COMMITS.map(|row| row.name), &[Rate, P50, P99, BrokerCpu]);
    table(out, figures, "Idle", &[IDLE], &[Rss, IdleCpu]);
    let starts = [START_EMPTY, START_TOPICS, START_CLEAN, START_KILLED];
    table(out, figures, "Start", &starts, &[Ready, FirstAck, Rss]);
    let topics = [CREATE_SINGLE, CREATE_BATCH, METADATA, MANY_CREATE_FEW, MANY_CREATE, MANY_METADATA];
    table(out, figures, "Topics", &topics, &[Rate, P50, P99, RssEach]);
    let limits = [SYNC_RATE, PING_PONG, CEILING_100B, CEILING_IDEMPOTENT, CEILING_1K];
    table(out, figures, "The machine and the client alone", &limits, &[Rate, Megabytes, ClientCpu, P50, P99]);
}

/// A table of the rows that have figures; nothing at all if none has.
fn table(out: &mut String, figures: &Figures, title: &str, rows: &[Row], metrics: &[Metric]) {
    let mut lines = String::new();
    for row in rows {
        for subject in Subject::ALL {
            let cells: Vec<String> = metrics.iter().map(|metric| cell(figures, row, subject, *metric)).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                line!(lines, "| {row} | {subject} | {} |", cells.join(" | "));
            }
        }
    }
    if lines.is_empty() {
        return;
    }
    let headings: Vec<&str> = metrics.iter().map(|metric| metric.heading()).collect();
    line!(out, "\n### {title}\n");
    line!(out, "| row | subject | {} |", headings.join(" | "));
    line!(out, "| --- | --- |{}", " --- |".repeat(metrics.len()));
    out.push_str(&lines);
}

fn cell(figures: &Figures, row: Row, subject: Subject, metric: Metric) -> String {
    match figures.summary(row, subject, metric) {
        None => String::new(),
        Some(found) if found.samples == 1 => short(found.median),
        Some(found) => format!("{} ({}..{})", short(found.median), short(found.least), short(found.most)),
    }
}

/// Three significant digits, thousands set apart.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        return thousands(value);
    }
    let digits = if magnitude >= 100.0 {
        0
    } else if magnitude >= 10.0 {
        1
    } else if magnitude >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |rest| ("-", rest));
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}")
}

fn goal_table(out: &mut String, figures: &Figures) {
    let mut lines = String::new();
    let (mut decided, mut missed) = (0, 0);
    for goal in goals() {
        let verdicts = Subject::OURS.map(|ours| goal.verdict(figures, ours));
        if verdicts.iter().all(Option::is_none) {
            continue;
        }
        let cells = verdicts.map(|verdict| {
            let Some(verdict) = verdict else { return String::new() };
            decided += 1;
            missed += u32::from(!verdict.kept);
            format!("{} {}", short(verdict.value), if verdict.kept { "pass" } else { "**miss**" })
        });
        line!(lines, "| {} | {} | {} |", goal.what(), goal.bound(), cells.join(" | "));
    }
    if lines.is_empty() {
        return;
    }
    line!(out, "\n### Goals\n");
    line!(out, "Ratios of medians. {missed} of {decided} are missed.\n");
    line!(out, "| goal | bound | chronik-sync | chronik-async |\n| --- | --- | --- | --- |");
    out.push_str(&lines);
}

fn faults(out: &mut String, figures: &Figures) {
    line!(out, "\n### Measurements without a figure\n");
    if figures.faults().is_empty() {
        line!(out, "None: every record that was acknowledged was read back.");
    }
    for fault in figures.faults() {
        line!(out, "- {}", fault.replace('\n', " "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_only_what_is_between_the_markers() {
        let part = Part::Benchmarks;
        let (begin, end) = part.lines();
        let page = format!("# Results\n\n{begin}\nold\n{end}\n\n## Other\n");
        let text = placed(&page, part, "new\n");
        assert_eq!(text, format!("# Results\n\n{begin}\nnew\n{end}\n\n## Other\n"));
        assert_eq!(placed(&text, part, "new\n"), text);
        assert_eq!(placed("no markers", part, "new\n"), "new\n");
        assert_eq!(placed(&format!("{end}{begin}"), part, "new\n"), "new\n");
    }

    #[test]
    fn numbers_are_short_and_readable() {
        let cases = [(0.1234, "0.123"), (1.236, "1.24"), (12.34, "12.3"), (123.4, "123"), (1_234_567.8, "1,234,568")];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!(short(-1234.0), "-1,234");
    }

    #[test]
    fn a_table_has_a_line_a_subject_with_figures_and_no_other() {
        let mut figures = Figures::default();
        for value in [1.0, 3.0, 2.0] {
            figures.add(IDLE, Subject::Tansu, Metric::Rss, value);
        }
        let mut out = String::new();
        table(&mut out, &figures, "Idle", &[IDLE, START_EMPTY], &[Metric::Rss, Metric::IdleCpu]);
        let expected = format!(
            "\n### Idle\n\n| row | subject | RSS MB | broker CPU % |\n| --- | --- | --- | --- |\n\
             | {IDLE} | tansu | 2.00 (1.00..3.00) |  |\n"
        );
        assert_eq!(out, expected);
    }

    #[test]
    fn goals_are_counted_and_misses_stand_out() {
        let mut figures = Figures::default();
        figures.add(START_EMPTY, Subject::ChronikSync, Metric::FirstAck, 250.0);
        figures.add(START_EMPTY, Subject::ChronikAsync, Metric::FirstAck, 50.0);
        let mut out = String::new();
        goal_table(&mut out, &figures);
        assert!(out.contains("1 of 2 are missed"), "{out}");
        assert!(out.contains("| ≤ 100 | 250 **miss** | 50.0 pass |"), "{out}");
    }
}
