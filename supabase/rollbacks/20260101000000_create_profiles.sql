-- Takes back supabase/migrations/20260101000000_create_profiles.sql: the profiles are lost.
-- Can run twice with no effect.

-- Cascade: the trigger on auth.users goes with its function. To drop it by name takes the owner of
-- auth.users, which role postgres is not.
drop function if exists private.create_profile() cascade;

drop table if exists public.profiles;

drop function if exists private.set_updated_at();

-- The schema goes unless somebody else has put something in it.
do $$
begin
  drop schema if exists private restrict;
exception
  when dependent_objects_still_exist then
    raise notice 'schema private is kept: it holds objects of other migrations';
end;
$$;
