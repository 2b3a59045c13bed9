//! The integration tests: one binary, real servers.
//!
//! [`harness`] starts a private PostgreSQL and a private Redis and services inside this process;
//! the other modules say what must hold.

mod harness;

mod architecture;
mod auth;
mod breaker;
mod browsers;
mod cache;
#[cfg(all(feature = "mysql", feature = "redis-cluster"))]
mod cluster;
mod coded;
mod command;
mod compose;
mod config;
mod config_schema;
mod contract;
mod db_top;
mod doors;
mod faults;
mod habits;
mod haproxy;
mod head_limits;
mod health;
mod http;
mod invalidation;
mod lab;
mod leases;
mod live;
mod metrics;
#[cfg(feature = "mysql")]
mod mysql;
mod overload;
mod paging;
mod plans;
mod postman;
mod rate_limit;
mod redis_doors;
mod reliability;
mod secrets;
mod shared;
mod shutdown;
mod stats;
mod transactions;
mod upkeep;
mod weather;
mod writes;
