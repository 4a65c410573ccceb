-- profiles: where a user is to be found, what they prefer, and when they were last seen.
-- Taken back by supabase/rollbacks/20260201000000_complete_profiles.sql. Can run twice with no effect.
--
-- Functions from here on have pg_temp last in their search_path. Where it is not named it comes first
-- for types, even of an empty path: a caller's temporary domain `uuid` would have its check run by a
-- security definer function's owner
-- (postgresql.org/docs/17/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY).

alter table public.profiles
  add column if not exists website text
    constraint profiles_website_check
      check (char_length(website) <= 2048 and website ~ '^https?://[^[:space:]]+$'),
  -- Against pg_timezone_names, which a check must not read: trigger profiles_check_timezone does.
  add column if not exists timezone text
    constraint profiles_timezone_check check (char_length(timezone) between 1 and 64),
  add column if not exists preferences jsonb not null default '{}'
    -- As text: what pg_column_size says depends on how well it could be compressed.
    constraint profiles_preferences_check
      check (jsonb_typeof(preferences) = 'object' and octet_length(preferences::text) <= 16384),
  add column if not exists last_seen_at timestamptz;

comment on column public.profiles.website is
  'The user''s own page: an http or https URL of at most 2048 characters.';
comment on column public.profiles.timezone is
  'The time zone that the user lives by: a name of pg_timezone_names, as Europe/Lisbon.';
comment on column public.profiles.preferences is
  'What the application keeps for the user: a JSON object of at most 16 kB, written as text.';
comment on column public.profiles.last_seen_at is
  'When a device of the user was last seen; null for never. Not the user''s to say, and no change of the profile.';

grant update (website, timezone, preferences) on table public.profiles to authenticated;

-- Names and not "is it accepted by AT TIME ZONE": that takes XYZ+3 as well, and abbreviations, which
-- know no summer time. The view reads the time zone files, some milliseconds: only where it changed.
create or replace function private.check_timezone()
  returns trigger
  language plpgsql
  security invoker -- it reads nothing but a view that is everybody's
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from pg_catalog.pg_timezone_names as zones where zones.name = new.timezone
  ) then
    -- In PostgreSQL's own words for a check, so that both are found by the constraint's name.
    raise exception 'new row for relation "profiles" violates check constraint "profiles_timezone_check"'
      using
        errcode = 'check_violation',
        detail = 'field: timezone',
        hint = 'Take a name of pg_timezone_names, as Europe/Lisbon.',
        schema = 'public', table = 'profiles', column = 'timezone',
        constraint = 'profiles_timezone_check';
  end if;
  return new;
end;
$$;
comment on function private.check_timezone() is
  'Trigger, before insert and update: refuses a time zone that pg_timezone_names does not have.';
revoke all on function private.check_timezone() from public, anon, authenticated, service_role;

create or replace trigger profiles_check_timezone_insert
  before insert on public.profiles
  for each row
  when (new.timezone is not null)
  execute function private.check_timezone();
comment on trigger profiles_check_timezone_insert on public.profiles is
  'Takes no time zone but one that PostgreSQL knows by its name.';

create or replace trigger profiles_check_timezone_update
  before update of timezone on public.profiles
  for each row
  when (new.timezone is not null and old.timezone is distinct from new.timezone)
  execute function private.check_timezone();
comment on trigger profiles_check_timezone_update on public.profiles is
  'Takes no other time zone but one that PostgreSQL knows by its name.';

-- To be seen is no change of the profile: everything but last_seen_at counts.
create or replace trigger profiles_set_updated_at
  before update on public.profiles
  for each row
  when (
    (old.id, old.display_name, old.avatar_url, old.website, old.timezone, old.preferences,
      old.created_at, old.updated_at)
    is distinct from
    (new.id, new.display_name, new.avatar_url, new.website, new.timezone, new.preferences,
      new.created_at, new.updated_at)
  )
  execute function private.set_updated_at();
comment on trigger profiles_set_updated_at on public.profiles is
  'Keeps updated_at whenever a value but last_seen_at really changes, whatever the statement says about it.';

-- What is no text is no name: a number or an object in its place was taken as it is written.
create or replace function private.create_profile()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  given constant jsonb := new.raw_user_meta_data;
  given_name constant text := (
    select btrim(given ->> said.key, E' \t\n\r')
    from unnest(array['display_name', 'full_name', 'name']) with ordinality as said (key, place)
    where jsonb_typeof(given -> said.key) = 'string' and btrim(given ->> said.key, E' \t\n\r') <> ''
    order by said.place
    limit 1
  );
  given_picture constant text := (
    select given ->> said.key
    from unnest(array['avatar_url', 'picture']) with ordinality as said (key, place)
    where jsonb_typeof(given -> said.key) = 'string'
    order by said.place
    limit 1
  );
begin
  insert into public.profiles (id, display_name, avatar_url)
  values (
    new.id,
    btrim(left(given_name, 80), E' \t\n\r'),
    case
      when char_length(given_picture) <= 2048 and given_picture ~ '^https://[^[:space:]]+$'
        then given_picture
    end
  )
  on conflict (id) do nothing;
  return new;
exception
  -- What a user typed must never stop their sign-up, whatever checks this table gets later.
  when check_violation or data_exception then
    insert into public.profiles (id) values (new.id) on conflict (id) do nothing;
    return new;
end;
$$;
