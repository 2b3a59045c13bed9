//! Direct, pooled or cached? One query served three ways on your own database, and a lab that measures
//! which way you need.
//!
//! A request is a straight line through the modules, and imports point one way:
//!
//! - [`query`], [`catalogue`], [`rows`]: the domain words of reading and of writing, and rows on their
//!   way.
//! - [`encode`]: rows to bytes, within a memory budget.
//! - [`store`]: strategies: an access method over a backend, with a cache around it.
//! - [`auth`]: users, passwords and tokens.
//! - [`http`]: parse, answer, measure.
//! - [`server`]: wiring and the accept loop.
//!
//! Beside the line stand [`config`] (layers of TOML to a value that cannot be wrong), [`observe`]
//! (the one registry of counters), [`connector`] and [`redis_client`] (how PostgreSQL and Redis are
//! reached), [`seed`] (the data set), [`postman`] (a collection made of the OpenAPI document),
//! [`version`] and [`cli`].
//!
//! [`lab`] is another job of the same binary, in a process of its own: it drives a service over HTTP,
//! samples what that costs and reports what it means. It shares nothing with the service but
//! [`config`], [`connector`] and [`redis_client`] (how a URL becomes a connection).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod auth;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod connector;
pub mod encode;
pub mod http;
pub mod lab;
pub mod observe;
pub mod postman;
pub mod query;
pub mod redis_client;
pub mod rows;
pub mod seed;
pub mod server;
pub mod store;
pub mod version;
