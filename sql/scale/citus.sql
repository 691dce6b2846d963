-- On paper only: nobody has run this. It says how the schema was made ready for Citus, not that it works there.
--
-- When   one server cannot hold or write all points any more, even partitioned, on the best machine there is. A server
--        of 16 cores writes far more than 100 000 points a second; look for the bottleneck elsewhere first.
-- Cost   the primary key of points becomes (device_id, id): Citus wants the column that rows are distributed by in each
--        unique key. unique (device_id, recorded_at), on which storing a point once rests, has it already. Ids are
--        no longer in the order of writing across nodes, and the hub takes the greatest for the newest when it checks
--        its own clock at the start: that check becomes a rough one. The hub's reads of the last position and of
--        sessions join laterally from a list of ids; which of them Citus can push down has to be tried first, and one
--        that it refuses would stop the hub. It has to be on a copy of the data, with the tests of test/store.
-- How    on the coordinator of an empty or a copied database, with the hubs stopped:
--        psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f sql/scale/citus.sql
--        The hubs go on using the coordinator's address. Instead of partition_points.sql, or before it: of partitioned
--        points the key would be (device_id, id, recorded_at).

create extension if not exists citus;

alter table points drop constraint points_pkey;
alter table points add constraint points_pkey primary key (device_id, id);

-- Small, and referred to by rows on every node.
select create_reference_table('users');
select create_reference_table('devices');
select create_reference_table('sessions');
select create_reference_table('automatic_sessions');

-- A device's points lie on one node, so that each batch goes to few of them and each question of one device to one.
select create_distributed_table('points', 'device_id');
-- rejected_points is small, and stays on the coordinator.
