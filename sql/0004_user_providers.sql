-- Who a user is at an OpenID issuer: one user for each issuer and subject. users.providers is what people write and
-- read; this table follows it by a trigger, because no index over a jsonb value can hold several issuers unique.

create table user_providers (
  issuer  varchar not null check (length(issuer) between 1 and 255),
  subject varchar not null check (length(subject) between 1 and 255),
  user_id integer not null references users (id) on delete cascade,
  primary key (issuer, subject),
  unique (user_id, issuer)
);

create function follow_providers() returns trigger language plpgsql as $$
begin
  delete from user_providers where user_id = new.id;
  -- A provider without a subject as text is refused by the constraints of the table.
  insert into user_providers (issuer, subject, user_id)
    select key, case jsonb_typeof(value -> 'sub') when 'string' then value ->> 'sub' end, new.id
    from jsonb_each(new.providers);
  return null;
end $$;

create trigger users_providers after insert or update of providers on users
  for each row execute function follow_providers();

insert into user_providers (issuer, subject, user_id)
  select key, case jsonb_typeof(value -> 'sub') when 'string' then value ->> 'sub' end, users.id
  from users, jsonb_each(providers);
