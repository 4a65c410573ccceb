"""The embedded stack: real PostgreSQL and @supabase/lite, for where there is no Docker."""
