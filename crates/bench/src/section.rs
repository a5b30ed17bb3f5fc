//! The measurements, a module a section. Each adds its figures to the run and ends every process it started.

pub mod commits;
pub mod latency;
pub mod limits;
pub mod load;
pub mod partitions;
pub mod produce;
pub mod start;
pub mod topics;
pub mod window;
