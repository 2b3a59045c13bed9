//! What a run says: a pure function from [`crate::lab::record::RunRecord`] to [`Analysis`]. Reports
//! only lay it out: every number in them is a cell of it, and every sentence names its cells.

mod analysis;
mod figure;

pub use analysis::*;
pub use figure::{Better, Figure};
