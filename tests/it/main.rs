//! The integration tests: one binary, real servers.
//!
//! [`harness`] starts a private PostgreSQL and a private Redis and services inside this process;
//! the other modules say what must hold.

mod harness;

mod architecture;
mod cache;
mod coded;
mod command;
mod config;
mod contract;
mod doors;
mod faults;
mod http;
mod lab;
mod leases;
mod live;
#[cfg(feature = "mysql")]
mod mysql;
mod plans;
mod redis_doors;
mod shared;
mod shutdown;
mod stats;
mod upkeep;
mod weather;
