// The tables of schema auth: lite's DDL, and what GoTrue's has beyond it that migrations and seeds rely on.
import { createHash } from "node:crypto";
import { getAuthSchemaSql } from "@supabase/lite";

// GoTrue's names and types (supabase/auth, migrations/); nothing here reads them but a client's own SQL.
const EXTRA = `
  alter table auth.users add column if not exists instance_id uuid;
  alter table auth.users add column if not exists is_super_admin boolean;
  alter table auth.identities alter column id set default gen_random_uuid();
  create index if not exists users_instance_id_idx on auth.users (instance_id);
  create index if not exists users_instance_id_email_idx on auth.users (instance_id, lower(email));

  do $do$ begin
    if to_regtype('auth.factor_type') is null then
      create type auth.factor_type as enum ('totp', 'webauthn', 'phone');
      create type auth.factor_status as enum ('unverified', 'verified');
      create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');
    end if;
  end $do$;
  create table if not exists auth.mfa_amr_claims (
    session_id uuid not null references auth.sessions (id) on delete cascade,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    authentication_method text not null,
    id uuid not null primary key,
    constraint mfa_amr_claims_session_id_authentication_method_pkey unique (session_id, authentication_method)
  );
  create table if not exists auth.mfa_factors (
    id uuid not null primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    friendly_name text,
    factor_type auth.factor_type not null,
    status auth.factor_status not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    secret text,
    phone text,
    last_challenged_at timestamptz unique
  );
  create table if not exists auth.mfa_challenges (
    id uuid not null primary key,
    factor_id uuid not null references auth.mfa_factors (id) on delete cascade,
    created_at timestamptz not null,
    verified_at timestamptz,
    ip_address inet not null,
    otp_code text
  );
  create table if not exists auth.schema_migrations (version varchar(255) not null primary key);

  comment on table auth.users is 'Auth: Stores user login data within a secure schema.';
  comment on table auth.identities is 'Auth: Stores identities associated to a user.';
  comment on table auth.sessions is 'Auth: Stores session data associated to a user.';
  comment on table auth.refresh_tokens is
    'Auth: Store of tokens used to refresh JWT tokens once they expire.';

  -- Closed to the API roles (supabase/auth, 20240612123726_enable_rls_update_grants). What postgres may do comes from
  -- roles.sql: its default privileges, and that it may hand select on. Supabase gives it select with grant option for
  -- that; here it acts for the owner, and would grant select in its own name, all else in the owner's: a revoke of all
  -- in the owner's name would then leave the select.
  do $do$
  declare
    each regclass;
  begin
    for each in
      select oid from pg_class
      where relnamespace = 'auth'::regnamespace and relkind = 'r' and relowner = 'supabase_auth_admin'::regrole
    loop
      execute format('alter table %s enable row level security', each);
    end loop;
  end $do$;
  revoke insert, update, delete, truncate on auth.schema_migrations from postgres, dashboard_user;
`;

const ddl = () => getAuthSchemaSql("postgres").replace(/create schema if not exists auth;/i, "") + EXTRA;

/** Applies the DDL unless this very text was applied before; safe when two do it at once. */
export async function ensureAuthSchema(sql) {
  const text = ddl();
  const version = `riptide-${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
  const [{ made }] = await sql`select to_regclass('auth.schema_migrations') is not null as made`;
  if (made) {
    const found = await sql`select from auth.schema_migrations where version = ${version}`;
    if (found.length > 0) return;
  }
  await sql.begin(async (transaction) => {
    await transaction`select pg_advisory_xact_lock(hashtext('riptide auth schema'))`;
    await transaction.unsafe(text);
    await transaction`insert into auth.schema_migrations (version) values (${version}) on conflict do nothing`;
  });
}
