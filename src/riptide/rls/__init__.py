"""Row Level Security, held to its intent: who may do what, tried out as they would do it.

``supabase/rls.toml`` says who may do what (`intent`), the catalog says what there is (`catalog`);
together they are a `plan` with `rows` made up for each table. Real users of the Auth API
(`actors`) then try everything through supabase-py (`probes_http`) and, for what a filtered request
cannot show, in SQL (`probes_sql`); `verdict` says what each reply and its effect come to.
"""

from __future__ import annotations

from riptide.rls.mutate import mutate_rls
from riptide.rls.remains import clean_rls
from riptide.rls.verify import verify_rls

__all__ = ["clean_rls", "mutate_rls", "verify_rls"]
