-- Takes back supabase/migrations/20260101000200_create_user_sessions.sql: the device lists are lost.
-- Can run twice with no effect.

drop table if exists public.user_sessions;
