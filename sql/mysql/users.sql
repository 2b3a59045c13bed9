-- Who may write, and who is signed in; each text is a command of src/auth/.
-- name: insert_user
insert into users (name, password_hash, created_at) values (?, ?, ?)
-- name: user_id_of_name
select id from users where name = ?
-- name: user_of_name
select id, password_hash from users where name = ?
-- name: set_password_hash
update users set password_hash = ? where id = ?
-- name: insert_sign_in
insert into sign_ins (id, user_id, token_hash, expires_at) values (?, ?, ?, ?)
-- name: forget_expired_sign_ins
delete from sign_ins where expires_at <= ? order by expires_at limit 500
-- name: surplus_sign_ins
select id from sign_ins where user_id = ? order by expires_at desc, id limit 100 offset ?
-- name: rotate_sign_in
update sign_ins set token_hash = ?, expires_at = ? where id = ? and token_hash = ? and expires_at > ?
-- name: rotated_sign_in
select user_id from sign_ins where id = ? and token_hash = ?
-- name: live_sign_in
select user_id from sign_ins where id = ? and expires_at > ?
-- name: end_sign_in
delete from sign_ins where id = ?
-- name: end_live_sign_in
delete from sign_ins where id = ? and expires_at > ?
