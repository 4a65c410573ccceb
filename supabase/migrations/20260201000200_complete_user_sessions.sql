-- user_sessions: a row for each sign-in on a device that says the truth about it. It is made from the token
-- and the request, it ends the Auth server's session when it is revoked, and it ends with that session.
-- Taken back by supabase/rollbacks/20260201000200_complete_user_sessions.sql. Can run twice with no
-- effect.

-- Settings -----------------------------------------------------------------------------------------

alter table private.settings
  add column if not exists session_lifetime interval
    constraint settings_session_lifetime_check check (session_lifetime > '0'),
  add column if not exists password_change_revokes_tokens boolean;
comment on column private.settings.session_lifetime is
  'How long a device''s row counts from its first touch where nothing is said, and at most; 30 days by default.';
comment on column private.settings.password_change_revokes_tokens is
  'Whether a change of the password takes back the user''s API tokens too, beside their other sessions; not by default.';

-- The table ----------------------------------------------------------------------------------------

alter table public.user_sessions
  add column if not exists location jsonb
    constraint user_sessions_location_check
      check (jsonb_typeof(location) = 'object' and octet_length(location::text) <= 4096);

-- Not every client has a name to tell; those that show a list have to show one without.
-- squawk-ignore ban-drop-not-null
alter table public.user_sessions alter column device_name drop not null;

comment on table public.user_sessions is
  'Devices that a user is signed in on; several a user. A row is made by touch_session, ends with its session of the Auth server, and ends that when it is revoked.';
comment on column public.user_sessions.user_id is 'Whose device it is.';
comment on column public.user_sessions.auth_session_id is
  'The Auth server''s session, claim session_id of its tokens. Kept when that session has ended, hence no foreign key.';
comment on column public.user_sessions.device_name is
  'What the user knows the device by: 1 to 100 characters; null where nobody has said.';
comment on column public.user_sessions.ip_address is
  'Where it was last seen, as the request''s headers say: to show, not to rely on.';
comment on column public.user_sessions.location is
  'Where that is, as the application says: a JSON object of at most 4 kB, written as text.';
comment on column public.user_sessions.expires_at is
  'Until when the row counts: 30 days from the first touch unless less was asked for. Nothing extends it.';
comment on column public.user_sessions.revoked_at is
  'When it was ended, never to be undone; null while it is in force.';

-- least() passes over the null of what is not revoked. Not concurrently: one transaction, and a table of
-- devices is written by sign-ins, not by every request.
-- squawk-ignore require-concurrent-index-creation
create index if not exists user_sessions_ended_at_idx
  on public.user_sessions (least(expires_at, revoked_at));
comment on index public.user_sessions_ended_at_idx is
  'What has ended longest ago, for purge_expired_sessions.';

-- Clients write by the functions only.
revoke all on table public.user_sessions from authenticated;
grant select on table public.user_sessions to authenticated;
drop policy if exists user_sessions_insert_own on public.user_sessions;
drop policy if exists user_sessions_update_own on public.user_sessions;

create or replace trigger user_sessions_keep_revoked
  before update of revoked_at on public.user_sessions
  for each row
  when (old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at)
  execute function private.keep_revoked();
comment on trigger user_sessions_keep_revoked on public.user_sessions is
  'Once a session is revoked it stays so, for servers too.';

-- With the Auth server -----------------------------------------------------------------------------
-- auth.sessions and auth.users belong to it: postgres may put triggers on them and delete from them, but
-- owns neither. Everything below takes locks in one order, first in auth.users, then in auth.sessions, then
-- in user_sessions, as a sign-out by the Auth server does by way of this trigger.

create or replace function private.revoke_ended_sessions()
  returns trigger
  language plpgsql
  security definer -- the Auth server (supabase_auth_admin) may not write in public
  set search_path = pg_catalog, pg_temp
as $$
begin
  update public.user_sessions as sessions
  set revoked_at = now()
  from ended
  where sessions.user_id = ended.user_id
    and sessions.auth_session_id = ended.id
    and sessions.revoked_at is null;
  return null;
end;
$$;
comment on function private.revoke_ended_sessions() is
  'Trigger, after delete on auth.sessions: a device whose session has ended is no longer signed in.';
revoke all on function private.revoke_ended_sessions()
  from public, anon, authenticated, service_role;

create or replace trigger sessions_revoke_user_sessions
  after delete on auth.sessions
  referencing old table as ended
  for each statement
  execute function private.revoke_ended_sessions();

create or replace function private.end_sessions_on_password_change()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- Known where it is the user who asks, through the API. Null otherwise: then no session is kept.
  current_session constant uuid :=
    case when auth.uid() = new.id then (auth.jwt() ->> 'session_id')::uuid end;
begin
  -- The Auth server ends all sessions but the one that asks by itself, in this transaction
  -- (supabase/auth, internal/models/user.go, UpdatePassword), and tells nobody which one that is.
  if session_user <> 'supabase_auth_admin' then
    delete from auth.sessions as sessions
    where sessions.user_id = new.id and sessions.id is distinct from current_session;
  end if;
  update public.user_sessions as sessions
  set revoked_at = now()
  where sessions.user_id = new.id
    and sessions.revoked_at is null
    and not exists (
      select from auth.sessions as signed_in
      where signed_in.id = sessions.auth_session_id and signed_in.user_id = new.id
    );
  if (select settings.password_change_revokes_tokens from private.settings as settings) then
    update public.api_tokens as tokens
    set revoked_at = now()
    where tokens.user_id = new.id and tokens.revoked_at is null;
  end if;
  return null;
end;
$$;
comment on function private.end_sessions_on_password_change() is
  'Trigger, after update on auth.users: a new password ends every other session and, by a setting, the API tokens.';
revoke all on function private.end_sessions_on_password_change()
  from public, anon, authenticated, service_role;

create or replace trigger users_end_sessions
  after update of encrypted_password on auth.users
  for each row
  when (old.encrypted_password is distinct from new.encrypted_password)
  execute function private.end_sessions_on_password_change();

-- What clients call --------------------------------------------------------------------------------

do $$
begin
  create type public.listed_session as (
    id uuid,
    user_id uuid,
    auth_session_id uuid,
    device_name text,
    user_agent text,
    ip_address inet,
    location jsonb,
    last_active_at timestamptz,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz,
    is_current boolean
  );
exception
  when duplicate_object then null; -- there is no "if not exists" for a type
end;
$$;
comment on type public.listed_session is
  'A session as user_sessions shows it, and whether it is the one that asks.';

create or replace function private.lock_current_session()
  returns uuid
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  current_session constant uuid := (auth.jwt() ->> 'session_id')::uuid;
begin
  if current_session is null or auth.uid() is null then
    raise exception 'the token does not say which session it is of'
      using
        errcode = 'invalid_authorization_specification',
        detail = 'field: session_id',
        hint = 'Call this as a user who has signed in.';
  end if;
  -- First the user, as who deletes one does: a new row's foreign key would ask for them last, when a
  -- deletion waits for the session.
  perform from auth.users as users where users.id = auth.uid() for key share;
  -- A token outlives its session by up to an hour. The lock keeps the session until this is done.
  perform from auth.sessions as sessions
  where sessions.id = current_session and sessions.user_id = auth.uid()
  for key share;
  if not found then
    raise exception 'the session has ended'
      using
        errcode = 'invalid_authorization_specification',
        detail = 'field: session_id',
        hint = 'Sign in again.';
  end if;
  return current_session;
end;
$$;
comment on function private.lock_current_session() is
  'Gives the session that asks, by its token''s claim, if it has not ended, and keeps it from ending meanwhile.';
revoke all on function private.lock_current_session()
  from public, anon, authenticated, service_role;

-- The leftmost address is what the client's own proxy or the client itself says, so this is to show, not
-- to rely on. On Supabase Cloudflare says in its own header whom it talked to.
create or replace function private.request_ip(headers jsonb)
  returns inet
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
begin
  return btrim(
    coalesce(headers ->> 'cf-connecting-ip', split_part(headers ->> 'x-forwarded-for', ',', 1))
  )::inet;
exception
  when data_exception then -- what it says is no address
    return null;
end;
$$;
comment on function private.request_ip(jsonb) is
  'Where a request came from, by its headers; null where they do not say.';
revoke all on function private.request_ip(jsonb) from public, anon, authenticated, service_role;

create or replace function public.touch_session(
  device_name text default null,
  location jsonb default null,
  expires_in interval default null
)
  returns public.listed_session
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  current_session constant uuid := private.lock_current_session();
  owner constant uuid := auth.uid();
  headers constant jsonb := nullif(current_setting('request.headers', true), '')::jsonb;
  longest constant interval :=
    coalesce((select settings.session_lifetime from private.settings as settings), '30 days');
  ends constant timestamptz := private.end_of('a session', expires_in, longest);
  touched public.user_sessions;
begin
  insert into public.user_sessions as sessions (
    user_id, auth_session_id, device_name, user_agent, ip_address, location, expires_at
  )
  values (
    owner, current_session, touch_session.device_name, left(headers ->> 'user-agent', 1024),
    private.request_ip(headers), touch_session.location, ends
  )
  on conflict on constraint user_sessions_user_id_auth_session_id_key do update
  set
    device_name = coalesce(excluded.device_name, sessions.device_name),
    user_agent = coalesce(excluded.user_agent, sessions.user_agent),
    ip_address = coalesce(excluded.ip_address, sessions.ip_address),
    location = coalesce(excluded.location, sessions.location),
    last_active_at = now(),
    -- Shorter where that is asked for, never longer; least() passes over a null.
    expires_at = least(
      sessions.expires_at, case when touch_session.expires_in is not null then ends end
    )
  where sessions.revoked_at is null and sessions.expires_at > now()
  returning sessions.* into touched;
  if not found then
    raise exception 'the session was revoked or has expired'
      using
        errcode = 'invalid_authorization_specification',
        detail = 'field: session_id',
        hint = 'Sign in again.';
  end if;
  update public.profiles as profiles
  set last_seen_at = now()
  where profiles.id = owner
    and (profiles.last_seen_at is null or profiles.last_seen_at <= now() - interval '1 minute');
  return row(
    touched.id, touched.user_id, touched.auth_session_id, touched.device_name, touched.user_agent,
    touched.ip_address, touched.location, touched.last_active_at, touched.expires_at,
    touched.revoked_at, touched.created_at, true
  )::public.listed_session;
end;
$$;
comment on function public.touch_session(text, jsonb, interval) is
  'Makes or refreshes the row of the session that asks: what is given, and the request''s address and program. Refused once it has ended.';
revoke all on function public.touch_session(text, jsonb, interval)
  from public, anon, authenticated, service_role;
grant execute on function public.touch_session(text, jsonb, interval) to authenticated;

create or replace function public.list_sessions()
  returns setof public.listed_session
  language sql
  stable
  security invoker -- the policy of user_sessions holds
  set search_path = pg_catalog, pg_temp
as $$
  select
    sessions.id, sessions.user_id, sessions.auth_session_id, sessions.device_name,
    sessions.user_agent, sessions.ip_address, sessions.location, sessions.last_active_at,
    sessions.expires_at, sessions.revoked_at, sessions.created_at,
    coalesce(sessions.auth_session_id = (select (auth.jwt() ->> 'session_id')::uuid), false)
  from public.user_sessions as sessions
  where sessions.user_id = (select auth.uid())
    and sessions.revoked_at is null
    and sessions.expires_at > now()
  order by sessions.last_active_at desc, sessions.id;
$$;
comment on function public.list_sessions() is
  'The devices that the user is signed in on, the one seen last first, and which of them asks.';
revoke all on function public.list_sessions() from public, anon, authenticated, service_role;
grant execute on function public.list_sessions() to authenticated;

create or replace function public.revoke_session(id uuid)
  returns public.user_sessions
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  revoked public.user_sessions;
begin
  select sessions.* into revoked from public.user_sessions as sessions
  where sessions.id = revoke_session.id and sessions.user_id = (select auth.uid());
  if not found then
    raise exception 'there is no such session'
      using errcode = 'PT404', detail = 'field: id', column = 'id';
  end if;
  -- Its refresh tokens go by cascade, and the trigger there revokes the row.
  delete from auth.sessions as sessions
  where sessions.id = revoked.auth_session_id and sessions.user_id = revoked.user_id;
  update public.user_sessions as sessions
  set revoked_at = now()
  where sessions.id = revoked.id and sessions.revoked_at is null;
  select sessions.* into revoked from public.user_sessions as sessions
  where sessions.id = revoked.id;
  return revoked;
end;
$$;
comment on function public.revoke_session(uuid) is
  'Signs one of the user''s devices out: its refresh token is gone, its access token lives on for an hour at most. Again changes nothing.';
revoke all on function public.revoke_session(uuid) from public, anon, authenticated, service_role;
grant execute on function public.revoke_session(uuid) to authenticated;

create or replace function public.revoke_other_sessions()
  returns bigint
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant uuid := auth.uid();
  current_session uuid;
  ended bigint;
  listed bigint;
begin
  -- One at a time for each user: two devices, each keeping its own session, would wait for one another.
  perform pg_advisory_xact_lock(hashtextextended('auth.sessions ' || owner, 0));
  current_session := private.lock_current_session();
  delete from auth.sessions as sessions
  where sessions.user_id = owner and sessions.id <> current_session;
  get diagnostics ended = row_count;
  -- The trigger has revoked those. What is left are rows of sessions that had ended before it was there.
  update public.user_sessions as sessions
  set revoked_at = now()
  where sessions.user_id = owner
    and sessions.auth_session_id <> current_session
    and sessions.revoked_at is null
    and sessions.expires_at > now();
  get diagnostics listed = row_count;
  return ended + listed;
end;
$$;
comment on function public.revoke_other_sessions() is
  'Signs the user out everywhere but where they ask from; gives how many sessions that ended.';
revoke all on function public.revoke_other_sessions()
  from public, anon, authenticated, service_role;
grant execute on function public.revoke_other_sessions() to authenticated;

-- What a schedule calls ----------------------------------------------------------------------------

create or replace function public.purge_expired_sessions(
  batch_size integer default 1000,
  older_than interval default '30 days'
)
  returns bigint
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  batch uuid[];
  purged bigint;
begin
  if (batch_size between 1 and 100000) is not true then
    raise exception 'a batch is of 1 to 100000 rows'
      using errcode = 'invalid_parameter_value', detail = 'field: batch_size', column = 'batch_size';
  end if;
  if (older_than >= '0') is not true then
    raise exception 'what has not ended yet is not purged'
      using errcode = 'invalid_parameter_value', detail = 'field: older_than', column = 'older_than';
  end if;
  -- Rows that somebody else has locked are left to the next batch, so nobody waits, and two purges at
  -- once share the work.
  batch := array(
    select sessions.id from public.user_sessions as sessions
    where least(sessions.expires_at, sessions.revoked_at) < now() - older_than
    order by least(sessions.expires_at, sessions.revoked_at)
    limit batch_size
    for update skip locked
  );
  -- A session that outlived its row could make itself a new one.
  delete from auth.sessions as sessions
  where sessions.id in (
    select signed_in.id
    from auth.sessions as signed_in
    join public.user_sessions as expired
      on expired.auth_session_id = signed_in.id and expired.user_id = signed_in.user_id
    where expired.id = any (batch)
    for update of signed_in skip locked
  );
  delete from public.user_sessions as sessions
  where sessions.id = any (batch)
    and not exists (
      select from auth.sessions as signed_in
      where signed_in.id = sessions.auth_session_id and signed_in.user_id = sessions.user_id
    );
  get diagnostics purged = row_count;
  return purged;
end;
$$;
comment on function public.purge_expired_sessions(integer, interval) is
  'For a schedule: deletes one batch of rows that ended long enough ago, with what is left of their sessions; gives how many. Call it until that is 0.';
revoke all on function public.purge_expired_sessions(integer, interval)
  from public, anon, authenticated, service_role;
grant execute on function public.purge_expired_sessions(integer, interval) to service_role;

-- A schedule of that name is replaced. Where pg_cron comes later, docs/schema.md has this statement.
do $$
begin
  if exists (select from pg_catalog.pg_extension where extname = 'pg_cron') then
    perform cron.schedule(
      'purge-expired-sessions', '*/10 * * * *', 'select public.purge_expired_sessions(10000)'
    );
  end if;
end;
$$;
