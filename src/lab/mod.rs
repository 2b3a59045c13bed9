//! The lab: drives the endpoints of a service from a process of its own, samples what that costs,
//! and writes a report whose conclusions are computed.
//!
//! ```text
//! plan -> run { target, load, sample } -> RunRecord (run.json)
//!                                            | verdict::analyse   a pure function
//!                                            v
//!                                         Analysis -> report.{html,md}, tables.csv
//! watch { another tool, sample, import } ----^ a RunRecord of a load that the lab did not drive
//! ```
//!
//! It imports [`crate::config`] only. The service is another process, reached over HTTP; samplers
//! use the drivers of the databases directly, on connections of their own.

pub mod base;
pub mod compare;
pub mod doctor;
pub mod histogram;
pub mod load;
pub mod plan;
mod random;
pub mod record;
pub mod report;
pub mod run;
pub mod sample;
pub mod target;
pub mod verdict;
pub mod watch;
