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
mod faults;
mod http;
mod lab;
mod leases;
mod plans;
mod redis_doors;
mod shutdown;
mod stats;
