-- Who may write, and who is signed in; each text is a command of src/auth/.
-- name: insert_user
insert into users (name, password_hash, created_at) values ($1, $2, $3)
-- name: user_id_of_name
select id from users where name = $1
-- name: user_of_name
select id, password_hash from users where name = $1
-- name: set_password_hash
update users set password_hash = $1 where id = $2
-- name: insert_sign_in
insert into sign_ins (id, user_id, token_hash, expires_at) values ($1, $2, $3, $4)
-- name: forget_expired_sign_ins
delete from sign_ins where id in (select id from sign_ins where expires_at <= $1 order by expires_at limit 500 for update skip locked)
-- name: surplus_sign_ins
select id from sign_ins where user_id = $1 order by expires_at desc, id limit 100 offset $2
-- name: rotate_sign_in
update sign_ins set token_hash = $1, expires_at = $2 where id = $3 and token_hash = $4 and expires_at > $5
-- name: rotated_sign_in
select user_id from sign_ins where id = $1 and token_hash = $2
-- name: live_sign_in
select user_id from sign_ins where id = $1 and expires_at > $2
-- name: end_sign_in
delete from sign_ins where id = $1
-- name: end_live_sign_in
delete from sign_ins where id = $1 and expires_at > $2
