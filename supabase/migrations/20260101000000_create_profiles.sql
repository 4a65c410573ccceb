-- profiles: what a user shows of themselves, one row a user, made when they sign up.
-- Also makes schema private, where this project's functions live: it is not exposed by the API.
-- Taken back by supabase/rollbacks/20260101000000_create_profiles.sql. Can run twice with no effect.

create schema if not exists private;
comment on schema private is
  'Functions that triggers use. Not exposed by the API; anon and authenticated have no access.';
revoke all on schema private from public, anon, authenticated;

create table if not exists public.profiles (
  id uuid not null,
  display_name text,
  avatar_url text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint profiles_pkey primary key (id),
  constraint profiles_id_fkey foreign key (id) references auth.users (id) on delete cascade,
  constraint profiles_display_name_check
    check (char_length(display_name) between 1 and 80 and display_name = btrim(display_name)),
  constraint profiles_avatar_url_check
    check (char_length(avatar_url) <= 2048 and avatar_url ~ '^https://[^[:space:]]+$')
);

comment on table public.profiles is
  'What a user shows of themselves; one row for each user, as long as the user exists.';
comment on column public.profiles.id is 'The user, as in auth.users; the owner for Row Level Security.';
comment on column public.profiles.display_name is
  'What the user wants to be called: 1 to 80 characters, none of them a leading or trailing space.';
comment on column public.profiles.avatar_url is
  'Where the user''s picture is: an https URL of at most 2048 characters.';
comment on column public.profiles.created_at is 'When the row was made.';
comment on column public.profiles.updated_at is
  'When the row last changed; trigger profiles_set_updated_at keeps it.';

-- The primary key is the index that the policies use.
alter table public.profiles enable row level security;

-- Supabase grants everything on a new table to all three roles: begin from nothing.
revoke all on table public.profiles from public, anon, authenticated, service_role;
grant select, update (display_name, avatar_url) on table public.profiles to authenticated;
grant all on table public.profiles to service_role;

drop policy if exists profiles_select_own on public.profiles;
create policy profiles_select_own on public.profiles
  for select to authenticated
  using ((select auth.uid()) = id);
comment on policy profiles_select_own on public.profiles is 'A user sees their own profile.';

drop policy if exists profiles_update_own on public.profiles;
create policy profiles_update_own on public.profiles
  for update to authenticated
  using ((select auth.uid()) = id)
  with check ((select auth.uid()) = id);
comment on policy profiles_update_own on public.profiles is
  'A user changes their own profile; the grant names the columns.';

-- No policy for insert and delete: a profile comes and goes with its user.

create or replace function private.set_updated_at()
  returns trigger
  language plpgsql
  security invoker -- it reads and writes nothing but the row in hand
  set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end;
$$;
comment on function private.set_updated_at() is
  'Trigger, before update: puts the time of the transaction into updated_at.';
revoke all on function private.set_updated_at() from public, anon, authenticated, service_role;

create or replace trigger profiles_set_updated_at
  before update on public.profiles
  for each row
  when (old.* is distinct from new.*)
  execute function private.set_updated_at();
comment on trigger profiles_set_updated_at on public.profiles is
  'Keeps updated_at whenever a value really changes, whatever the statement says about it.';

-- Runs as its owner, because the Auth server (supabase_auth_admin) may not write in public.
create or replace function private.create_profile()
  returns trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
declare
  -- ->> gives null, not an error, where the metadata is null, a string or an array.
  given_name text := coalesce(
    new.raw_user_meta_data ->> 'display_name',
    new.raw_user_meta_data ->> 'full_name',
    new.raw_user_meta_data ->> 'name'
  );
  given_picture text := coalesce(
    new.raw_user_meta_data ->> 'avatar_url',
    new.raw_user_meta_data ->> 'picture'
  );
begin
  insert into public.profiles (id, display_name, avatar_url)
  values (
    new.id,
    nullif(btrim(left(btrim(given_name), 80)), ''),
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
comment on function private.create_profile() is
  'Trigger, after insert on auth.users: makes the user''s profile out of their sign-up metadata.';
revoke all on function private.create_profile() from public, anon, authenticated, service_role;

-- auth.users belongs to the Auth server: postgres may put a trigger on it, but no comment on that.
create or replace trigger users_create_profile
  after insert on auth.users
  for each row
  execute function private.create_profile();

-- Users who signed up before this migration.
insert into public.profiles (id)
select users.id from auth.users as users
on conflict (id) do nothing;
