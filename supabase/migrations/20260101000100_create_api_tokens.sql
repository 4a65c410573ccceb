-- api_tokens: the keys that a user has made for programs that act for them.
-- The token itself is shown once and kept nowhere; the table holds its SHA-256.
-- Taken back by supabase/rollbacks/20260101000100_create_api_tokens.sql. Can run twice with no effect.

create table if not exists public.api_tokens (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null default auth.uid(),
  name text not null,
  token_hash text not null,
  scopes text[] not null default '{}',
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  constraint api_tokens_pkey primary key (id),
  constraint api_tokens_user_id_fkey
    foreign key (user_id) references auth.users (id) on delete cascade,
  constraint api_tokens_token_hash_key unique (token_hash),
  constraint api_tokens_name_check check (char_length(name) between 1 and 100),
  constraint api_tokens_token_hash_check check (token_hash ~ '^[0-9a-f]{64}$'),
  constraint api_tokens_scopes_check
    check (cardinality(scopes) <= 32 and array_position(scopes, null) is null),
  constraint api_tokens_expires_at_check check (expires_at > created_at)
);

comment on table public.api_tokens is
  'Keys that a user made for programs that act for them; a token is good while it is neither revoked nor expired.';
comment on column public.api_tokens.id is 'Names the token without telling anything about it.';
comment on column public.api_tokens.user_id is
  'Whom the token acts for; the signed-in user unless said otherwise.';
comment on column public.api_tokens.name is
  'What the user calls it, to tell it from the others: 1 to 100 characters.';
comment on column public.api_tokens.token_hash is
  'SHA-256 of the token, 64 lower-case hexadecimal digits: a server finds the row by it.';
comment on column public.api_tokens.scopes is
  'What the token may be used for, at most 32 words that the application defines.';
comment on column public.api_tokens.expires_at is 'When it stops working; null for never.';
comment on column public.api_tokens.last_used_at is 'When a server last accepted it; null for never.';
comment on column public.api_tokens.revoked_at is
  'When its owner took it back; null while it is in force. Not to be undone by the owner.';
comment on column public.api_tokens.created_at is 'When the row was made.';

create index if not exists api_tokens_user_id_idx on public.api_tokens (user_id);
comment on index public.api_tokens_user_id_idx is
  'One user''s tokens: the policies, and the cascade from auth.users.';

alter table public.api_tokens enable row level security;

-- Supabase grants everything on a new table to all three roles: begin from nothing.
-- What a token may do and how long is settled when it is made; last_used_at is for servers to say.
-- No delete: the row could be made anew from its hash, without its end and with more scopes.
revoke all on table public.api_tokens from public, anon, authenticated, service_role;
grant
  select,
  insert (user_id, name, token_hash, scopes, expires_at),
  update (name, revoked_at)
on table public.api_tokens to authenticated;
grant all on table public.api_tokens to service_role;

drop policy if exists api_tokens_select_own on public.api_tokens;
create policy api_tokens_select_own on public.api_tokens
  for select to authenticated
  using ((select auth.uid()) = user_id);
comment on policy api_tokens_select_own on public.api_tokens is 'A user sees their own tokens.';

drop policy if exists api_tokens_insert_own on public.api_tokens;
create policy api_tokens_insert_own on public.api_tokens
  for insert to authenticated
  with check ((select auth.uid()) = user_id);
comment on policy api_tokens_insert_own on public.api_tokens is
  'A user makes tokens that act for themselves.';

drop policy if exists api_tokens_update_own on public.api_tokens;
create policy api_tokens_update_own on public.api_tokens
  for update to authenticated
  using ((select auth.uid()) = user_id and revoked_at is null)
  with check ((select auth.uid()) = user_id);
comment on policy api_tokens_update_own on public.api_tokens is
  'A user renames or revokes their own tokens; one that is revoked stays as it is.';
