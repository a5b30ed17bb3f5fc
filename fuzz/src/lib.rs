//! What a hostile or damaged input may do to the parts of Chronik that read one: nothing but be refused.
//!
//! One [`Target`] per kind of input. Each runs one input through the code that reads it, checks what must hold of the result, and does so
//! under a budget of memory in proportion to the input. It owns targets, seeds and the mutator of the smoke test; the engine is libFuzzer
//! (`cargo xtask fuzz`) or, without instrumentation, `tests/smoke.rs`. It never ships and opens neither files nor sockets.

pub mod budget;
pub mod mutate;
pub mod targets;

pub use targets::{TARGETS, Target};
