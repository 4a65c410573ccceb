-- user_sessions: the devices that a user is signed in on, as a list for them to look at and end.
-- Taken back by supabase/rollbacks/20260101000200_create_user_sessions.sql. Can run twice with no
-- effect.

create table if not exists public.user_sessions (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null default auth.uid(),
  auth_session_id uuid not null default (auth.jwt() ->> 'session_id')::uuid,
  device_name text not null,
  user_agent text,
  ip_address inet,
  last_active_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '30 days',
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  constraint user_sessions_pkey primary key (id),
  constraint user_sessions_user_id_fkey
    foreign key (user_id) references auth.users (id) on delete cascade,
  -- With the user in it, nobody learns or blocks another user's session by trying its id.
  constraint user_sessions_user_id_auth_session_id_key unique (user_id, auth_session_id),
  constraint user_sessions_device_name_check check (char_length(device_name) between 1 and 100),
  constraint user_sessions_user_agent_check check (char_length(user_agent) <= 1024),
  constraint user_sessions_expires_at_check check (expires_at > created_at)
);

comment on table public.user_sessions is
  'Devices that a user is signed in on; several a user. A row describes a session of the Auth server and does not end it.';
comment on column public.user_sessions.id is 'Names the row.';
comment on column public.user_sessions.user_id is
  'Whose device it is; the signed-in user unless said otherwise.';
comment on column public.user_sessions.auth_session_id is
  'The Auth server''s session, claim session_id of its tokens; the one that asks unless said otherwise. Kept when that session has ended, hence no foreign key.';
comment on column public.user_sessions.device_name is
  'What the user knows the device by: 1 to 100 characters.';
comment on column public.user_sessions.user_agent is
  'What the device''s program calls itself, at most 1024 characters.';
comment on column public.user_sessions.ip_address is 'Where it was last seen.';
comment on column public.user_sessions.last_active_at is 'When it was last seen.';
comment on column public.user_sessions.expires_at is
  'Until when the row counts: 30 days unless a server says otherwise.';
comment on column public.user_sessions.revoked_at is
  'When the user ended it; null while it is in force. Not to be undone by the user.';
comment on column public.user_sessions.created_at is 'When the row was made.';

create index if not exists user_sessions_user_id_last_active_at_idx
  on public.user_sessions (user_id, last_active_at desc);
comment on index public.user_sessions_user_id_last_active_at_idx is
  'One user''s devices, the latest first: the policies, the list, and the cascade from auth.users.';

alter table public.user_sessions enable row level security;

-- Supabase grants everything on a new table to all three roles: begin from nothing.
-- How long a session lasts is for the default or a server to say.
-- No delete: the row could be made anew, as if it had not been revoked.
revoke all on table public.user_sessions from public, anon, authenticated, service_role;
grant
  select,
  insert (user_id, auth_session_id, device_name, user_agent, ip_address),
  update (device_name, user_agent, ip_address, last_active_at, revoked_at)
on table public.user_sessions to authenticated;
grant all on table public.user_sessions to service_role;

drop policy if exists user_sessions_select_own on public.user_sessions;
create policy user_sessions_select_own on public.user_sessions
  for select to authenticated
  using ((select auth.uid()) = user_id);
comment on policy user_sessions_select_own on public.user_sessions is
  'A user sees their own devices.';

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
