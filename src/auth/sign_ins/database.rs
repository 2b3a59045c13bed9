//! Sign-ins beside the users.

use std::time::Duration;

use super::super::{AuthError, Database, RefreshToken, SignInId, int, lost, micros, now_micros};
use super::Rotation;
use crate::store::backend::{Bind, Command, Kind};

const USER: &[Kind] = &[Kind::Int];

pub(super) async fn begin(
    db: &Database,
    user: i64,
    token: &RefreshToken,
    lifetime: Duration,
) -> Result<(), AuthError> {
    let (id, hash, now) = (token.sign_in().to_text(), token.hash(), now_micros());
    let forget = [Bind::Int(user), Bind::Timestamp(now)];
    let forget = Command { name: "forget_expired_sign_ins", binds: &forget, columns: &[] };
    let until = Bind::Timestamp(now + micros(lifetime));
    let insert = [Bind::Text(&id), Bind::Int(user), Bind::Text(&hash), until];
    let insert = Command { name: "insert_sign_in", binds: &insert, columns: &[] };
    db.write(&[forget, insert]).await.map_err(AuthError::of_sign_ins)?;
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
    let binds = [Bind::Text(&id)];
    let delete = Command { name: "end_sign_in", binds: &binds, columns: &[] };
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
