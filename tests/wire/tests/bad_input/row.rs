//! A row of the table: hostile bytes, and the answer they deserve.

use std::fmt;
use std::time::Duration;

use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::conn::{Conn, WireError, body_of, request};
use chronik_wire_tests::requests::API_VERSIONS;
use chronik_wire_tests::responses::error_codes;

/// How long an answer is awaited that nobody asks for.
const BRIEFLY: Duration = Duration::from_secs(1);
/// How soon a refused peer must be named in the log.
const LOGGED_WITHIN: Duration = Duration::from_secs(5);
const CORRELATION: i32 = 77;

type Script = Box<dyn Fn(&Broker) -> Result<(), Mismatch>>;

/// What is done to the broker.
pub enum Act {
    /// Bytes as they are; the broker is expected to react.
    Bytes(Vec<u8>),
    /// Bytes as they are, after which this side closes.
    HangUp(Vec<u8>),
    /// A framed request whose answer is read wholly.
    Call { api: i16, version: i16, framed: Vec<u8> },
    /// Anything that takes more than one step. Reports what was seen instead of what was wanted.
    Script(Script),
}

/// What a script saw.
#[derive(Debug)]
pub enum Mismatch {
    Wire(WireError),
    Saw { wanted: String, got: String },
}

impl<E: Into<WireError>> From<E> for Mismatch {
    fn from(e: E) -> Self {
        Mismatch::Wire(e.into())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Wire(e) => write!(f, "wanted an answer, got: {e}"),
            Mismatch::Saw { wanted, got } => write!(f, "wanted {wanted}, got {got}"),
        }
    }
}

/// Errors unless the two are equal.
pub fn same<T: PartialEq + fmt::Debug>(what: &str, got: T, wanted: T) -> Result<(), Mismatch> {
    if got == wanted {
        return Ok(());
    }
    Err(Mismatch::Saw { wanted: format!("{what} {wanted:?}"), got: format!("{got:?}") })
}

/// The right answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    /// The connection is closed without an answer and the log names the peer.
    Closed,
    /// A well-formed answer with exactly these error codes.
    Codes(Vec<i16>),
    /// A well-formed answer whose only error code is one of these.
    OneOf(&'static [i16]),
    /// A well-formed answer, whatever it says.
    Answer,
    /// Nothing beyond the broker's health afterwards.
    Health,
    /// The row would harm the broker: it is not played.
    Skip,
}

pub struct Row {
    pub name: String,
    pub act: Act,
    pub want: Want,
    /// Apache Kafka's answer where ours is stricter by a documented rule, and why.
    pub kafka: Option<(Want, &'static str)>,
}

/// Raw bytes that must get the connection closed.
pub fn closed(name: impl Into<String>, bytes: Vec<u8>) -> Row {
    Row { name: name.into(), act: Act::Bytes(bytes), want: Want::Closed, kafka: None }
}

/// Raw bytes, then this side leaves.
pub fn hang_up(name: impl Into<String>, bytes: Vec<u8>) -> Row {
    Row { name: name.into(), act: Act::HangUp(bytes), want: Want::Health, kafka: None }
}

/// A request with a right header and the given body.
pub fn call(name: impl Into<String>, api: i16, version: i16, body: &[u8], want: Want) -> Row {
    framed(name, api, version, request(api, version, CORRELATION, body), want)
}

/// A request framed by the caller, its correlation id 77.
pub fn framed(name: impl Into<String>, api: i16, version: i16, framed: Vec<u8>, want: Want) -> Row {
    Row { name: name.into(), act: Act::Call { api, version, framed }, want, kafka: None }
}

pub fn code(code: i16) -> Want {
    Want::Codes(vec![code])
}

pub fn script(name: impl Into<String>, run: impl Fn(&Broker) -> Result<(), Mismatch> + 'static) -> Row {
    Row { name: name.into(), act: Act::Script(Box::new(run)), want: Want::Health, kafka: None }
}

impl Row {
    /// Says what Apache Kafka answers instead, and why ours is stricter.
    pub fn kafka(mut self, want: Want, why: &'static str) -> Row {
        self.kafka = Some((want, why));
        self
    }

    /// Says that Apache Kafka does not survive the row, and how.
    pub fn not_on_kafka(self, why: &'static str) -> Row {
        self.kafka(Want::Skip, why)
    }

    /// Plays the row. `Err` holds what went wrong, for a reader who knows the row's name.
    pub fn play(&self, broker: &Broker) -> Result<(), Mismatch> {
        let want = match &self.kafka {
            Some((theirs, _)) if broker.is_oracle() => theirs,
            _ => &self.want,
        };
        match &self.act {
            _ if *want == Want::Skip => Ok(()),
            Act::Script(run) => run(broker),
            Act::HangUp(bytes) => {
                // The broker may close first; that is an answer too.
                let _ = broker.connect()?.send(bytes);
                Ok(())
            }
            Act::Bytes(bytes) => exchange(broker, bytes, None, want),
            Act::Call { api, version, framed } => exchange(broker, framed, Some((*api, *version)), want),
        }
    }
}

fn exchange(broker: &Broker, bytes: &[u8], call: Option<(i16, i16)>, want: &Want) -> Result<(), Mismatch> {
    let logged = broker.log().len();
    let mut conn = broker.connect()?;
    let peer = conn.local()?.to_string();
    // A refused frame may be cut off while it is still being written.
    let _ = conn.send(bytes);
    if *want == Want::Health {
        conn.patience = BRIEFLY;
    }
    let got = outcome(conn.recv(), call);
    let fits = match (want, &got) {
        (Want::Health, _) => true,
        (Want::Closed, Outcome::Closed) => {
            if broker.logs_within(logged, &peer, LOGGED_WITHIN) {
                return Ok(());
            }
            return Err(Mismatch::Saw { wanted: format!("a log line naming {peer}"), got: "none".into() });
        }
        (Want::Answer, Outcome::Codes(_)) => true,
        (Want::Codes(codes), Outcome::Codes(got)) => codes == got,
        (Want::OneOf(codes), Outcome::Codes(got)) => matches!(got.as_slice(), [one] if codes.contains(one)),
        _ => false,
    };
    if fits { Ok(()) } else { Err(Mismatch::Saw { wanted: format!("{want:?}"), got: format!("{got:?}") }) }
}

#[derive(Debug)]
#[allow(dead_code, reason = "read through Debug when a row fails")]
enum Outcome {
    Closed,
    Codes(Vec<i16>),
    Failed(WireError),
}

fn outcome(received: Result<Vec<u8>, WireError>, call: Option<(i16, i16)>) -> Outcome {
    match (received, call) {
        (Err(WireError::Closed), _) => Outcome::Closed,
        (Err(e), _) => Outcome::Failed(e),
        (Ok(payload), None) => Outcome::Codes(vec![payload.len() as i16]),
        (Ok(payload), Some((api, version))) => {
            let read = body_of(&payload, api, version, CORRELATION).and_then(|body| error_codes(api, version, body));
            read.map_or_else(|e| Outcome::Failed(e.into()), Outcome::Codes)
        }
    }
}

/// An ordinary request on a new connection, to see that the broker still serves.
pub fn is_served(broker: &Broker) -> Result<(), Mismatch> {
    let mut conn = broker.connect()?;
    let body = conn.call(API_VERSIONS, 0, &[])?;
    same("ApiVersions error codes", error_codes(API_VERSIONS, 0, &body)?, vec![0])
}

/// A connection that has proved itself.
pub fn open(broker: &Broker) -> Result<Conn, Mismatch> {
    Ok(broker.connect()?)
}
