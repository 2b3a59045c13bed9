//! Sign-ins beside the users.

use std::time::Duration;

use super::super::{AuthError, Database, RefreshToken, SignInId, int, lost, micros, now_micros};
use super::Rotation;
use crate::store::backend::{Bind, Command, Datum, Kind};

const USER: &[Kind] = &[Kind::Int];
/// As the statement has it that forgets expired ones.
const BATCH: u64 = 500;
/// Of what is left the next one takes care.
const MOST_BATCHES: u32 = 1000;

pub(super) async fn begin(
    db: &Database,
    user: i64,
    token: &RefreshToken,
    lifetime: Duration,
) -> Result<(), AuthError> {
    let (id, hash) = (token.sign_in().to_text(), token.hash());
    let until = Bind::Timestamp(now_micros() + micros(lifetime));
    let insert = [Bind::Text(&id), Bind::Int(user), Bind::Text(&hash), until];
    let insert = Command { name: "insert_sign_in", binds: &insert, columns: &[] };
    db.write(&[insert]).await.map_err(AuthError::of_sign_ins)?;
    Ok(())
}

/// Ends those of a user that were used longest ago, beyond the last `most`. They are read first and
/// ended by their number: a range of an index that is deleted locks out those who begin meanwhile.
pub(super) async fn trim(db: &Database, user: i64, most: u32) -> Result<(), AuthError> {
    let binds = [Bind::Int(user), Bind::Int(most.into())];
    let select = Command { name: "surplus_sign_ins", binds: &binds, columns: &[Kind::Text] };
    let found = db.read(&select).await.map_err(AuthError::of_sign_ins)?;
    let ids = found.rows.iter().filter_map(|row| match row.first() {
        Some(Datum::Text(id)) => Some([Bind::Text(id)]),
        _ => None,
    });
    let ids: Vec<_> = ids.collect();
    let end = |id| Command { name: "end_sign_in", binds: id, columns: &[] };
    let ends: Vec<Command<'_>> = ids.iter().map(|id| end(id)).collect();
    if !ends.is_empty() {
        db.write(&ends).await.map_err(AuthError::of_sign_ins)?;
    }
    Ok(())
}

/// Forgets those that have expired, of whatever user, a few at a time.
pub(super) async fn forget_expired(db: &Database) -> Result<(), AuthError> {
    for _ in 0..MOST_BATCHES {
        let binds = [Bind::Timestamp(now_micros())];
        let delete = Command { name: "forget_expired_sign_ins", binds: &binds, columns: &[] };
        let done = db.later().write(&[delete]).await.map_err(AuthError::of_sign_ins)?;
        if done[0].affected < BATCH {
            break;
        }
    }
    Ok(())
}

pub(super) async fn rotate(
    db: &Database,
    old: &RefreshToken,
    new: &RefreshToken,
    lifetime: Duration,
) -> Result<Rotation, AuthError> {
    let (id, old, new, now) = (old.sign_in().to_text(), old.hash(), new.hash(), now_micros());
    let until = Bind::Timestamp(now + micros(lifetime));
    let update = [Bind::Text(&new), until, Bind::Text(&id), Bind::Text(&old), Bind::Timestamp(now)];
    let update = Command { name: "rotate_sign_in", binds: &update, columns: &[] };
    let select = [Bind::Text(&id), Bind::Text(&new)];
    let select = Command { name: "rotated_sign_in", binds: &select, columns: USER };
    let done = db.write(&[update, select]).await.map_err(AuthError::of_sign_ins)?;
    if let Some(row) = done[1].rows.first() {
        let user = int(row.first()).ok_or_else(|| lost("the user of a sign-in"))?;
        return Ok(Rotation::Rotated { user });
    }
    // One that has merely expired was not used by anybody else.
    let binds = [Bind::Text(&id), Bind::Timestamp(now)];
    let delete = Command { name: "end_live_sign_in", binds: &binds, columns: &[] };
    let ended = db.write(&[delete]).await.map_err(AuthError::of_sign_ins)?;
    Ok(if ended[0].affected > 0 { Rotation::Reused } else { Rotation::Unknown })
}

pub(super) async fn holder(db: &Database, id: SignInId) -> Result<Option<i64>, AuthError> {
    let id = id.to_text();
    let binds = [Bind::Text(&id), Bind::Timestamp(now_micros())];
    let select = Command { name: "live_sign_in", binds: &binds, columns: USER };
    let done = db.read(&select).await.map_err(AuthError::of_sign_ins)?;
    Ok(done.rows.first().and_then(|row| int(row.first())))
}

pub(super) async fn end(db: &Database, id: SignInId) -> Result<(), AuthError> {
    let id = id.to_text();
    let binds = [Bind::Text(&id)];
    let delete = Command { name: "end_sign_in", binds: &binds, columns: &[] };
    db.write(&[delete]).await.map_err(AuthError::of_sign_ins)?;
    Ok(())
}
