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

-- The privileges on them and their checks go along.
alter table public.profiles
  drop column if exists website,
  drop column if exists timezone,
  drop column if exists preferences,
  drop column if exists last_seen_at;
