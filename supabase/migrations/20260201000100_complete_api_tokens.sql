-- api_tokens: scopes that mean something, a name for one live token each, and functions that make, rotate,
-- revoke and verify a token; its hash where no client can read it.
-- Taken back by supabase/rollbacks/20260201000100_complete_api_tokens.sql. Can run twice with no effect.

-- For gen_random_bytes; Supabase has it there already.
create extension if not exists pgcrypto with schema extensions;

do $$
begin
  create type public.api_token_scope as enum ('read', 'write', 'admin');
exception
  when duplicate_object then null; -- there is no "if not exists" for a type
end;
$$;
comment on type public.api_token_scope is
  'What a token may be used for. What the words allow is the application''s to say; none contains another.';

-- Settings -----------------------------------------------------------------------------------------

-- A table and not a GUC: role postgres may not set parameters of its own for a database everywhere on
-- Supabase, and a table has types and checks. Empty until somebody sets something: a row that is
-- there by itself would be one that the rollback loses.
create table if not exists private.settings (
  id boolean not null default true,
  api_token_limit bigint,
  api_token_lifetime interval,
  constraint settings_pkey primary key (id),
  constraint settings_id_check check (id),
  constraint settings_api_token_limit_check check (api_token_limit >= 0),
  constraint settings_api_token_lifetime_check check (api_token_lifetime > '0')
);
comment on table private.settings is
  'What an operator may set for this schema''s functions: one row, in which null, as no row, is the default. Write it in SQL, or in a migration.';
comment on column private.settings.id is 'True: there is one row at most.';
comment on column private.settings.api_token_limit is
  'How many live tokens a user may have; 50 by default.';
comment on column private.settings.api_token_lifetime is
  'How long a token is good for where nothing is said, and at most; a year by default.';
alter table private.settings enable row level security;
revoke all on table private.settings from public, anon, authenticated, service_role;

create or replace function private.api_token_lifetime()
  returns interval
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select settings.api_token_lifetime from private.settings as settings), '1 year');
$$;
comment on function private.api_token_lifetime() is
  'How long a token is good for where nothing is said, and at most.';
revoke all on function private.api_token_lifetime()
  from public, anon, authenticated, service_role;

create or replace function private.end_of(noun text, expires_in interval, longest interval)
  returns timestamptz
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  result timestamptz;
begin
  if expires_in is null then
    return now() + longest;
  end if;
  -- First as lengths, in which a month has 30 days; then as dates, as months are of many lengths.
  if expires_in > '0' and expires_in <= longest * 2 then
    begin
      result := now() + expires_in;
    exception
      when datetime_field_overflow then null; -- many years forth, as many days back
    end;
  end if;
  if (result > now() and result <= now() + longest) is not true then
    raise exception '% is good for % at most, and not for no time', noun, longest
      using errcode = 'invalid_parameter_value', detail = 'field: expires_in', column = 'expires_in';
  end if;
  return result;
end;
$$;
comment on function private.end_of(text, interval, interval) is
  'When what is asked for now ends: after the longest time where nothing is said, and never later.';
revoke all on function private.end_of(text, interval, interval)
  from public, anon, authenticated, service_role;

-- Where the hash is --------------------------------------------------------------------------------

-- Why a table of its own: PostgreSQL refuses `select *` as a whole (42501) where one column is not
-- granted, so api_tokens must not have one. A security_invoker view would need the table itself to move
-- into private, and clients to have the use of that schema; and a grant on the table that somebody adds
-- later would show the hash again. Here nothing that clients may have leads to it.
create table if not exists private.api_token_secrets (
  token_hash bytea not null,
  token_id uuid not null,
  constraint api_token_secrets_pkey primary key (token_hash),
  constraint api_token_secrets_token_id_key unique (token_id),
  constraint api_token_secrets_token_id_fkey
    foreign key (token_id) references public.api_tokens (id) on delete cascade,
  constraint api_token_secrets_token_hash_check check (octet_length(token_hash) = 32)
);
comment on table private.api_token_secrets is
  'The hash of each token, apart from what its owner may read of it. A token is good only with a row here.';
comment on column private.api_token_secrets.token_hash is
  'SHA-256 of the token''s characters: verify_api_token finds the token by it.';
comment on column private.api_token_secrets.token_id is 'The token, as in api_tokens.';
alter table private.api_token_secrets enable row level security;
revoke all on table private.api_token_secrets from public, anon, authenticated, service_role;

create table if not exists private.api_tokens_replaced (
  token_id uuid not null,
  name text not null,
  scopes text[] not null,
  constraint api_tokens_replaced_pkey primary key (token_id),
  constraint api_tokens_replaced_token_id_fkey
    foreign key (token_id) references public.api_tokens (id) on delete cascade
);
comment on table private.api_tokens_replaced is
  'Names and scopes of before, where this migration had to replace one: nothing is lost, and its rollback puts them back.';
comment on column private.api_tokens_replaced.token_id is 'The token, as in api_tokens.';
comment on column private.api_tokens_replaced.name is 'What it was called.';
comment on column private.api_tokens_replaced.scopes is 'The words that it had for scopes.';
alter table private.api_tokens_replaced enable row level security;
revoke all on table private.api_tokens_replaced from public, anon, authenticated, service_role;

-- The table ----------------------------------------------------------------------------------------

alter table public.api_tokens
  add column if not exists token_prefix text
    constraint api_tokens_token_prefix_check check (token_prefix ~ '^rt_[0-9A-Za-z]{8}$'),
  add column if not exists last_used_ip inet;

-- What needs token_hash needs it once only: it is gone afterwards.
do $$
begin
  if not exists (
    select from pg_catalog.pg_attribute
    where attrelid = 'public.api_tokens'::regclass and attname = 'token_hash' and not attisdropped
  ) then
    return;
  end if;

  insert into private.api_token_secrets (token_hash, token_id)
  select decode(tokens.token_hash, 'hex'), tokens.id from public.api_tokens as tokens;

  -- Of live tokens with one name the oldest keeps it. Words that are no scope now are dropped, not
  -- guessed at: a token never may more than before. What would not come back from the new type as it
  -- was, by its words or their order, is kept.
  insert into private.api_tokens_replaced (token_id, name, scopes)
  select same.id, same.name, same.scopes
  from (
    select
      tokens.*,
      row_number() over (
        partition by tokens.user_id, tokens.name, tokens.revoked_at is null
        order by tokens.created_at, tokens.id
      ) as place
    from public.api_tokens as tokens
  ) as same
  where (same.revoked_at is null and same.place > 1)
    or same.scopes is distinct from array_remove(
      array[
        case when 'read' = any (same.scopes) then 'read' end,
        case when 'write' = any (same.scopes) then 'write' end,
        case when 'admin' = any (same.scopes) then 'admin' end
      ],
      null
    );

  update public.api_tokens as tokens
  set name = left(tokens.name, 89) || ' (' || left(tokens.id::text, 8) || ')'
  from private.api_tokens_replaced as replaced
  where replaced.token_id = tokens.id
    and tokens.revoked_at is null
    and exists (
      select from public.api_tokens as older
      where older.user_id = tokens.user_id and older.name = tokens.name and older.revoked_at is null
        and (older.created_at, older.id) < (tokens.created_at, tokens.id)
    );

  -- The check and the default are of the old type.
  alter table public.api_tokens
    drop constraint api_tokens_scopes_check,
    alter column scopes drop default;
  alter table public.api_tokens
    alter column scopes type public.api_token_scope[]
      using array_remove(
        array[
          case when 'read' = any (scopes) then 'read'::public.api_token_scope end,
          case when 'write' = any (scopes) then 'write'::public.api_token_scope end,
          case when 'admin' = any (scopes) then 'admin'::public.api_token_scope end
        ],
        null
      ),
    alter column scopes set default '{}',
    add constraint api_tokens_scopes_check
      check (cardinality(scopes) <= 32 and array_position(scopes, null) is null),
    drop column token_hash;
end;
$$;

comment on table public.api_tokens is
  'Keys that a user made for programs that act for them; a token is good while it is neither revoked nor expired. Made, rotated and revoked by functions.';
comment on column public.api_tokens.name is
  'What the user calls it, to tell it from the others: 1 to 100 characters, one live token of that name a user.';
comment on column public.api_tokens.token_prefix is
  'How the token begins, rt_ and eight characters, to recognise it by; null for one of before there were any.';
comment on column public.api_tokens.scopes is
  'What the token may be used for: settled when it is made.';
comment on column public.api_tokens.expires_at is
  'When it stops working; null for never, as tokens of before and those that a server makes may be.';
comment on column public.api_tokens.last_used_at is
  'When a server last accepted it, to the minute; null for never.';
comment on column public.api_tokens.last_used_ip is
  'From where, as the server said; null where it did not.';
comment on column public.api_tokens.revoked_at is
  'When it was taken back, never to be undone; null while it is in force. An expired one gets its end here when its name is used again.';

-- Neither can say "and not expired", as an index does not know the time: the trigger below sees to it.
-- Not concurrently: this file rewrites the table anyway, and so stays one transaction.
-- squawk-ignore require-concurrent-index-creation
create unique index if not exists api_tokens_user_id_name_key
  on public.api_tokens (user_id, name) where revoked_at is null;
comment on index public.api_tokens_user_id_name_key is 'One live token of a name for each user.';
-- squawk-ignore require-concurrent-index-creation
create unique index if not exists api_tokens_user_id_token_prefix_key
  on public.api_tokens (user_id, token_prefix);
comment on index public.api_tokens_user_id_token_prefix_key is
  'A user can tell their tokens by how they begin.';

-- Clients write by the functions, except the name.
revoke all on table public.api_tokens from authenticated;
grant select, update (name) on table public.api_tokens to authenticated;
drop policy if exists api_tokens_insert_own on public.api_tokens;
-- Of a revoked one too: a trigger keeps revoked_at, and its name is nobody's then.
drop policy if exists api_tokens_update_own on public.api_tokens;
create policy api_tokens_update_own on public.api_tokens
  for update to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);
comment on policy api_tokens_update_own on public.api_tokens is
  'A user renames their own tokens; the grant names the column.';

-- Triggers -----------------------------------------------------------------------------------------

create or replace function private.keep_revoked()
  returns trigger
  language plpgsql
  security invoker -- it reads and writes nothing
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'what is revoked stays revoked'
    using
      errcode = 'check_violation',
      detail = 'field: revoked_at',
      hint = 'Make a new one.',
      schema = tg_table_schema, table = tg_table_name, column = 'revoked_at';
end;
$$;
comment on function private.keep_revoked() is
  'Trigger, before update: refuses to undo or to move revoked_at, whoever asks.';
revoke all on function private.keep_revoked() from public, anon, authenticated, service_role;

create or replace trigger api_tokens_keep_revoked
  before update of revoked_at on public.api_tokens
  for each row
  when (old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at)
  execute function private.keep_revoked();
comment on trigger api_tokens_keep_revoked on public.api_tokens is
  'Once a token is revoked it stays so, for servers too.';

-- Runs as its owner: clients may not write revoked_at.
create or replace function private.free_api_token_name()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  update public.api_tokens as tokens
  set revoked_at = tokens.expires_at
  where tokens.user_id = new.user_id
    and tokens.name = new.name
    and tokens.id <> new.id
    and tokens.revoked_at is null
    and tokens.expires_at <= now();
  return new;
end;
$$;
comment on function private.free_api_token_name() is
  'Trigger, before insert and update: an expired token does not keep its name from a new one.';
revoke all on function private.free_api_token_name() from public, anon, authenticated, service_role;

create or replace trigger api_tokens_free_name
  before insert or update of name on public.api_tokens
  for each row
  when (new.revoked_at is null)
  execute function private.free_api_token_name();
comment on trigger api_tokens_free_name on public.api_tokens is
  'Names are unique among tokens that are live, not among all that were.';

-- The token's text ---------------------------------------------------------------------------------

-- As GitHub's (github.blog/2021-04-05-behind-githubs-new-authentication-token-formats): a prefix that
-- scanners find, letters and digits only, so that a double click selects all of it, and a checksum, so
-- that what was mistyped or made up is refused without asking the database.
create or replace function private.base62(value numeric, width integer)
  returns text
  language plpgsql
  immutable
  strict
  parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  digits constant text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  rest numeric := value;
  result text := '';
begin
  for place in 1..width loop
    result := substr(digits, (rest % 62)::integer + 1, 1) || result;
    rest := div(rest, 62);
  end loop;
  return result;
end;
$$;
comment on function private.base62(numeric, integer) is
  'A whole number in base 62 (0-9, A-Z, a-z), the most significant digit first, with zeros up to the width.';
revoke all on function private.base62(numeric, integer)
  from public, anon, authenticated, service_role;

-- PostgreSQL has crc32() from version 18 on. The table stands in the expression, where it is made a
-- constant once; as a variable it would be made anew for every token.
create or replace function private.api_token_checksum(body text)
  returns text
  language plpgsql
  immutable
  strict
  parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  digits constant text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  bytes constant bytea := convert_to(body, 'UTF8');
  crc bigint := 4294967295;
begin
  for place in 0..length(bytes) - 1 loop
    crc := (crc >> 8) # ('{
    0,1996959894,3993919788,2567524794,124634137,1886057615,3915621685,2657392035,249268274,
    2044508324,3772115230,2547177864,162941995,2125561021,3887607047,2428444049,498536548,
    1789927666,4089016648,2227061214,450548861,1843258603,4107580753,2211677639,325883990,
    1684777152,4251122042,2321926636,335633487,1661365465,4195302755,2366115317,997073096,
    1281953886,3579855332,2724688242,1006888145,1258607687,3524101629,2768942443,901097722,
    1119000684,3686517206,2898065728,853044451,1172266101,3705015759,2882616665,651767980,
    1373503546,3369554304,3218104598,565507253,1454621731,3485111705,3099436303,671266974,
    1594198024,3322730930,2970347812,795835527,1483230225,3244367275,3060149565,1994146192,
    31158534,2563907772,4023717930,1907459465,112637215,2680153253,3904427059,2013776290,
    251722036,2517215374,3775830040,2137656763,141376813,2439277719,3865271297,1802195444,
    476864866,2238001368,4066508878,1812370925,453092731,2181625025,4111451223,1706088902,
    314042704,2344532202,4240017532,1658658271,366619977,2362670323,4224994405,1303535960,
    984961486,2747007092,3569037538,1256170817,1037604311,2765210733,3554079995,1131014506,
    879679996,2909243462,3663771856,1141124467,855842277,2852801631,3708648649,1342533948,
    654459306,3188396048,3373015174,1466479909,544179635,3110523913,3462522015,1591671054,
    702138776,2966460450,3352799412,1504918807,783551873,3082640443,3233442989,3988292384,
    2596254646,62317068,1957810842,3939845945,2647816111,81470997,1943803523,3814918930,
    2489596804,225274430,2053790376,3826175755,2466906013,167816743,2097651377,4027552580,
    2265490386,503444072,1762050814,4150417245,2154129355,426522225,1852507879,4275313526,
    2312317920,282753626,1742555852,4189708143,2394877945,397917763,1622183637,3604390888,
    2714866558,953729732,1340076626,3518719985,2797360999,1068828381,1219638859,3624741850,
    2936675148,906185462,1090812512,3747672003,2825379669,829329135,1181335161,3412177804,
    3160834842,628085408,1382605366,3423369109,3138078467,570562233,1426400815,3317316542,
    2998733608,733239954,1555261956,3268935591,3050360625,752459403,1541320221,2607071920,
    3965973030,1969922972,40735498,2617837225,3943577151,1913087877,83908371,2512341634,
    3803740692,2075208622,213261112,2463272603,3855990285,2094854071,198958881,2262029012,
    4057260610,1759359992,534414190,2176718541,4139329115,1873836001,414664567,2282248934,
    4279200368,1711684554,285281116,2405801727,4167216745,1634467795,376229701,2685067896,
    3608007406,1308918612,956543938,2808555105,3495958263,1231636301,1047427035,2932959818,
    3654703836,1088359270,936918000,2847714899,3736837829,1202900863,817233897,3183342108,
    3401237130,1404277552,615818150,3134207493,3453421203,1423857449,601450431,3009837614,
    3294710456,1567103746,711928724,3020668471,3272380065,1510334235,755167117
    }'::bigint[])[((crc # get_byte(bytes, place)) & 255) + 1];
  end loop;
  crc := crc # 4294967295;
  return substr(digits, (crc / 916132832 % 62)::integer + 1, 1)
    || substr(digits, (crc / 14776336 % 62)::integer + 1, 1)
    || substr(digits, (crc / 238328 % 62)::integer + 1, 1)
    || substr(digits, (crc / 3844 % 62)::integer + 1, 1)
    || substr(digits, (crc / 62 % 62)::integer + 1, 1)
    || substr(digits, (crc % 62)::integer + 1, 1);
end;
$$;
comment on function private.api_token_checksum(text) is
  'The last six characters of a token: zlib''s CRC-32 of what comes before them, in base 62.';
revoke all on function private.api_token_checksum(text)
  from public, anon, authenticated, service_role;

create or replace function private.new_api_token_text()
  returns text
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  random constant bytea := extensions.gen_random_bytes(32);
  value numeric := 0;
  body text;
begin
  for place in 0..31 loop
    value := value * 256 + get_byte(random, place);
  end loop;
  body := 'rt_' || private.base62(value, 43);
  return body || private.api_token_checksum(body);
end;
$$;
comment on function private.new_api_token_text() is
  'A new token: rt_, 32 random bytes in base 62 (43 characters), a checksum (6 characters).';
revoke all on function private.new_api_token_text() from public, anon, authenticated, service_role;

-- What makes tokens --------------------------------------------------------------------------------

do $$
begin
  create type public.new_api_token as (
    id uuid,
    user_id uuid,
    name text,
    token_prefix text,
    scopes public.api_token_scope[],
    expires_at timestamptz,
    last_used_at timestamptz,
    last_used_ip inet,
    revoked_at timestamptz,
    created_at timestamptz,
    token text
  );
exception
  when duplicate_object then null;
end;
$$;
comment on type public.new_api_token is
  'A token as api_tokens shows it, and the token itself, which is shown this once.';

create or replace function private.lock_api_tokens()
  returns uuid
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant uuid := auth.uid();
  current_session constant uuid := (auth.jwt() ->> 'session_id')::uuid;
begin
  if owner is null then
    raise exception 'nobody is signed in'
      using errcode = 'invalid_authorization_specification', detail = 'field: user_id';
  end if;
  -- First of all, as who deletes a user does, and without hindering sign-ins, which write this row:
  -- the foreign key of a new token would ask for it last, when a deletion waits for the old one.
  perform from auth.users as users where users.id = owner for key share;
  if not found then
    raise exception 'the user is gone'
      using errcode = 'invalid_authorization_specification', detail = 'field: user_id';
  end if;
  -- An access token outlives its session by up to an hour: not to be made into one for a year.
  if current_session is not null and not exists (
    select from auth.sessions as sessions
    where sessions.id = current_session and sessions.user_id = owner
  ) then
    raise exception 'the session has ended'
      using
        errcode = 'invalid_authorization_specification',
        detail = 'field: session_id',
        hint = 'Sign in again.';
  end if;
  -- One at a time for each user, until the transaction ends: who counts must not be overtaken.
  perform pg_advisory_xact_lock(hashtextextended('public.api_tokens ' || owner, 0));
  return owner;
end;
$$;
comment on function private.lock_api_tokens() is
  'Gives the signed-in user, whose session has not ended, and lets nobody else make or rotate a token of theirs meanwhile.';
revoke all on function private.lock_api_tokens() from public, anon, authenticated, service_role;

create or replace function private.insert_api_token(
  owner uuid, name text, scopes public.api_token_scope[], expires_at timestamptz
)
  returns public.new_api_token
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  most constant bigint :=
    coalesce((select settings.api_token_limit from private.settings as settings), 50);
  secret constant text := private.new_api_token_text();
  made public.api_tokens;
begin
  if (
    select count(*) from public.api_tokens as tokens
    where tokens.user_id = owner
      and tokens.revoked_at is null
      and (tokens.expires_at is null or tokens.expires_at > now())
  ) >= most then
    raise exception 'there are % live tokens already, which is the most', most
      using
        errcode = 'check_violation',
        detail = 'field: user_id',
        hint = 'Revoke one that is not needed.',
        schema = 'public', table = 'api_tokens', column = 'user_id';
  end if;
  insert into public.api_tokens (user_id, name, token_prefix, scopes, expires_at)
  values (
    owner, insert_api_token.name, left(secret, 11), insert_api_token.scopes,
    insert_api_token.expires_at
  )
  returning * into made;
  insert into private.api_token_secrets (token_hash, token_id)
  values (sha256(convert_to(secret, 'UTF8')), made.id);
  return row(
    made.id, made.user_id, made.name, made.token_prefix, made.scopes, made.expires_at,
    made.last_used_at, made.last_used_ip, made.revoked_at, made.created_at, secret
  )::public.new_api_token;
end;
$$;
comment on function private.insert_api_token(uuid, text, public.api_token_scope[], timestamptz) is
  'Makes a token for a user whose tokens are locked, unless they have as many as they may.';
revoke all on function private.insert_api_token(uuid, text, public.api_token_scope[], timestamptz)
  from public, anon, authenticated, service_role;

create or replace function public.create_api_token(
  name text,
  scopes public.api_token_scope[] default '{read}',
  expires_in interval default null
)
  returns public.new_api_token
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant uuid := private.lock_api_tokens();
begin
  if create_api_token.name is null then
    raise exception 'a token needs a name'
      using errcode = 'invalid_parameter_value', detail = 'field: name', column = 'name';
  end if;
  -- A plain list, counted from one: clients read no other.
  if (array_ndims(create_api_token.scopes) = 1 and array_lower(create_api_token.scopes, 1) = 1)
      is not true
    or array_position(create_api_token.scopes, null) is not null
    or cardinality(create_api_token.scopes)
      > (select count(distinct given.scope) from unnest(create_api_token.scopes) as given (scope))
  then
    raise exception 'a token needs one scope at least, and each of them once'
      using errcode = 'invalid_parameter_value', detail = 'field: scopes', column = 'scopes';
  end if;
  return private.insert_api_token(
    owner, create_api_token.name, create_api_token.scopes,
    private.end_of('a token', expires_in, private.api_token_lifetime())
  );
end;
$$;
comment on function public.create_api_token(text, public.api_token_scope[], interval) is
  'Makes a token for the signed-in user and shows it, this once: good for a year, unless less is asked for.';
revoke all on function public.create_api_token(text, public.api_token_scope[], interval)
  from public, anon, authenticated, service_role;
grant execute on function public.create_api_token(text, public.api_token_scope[], interval)
  to authenticated;

create or replace function public.rotate_api_token(id uuid)
  returns public.new_api_token
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- Before the row: of two rotations at once the second finds it revoked, and neither waits for ever.
  owner constant uuid := private.lock_api_tokens();
  longest constant interval := private.api_token_lifetime();
  old public.api_tokens;
begin
  select tokens.* into old from public.api_tokens as tokens
  where tokens.id = rotate_api_token.id and tokens.user_id = owner
  for no key update;
  if not found then
    raise exception 'there is no such token'
      using errcode = 'PT404', detail = 'field: id', column = 'id';
  end if;
  if old.revoked_at is not null or old.expires_at <= now() then
    raise exception 'the token is revoked or expired: there is nothing to rotate'
      using
        errcode = 'invalid_parameter_value',
        detail = 'field: id',
        hint = 'Make a new one.',
        column = 'id';
  end if;
  update public.api_tokens as tokens set revoked_at = now() where tokens.id = old.id;
  return private.insert_api_token(
    owner, old.name, old.scopes,
    now() + least(old.expires_at - old.created_at, (now() + longest) - now())
  );
end;
$$;
comment on function public.rotate_api_token(uuid) is
  'Revokes a token of the signed-in user and makes one of the same name, scopes and length in its place: both or neither.';
revoke all on function public.rotate_api_token(uuid) from public, anon, authenticated, service_role;
grant execute on function public.rotate_api_token(uuid) to authenticated;

create or replace function public.revoke_api_token(id uuid)
  returns public.api_tokens
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  found_token public.api_tokens;
begin
  update public.api_tokens as tokens
  set revoked_at = now()
  where tokens.id = revoke_api_token.id
    and tokens.user_id = (select auth.uid())
    and tokens.revoked_at is null
  returning tokens.* into found_token;
  if not found then
    select tokens.* into found_token from public.api_tokens as tokens
    where tokens.id = revoke_api_token.id and tokens.user_id = (select auth.uid());
  end if;
  if not found then
    raise exception 'there is no such token'
      using errcode = 'PT404', detail = 'field: id', column = 'id';
  end if;
  return found_token;
end;
$$;
comment on function public.revoke_api_token(uuid) is
  'Takes a token of the signed-in user back; one that is revoked already stays as it is.';
revoke all on function public.revoke_api_token(uuid) from public, anon, authenticated, service_role;
grant execute on function public.revoke_api_token(uuid) to authenticated;

create or replace function public.verify_api_token(token text, ip inet default null)
  returns table (
    token_id uuid, user_id uuid, scopes public.api_token_scope[], expires_at timestamptz
  )
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
  rows 1
as $$
declare
  last_used timestamptz;
begin
  -- Null, too, is not what it should be.
  if (
    char_length(verify_api_token.token) = 52
    and left(verify_api_token.token, 3) = 'rt_'
    and right(verify_api_token.token, 6)
      = private.api_token_checksum(left(verify_api_token.token, 46))
  ) is not true then
    return;
  end if;
  -- By its hash: how far a guess agrees with a token cannot be told from how long this takes.
  select tokens.id, tokens.user_id, tokens.scopes, tokens.expires_at, tokens.last_used_at
  into token_id, user_id, scopes, expires_at, last_used
  from private.api_token_secrets as secrets
  join public.api_tokens as tokens on tokens.id = secrets.token_id
  where secrets.token_hash = sha256(convert_to(verify_api_token.token, 'UTF8'))
    and tokens.revoked_at is null
    and (tokens.expires_at is null or tokens.expires_at > now());
  if not found then
    return;
  end if;
  if last_used is null or last_used <= now() - interval '1 minute' then
    -- Whoever is first writes; nobody waits for them.
    update public.api_tokens as tokens
    set last_used_at = now(), last_used_ip = verify_api_token.ip
    from (
      select due.id from public.api_tokens as due
      where due.id = verify_api_token.token_id
        and (due.last_used_at is null or due.last_used_at <= now() - interval '1 minute')
      for no key update skip locked
    ) as free
    where tokens.id = free.id;
  end if;
  return next;
end;
$$;
comment on function public.verify_api_token(text, inet) is
  'For servers: whom a token acts for and what it may, or no row where it is not good. Notes its use, at most once a minute.';
revoke all on function public.verify_api_token(text, inet)
  from public, anon, authenticated, service_role;
grant execute on function public.verify_api_token(text, inet) to service_role;
