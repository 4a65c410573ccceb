"""The static side of Row Level Security: what the catalog alone says about it, without a request.

`facts` and `riptide.rls.catalog` read the catalog, `project` joins it with ``supabase/rls.toml``;
`relations`, `policies` and `functions` hold it to the `rules`; `advisors` adds what Supabase's own
rules find, and `audit` takes out what is excepted.
"""

from __future__ import annotations

from riptide.rls.audit.audit import audit_rls

__all__ = ["audit_rls"]
