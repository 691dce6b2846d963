-- Adds the tables of this month and the three after it to the partitioned points, where they are missing.
--
-- When   once a month, after partition_points.sql; more often does no harm.
-- Cost   a fraction of a second, in which the hub waits; longer only where points have gathered in points_default, because this
--        was forgotten for months: they are moved to where they belong.
-- How    psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f sql/scale/add_point_months.sql
-- Old    a month that is no longer wanted goes with two statements, here January 2027:
--          alter table points detach partition points_2027_01;
--          drop table points_2027_01;

set timezone = 'UTC';
set client_min_messages = warning;
select format('set role %I', tableowner) from pg_tables
where schemaname = current_schema() and tablename = 'points' \gexec

begin;
set local lock_timeout = '5s';
lock table points in access exclusive mode;
alter table points detach partition points_default;

-- Wanted are the coming months, and those of the points that have gathered in points_default.
with held as (
  select coalesce(substring(bound from 'FROM \(''([^'']+)'), '-infinity')::timestamptz as first,
         substring(bound from 'TO \(''([^'']+)')::timestamptz as after
  from (select pg_get_expr(relpartbound, oid) as bound from pg_class
        where oid in (select inhrelid from pg_inherits where inhparent = 'points'::regclass)) as parts
), wanted as (
  select date_trunc('month', now()) + i * interval '1 month' as month from generate_series(0, 3) as i
  union
  select date_trunc('month', recorded_at) from points_default
)
select format(
  'create table %I partition of points for values from (%L) to (%L)
     with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)',
  to_char(month, '"points_"YYYY_MM'), month, month + interval '1 month')
from wanted where not exists (select from held where month >= first and month < after) \gexec

insert into points overriding system value select * from points_default;
truncate points_default;
alter table points attach partition points_default default;
commit;
