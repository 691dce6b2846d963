-- A point belongs to a session of its own device. After a failover to a replica that was behind, the id of a session
-- that was lost may be given to another device's: without the device in the key, points would go there silently.

alter table sessions add constraint sessions_id_device_id_key unique (id, device_id);

do $$
begin
  -- Where sql/scale/drop_point_foreign_keys.sql has been run the keys stay dropped.
  if exists (select from pg_constraint where conrelid = 'points'::regclass and conname = 'points_session_id_fkey') then
    alter table points drop constraint points_session_id_fkey;
    alter table points add constraint points_session_id_device_id_fkey
      foreign key (session_id, device_id) references sessions (id, device_id);
  end if;
end
$$;
