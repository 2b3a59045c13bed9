-- Who may write. Instants in microseconds since 1970-01-01T00:00:00Z.
create table users (
    id integer primary key autoincrement,
    name text not null,
    password_hash text not null,
    created_at integer not null
) strict;
create unique index users_name_key on users (name);
-- A sign-in that holds: the hash of its one refresh token, which each use replaces.
create table sign_ins (
    id text not null primary key,
    user_id integer not null references users (id) on delete cascade,
    token_hash text not null,
    expires_at integer not null
) strict, without rowid;
create index sign_ins_user_id on sign_ins (user_id, expires_at);
create index sign_ins_expires_at on sign_ins (expires_at);
