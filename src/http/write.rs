//! What every write has in common: whose connections, the client's headers, and what a refusal means.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::http::HeaderMap;
use poem::{FromRequest, Request, RequestBody};
use sha2::{Digest, Sha256};

use super::State;
use super::api::Asked;
use super::error::{Kind, Problem};
use super::negotiate::{accepts_json, if_match};
use super::request::RequestInfo;
use crate::catalogue::Invalid;
use crate::store::write::{Catalogue, Expected, Key, Refusal};
use crate::store::{ErrorKind, RequestContext};

/// How often old idempotency keys are forgotten, at most.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// The longest idempotency key, in characters.
const MAX_KEY: usize = 255;

/// A request to the catalogue that may go ahead.
pub(super) struct Desk {
    pub catalogue: Catalogue,
    pub context: RequestContext,
}

impl Desk {
    /// Looks at what the client takes, and finds out whose connections write.
    ///
    /// # Errors
    /// When the client does not take JSON.
    pub fn of(state: &State, asked: &Asked<'_>) -> Result<Self, Problem> {
        if !accepts_json(asked.headers) {
            let detail = "The Accept header excludes application/json, the only thing served here.";
            return Err(Problem::new(Kind::NotAcceptable, detail));
        }
        let catalogue = Catalogue::of(state.strategies.load().writer(), &state.versions);
        let deadline = asked.info.started + state.config.load().server.request_timeout;
        let request_id = asked.info.id.clone();
        Ok(Self { catalogue, context: RequestContext { request_id, deadline, coding: None } })
    }

    /// Forgets old idempotency keys, now and then after one was kept; nobody waits for it.
    pub fn tidy(&self, state: &State, kept: bool) {
        if !kept || !state.forgetting.allows(FORGET_EVERY) {
            return;
        }
        let config = state.config.load();
        let (keep, limit) = (config.writes.idempotency_keep, config.server.request_timeout);
        let (catalogue, mut context) = (self.catalogue.clone(), self.context.clone());
        tokio::spawn(async move {
            loop {
                context.deadline = Instant::now() + limit;
                match catalogue.forget_keys(keep, &context).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(refusal) => {
                        tracing::warn!(?refusal, "old idempotency keys could not be removed");
                        break;
                    }
                }
            }
        });
    }
}

/// What `Idempotency-Key` says (draft-ietf-httpapi-idempotency-key-header-07): text in quotation marks, or
/// without them.
pub(super) struct IdempotencyKey(Option<String>);

impl<'a> FromRequest<'a> for IdempotencyKey {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(idempotency_key(request.headers())?))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b',');
    let fits = (1..=MAX_KEY).contains(&inner.len()) && inner.bytes().all(plain);
    if !fits || values.next().is_some() {
        let detail = format!(
            "Idempotency-Key must be given once, with 1 to {MAX_KEY} printable ASCII characters other than quotation marks, commas, backslashes and blanks."
        );
        return Err(Problem::new(Kind::BadRequest, detail));
    }
    Ok(Some(inner.to_owned()))
}

impl IdempotencyKey {
    /// The key of this user's request with this body.
    pub fn of(self, user: i64, info: &RequestInfo, body: &[u8]) -> Option<Key> {
        let name = self.0?;
        let mut hash = Sha256::new();
        for part in [info.method.as_str().as_bytes(), info.path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut fingerprint = String::with_capacity(64);
        for byte in hash.finalize() {
            write!(fingerprint, "{byte:02x}").expect("writing to a String cannot fail");
        }
        Some(Key { user, name, fingerprint })
    }
}

/// What `If-Match` says, which must be there.
pub(super) struct IfMatch(pub Expected);

impl<'a> FromRequest<'a> for IfMatch {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let expected = if_match(request.headers()).ok_or_else(|| {
            let detail = "Send the ETag of the product as you know it in If-Match, or * for any.";
            Problem::new(Kind::NoPrecondition, detail)
        })?;
        Ok(Self(expected))
    }
}

/// What a refused write means to the client. `skus` are those that were sent, with their places.
pub(super) fn problem_of(
    refusal: Refusal,
    info: &Arc<RequestInfo>,
    skus: &[(String, String)],
) -> Problem {
    match refusal {
        Refusal::NotFound => {
            Problem::new(Kind::NotFound, "There is no product of this number; it may be deleted.")
        }
        Refusal::Stale => Problem::new(
            Kind::Stale,
            "If-Match does not name the product as it is now. Read it again, look at what has changed, and repeat with its ETag.",
        ),
        Refusal::SkusTaken(taken) => skus_taken(&taken, skus),
        Refusal::NotEnough(short) => {
            let sentence = |short: &crate::store::write::Shortage| {
                let (id, asked, available) = (short.product_id, short.asked, short.available);
                format!("Of product {id} there are {available}, and {asked} were asked for.")
            };
            let sentences: Vec<String> = short.iter().map(sentence).collect();
            Problem::new(Kind::NotEnough, sentences.join(" ")).short_of(&short)
        }
        Refusal::UnknownProducts(ids) => {
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            let detail = format!("There is no product of these numbers: {}.", ids.join(", "));
            Problem::new(Kind::UnknownProduct, detail)
        }
        Refusal::TooMuch => Problem::new(
            Kind::TotalTooLarge,
            "The total of an order is at most 99999999999.99. Order less at once.",
        ),
        Refusal::KeyInUse => Problem::new(
            Kind::KeyInUse,
            "The first request with this Idempotency-Key is still under way. Try again after the time in Retry-After.",
        ),
        Refusal::KeyReused => Problem::new(
            Kind::KeyReused,
            "Another request had this Idempotency-Key. Take a new key for each new request.",
        ),
        Refusal::Unknown(error) => {
            tracing::warn!(request_id = &*info.id, %error, "a commit was not answered");
            Problem::new(
                Kind::UnknownOutcome,
                "The connection to the database was lost while this was made to hold: it may have happened or not. Repeating it with the same Idempotency-Key or If-Match is safe; otherwise look before you repeat it.",
            )
        }
        Refusal::Failed(error) => {
            tracing::warn!(request_id = &*info.id, %error, "nothing was written");
            match error.kind() {
                ErrorKind::StatementTimeout | ErrorKind::Unanswered => Problem::new(
                    Kind::Timeout,
                    "The database did not finish in time, and nothing was written. Try again later.",
                ),
                _ => Problem::of_store(&error),
            }
        }
    }
}

fn skus_taken(taken: &[String], sent: &[(String, String)]) -> Problem {
    let detail = format!("Other products have these skus: {}.", taken.join(", "));
    let at = |sku: &String| {
        let (pointer, _) = sent.iter().find(|(_, sent)| sent == sku)?;
        let reason = format!("is {sku:?}, which another product has");
        Some(Invalid { pointer: pointer.clone(), reason })
    };
    Problem::new(Kind::Taken, detail).at(taken.iter().filter_map(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_text_with_or_without_quotation_marks() {
        let of = |value: &str| {
            let headers = HeaderMap::from_iter([(
                "idempotency-key".parse().unwrap(),
                value.parse().unwrap(),
            )]);
            idempotency_key(&headers)
        };
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        for (value, key) in [("\"8e03-97\"", "8e03-97"), ("8e03-97", "8e03-97"), (" x ", "x")] {
            assert_eq!(of(value).unwrap().as_deref(), Some(key));
        }
        let long = "x".repeat(MAX_KEY + 1);
        for bad in ["", "\"\"", "a b", "\"a\", \"b\"", "a\\b", &long] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
