//! Samplers: what the service, the database, Redis and the driver itself use, on one clock.
