//! Which version this is.

/// The version and, in a release build, the commit that it was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("POOLWISE_BUILD"));
