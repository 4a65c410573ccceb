-- Roles, schemas, grants and event triggers of a Supabase database, as far as migrations, PostgREST and Auth can
-- see them, on a fresh PostgreSQL 17 cluster.
--
-- Run once, as the bootstrap superuser (`initdb -U supabase_admin`), in database `postgres`, as one multi-statement
-- string: plain SQL, no psql commands. It is one transaction, so a failure leaves an empty cluster behind.
-- The tables of schema auth come afterwards, from `node gateway.cjs <run_dir> --migrate`.
--
-- What a rule follows is named beside it: supabase/postgres means github.com/supabase/postgres, migrations/db.

set client_min_messages = warning;
-- The passwords are the well-known ones: 4,096 rounds of a hash would protect nothing, and take each login 5 ms
-- (https://www.postgresql.org/docs/17/runtime-config-connection.html#GUC-SCRAM-ITERATIONS).
set scram_iterations = 1;

-- Roles ------------------------------------------------------------------------------------------------------------

-- A client's `postgres` is not a superuser, so a migration that needs one fails here as it does on Supabase
-- (supabase/postgres, demote-postgres).
create role postgres login password 'postgres' createrole createdb replication bypassrls;
alter database postgres owner to postgres;

-- The roles a JWT can name, and the one PostgREST logs in as and leaves for them. They inherit since 2023
-- (supabase/postgres, alter_api_roles_for_inherit).
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit password 'postgres';
grant anon, authenticated, service_role to authenticator;

-- `postgres` may grant the API roles on, so that custom roles and `grant my_role to authenticator` work
-- (supabase/postgres, grant_with_admin_to_postgres_16_and_above).
grant anon, authenticated, service_role, authenticator to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend, pg_create_subscription to postgres with admin option;

-- The services' own roles. Only Auth and the Data API run here: the others exist because real migrations name them.
create role supabase_auth_admin login noinherit createrole password 'postgres';
create role supabase_storage_admin login noinherit createrole password 'postgres';
create role supabase_realtime_admin nologin noinherit;
create role supabase_functions_admin nologin noinherit createrole;
create role supabase_replication_admin nologin replication;
create role supabase_etl_admin nologin replication;
create role supabase_read_only_user nologin bypassrls;
create role dashboard_user nologin createrole createdb replication;
create role pgbouncer nologin;
grant pg_read_all_data to supabase_read_only_user, supabase_etl_admin;
grant authenticator, anon, authenticated, service_role to supabase_storage_admin;
grant anon, authenticated, service_role to supabase_realtime_admin;

-- Time limits of a request by role; PostgREST applies the role's own for each request
-- (supabase.com/docs/guides/database/postgres/timeouts).
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

alter role supabase_admin set search_path = "$user", public, auth, extensions;
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_auth_admin set search_path = auth;
alter role supabase_storage_admin set search_path = storage;

grant all on database postgres to postgres, dashboard_user;
grant create on database postgres to supabase_auth_admin, supabase_storage_admin, supabase_realtime_admin;

-- Schema extensions ------------------------------------------------------------------------------------------------

create schema extensions;
create extension if not exists "uuid-ossp" with schema extensions;
create extension if not exists pgcrypto with schema extensions;
do $$
begin
  -- Not in every build of PostgreSQL; its view is empty unless the library is preloaded.
  if exists (select from pg_available_extensions where name = 'pg_stat_statements') then
    create extension if not exists pg_stat_statements with schema extensions;
  end if;
end
$$;
grant all on schema extensions to postgres, dashboard_user;
grant all on all tables in schema extensions to postgres, dashboard_user;
grant all on all routines in schema extensions to postgres, dashboard_user;
grant usage on schema extensions to anon, authenticated, service_role;

-- Schema public ----------------------------------------------------------------------------------------------------

-- What `postgres` (migrations) or supabase_admin creates in public is open to the API roles until a migration revokes
-- it: row level security is what protects it (supabase.com/docs/guides/api/securing-your-api).
grant all on schema public to postgres, dashboard_user;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;

-- Schema auth ------------------------------------------------------------------------------------------------------

create schema auth authorization supabase_admin;
grant all on schema auth to supabase_auth_admin, dashboard_user;
-- `postgres` may use what is in auth and may not create there
-- (supabase.com/changelog/34270-restricting-access-on-auth-storage-and-realtime-schemas-on-april-21-2025).
grant usage on schema auth to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_auth_admin in schema auth grant all on tables to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on sequences to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on routines to postgres, dashboard_user;

-- The claims of a request, in both of PostgREST's spellings: one setting for each claim (before version 9) and
-- one for all of them (supabase/auth, migrations/20220531120530_add_auth_jwt_function.up.sql and its neighbours).
create function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;
create function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$;
create function auth.email() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.email', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
  )::text
$$;
create function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;
comment on function auth.uid() is 'Deprecated. Use auth.jwt() -> ''sub'' instead.';
comment on function auth.role() is 'Deprecated. Use auth.jwt() -> ''role'' instead.';
comment on function auth.email() is 'Deprecated. Use auth.jwt() -> ''email'' instead.';
alter function auth.uid() owner to supabase_auth_admin;
alter function auth.role() owner to supabase_auth_admin;
alter function auth.email() owner to supabase_auth_admin;
alter function auth.jwt() owner to supabase_auth_admin;
grant all on all routines in schema auth to postgres, dashboard_user;

-- On Supabase the extension supautils lets `postgres` drop triggers and write policies on five tables of schema auth
-- that it does not own (supabase/postgres, supautils.conf: drop_trigger_grants, policy_grants). PostgreSQL asks for
-- ownership there and knows no grant for it, so `postgres` inherits from the owner, and the event triggers below take
-- back all that this would allow beyond those two things (all but REASSIGN OWNED, which no event trigger sees).
grant supabase_auth_admin to postgres with inherit true, set false;

create function extensions.riptide_guard_auth_ddl() returns event_trigger language plpgsql set search_path = '' as $$
declare
  command record;
begin
  -- By session_user: a definer's function must not open a way round. Superusers and Auth itself are not bound.
  if session_user = 'supabase_auth_admin'
     or (select rolsuper from pg_catalog.pg_roles where rolname = session_user) then
    return;
  end if;
  for command in select * from pg_event_trigger_ddl_commands() where schema_name = 'auth' loop
    if command.command_tag in ('CREATE TRIGGER', 'CREATE POLICY', 'ALTER POLICY') then
      continue;
    elsif command.command_tag like 'CREATE %' and command.command_tag <> 'CREATE INDEX' then
      raise exception 'permission denied for schema auth' using errcode = '42501';
    end if;
    raise exception 'must be owner of %', command.object_identity using errcode = '42501';
  end loop;
end
$$;
create function extensions.riptide_guard_auth_drop() returns event_trigger language plpgsql set search_path = '' as $$
declare
  object record;
begin
  if session_user = 'supabase_auth_admin'
     or (select rolsuper from pg_catalog.pg_roles where rolname = session_user) then
    return;
  end if;
  for object in
    select * from pg_event_trigger_dropped_objects()
    where schema_name = 'auth' and object_type not in ('trigger', 'policy')
  loop
    raise exception 'must be owner of %', object.object_identity using errcode = '42501';
  end loop;
end
$$;

-- GRANT and REVOKE name no object to an event trigger. So what is granted on Auth's objects is looked at before and
-- after one, and what Supabase's `postgres` could not have done, who owns nothing there, is put back with the warning
-- that PostgreSQL has for it: migrations with such statements go through there, without effect.
create function extensions.riptide_auth_acls(out object text, out name text, out part text, out acl aclitem[])
returns setof record language plpgsql stable set search_path = '' as $$
begin
  return query with owner as (select 'supabase_auth_admin'::regrole::oid as id),
  members as (
    -- What is in the schema, by the index on pg_depend: a sequential scan of pg_proc costs more than all else.
    select classid, objid from pg_depend
    where refclassid = 'pg_namespace'::regclass and refobjid = 'auth'::regnamespace
  ),
  relations as (
    select pg_class.oid, relname, case relkind when 'S' then 's' else 'r' end::"char" as type, relacl
    from members join pg_class on classid = 'pg_class'::regclass and objid = pg_class.oid join owner on relowner = id
  )
  select case type when 's' then 'sequence ' else 'table ' end || oid::regclass, relname::text, '',
    coalesce(relacl, acldefault(type, id))
  from relations, owner
  union all
  select 'table ' || oid::regclass, relname, format(' (%I)', attname), attacl
  from relations join pg_attribute on attrelid = oid
  where attacl is not null and not attisdropped
  union all
  select 'routine ' || pg_proc.oid::regprocedure, proname, '', coalesce(proacl, acldefault('f', id))
  from members join pg_proc on classid = 'pg_proc'::regclass and objid = pg_proc.oid join owner on proowner = id
  union all
  select 'type ' || pg_type.oid::regtype, typname, '', coalesce(typacl, acldefault('T', id))
  from members join pg_type on classid = 'pg_type'::regclass and objid = pg_type.oid join owner on typowner = id
  union all
  -- What later objects get. Supabase's `postgres` may not say so for another role.
  select 'defaults', 'defaults', concat(' ', defaclnamespace, defaclobjtype), defaclacl
  from pg_default_acl join owner on defaclrole = id;
end
$$;
create function extensions.riptide_note_auth_acls() returns event_trigger language plpgsql set search_path = '' as $$
begin
  if session_user = 'supabase_auth_admin'
     or (select rolsuper from pg_catalog.pg_roles where rolname = session_user) then
    return;
  end if;
  perform set_config('riptide.auth_acls', json_agg(each)::text, true) from extensions.riptide_auth_acls() as each;
end
$$;
create function extensions.riptide_guard_auth_acls() returns event_trigger language plpgsql
  -- As the superuser, who acts for an object's owner; what it puts back is not to be looked at in its turn.
  security definer set search_path = '' set event_triggers = off as $$
declare
  change record;
  back text;
begin
  if session_user = 'supabase_auth_admin'
     or (select rolsuper from pg_catalog.pg_roles where rolname = session_user)
     or current_setting('riptide.auth_acls')
       = (select json_agg(each)::text from extensions.riptide_auth_acls() as each) then
    return;
  end if;
  for change in
    with was as (
      select object, name, privilege_type || part as privilege, grantee, is_grantable as grantable
      from json_to_recordset(current_setting('riptide.auth_acls')::json)
        as noted (object text, name text, part text, acl aclitem[]), aclexplode(acl)
    ),
    now as (
      select object, name, privilege_type || part as privilege, grantee, is_grantable as grantable
      from extensions.riptide_auth_acls(), aclexplode(acl)
    ),
    changes as (
      select object, name, privilege, grantee, was.grantable as before, now.grantable as after
      from was full join now using (object, name, privilege, grantee)
      where was.grantable is distinct from now.grantable
    ),
    judged as (
      select *,
        -- The one privilege that `postgres` may grant on there. It may take that back, but not what Auth granted.
        object like 'table %' and privilege ~ '^SELECT'
          and grantee not in ('supabase_auth_admin'::regrole, 'postgres'::regrole, 'dashboard_user'::regrole) as allowed
      from changes
    )
    select *, bool_or(allowed) over (partition by object) as partly,
      case grantee when 0 then 'public' else grantee::regrole::text end as role,
      row_number() over (partition by object, allowed) = 1 as first
    from judged
  loop
    if change.object = 'defaults' then
      raise exception 'permission denied to change default privileges' using errcode = '42501';
    elsif change.allowed then
      continue;
    elsif change.before is null then
      back := format('revoke %s on %s from %s cascade', change.privilege, change.object, change.role);
    elsif change.after and not change.before then
      back := format('revoke grant option for %s on %s from %s cascade', change.privilege, change.object, change.role);
    else
      back := format('grant %s on %s to %s', change.privilege, change.object, change.role)
        || case when change.before then ' with grant option' else '' end;
    end if;
    execute back;
    if change.first then
      raise warning '% privileges % for "%"', case when change.partly then 'not all' else 'no' end,
        case tg_tag when 'GRANT' then 'were granted' else 'could be revoked' end, change.name
        using errcode = case tg_tag when 'GRANT' then '01007' else '01006' end;
    end if;
  end loop;
end
$$;
create event trigger riptide_guard_auth_ddl on ddl_command_end
  execute function extensions.riptide_guard_auth_ddl();
create event trigger riptide_guard_auth_drop on sql_drop
  execute function extensions.riptide_guard_auth_drop();
create event trigger riptide_note_auth_acls on ddl_command_start
  when tag in ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES')
  execute function extensions.riptide_note_auth_acls();
create event trigger riptide_guard_auth_acls on ddl_command_end
  when tag in ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES')
  execute function extensions.riptide_guard_auth_acls();

-- Schemas of services that the embedded stack does not have --------------------------------------------------------

-- They exist on every project, so migrations and `search_path` may name them; they are empty here.
create schema storage authorization supabase_admin;
grant all on schema storage to supabase_storage_admin, dashboard_user;
grant usage on schema storage to postgres, anon, authenticated, service_role;
create schema realtime authorization supabase_admin;
grant all on schema realtime to supabase_realtime_admin;
grant usage on schema realtime to postgres, anon, authenticated, service_role;
create schema graphql authorization supabase_admin;
create schema graphql_public authorization supabase_admin;
grant usage on schema graphql, graphql_public to postgres, anon, authenticated, service_role;
create schema vault authorization supabase_admin;
grant usage on schema vault to postgres, service_role;
create schema pgbouncer authorization pgbouncer;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;

-- Reload of the Data API's schema cache ----------------------------------------------------------------------------

-- After DDL that PostgREST cares about, tell it to read the schema again, as supabase/postgres does
-- (update_pgrst_watch_triggers; docs.postgrest.org/en/stable/references/schema_cache.html).
create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
begin
  if exists (
    select from pg_event_trigger_ddl_commands() as command
    where command.command_tag in (
        'CREATE SCHEMA', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE',
        'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE VIEW', 'ALTER VIEW', 'CREATE MATERIALIZED VIEW',
        'ALTER MATERIALIZED VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE TRIGGER', 'CREATE TYPE', 'ALTER TYPE',
        'CREATE RULE', 'COMMENT')
      and coalesce(command.schema_name, '') not in ('pg_temp', 'auth', 'realtime', 'storage')
  ) then
    notify pgrst, 'reload schema';
  end if;
end
$$;
create function extensions.pgrst_drop_watch() returns event_trigger language plpgsql as $$
begin
  if exists (
    select from pg_event_trigger_dropped_objects() as object
    where object.object_type in ('schema', 'table', 'foreign table', 'view', 'materialized view', 'function',
        'trigger', 'type', 'rule')
      and not object.is_temporary
      and coalesce(object.schema_name, '') not in ('auth', 'realtime', 'storage')
  ) then
    notify pgrst, 'reload schema';
  end if;
end
$$;
create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();

-- The superuser ----------------------------------------------------------------------------------------------------

-- Nobody logs in as supabase_admin from here on: not the gateway, and no program of this machine that has found the
-- port. On Supabase's local stack it has the well-known password of all others, but runs in a container.
alter role supabase_admin password null;
