-- Takes back supabase/migrations/20260101000100_create_api_tokens.sql: the tokens are lost.
-- Can run twice with no effect.

drop table if exists public.api_tokens;
