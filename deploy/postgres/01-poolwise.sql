-- What the superuser makes once, while the folder of data is new (psql reads it, from docker-entrypoint-initdb.d):
-- the database, and its owner, who has no say outside of it.
\set ON_ERROR_STOP on
\set password `cat /run/secrets/postgres_password`
create role poolwise login password :'password';
-- To look at everybody's connections and statements: the lab, `poolwise db top`, the exporter.
grant pg_monitor to poolwise;
create database poolwise owner poolwise encoding 'UTF8' template template0;
\connect poolwise
-- For `poolwise db top`; only a superuser can make it.
create extension pg_stat_statements;
