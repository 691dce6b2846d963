-- Splits points into one table for each month of recorded_at.
--
-- When   from about 50 million points on (12 GB or more), or when old points are to be deleted: dropping a month takes
--        milliseconds, and gives its space back, where a delete takes hours and does not. Smaller tables are faster
--        as they are. ALZY_RETENTION_DAYS works all the same, and finds nothing to do in months that are gone.
-- Cost   inserts take a few per cent longer; whoever asks for the last position of a device looks into the index of
--        every month; the primary key of points becomes (id, recorded_at). Nothing refers to it.
-- How    psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f sql/scale/partition_points.sql
--        The hub may go on running. The new index and the check take as long as two scans of the table, and nobody
--        waits for them; the change itself takes a fraction of a second, in which the hub waits. If a long transaction
--        is in its way it gives up after five seconds, and points are as they were: run it again. All points so far
--        become the first partition, points_first, which is neither copied nor rewritten.
--        It needs the rights of the role that owns points, and no others. Rights on points that you granted to further
--        roles have to be granted again.
-- After  run add_point_months.sql once a month, by cron for example. Where it is forgotten the points go to
--        points_default, which is no loss: the next run moves them to where they belong.
-- Back   there is no way back but copying everything into a table without partitions.

set timezone = 'UTC';
set client_min_messages = warning;
-- Whoever runs this, the new tables belong to the owner of the old one.
select format('set role %I', tableowner) from pg_tables
where schemaname = current_schema() and tablename = 'points' \gexec

-- The first month of a table of its own. Points are stamped up to a day ahead, and building the index takes time; the
-- check below must not refuse any of them.
select date_trunc('month', now() + interval '1 month 3 days') as "firstMonth" \gset

-- Left behind, without being valid, by a run that was interrupted.
select format('drop index concurrently %s', indexrelid::regclass) from pg_index
where indexrelid = to_regclass('points_id_recorded_at') and not indisvalid \gexec
create unique index concurrently if not exists points_id_recorded_at on points (id, recorded_at);

-- From here on whatever is in the way is not waited for, since the hub would have to wait behind this.
set lock_timeout = '5s';
alter table points drop constraint if exists points_first_month;
alter table points add constraint points_first_month check (recorded_at < :'firstMonth') not valid;
alter table points validate constraint points_first_month;

begin;
lock table points in access exclusive mode;

select coalesce(max(id), 0) + 1 as "nextId" from points \gset

alter table points rename to points_first;
alter table points_first alter column id drop identity;
alter table points_first drop constraint points_pkey;
alter table points_first add constraint points_first_pkey primary key using index points_id_recorded_at;
alter table points_first rename constraint points_device_id_recorded_at_key to points_first_device_id_recorded_at_key;
alter index points_recorded_at rename to points_first_recorded_at;
alter index if exists points_geom rename to points_first_geom;
alter index if exists points_session rename to points_first_session;

-- Columns, defaults, checks and all the rest, whatever later migrations have added to it.
create table points (like points_first including all excluding indexes) partition by range (recorded_at);
alter table points drop constraint points_first_month;
alter table points alter column id add generated always as identity (start with :nextId);
alter table points add constraint points_pkey primary key (id, recorded_at);
alter table points add constraint points_device_id_recorded_at_key unique (device_id, recorded_at);
create index points_recorded_at on points using brin (recorded_at) with (pages_per_range = 32, autosummarize = on);
-- Each of these is there unless somebody has dropped it.
select 'create index points_geom on points using spgist (geom)' where to_regclass('points_first_geom') is not null \gexec
select 'create index points_session on points (session_id)' where to_regclass('points_first_session') is not null \gexec
select format('alter table points add constraint %I %s', conname, pg_get_constraintdef(oid))
from pg_constraint where conrelid = 'points_first'::regclass and contype = 'f' \gexec

-- Its indexes and foreign keys are those of points already, and the check spares it a scan.
alter table points attach partition points_first for values from (minvalue) to (:'firstMonth');
alter table points_first drop constraint points_first_month;
create table points_default partition of points default
  with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
commit;

\ir add_point_months.sql
