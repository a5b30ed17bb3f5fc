//! `chronik consume`: records to standard output, read from partitions or as a member of a group.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use chronik_client::{
    Client, ClientError, FetchLimits, FetchedRecord, Fetcher, GroupMember, GroupOptions, Isolation, OffsetSpec,
};
use chronik_env::real;
use chronik_protocol::error::ErrorCode;
use clap::Args as ClapArgs;
use tokio::time::Instant;

use crate::common::Common;
use crate::failure::Failure;
use crate::format::{self, Format};
use crate::moment;
use crate::report::Output;
use crate::topic::partitions_of;

/// Commits of a group's offsets come this often.
const COMMIT_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[arg(required = true, value_name = "TOPIC[:PARTITION]")]
    topics: Vec<String>,
    /// Only this partition
    #[arg(short, long)]
    partition: Option<i32>,
    /// How a record is printed: %t topic, %p partition, %o offset, %k key, %s value, %K %S their lengths, %T time,
    /// %h headers, \n \t
    #[arg(short, long, default_value = "%s\\n", value_parser = Format::parse, conflicts_with = "json")]
    format: Format,
    /// Print a line of JSON for each record, as --output json
    #[arg(short = 'J', long)]
    json: bool,
    /// Read as a member of a group, and commit what was read
    #[arg(short, long, conflicts_with = "partition")]
    group: Option<String>,
    /// Where to begin: beginning, end, OFFSET, -COUNT before the end, @TIME. A group begins there only where it has
    /// committed nothing
    #[arg(short = 'o', long, default_value = "beginning", value_parser = Begin::parse, allow_hyphen_values = true)]
    from: Begin,
    /// End after so many records
    #[arg(short = 'c', long)]
    count: Option<u64>,
    /// End when all there was at the beginning has been read
    #[arg(short = 'e', long)]
    exit_at_end: bool,
    /// End when nothing came for so long
    #[arg(long, value_name = "DURATION", value_parser = crate::common::duration)]
    idle: Option<Duration>,
    /// Show records of transactions that are open or were aborted, too
    #[arg(long)]
    uncommitted: bool,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Beginning,
    End,
    Offset(i64),
    /// So many before the end.
    Last(i64),
    Time(i64),
}

impl Begin {
    /// Whether it is one of the ends of the log, wherever that is.
    fn is_an_end(self) -> bool {
        matches!(self, Begin::Beginning | Begin::End)
    }

    pub fn parse(text: &str) -> Result<Begin, String> {
        match text {
            "beginning" | "earliest" => Ok(Begin::Beginning),
            "end" | "latest" => Ok(Begin::End),
            _ => {
                if let Some(time) = text.strip_prefix('@') {
                    return moment::parse(time).map(Begin::Time);
                }
                let expected = || format!("{text:?} is none of beginning, end, OFFSET, -COUNT, @TIME");
                match text.strip_prefix('-') {
                    Some(count) => count.parse().ok().filter(|c| *c >= 0).map(Begin::Last).ok_or_else(expected),
                    None => text.parse().ok().filter(|o| *o >= 0).map(Begin::Offset).ok_or_else(expected),
                }
            }
        }
    }
}

/// What is read, from where and until when.
pub struct Plan {
    pub from: Begin,
    pub count: Option<u64>,
    pub exit_at_end: bool,
    pub idle: Option<Duration>,
    pub isolation: Isolation,
}

/// Prints one record.
pub type Printer<'p> = dyn FnMut(&mut dyn Write, &str, i32, &FetchedRecord) -> io::Result<()> + 'p;

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.common.client()?;
    let plan = Plan {
        from: args.from,
        count: args.count,
        exit_at_end: args.exit_at_end,
        idle: args.idle,
        isolation: if args.uncommitted { Isolation::ReadUncommitted } else { Isolation::ReadCommitted },
    };
    let as_json = args.json || args.common.output == Output::Json;
    let format = args.format;
    let mut print = move |mut out: &mut dyn Write, topic: &str, partition: i32, record: &FetchedRecord| match as_json {
        true => writeln!(out, "{}", format::json(topic, partition, record)),
        false => format.write(&mut out, topic, partition, record),
    };
    match args.group {
        Some(group) => {
            if args.topics.iter().any(|topic| topic.contains(':')) {
                return Err(Failure::Usage("a group reads whole topics, not TOPIC:PARTITION".into()));
            }
            read_as_group(&mut client, GroupOptions::new(group, args.topics), &plan, &mut print).await.map(drop)
        }
        None => {
            let topics = match args.partition {
                Some(partition) => args.topics.iter().map(|topic| format!("{topic}:{partition}")).collect(),
                None => args.topics,
            };
            let (partitions, missing) = partitions_of(&mut client, &topics).await?;
            if let Some((topic, e)) = missing.into_iter().next() {
                return Err(Failure::Failed(format!("topic {topic}: {e}")));
            }
            read_partitions(&mut client, &partitions, &plan, &mut print).await.map(drop)
        }
    }
}

/// Reads until the plan or a signal says so. Returns how many records were printed.
pub async fn read_partitions(
    client: &mut Client,
    partitions: &[(String, i32)],
    plan: &Plan,
    print: &mut Printer<'_>,
) -> Result<u64, Failure> {
    let mut reader = Reader::new(client, plan);
    for (topic, partition, offset) in reader.starts(partitions).await? {
        reader.fetcher.seek(&topic, partition, offset);
    }
    reader.note_ends(partitions).await?;
    let stop = real::stop_signal();
    tokio::pin!(stop);
    while !reader.is_done() {
        tokio::select! {
            read = reader.step(print) => read?,
            _ = &mut stop => break,
        }
    }
    Ok(reader.printed)
}

/// As [`read_partitions`], as a member of a group: what was printed is committed.
pub async fn read_as_group(
    client: &mut Client,
    options: GroupOptions,
    plan: &Plan,
    print: &mut Printer<'_>,
) -> Result<u64, Failure> {
    let mut member = GroupMember::join(client, options).await?;
    let mut reader = Reader::new(client, plan);
    let read = read_while_member(&mut reader, &mut member, print).await;
    // However it ended: what was printed is not to be printed again, and others need not wait for the session to end.
    let committed = reader.commit(&mut member).await;
    let printed = reader.printed;
    let left = member.leave(client).await;
    read?;
    committed?;
    left?;
    Ok(printed)
}

async fn read_while_member(
    reader: &mut Reader<'_>,
    member: &mut GroupMember,
    print: &mut Printer<'_>,
) -> Result<(), Failure> {
    reader.take_over(member).await?;
    let stop = real::stop_signal();
    tokio::pin!(stop);
    let mut committed = Instant::now();
    while !reader.is_done() {
        tokio::select! {
            read = reader.step(print) => read?,
            _ = &mut stop => {
                // The request under way is never answered on a connection of use.
                reader.client.disconnect();
                break;
            }
        }
        if committed.elapsed() >= COMMIT_EVERY {
            committed = Instant::now();
            reader.commit(member).await?;
        }
        if member.heartbeat(reader.client).await? {
            // The coordinator may be gone: what is not committed is read again by whoever gets the partition.
            if let Err(failure) = reader.commit(member).await {
                eprintln!("chronik: the offsets are not committed: {failure}");
            }
            member.rejoin(reader.client).await?;
            reader.fetcher.clear();
            reader.take_over(member).await?;
        }
    }
    Ok(())
}

struct Reader<'a> {
    client: &'a mut Client,
    plan: &'a Plan,
    fetcher: Fetcher,
    /// Where reading ends, where it does.
    ends: Vec<(String, i32, i64)>,
    printed: u64,
    last: Instant,
    /// Next offsets of what was printed; what was fetched and not printed is not committed.
    done: Vec<(String, i32, i64)>,
}

impl<'a> Reader<'a> {
    fn new(client: &'a mut Client, plan: &'a Plan) -> Self {
        let fetcher = Fetcher::new(plan.isolation, FetchLimits::default());
        Reader { client, plan, fetcher, ends: Vec::new(), printed: 0, last: Instant::now(), done: Vec::new() }
    }

    /// Where each partition is begun.
    async fn starts(&mut self, partitions: &[(String, i32)]) -> Result<Vec<(String, i32, i64)>, Failure> {
        let spec = match self.plan.from {
            Begin::Offset(offset) => {
                for (topic, partition, end) in self.offsets(partitions, OffsetSpec::Latest).await? {
                    if offset > end {
                        let place = format!("{topic} partition {partition}");
                        return Err(Failure::Failed(format!("{place}: offset {offset} lies beyond the end, {end}")));
                    }
                }
                return Ok(partitions.iter().map(|(topic, p)| (topic.clone(), *p, offset)).collect());
            }
            Begin::Beginning => OffsetSpec::Earliest,
            Begin::End | Begin::Last(_) => OffsetSpec::Latest,
            Begin::Time(timestamp_ms) => OffsetSpec::At(timestamp_ms),
        };
        let mut starts = self.offsets(partitions, spec).await?;
        if let Begin::Last(count) = self.plan.from {
            let first = self.offsets(partitions, OffsetSpec::Earliest).await?;
            for (start, first) in starts.iter_mut().zip(first) {
                start.2 = (start.2 - count).max(first.2);
            }
        }
        // Nothing is that young.
        if starts.iter().any(|start| start.2 < 0) {
            let ends = self.offsets(partitions, OffsetSpec::Latest).await?;
            for (start, end) in starts.iter_mut().zip(ends) {
                if start.2 < 0 {
                    start.2 = end.2;
                }
            }
        }
        Ok(starts)
    }

    async fn offsets(
        &mut self,
        partitions: &[(String, i32)],
        spec: OffsetSpec,
    ) -> Result<Vec<(String, i32, i64)>, Failure> {
        let asked: Vec<_> = partitions.iter().map(|(topic, p)| (topic.clone(), *p, spec)).collect();
        let mut found = Vec::new();
        for (topic, partition, offset) in self.client.list_offsets(&asked, self.plan.isolation).await? {
            match offset {
                Ok(offset) => found.push((topic, partition, offset)),
                Err(e) => return Err(Failure::Failed(format!("{topic} partition {partition}: {e}"))),
            }
        }
        Ok(found)
    }

    async fn note_ends(&mut self, partitions: &[(String, i32)]) -> Result<(), Failure> {
        if self.plan.exit_at_end {
            self.ends = self.offsets(partitions, OffsetSpec::Latest).await?;
        }
        Ok(())
    }

    /// Begins with what a group has been given: where it has committed, else where the plan says.
    async fn take_over(&mut self, member: &mut GroupMember) -> Result<(), Failure> {
        let assigned = member.assignment().to_vec();
        let committed = self.client.committed_offsets(member.group(), Some(&assigned)).await?;
        let known = |topic: &str, partition: i32| {
            let found = committed.iter().find(|c| c.topic == topic && c.partition == partition);
            found.map(|c| c.offset).filter(|offset| *offset >= 0)
        };
        let fresh: Vec<_> = assigned.iter().filter(|(topic, p)| known(topic, *p).is_none()).cloned().collect();
        let starts = if fresh.is_empty() { Vec::new() } else { self.starts(&fresh).await? };
        for (topic, partition, offset) in starts {
            self.fetcher.seek(&topic, partition, offset);
        }
        for (topic, partition) in &assigned {
            if let Some(offset) = known(topic, *partition) {
                self.fetcher.seek(topic, *partition, offset);
            }
        }
        self.done = self.fetcher.positions().iter().map(|((topic, p), offset)| (topic.clone(), *p, *offset)).collect();
        self.note_ends(&assigned).await
    }

    fn is_done(&self) -> bool {
        let counted = self.plan.count.is_some_and(|count| self.printed >= count);
        let idle = self.plan.idle.is_some_and(|idle| self.last.elapsed() >= idle);
        let position = |topic: &str, partition: i32| {
            self.fetcher.positions().get(&(topic.to_owned(), partition)).copied().unwrap_or(i64::MAX)
        };
        let ended = self.plan.exit_at_end && self.ends.iter().all(|(topic, p, end)| position(topic, *p) >= *end);
        counted || idle || ended
    }

    /// One fetch, printed.
    async fn step(&mut self, print: &mut Printer<'_>) -> Result<(), Failure> {
        if self.fetcher.positions().is_empty() {
            // A member without partitions waits to be given some.
            tokio::time::sleep(self.fetcher.limits.max_wait).await;
            return Ok(());
        }
        let fetched = self.fetcher.poll(self.client).await?;
        let mut out = BufWriter::new(io::stdout().lock());
        let (mut printed, mut read_to, mut lost) = (0, Vec::new(), Vec::new());
        for part in fetched {
            let records = match part.result {
                Ok(records) => records,
                // As every consumer: what retention has taken is passed over.
                Err(e) if e.is(ErrorCode::OffsetOutOfRange) && self.plan.from.is_an_end() => {
                    lost.push((part.topic, part.partition));
                    continue;
                }
                Err(e) if e.is(ErrorCode::OffsetOutOfRange) => {
                    let place = format!("{} partition {}", part.topic, part.partition);
                    return Err(Failure::Failed(format!("{place}: the log does not reach there: {e}")));
                }
                Err(e) => return Err(ClientError::from(e).into()),
            };
            for record in records {
                if self.plan.count.is_some_and(|count| self.printed + printed >= count) {
                    break;
                }
                print(&mut out, &part.topic, part.partition, &record)?;
                printed += 1;
                read_to.push((part.topic.clone(), part.partition, record.offset + 1));
            }
        }
        out.flush()?;
        drop(out);
        if printed > 0 {
            self.printed += printed;
            self.last = Instant::now();
        }
        for (topic, partition, next) in read_to {
            match self.done.iter_mut().find(|(t, p, _)| *t == topic && *p == partition) {
                Some(done) => done.2 = next,
                None => self.done.push((topic, partition, next)),
            }
        }
        if !lost.is_empty() {
            for (topic, partition, offset) in self.starts(&lost).await? {
                eprintln!(
                    "chronik: {topic} partition {partition}: the log does not reach where reading was; goes on at {offset}"
                );
                self.fetcher.seek(&topic, partition, offset);
            }
        }
        Ok(())
    }

    async fn commit(&mut self, member: &mut GroupMember) -> Result<(), Failure> {
        for (topic, partition, result) in member.commit(self.client, &self.done).await? {
            if let Err(e) = result {
                eprintln!("chronik: {topic} partition {partition}: the offset is not committed: {e}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_named_in_many_ways() {
        for (text, from) in [
            ("beginning", Begin::Beginning),
            ("end", Begin::End),
            ("7", Begin::Offset(7)),
            ("-7", Begin::Last(7)),
            ("@1700000000000", Begin::Time(1_700_000_000_000)),
        ] {
            assert_eq!(Begin::parse(text), Ok(from));
        }
        for bad in ["", "x", "@", "@soon", "--7", "1.5"] {
            assert!(Begin::parse(bad).is_err(), "{bad}");
        }
    }
}
