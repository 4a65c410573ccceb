-- Takes back supabase/migrations/20260201000200_complete_user_sessions.sql: locations and settings are
-- lost; sessions that were ended stay so. Can run twice with no effect.

do $$
begin
  if exists (select from pg_catalog.pg_extension where extname = 'pg_cron') then
    perform cron.unschedule(jobs.jobid) from cron.job as jobs
    where jobs.jobname = 'purge-expired-sessions';
  end if;
end;
$$;

-- Cascade: the triggers in schema auth go with their functions. To drop them by name takes the owner of
-- the tables, which role postgres is not.
drop function if exists private.end_sessions_on_password_change() cascade;
drop function if exists private.revoke_ended_sessions() cascade;
drop trigger if exists user_sessions_keep_revoked on public.user_sessions;

drop function if exists public.purge_expired_sessions(integer, interval);
drop function if exists public.revoke_other_sessions();
drop function if exists public.revoke_session(uuid);
drop function if exists public.list_sessions();
drop function if exists public.touch_session(text, jsonb, interval);
drop function if exists private.request_ip(jsonb);
drop function if exists private.lock_current_session();
drop type if exists public.listed_session;

drop index if exists public.user_sessions_ended_at_idx;
alter table public.user_sessions drop column if exists location;
update public.user_sessions set device_name = 'Unknown device' where device_name is null;
alter table public.user_sessions alter column device_name set not null;

alter table if exists private.settings
  drop column if exists session_lifetime,
  drop column if exists password_change_revokes_tokens;

comment on table public.user_sessions is
  'Devices that a user is signed in on; several a user. A row describes a session of the Auth server and does not end it.';
comment on column public.user_sessions.user_id is
  'Whose device it is; the signed-in user unless said otherwise.';
comment on column public.user_sessions.auth_session_id is
  'The Auth server''s session, claim session_id of its tokens; the one that asks unless said otherwise. Kept when that session has ended, hence no foreign key.';
comment on column public.user_sessions.device_name is
  'What the user knows the device by: 1 to 100 characters.';
comment on column public.user_sessions.ip_address is 'Where it was last seen.';
comment on column public.user_sessions.expires_at is
  'Until when the row counts: 30 days unless a server says otherwise.';
comment on column public.user_sessions.revoked_at is
  'When the user ended it; null while it is in force. Not to be undone by the user.';

revoke all on table public.user_sessions from authenticated;
grant
  select,
  insert (user_id, auth_session_id, device_name, user_agent, ip_address),
  update (device_name, user_agent, ip_address, last_active_at, revoked_at)
on table public.user_sessions to authenticated;

drop policy if exists user_sessions_insert_own on public.user_sessions;
create policy user_sessions_insert_own on public.user_sessions
  for insert to authenticated
  with check ((select auth.uid()) = user_id);
comment on policy user_sessions_insert_own on public.user_sessions is
  'A user adds devices of their own.';

drop policy if exists user_sessions_update_own on public.user_sessions;
create policy user_sessions_update_own on public.user_sessions
  for update to authenticated
  using ((select auth.uid()) = user_id and revoked_at is null)
  with check ((select auth.uid()) = user_id);
comment on policy user_sessions_update_own on public.user_sessions is
  'A user names, refreshes or revokes their own devices; one that is revoked stays as it is.';
