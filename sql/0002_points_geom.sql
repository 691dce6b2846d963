-- Points by place. SP-GiST costs the writer a third of what GiST would add; it has no nearest-neighbour search, and
-- nothing here needs one. In a migration of its own, so that an installation that never asks by place can drop it.

create index points_geom on points using spgist (geom);
