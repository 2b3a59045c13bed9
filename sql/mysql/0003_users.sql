-- Who may write. Instants are in UTC.
create table if not exists users (
    id bigint not null auto_increment primary key,
    name varchar(64) not null,
    password_hash varchar(255) not null,
    created_at datetime(6) not null,
    unique index users_name_key (name)
) engine = InnoDB default character set utf8mb4
    collate /*M!100202 utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */;
-- A sign-in that holds: the hash of its one refresh token, which each use replaces.
create table if not exists sign_ins (
    id varchar(32) character set ascii collate ascii_bin not null primary key,
    user_id bigint not null,
    token_hash varchar(64) character set ascii collate ascii_bin not null,
    expires_at datetime(6) not null,
    index sign_ins_user_id (user_id, expires_at),
    index sign_ins_expires_at (expires_at),
    constraint sign_ins_user foreign key (user_id) references users (id) on delete cascade
) engine = InnoDB;
