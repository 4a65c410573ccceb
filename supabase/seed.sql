-- Two demo users with a few rows each, for a local stack: never for a database that others reach.
-- Sign in as alice@example.com or bob@example.com, password "riptide-demo" for both.
-- Can run twice with no effect.

-- The Auth server looks for users of this instance only, and cannot read a null where the empty
-- strings are.
insert into auth.users (
  id, instance_id, aud, role, email, encrypted_password, email_confirmed_at,
  confirmation_token, recovery_token, email_change, email_change_token_new,
  raw_app_meta_data, raw_user_meta_data, created_at, updated_at
)
select
  demo.id, '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated', demo.email,
  extensions.crypt('riptide-demo', extensions.gen_salt('bf', 10)), now(),
  '', '', '', '',
  '{"provider": "email", "providers": ["email"]}'::jsonb,
  jsonb_build_object('display_name', demo.display_name, 'email_verified', true),
  now(), now()
from (
  values
    ('a11ce000-0000-4000-8000-000000000001'::uuid, 'alice@example.com', 'Alice'),
    ('b0b00000-0000-4000-8000-000000000002'::uuid, 'bob@example.com', 'Bob')
) as demo (id, email, display_name)
on conflict do nothing;

insert into auth.identities (
  id, user_id, provider, provider_id, identity_data, created_at, updated_at
)
select
  users.id, users.id, 'email', users.id::text,
  jsonb_build_object('sub', users.id::text, 'email', users.email, 'email_verified', true),
  now(), now()
from auth.users as users
where users.id in (
  'a11ce000-0000-4000-8000-000000000001', 'b0b00000-0000-4000-8000-000000000002'
)
on conflict do nothing;

-- The profiles were made by the trigger on auth.users.

-- Tokens that are no secrets: rt_, eight characters, zeros, and the checksum.
with demo (id, user_id, name, body, scopes, expires_at, revoked_at) as (
  values
    (
      '70000000-0000-4000-8000-000000000001'::uuid,
      'a11ce000-0000-4000-8000-000000000001'::uuid,
      'Laptop backup', rpad('rt_Alice001', 46, '0'), array['read']::public.api_token_scope[],
      null::timestamptz, null::timestamptz
    ),
    (
      '70000000-0000-4000-8000-000000000002', 'a11ce000-0000-4000-8000-000000000001',
      'Old script', rpad('rt_Alice002', 46, '0'), array['read', 'write']::public.api_token_scope[],
      null, now()
    ),
    (
      '70000000-0000-4000-8000-000000000003', 'b0b00000-0000-4000-8000-000000000002',
      'Build server', rpad('rt_Bob00001', 46, '0'), array['admin']::public.api_token_scope[],
      now() + interval '1 year', null
    )
), made as (
  insert into public.api_tokens (id, user_id, name, token_prefix, scopes, expires_at, revoked_at)
  select
    demo.id, demo.user_id, demo.name, left(demo.body, 11), demo.scopes, demo.expires_at,
    demo.revoked_at
  from demo
  where exists (select from auth.users as users where users.id = demo.user_id)
  on conflict do nothing
  returning id
)
insert into private.api_token_secrets (token_hash, token_id)
select
  sha256(convert_to(demo.body || private.api_token_checksum(demo.body), 'UTF8')), demo.id
from demo
where demo.id in (select made.id from made)
on conflict do nothing;

insert into public.user_sessions (id, user_id, auth_session_id, device_name, user_agent, ip_address)
select
  demo.id, demo.user_id, demo.auth_session_id, demo.device_name, demo.user_agent, demo.ip_address
from (
  values
    (
      '5e550000-0000-4000-8000-000000000001'::uuid,
      'a11ce000-0000-4000-8000-000000000001'::uuid,
      '5e550000-0000-4000-9000-000000000001'::uuid,
      'Laptop', 'Mozilla/5.0 (X11; Linux x86_64)', '192.0.2.10'::inet
    ),
    (
      '5e550000-0000-4000-8000-000000000002', 'a11ce000-0000-4000-8000-000000000001',
      '5e550000-0000-4000-9000-000000000002',
      'Phone', 'Mozilla/5.0 (Android 16; Mobile)', '2001:db8::10'
    ),
    (
      '5e550000-0000-4000-8000-000000000003', 'b0b00000-0000-4000-8000-000000000002',
      '5e550000-0000-4000-9000-000000000003',
      'Workstation', 'Mozilla/5.0 (Macintosh)', '198.51.100.7'
    )
) as demo (id, user_id, auth_session_id, device_name, user_agent, ip_address)
where exists (select from auth.users as users where users.id = demo.user_id)
on conflict do nothing;
