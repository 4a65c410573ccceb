-- Takes back supabase/migrations/20260201000100_complete_api_tokens.sql: hashes, names and scopes go
-- back to where they were, those of tokens made since too; prefixes, addresses and settings are lost.
-- Can run twice with no effect.

drop function if exists public.verify_api_token(text, inet);
drop function if exists public.revoke_api_token(uuid);
drop function if exists public.rotate_api_token(uuid);
-- Their arguments' type is gone the second time: by name, of which there is one each.
drop function if exists public.create_api_token;
drop function if exists private.insert_api_token;
drop function if exists private.lock_api_tokens();
drop function if exists private.new_api_token_text();
drop function if exists private.api_token_checksum(text);
drop function if exists private.base62(numeric, integer);
drop type if exists public.new_api_token;

drop trigger if exists api_tokens_keep_revoked on public.api_tokens;
drop trigger if exists api_tokens_free_name on public.api_tokens;
drop function if exists private.free_api_token_name();
drop function if exists private.keep_revoked();
drop index if exists public.api_tokens_user_id_name_key;
drop index if exists public.api_tokens_user_id_token_prefix_key;

alter table public.api_tokens
  drop column if exists token_prefix,
  drop column if exists last_used_ip;

do $$
begin
  if exists (
    select from pg_catalog.pg_attribute
    where attrelid = 'public.api_tokens'::regclass and attname = 'token_hash' and not attisdropped
  ) then
    return;
  end if;

  alter table public.api_tokens
    add column token_hash text,
    drop constraint api_tokens_scopes_check,
    alter column scopes drop default;
  alter table public.api_tokens
    alter column scopes type text[] using scopes::text[],
    alter column scopes set default '{}',
    add constraint api_tokens_scopes_check
      check (cardinality(scopes) <= 32 and array_position(scopes, null) is null);

  -- A token without a secret was never good for anything: the hash of nothing that anybody has.
  update public.api_tokens as tokens
  set
    token_hash = encode(
      coalesce(
        (
          select secrets.token_hash from private.api_token_secrets as secrets
          where secrets.token_id = tokens.id
        ),
        sha256(extensions.gen_random_bytes(32))
      ),
      'hex'
    );

  update public.api_tokens as tokens
  set
    scopes = replaced.scopes,
    -- Unless its owner has given it another since.
    name = case
      when tokens.name = left(replaced.name, 89) || ' (' || left(tokens.id::text, 8) || ')'
        then replaced.name
      else tokens.name
    end
  from private.api_tokens_replaced as replaced
  where replaced.token_id = tokens.id;

  alter table public.api_tokens
    alter column token_hash set not null,
    add constraint api_tokens_token_hash_key unique (token_hash),
    add constraint api_tokens_token_hash_check check (token_hash ~ '^[0-9a-f]{64}$');
end;
$$;

drop table if exists private.api_tokens_replaced;
drop table if exists private.api_token_secrets;
drop function if exists private.end_of(text, interval, interval);
drop function if exists private.api_token_lifetime();
drop table if exists private.settings;
drop type if exists public.api_token_scope;

comment on table public.api_tokens is
  'Keys that a user made for programs that act for them; a token is good while it is neither revoked nor expired.';
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

revoke all on table public.api_tokens from authenticated;
grant
  select,
  insert (user_id, name, token_hash, scopes, expires_at),
  update (name, revoked_at)
on table public.api_tokens to authenticated;

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
