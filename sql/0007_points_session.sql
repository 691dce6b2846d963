-- Points by session. Deleting a session, as retention does, asks whether a point refers to it; without this index the
-- database would read all points for each. Many points in a row have the same session, so the index is small (a few
-- bytes a point) and its cost to the writer is lost in the noise.

create index points_session on points (session_id);
