//! `poolwise auth`: what sign-in needs.

use clap::Subcommand;

use super::Failure;
use crate::auth::new_key;

#[derive(Debug, Subcommand)]
pub(super) enum Auth {
    /// Print a new key to sign tokens with, for auth.signing_key_file
    Key,
}

pub(super) fn main(command: &Auth) -> Result<(), Failure> {
    let Auth::Key = command;
    println!("{}", new_key().to_base64());
    Ok(())
}
