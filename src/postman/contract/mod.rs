//! The folder *contract*: what the service promises, as requests with tests, to be run in order.

mod errors;
mod reads;
mod sign_in;
mod writes;

use serde_json::Value;

use super::Undocumented;
use super::build;
use super::steps::Step;

const DESCRIPTION: &str = "What the service promises, as requests with tests. Run the whole folder, in its order: \
    later requests use what earlier ones were answered.\n\n\
    The service may hold any number of products: `matchingRows` says how many of them are in `category` (21,000 of \
    60,000). It needs the settings that are shipped, a rate limit that lets 60 requests pass, and, behind a load \
    balancer, a cache that the replicas share. What it makes, it deletes; a user and an order stay.";

/// The folder.
///
/// # Errors
/// When the document does not have what is tested.
pub(super) fn folder(document: &Value) -> Result<Value, Undocumented> {
    let parts = [
        ("Ready", "Whether there is something to test.", reads::ready()),
        (
            "The same bytes, three ways",
            "35 % of the products, by each strategy.",
            reads::same_bytes(),
        ),
        (
            "A hit after a miss",
            "A price window that nobody has asked for.",
            reads::hit_after_miss(),
        ),
        ("Pages", "A part of a list, and where the next one is.", reads::pages()),
        ("What the service says of itself", "Figures and parameters.", reads::itself()),
        ("Errors name what is wrong", "Problem documents (RFC 9457).", errors::steps()),
        ("Signing in", "A user with a made-up name, and its tokens.", sign_in::steps()),
        ("Writing", "A product is made, changed, ordered and deleted.", writes::steps()),
        ("Signing out", "The token holds no longer.", sign_in::out()),
    ];
    let mut folders = Vec::new();
    for (name, description, steps) in parts {
        let items: Result<Vec<Value>, _> =
            steps.iter().map(|step: &Step| step.item(document)).collect();
        folders.push(build::folder(name, description, items?));
    }
    Ok(build::folder("contract", DESCRIPTION, folders))
}
