//! Access tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256 and nothing else.
//!
//! jsonwebtoken makes and checks them. Its own cryptography would bring RSA and three curves that are
//! never used, so HMAC comes from ring, which is here for TLS.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::keys::random;
use super::{SignInId, SignedIn};

/// Who signs.
const ISSUER: &str = "poolwise";
/// Seconds that the clocks of replicas may differ by.
const LEEWAY: u64 = 5;
/// No token of ours is as long.
const LONGEST: usize = 2048;

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// The user's number.
    pub sub: String,
    /// The sign-in.
    pub sid: String,
    /// Its own number.
    pub jti: String,
    /// Seconds since 1970: when it was made.
    pub iat: u64,
    /// From when it holds.
    pub nbf: u64,
    /// Until when it holds.
    pub exp: u64,
}

/// Makes the cryptography known to jsonwebtoken.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| Ok(Box::new(Hmac::new(algorithm, key.as_bytes())?)),
        verifier_factory: |algorithm, key| {
            Ok(Box::new(Hmac::new(algorithm, key.try_get_as_bytes()?)?))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // The second time it is there already.
    let _ = PROVIDER.install_default();
}

struct Hmac(hmac::Key);

impl Hmac {
    fn new(algorithm: &Algorithm, key: &[u8]) -> Result<Self> {
        match algorithm {
            Algorithm::HS256 => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

impl Signer<Vec<u8>> for Hmac {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hmac {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| Error::new())
    }
}

impl JwtSigner for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

/// A token that holds from now on.
pub(super) fn sign(who: SignedIn, lifetime: Duration, key_id: &str, key: &EncodingKey) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let claims = Claims {
        iss: ISSUER.into(),
        sub: who.user.to_string(),
        sid: who.sign_in.to_text(),
        jti: BASE64_URL_SAFE_NO_PAD.encode(random::<16>()),
        iat: now,
        nbf: now,
        exp: now + lifetime.as_secs(),
    };
    let header = Header { kid: Some(key_id.to_owned()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, &claims, key).expect("texts and numbers are JSON")
}

/// Which key is said to have signed it.
pub(super) fn key_id(token: &str) -> std::result::Result<String, &'static str> {
    if token.len() > LONGEST {
        return Err("it is too long");
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| "it is no token")?;
    if header.alg != Algorithm::HS256 {
        return Err("signed in another way");
    }
    header.kid.ok_or("it names no key")
}

/// Who it is for.
pub(super) fn verify(
    token: &str,
    key: &DecodingKey,
) -> std::result::Result<SignedIn, &'static str> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_required_spec_claims(&["exp", "nbf", "iss", "sub"]);
    rules.set_issuer(&[ISSUER]);
    rules.validate_nbf = true;
    rules.leeway = LEEWAY;
    let token =
        jsonwebtoken::decode::<Claims>(token, key, &rules).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => "it has expired",
            ErrorKind::ImmatureSignature => "it does not hold yet",
            ErrorKind::InvalidSignature => "its signature is wrong",
            _ => "it is none of ours",
        })?;
    let user = token.claims.sub.parse().map_err(|_| "it names no user")?;
    let sign_in = SignInId::parse(&token.claims.sid).ok_or("it names no sign-in")?;
    Ok(SignedIn { user, sign_in })
}
