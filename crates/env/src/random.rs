//! Chance, from the operating system or from a seed.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use uuid::Uuid;

/// A shared generator. Equal seeds and equal calls give equal numbers.
#[derive(Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    pub fn from_seed(seed: u64) -> Self {
        Random(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Random(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    pub fn next_u64(&self) -> u64 {
        self.0.lock().next_u64()
    }

    /// A random (version 4) UUID, never one of Kafka's reserved ids (all zero, zero and one) nor one whose base64 form starts with a dash.
    pub fn uuid(&self) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            self.0.lock().fill_bytes(&mut bytes);
            let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
            // 0xf8..=0xfb in the first byte is the base64 digit '-', which tools would take for a flag.
            if id.as_bytes()[0] & 0xfc != 0xf8 {
                return id;
            }
        }
    }
}
