-- PROCESS: /stats and the lab see connections of other users. The rest is for the exporter.
grant process, replication client, slave monitor on *.* to poolwise@'%';
grant select on performance_schema.* to poolwise@'%';
