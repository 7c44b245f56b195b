-- What Postgres says of itself and of us, for `taskyard doctor`.

-- name: read_server
-- Version, settings, connections in use and clock of the server.
SELECT current_setting('server_version_num')::integer AS version,
       pg_encoding_to_char(encoding) AS encoding,
       pg_is_in_recovery() AS is_replica,
       current_setting('fsync')::boolean AS fsync,
       current_setting('full_page_writes')::boolean AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('max_connections')::integer AS max_connections,
       current_setting('superuser_reserved_connections')::integer AS reserved,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       extract(epoch FROM clock_timestamp())::double precision AS clock
FROM pg_database WHERE datname = current_database();

-- name: dispatcher_ago
-- How many seconds ago a dispatcher left its trace.
SELECT extract(epoch FROM now() - at)::double precision FROM measured;

-- name: keys_lately
-- With which keys the arguments of the newest tasks are sealed.
SELECT DISTINCT sealed_with(args) AS key
FROM (SELECT args FROM tasks ORDER BY id DESC LIMIT 1000) AS newest
WHERE sealed_with(args) IS NOT NULL;
