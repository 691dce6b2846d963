-- How many devices and shares a user has, counted under a lock on the user that lasts as long as the statement. A count
-- beside an INSERT sees what was there when the statement began, so that several at once would all find room; here
-- the count has a snapshot of its own, taken once the lock is had (plpgsql and volatile: sql has one for all).

create function count_devices(owner integer) returns bigint language plpgsql volatile as $$
begin
  perform id from users where id = owner for no key update;
  return (select count(*) from devices where user_id = owner and deleted_at is null);
end $$;

-- Those that go on at that moment.
create function count_shares(owner integer, moment timestamptz) returns bigint language plpgsql volatile as $$
begin
  perform id from users where id = owner for no key update;
  return (select count(*) from shares where user_id = owner and ended_at is null and expires_at > moment);
end $$;
