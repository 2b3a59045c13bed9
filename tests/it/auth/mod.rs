//! Sign-in, as clients see it.

mod tokens;
