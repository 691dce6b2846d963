-- The figures of sessions that have ended, computed once. A row carries everything it was computed from, and holds only
-- as long as all of that is unchanged: the span of the session, and how many points its device has in that span, in any
-- session, and which is the first. Points that arrive late change one, points that are deleted for their age the other,
-- so the writer has nothing to do with this table.

create table session_figures (
  session_id     integer primary key references sessions (id) on delete cascade,
  started_at     timestamptz not null,
  ended_at       timestamptz not null,
  points_in_span bigint not null,
  first_in_span  timestamptz,
  point_count    bigint not null,
  distance_m     float8 not null
);
