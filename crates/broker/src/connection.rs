//! One client connection: frames in, responses out in the order of their requests.
//!
//! A connection is one task. Requests wait in a queue whose front is driven to completion; a produce begins at once when only
//! begun produces are before it, so that pipelined produces share a sync.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use chronik_env::block::BlockPool;
use chronik_env::net::{BoxFuture, Stream};
use chronik_protocol::frame::{self, Frame, ResponseFrame};
use tokio::time::{Instant, Sleep};
use tracing::{debug, info, warn};

use crate::api::{self, Handled, Reply};
use crate::broker::Broker;
use crate::input::{Input, InputError, Read};

/// Bytes of requests of one connection that may wait for their answer before no more are begun.
const MAX_PENDING_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of responses waiting for the peer to read them, above which no more requests are begun.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;
/// The same for small answers, in frames.
const MAX_UNREAD_FRAMES: usize = 1024;
/// How long a frame may stop in its middle while the memory for requests is used up.
const STALLED: Duration = Duration::from_secs(10);
/// The most slices one write hands to the kernel.
const MAX_SLICES: usize = 64;

/// Where a request came from.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    /// The address of ours that the client reached.
    pub(crate) local: SocketAddr,
    /// The index of the listener in the configuration.
    pub(crate) listener: usize,
    /// Unique among the connections of this broker's life.
    pub(crate) connection_id: u64,
}

/// Why a connection ended.
enum Ended {
    ByPeer,
    Idle,
    ShuttingDown,
    /// Something the peer did; the text names it.
    Refused(String),
    Failed(io::Error),
}

struct Pending {
    answer: Answer,
    /// Of the request, on the wire.
    bytes: usize,
    /// A produce that has begun: later produces may begin before it is answered.
    pipelines: bool,
}

enum Answer {
    Ready(Handled),
    Running(BoxFuture<'static, Handled>),
}

impl Pending {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Answer::Running(future) = &mut self.answer {
            match future.as_mut().poll(cx) {
                Poll::Ready(handled) => self.answer = Answer::Ready(handled),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

struct Connection {
    broker: Arc<Broker>,
    origin: Origin,
    stream: Box<dyn Stream>,
    input: Input,
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    /// Frames read and not yet begun.
    waiting: VecDeque<Bytes>,
    /// Bytes in `waiting`.
    waiting_bytes: usize,
    /// Bytes of requests that are counted as held.
    held_bytes: usize,
    output: VecDeque<ResponseFrame>,
    /// Bytes in `output`.
    unread_bytes: usize,
    /// Why no more can be read; the requests before it are still answered.
    malformed: Option<String>,
    /// Set by a reply that ends the connection; what is in `output` goes out first.
    closing: Option<String>,
    /// Whether the client was read from when last looked at, as far as it had something to say.
    reading: bool,
    /// Until then nothing more is read or begun: the client is above a quota.
    mute: Option<Pin<Box<Sleep>>>,
    idle: Pin<Box<Sleep>>,
    last_activity: Instant,
    idle_timeout: Duration,
}

/// Serves one connection until it ends.
pub(crate) async fn serve(broker: Arc<Broker>, stream: Box<dyn Stream>, origin: Origin, pool: BlockPool) {
    let idle_timeout = broker.connections_max_idle();
    let mut connection = Connection {
        input: Input::new(pool, broker.max_request_bytes()),
        stream,
        pending: VecDeque::new(),
        pending_bytes: 0,
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        held_bytes: 0,
        output: VecDeque::new(),
        unread_bytes: 0,
        malformed: None,
        closing: None,
        reading: true,
        mute: None,
        idle: Box::pin(tokio::time::sleep(idle_timeout)),
        last_activity: Instant::now(),
        idle_timeout,
        origin,
        broker,
    };
    let mut stop = connection.broker.stopping();
    let ended = tokio::select! {
        biased;
        ended = poll_fn(|cx| connection.poll(cx)) => ended,
        () = stop.wait() => Ended::ShuttingDown,
    };
    let peer = connection.origin.peer;
    match ended {
        Ended::ByPeer | Ended::ShuttingDown => debug!(%peer, "connection closed"),
        Ended::Idle => {
            info!(%peer, "connection closed: idle for connections.max.idle.ms={}", connection.idle_timeout.as_millis())
        }
        Ended::Refused(reason) => warn!(%peer, "connection closed: {reason}"),
        Ended::Failed(e) => debug!(%peer, "connection lost: {e}"),
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.broker.unread_bytes().fetch_sub(self.unread_bytes, Ordering::Relaxed);
        self.broker.request_memory().forget(self.origin.connection_id, self.held_bytes);
    }
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let mut progress = self.poll_answers(cx);
            progress |= self.poll_mute(cx);
            match self.poll_write(cx) {
                Ok(wrote) => progress |= wrote,
                Err(e) => return Poll::Ready(Ended::Failed(e)),
            }
            if self.output.is_empty()
                && let Some(reason) = self.closing.take()
            {
                return Poll::Ready(Ended::Refused(reason));
            }
            progress |= self.begin_waiting(cx);
            self.account();
            let reading = if self.may_read() {
                self.has_memory(cx)
            } else {
                // Its frame does not go on now: others take their turn.
                self.broker.request_memory().step_aside(self.origin.connection_id);
                false
            };
            if reading && !self.reading {
                // A client that was not listened to was not silent.
                self.last_activity = Instant::now();
            }
            self.reading = reading;
            if reading {
                match self.input.poll_fill(cx, &mut *self.stream) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(Read::End)) => return Poll::Ready(Ended::ByPeer),
                    Poll::Ready(Ok(Read::Some)) => {
                        progress = true;
                        self.last_activity = Instant::now();
                        let (waiting, waiting_bytes) = (&mut self.waiting, &mut self.waiting_bytes);
                        let taken = self.input.frames(|frame| {
                            *waiting_bytes += frame.len();
                            waiting.push_back(frame);
                        });
                        if let Err(e) = taken {
                            self.malformed = Some(e.to_string());
                        }
                        self.account();
                        if self.input.is_inside_large_frame() {
                            self.idle.as_mut().reset(self.last_activity + STALLED.min(self.idle_timeout));
                        }
                    }
                    Poll::Ready(Err(InputError::Io(e))) => return Poll::Ready(Ended::Failed(e)),
                    Poll::Ready(Err(e)) => {
                        progress = true;
                        self.malformed = Some(e.to_string());
                    }
                }
            }
            if !progress {
                return self.poll_idle(cx);
            }
        }
    }

    /// Counts what is held now.
    fn account(&mut self) {
        let held = self.pending_bytes + self.waiting_bytes + self.input.held();
        if held != self.held_bytes {
            self.broker.request_memory().change(self.held_bytes, held);
            self.held_bytes = held;
        }
    }

    /// Whether there is memory for more bytes.
    fn has_memory(&self, cx: &Context<'_>) -> bool {
        let inside = self.input.is_inside_large_frame();
        self.broker.request_memory().has_room(self.origin.connection_id, inside, cx)
    }

    fn may_read(&self) -> bool {
        self.closing.is_none() && self.malformed.is_none() && self.waiting.is_empty() && self.may_begin()
    }

    fn may_begin(&self) -> bool {
        let room = self.pending_bytes < MAX_PENDING_BYTES && self.pending.len() < self.broker.max_in_flight();
        (room || self.pending.is_empty()) && self.mute.is_none() && self.may_answer()
    }

    /// Whether the peer reads its answers.
    fn may_answer(&self) -> bool {
        self.unread_bytes < MAX_UNREAD_BYTES && self.output.len() < MAX_UNREAD_FRAMES
    }

    /// Moves answers from the front of the queue to the output, as long as the peer reads them.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.closing.is_none()
            && self.may_answer()
            && let Some(front) = self.pending.front_mut()
        {
            if front.poll(cx).is_pending() {
                break;
            }
            progress = true;
            let Some(done) = self.pending.pop_front() else { break };
            self.pending_bytes -= done.bytes;
            let Answer::Ready(handled) = done.answer else { continue };
            if !handled.mute.is_zero() {
                self.mute_for(handled.mute);
            }
            match handled.reply {
                Reply::Response(frame) => {
                    self.unread_bytes += frame.remaining();
                    self.broker.unread_bytes().fetch_add(frame.remaining(), Ordering::Relaxed);
                    self.output.push_back(frame);
                }
                Reply::Close(reason) => {
                    self.closing = Some(reason);
                    self.pending.clear();
                    self.pending_bytes = 0;
                    self.waiting.clear();
                    self.waiting_bytes = 0;
                }
                Reply::Silence => {}
            }
        }
        progress
    }

    fn mute_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        match &mut self.mute {
            Some(mute) if mute.deadline() >= until => {}
            Some(mute) => mute.as_mut().reset(until),
            None => self.mute = Some(Box::pin(tokio::time::sleep_until(until))),
        }
    }

    /// Whether the client may speak again.
    fn poll_mute(&mut self, cx: &mut Context<'_>) -> bool {
        let over = self.mute.as_mut().is_some_and(|mute| mute.as_mut().poll(cx).is_ready());
        if over {
            self.mute = None;
            self.last_activity = Instant::now();
        }
        over
    }

    /// Begins the frames that have arrived.
    fn begin_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.closing.is_none()
            && self.may_begin()
            && let Some(bytes) = self.waiting.pop_front()
        {
            progress = true;
            self.waiting_bytes -= bytes.len();
            self.begin(bytes, cx);
        }
        if self.closing.is_none()
            && self.waiting.is_empty()
            && self.pending.is_empty()
            && let Some(reason) = self.malformed.take()
        {
            progress = true;
            self.closing = Some(reason);
        }
        progress
    }

    fn begin(&mut self, bytes: Bytes, cx: &mut Context<'_>) {
        let size = bytes.len();
        let mut pending = match frame::parse_request(bytes) {
            Ok(Frame::Request(request)) => {
                let (header, body) = *request;
                let pipelines = api::pipelines(&body) && self.pending.iter().all(|p| p.pipelines);
                let future = api::handle(self.broker.clone(), self.origin.clone(), header, body);
                Pending { answer: Answer::Running(future), bytes: size, pipelines }
            }
            Ok(Frame::NewerApiVersions { correlation_id }) => Pending {
                answer: Answer::Ready(api::newer_api_versions(correlation_id).into()),
                bytes: size,
                pipelines: false,
            },
            // Answers to what came before it still go out.
            Err(e) => {
                Pending { answer: Answer::Ready(Reply::Close(e.to_string()).into()), bytes: size, pipelines: false }
            }
        };
        if pending.pipelines {
            // Appends now; the answer is taken when it comes to the front.
            let _ = pending.poll(cx);
        }
        self.pending_bytes += size;
        self.pending.push_back(pending);
    }

    /// Writes as much as the peer takes.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut wrote = false;
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for frame in &self.output {
                count += frame.chunks_vectored(&mut slices[count..]);
                if count == MAX_SLICES {
                    break;
                }
            }
            let n = match Pin::new(&mut *self.stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(result) => result?,
            };
            wrote = true;
            self.last_activity = Instant::now();
            self.advance_output(n);
        }
        if wrote && let Poll::Ready(Err(e)) = Pin::new(&mut *self.stream).poll_flush(cx) {
            return Err(e);
        }
        Ok(wrote)
    }

    fn advance_output(&mut self, mut written: usize) {
        self.unread_bytes -= written;
        self.broker.unread_bytes().fetch_sub(written, Ordering::Relaxed);
        while let Some(frame) = self.output.front_mut() {
            let step = written.min(frame.remaining());
            frame.advance(step);
            written -= step;
            if frame.has_remaining() {
                break;
            }
            self.output.pop_front();
        }
    }

    /// Ends a connection that neither sent nor read anything for too long and either waits for nothing or does not read its answers.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while self.idle.as_mut().poll(cx).is_ready() {
            let deadline = self.last_activity + self.idle_timeout;
            // Not of one that waits for its turn.
            if (self.reading || !self.may_answer())
                && self.input.is_inside_large_frame()
                && self.last_activity + STALLED <= Instant::now()
                && self.broker.request_memory().is_exhausted()
            {
                let why = "a frame stopped in its middle, or answers are not read, while others wait for queued.max.request.bytes";
                return Poll::Ready(Ended::Refused(why.into()));
            }
            if deadline <= Instant::now() && (self.pending.is_empty() || !self.output.is_empty()) {
                return Poll::Ready(Ended::Idle);
            }
            self.idle
                .as_mut()
                .reset(deadline.max(Instant::now() + (self.idle_timeout / 10).max(Duration::from_millis(1))));
        }
        Poll::Pending
    }
}
