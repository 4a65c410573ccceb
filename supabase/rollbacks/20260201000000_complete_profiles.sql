-- Takes back supabase/migrations/20260201000000_complete_profiles.sql: websites, time zones,
-- preferences and when somebody was last seen are lost. Can run twice with no effect.

-- First what names the columns.
create or replace trigger profiles_set_updated_at
  before update on public.profiles
  for each row
  when (old.* is distinct from new.*)
  execute function private.set_updated_at();
comment on trigger profiles_set_updated_at on public.profiles is
  'Keeps updated_at whenever a value really changes, whatever the statement says about it.';

drop trigger if exists profiles_check_timezone_insert on public.profiles;
drop trigger if exists profiles_check_timezone_update on public.profiles;
drop function if exists private.check_timezone();

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

-- The privileges on them and their checks go along.
alter table public.profiles
  drop column if exists website,
  drop column if exists timezone,
  drop column if exists preferences,
  drop column if exists last_seen_at;
