//! Producer ids for tests of idempotence.

use std::time::{Duration, Instant};

use crate::conn::{Conn, WireError};
use crate::errors::{COORDINATOR_LOAD_IN_PROGRESS, NONE};
use crate::requests::{INIT_PRODUCER_ID, init_producer_id};
use crate::responses;

/// A fresh producer id, whose epoch is 0. A broker that is still getting its block of ids is asked again.
pub fn new_id(conn: &mut Conn) -> Result<i64, WireError> {
    let deadline = Instant::now() + conn.patience;
    loop {
        let body = conn.call(INIT_PRODUCER_ID, 4, &init_producer_id(4, None, 60_000, (-1, -1)))?;
        match responses::init_producer_id(4, &body)? {
            (NONE, id, 0) => return Ok(id),
            (COORDINATOR_LOAD_IN_PROGRESS, ..) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10))
            }
            (error, ..) => return Err(WireError::Refused(error)),
        }
    }
}
