//! The one source of truth: metadata records and their bytes, the image they add up to, and the decisions that make new
//! ones.
//!
//! A write is *decide → records → log → apply → image*: [`Controller::handle`] reads the image of everything appended
//! so far and returns records and a response; [`Image::apply`] is the only code that changes state, on every node, in
//! the same order. Pure: no files, no tasks, no clock, no chance beyond a given seed. Everything iterates in a fixed
//! order, so equal state has equal bytes and an equal hash.

pub mod controller;
pub mod error;
pub mod features;
pub mod hash;
mod ids;
pub mod image;
pub mod placement;
pub mod record;
pub mod request;
pub mod snapshot;

pub use controller::{Controller, Decision};
pub use image::{Image, Partition, Topic};
pub use record::Record;
pub use request::{Request, Response};
