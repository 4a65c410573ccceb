-- Every object of a project's own schemas with its definition: see snapshot.py.
-- Grants are sorted, as their order does not count, and PostgreSQL's own defaults stand where nothing was
-- ever granted: null and the defaults spelt out are the same.
with
schemas as (
  select oid, nspname, nspowner, nspacl from pg_namespace
  where nspname <> all (%(managed)s) and nspname !~ '^pg_'
),
members as (
  select classid, objid from pg_depend where deptype = 'e'
),
relations as (
  select c.*, s.nspname, format('%%I.%%I', s.nspname, c.relname) as full_name
  from pg_class as c
  join schemas as s on s.oid = c.relnamespace
  where not exists (
    select from members as m
    where m.classid = 'pg_class'::regclass and m.objid = c.oid
  )
)
select 'schema' as kind, format('%%I', s.nspname) as name,
  concat_ws(' ',
    'owner ' || pg_get_userbyid(s.nspowner),
    (select 'grants ' || string_agg(a::text, ',' order by a::text collate "C")
     from unnest(coalesce(s.nspacl, acldefault('n', s.nspowner))) as a),
    'comment ' || obj_description(s.oid, 'pg_namespace')
  ) as definition
from schemas as s
union all
select 'extension', e.extname, 'in ' || e.extnamespace::regnamespace::text
from pg_extension as e
union all
select
  case r.relkind when 'r' then 'table' when 'p' then 'table' when 'v' then 'view'
    when 'm' then 'materialized view' when 'f' then 'foreign table' else 'sequence' end,
  r.full_name,
  concat_ws(' ',
    'owner ' || pg_get_userbyid(r.relowner),
    case when r.relkind in ('r', 'p', 'f') then
      'rls ' || r.relrowsecurity::text || case when r.relforcerowsecurity then ' forced' else '' end end,
    case r.relpersistence when 'u' then 'unlogged' end,
    'partitioned by ' || pg_get_partkeydef(r.oid),
    'partition ' || pg_get_expr(r.relpartbound, r.oid),
    (select 'inherits ' || string_agg(i.inhparent::regclass::text, ',' order by i.inhseqno)
     from pg_inherits as i where i.inhrelid = r.oid),
    'with ' || array_to_string(r.reloptions, ','),
    case when r.relkind in ('v', 'm') then 'as ' || pg_get_viewdef(r.oid) end,
    case when r.relkind = 'S' then (
      select format('as %%s start %%s by %%s from %%s to %%s cycle %%s', q.seqtypid::regtype,
        q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcycle)
      from pg_sequence as q where q.seqrelid = r.oid) end,
    (select 'grants ' || string_agg(a::text, ',' order by a::text collate "C")
     from unnest(coalesce(r.relacl,
       acldefault(case when r.relkind = 'S' then 's' else 'r' end::"char", r.relowner))) as a),
    'replica identity ' || nullif(r.relreplident::text, 'd'),
    'comment ' || obj_description(r.oid, 'pg_class')
  )
from relations as r where r.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
union all
select 'column', format('%%s.%%I', r.full_name, a.attname),
  concat_ws(' ',
    format_type(a.atttypid, a.atttypmod),
    case when a.attcollation <> t.typcollation then 'collate ' || a.attcollation::regcollation::text end,
    case when a.attnotnull then 'not null' end,
    'identity ' || nullif(a.attidentity::text, ''),
    case when a.attgenerated <> '' then 'generated' end,
    'default ' || pg_get_expr(d.adbin, d.adrelid),
    (select 'grants ' || string_agg(g::text, ',' order by g::text collate "C")
     from unnest(a.attacl) as g),
    'comment ' || col_description(r.oid, a.attnum)
  )
from relations as r
join pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
join pg_type as t on t.oid = a.atttypid
left join pg_attrdef as d on d.adrelid = r.oid and d.adnum = a.attnum
where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
union all
select 'constraint', format('%%s.%%I', r.full_name, k.conname),
  concat_ws(' ', pg_get_constraintdef(k.oid),
    case when k.condeferrable then 'deferrable' end,
    'comment ' || obj_description(k.oid, 'pg_constraint'))
from pg_constraint as k join relations as r on r.oid = k.conrelid
where k.contype <> 't'
union all
select 'index', format('%%s.%%I', t.full_name, i.relname),
  concat_ws(' ', pg_get_indexdef(x.indexrelid),
    case when not x.indisvalid then 'invalid' end,
    case when x.indisclustered then 'clustered' end,
    case when x.indisreplident then 'replica identity' end,
    'comment ' || obj_description(x.indexrelid, 'pg_class'))
from pg_index as x
join pg_class as i on i.oid = x.indexrelid
join relations as t on t.oid = x.indrelid
union all
select 'function',
  format('%%I.%%I(%%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
  concat_ws(' ',
    case when p.prokind = 'a' then 'aggregate ' || pg_get_function_result(p.oid)
      else pg_get_functiondef(p.oid) end,
    'owner ' || pg_get_userbyid(p.proowner),
    (select 'grants ' || string_agg(a::text, ',' order by a::text collate "C")
     from unnest(coalesce(p.proacl, acldefault('f', p.proowner))) as a),
    'comment ' || obj_description(p.oid, 'pg_proc'))
from pg_proc as p join schemas as s on s.oid = p.pronamespace
where not exists (
  select from members as m where m.classid = 'pg_proc'::regclass and m.objid = p.oid
)
union all
select 'type', format('%%I.%%I', s.nspname, t.typname),
  concat_ws(' ',
    case t.typtype when 'e' then 'enum ' || (
        select string_agg(quote_literal(e.enumlabel), ',' order by e.enumsortorder)
        from pg_enum as e where e.enumtypid = t.oid)
      when 'd' then concat_ws(' ', 'domain', format_type(t.typbasetype, t.typtypmod),
        case when t.typnotnull then 'not null' end, 'default ' || t.typdefault, (
        select string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ',' order by k.conname)
        from pg_constraint as k where k.contypid = t.oid and k.contype = 'c'))
      when 'c' then 'composite' when 'r' then 'range' else 'base' end,
    'owner ' || pg_get_userbyid(t.typowner),
    (select 'grants ' || string_agg(a::text, ',' order by a::text collate "C")
     from unnest(coalesce(t.typacl, acldefault('T', t.typowner))) as a),
    'comment ' || obj_description(t.oid, 'pg_type'))
from pg_type as t
join schemas as s on s.oid = t.typnamespace
left join pg_class as c on c.oid = nullif(t.typrelid, 0)
where t.typtype in ('e', 'd', 'r', 'c', 'b') and (c.oid is null or c.relkind = 'c')
  and not exists (select from pg_type as e where e.typarray = t.oid)
  and not exists (
    select from members as m where m.classid = 'pg_type'::regclass and m.objid = t.oid
  )
union all
select 'trigger', format('%%I.%%I.%%I', n.nspname, c.relname, g.tgname),
  concat_ws(' ', pg_get_triggerdef(g.oid),
    'enabled ' || nullif(g.tgenabled::text, 'O'),
    'comment ' || obj_description(g.oid, 'pg_trigger'))
from pg_trigger as g
join pg_class as c on c.oid = g.tgrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_proc as p on p.oid = g.tgfoid
where not g.tgisinternal
  and (c.relnamespace in (select oid from schemas) or p.pronamespace in (select oid from schemas))
union all
select 'policy', format('%%I.%%I.%%I', n.nspname, c.relname, p.polname),
  concat_ws(' ',
    case when p.polpermissive then 'permissive' else 'restrictive' end,
    'for ' || p.polcmd::text,
    'to ' || (
      select string_agg(case r when 0 then 'public' else pg_get_userbyid(r) end, ','
        order by case r when 0 then 'public' else pg_get_userbyid(r) end)
      from unnest(p.polroles) as r),
    'using ' || pg_get_expr(p.polqual, p.polrelid),
    'check ' || pg_get_expr(p.polwithcheck, p.polrelid),
    'comment ' || obj_description(p.oid, 'pg_policy'))
from pg_policy as p
join pg_class as c on c.oid = p.polrelid
join pg_namespace as n on n.oid = c.relnamespace
union all
select 'rule', format('%%s.%%I', r.full_name, w.rulename), pg_get_ruledef(w.oid)
from pg_rewrite as w join relations as r on r.oid = w.ev_class
where w.rulename <> '_RETURN'
union all
select 'statistics', format('%%I.%%I', s.nspname, x.stxname), pg_get_statisticsobjdef(x.oid)
from pg_statistic_ext as x join schemas as s on s.oid = x.stxnamespace
union all
select 'default privileges',
  format('%%s %%s %%s', pg_get_userbyid(d.defaclrole), coalesce(n.nspname, '*'), d.defaclobjtype),
  (select string_agg(a::text, ',' order by a::text collate "C") from unnest(d.defaclacl) as a)
from pg_default_acl as d
left join pg_namespace as n on n.oid = nullif(d.defaclnamespace, 0)
where n.oid is null or n.oid in (select oid from schemas)
union all
select 'publication', format('%%I %%I.%%I', t.pubname, t.schemaname, t.tablename),
  coalesce(t.rowfilter, '')
from pg_publication_tables as t
where t.schemaname in (select nspname from schemas)
union all
select 'event trigger', format('%%I', e.evtname),
  concat_ws(' ', e.evtevent, e.evtfoid::regproc::text, 'enabled ' || e.evtenabled::text)
from pg_event_trigger as e
join pg_proc as p on p.oid = e.evtfoid
where p.pronamespace in (select oid from schemas)
