-- Drops the foreign keys of points, which cost about a third of the rate at which points are written.
--
-- When   the server's processor, not its disk, is what bounds the rate of writing (see the hub's /metrics and top), and
--        the database never fails over to a replica that may be behind.
-- Cost   nothing keeps a point from referring to a device or a session that is not there. The hub writes sessions
--        before their points, and deletes one only a day after the retention limit of its last point, so that this
--        happens in one way only: a failover to a replica that was behind loses sessions, and without the keys the
--        hub does not notice. Points of those sessions are kept and found by device and time, but by no session, or
--        by one of another device that was given the same id.
-- How    psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f sql/scale/drop_point_foreign_keys.sql
--        The hub may go on running; it waits for milliseconds. It works with partitioned points as well.
-- Back   alter table points add foreign key (device_id) references devices (id) not valid;
--        alter table points add foreign key (session_id, device_id) references sessions (id, device_id) not valid;
--        alter table points validate constraint points_device_id_fkey;
--        alter table points validate constraint points_session_id_device_id_fkey;
--        Partitioned points cannot have keys that are not valid: leave out "not valid" and the validation, and nobody
--        writes until all points are checked.

set client_min_messages = warning;
begin;
set local lock_timeout = '5s';
alter table points drop constraint if exists points_device_id_fkey,
                   drop constraint if exists points_session_id_fkey,  -- its name before migration 3
                   drop constraint if exists points_session_id_device_id_fkey;
commit;
