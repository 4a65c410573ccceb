"""The rules of the audit: their names, how much they weigh, where they are from.

A name with underscores is Supabase's own for the same rule
(https://supabase.com/docs/guides/database/database-advisors); RipTide's have hyphens. Some weigh
something else in a case, which the check itself knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from riptide.results.audit import AuditFinding
from riptide.results.check import Level

_SUPABASE = "https://supabase.com/docs/guides"
_LINTER = f"{_SUPABASE}/database/database-linter?lint="
_RLS = f"{_SUPABASE}/database/postgres/row-level-security"
_POSTGRESQL = "https://www.postgresql.org/docs/current"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        name: As it stands in ``supabase/rls.toml``.
        level: How much a finding weighs, unless the check knows better.
        about: What is found, in a few words.
        docs: The page that it is from; empty for what is this project's own business.
    """

    name: str
    level: Level
    about: str
    docs: str

    def finding(
        self,
        object_: str,
        message: str,
        *,
        sql: str = "",
        policy: str = "",
        level: Level | None = None,
    ) -> AuditFinding:
        """Make a finding of this rule."""
        return AuditFinding(
            rule=self.name,
            level=level or self.level,
            object=object_,
            policy=policy,
            message=message,
            sql=sql,
            docs=self.docs,
        )


def _rule(name: str, level: Level, about: str, docs: str) -> Rule:
    return Rule(name=name, level=level, about=about, docs=docs)


_ERROR, _WARNING, _NOTE = Level.ERROR, Level.WARNING, Level.NOTE

RLS_DISABLED = _rule(
    "rls_disabled_in_public",
    _ERROR,
    "a table that clients have privileges on, with RLS off",
    f"{_LINTER}0013_rls_disabled_in_public",
)
POLICY_WITHOUT_RLS = _rule(
    "policy_exists_rls_disabled",
    _ERROR,
    "policies on a table whose RLS is off: they do nothing",
    f"{_LINTER}0007_policy_exists_rls_disabled",
)
RLS_WITHOUT_POLICY = _rule(
    "rls_enabled_no_policy",
    _NOTE,
    "RLS on, no policy: the privileges that clients have are of no use",
    f"{_LINTER}0008_rls_enabled_no_policy",
)
CLIENT_BYPASSES = _rule(
    "client-bypasses-rls",
    _ERROR,
    "anon or authenticated bypasses RLS: by an attribute, a membership, or as a table's owner",
    f"{_POSTGRESQL}/ddl-rowsecurity.html",
)
DEFINER_VIEW = _rule(
    "security_definer_view",
    _ERROR,
    "a view without security_invoker: it passes the policies of its tables by",
    f"{_LINTER}0010_security_definer_view",
)
USERS_EXPOSED = _rule(
    "auth_users_exposed",
    _ERROR,
    "a view through which clients read auth.users",
    f"{_LINTER}0002_auth_users_exposed",
)
MATERIALIZED_VIEW = _rule(
    "materialized_view_in_api",
    _WARNING,
    "a materialized view that clients can read: it has no policies",
    f"{_LINTER}0016_materialized_view_in_api",
)
FOREIGN_TABLE = _rule(
    "foreign_table_in_api",
    _WARNING,
    "a foreign table that clients can read or write: it has no policies",
    f"{_LINTER}0017_foreign_table_in_api",
)
ANON_DEFINER_FUNCTION = _rule(
    "anon_security_definer_function_executable",
    _WARNING,
    "a security definer function that anon can call, and rls.toml does not declare",
    f"{_LINTER}0028_anon_security_definer_function_executable",
)
USER_DEFINER_FUNCTION = _rule(
    "authenticated_security_definer_function_executable",
    _WARNING,
    "likewise for authenticated",
    f"{_LINTER}0029_authenticated_security_definer_function_executable",
)
SEARCH_PATH = _rule(
    "function_search_path_mutable",
    _WARNING,
    "a function without a search_path of its own (security definer: an error)",
    f"{_LINTER}0011_function_search_path_mutable",
)
ALWAYS_TRUE = _rule(
    "rls_policy_always_true",
    _ERROR,
    "a policy that lets clients write any row, or read all of what rls.toml calls their own",
    f"{_LINTER}0024_permissive_rls_policy",
)
USER_METADATA = _rule(
    "rls_references_user_metadata",
    _ERROR,
    "a policy that trusts user_metadata, which users write themselves",
    f"{_LINTER}0015_rls_references_user_metadata",
)
WIDE_GRANT = _rule(
    "grant-wider-than-intent",
    _ERROR,
    "a privilege that rls.toml denies (a note where RLS alone stands in the way)",
    f"{_SUPABASE}/api/securing-your-api",
)
GRANT_BEYOND_RLS = _rule(
    "grant-beyond-rls",
    _WARNING,
    "truncate, references or trigger for clients: RLS does not hold there",
    f"{_POSTGRESQL}/ddl-rowsecurity.html",
)
NULLABLE_OWNER = _rule(
    "nullable-owner",
    _WARNING,
    "an owner column of rls.toml that may be null: rows of nobody",
    f"{_RLS}#authuid-returns-null-when-unauthenticated",
)
TO_PUBLIC = _rule(
    "policy-to-public",
    _WARNING,
    "a policy that names no role (a note where anon has no privilege for it)",
    f"{_RLS}#specify-roles-in-your-policies",
)
SERVICE_ROLE = _rule(
    "policy-for-service-role",
    _WARNING,
    "a policy that asks for service_role, which needs none (a note with `to service_role`)",
    f"{_SUPABASE}/api/api-keys",
)
INITPLAN = _rule(
    "auth_rls_initplan",
    _WARNING,
    "auth.uid() and the like without (select …): called for each row",
    f"{_LINTER}0003_auth_rls_initplan",
)
NOT_INDEXED = _rule(
    "policy-column-not-indexed",
    _WARNING,
    "a column that a policy compares with the user, and no index begins with",
    f"{_RLS}#add-indexes",
)
SEVERAL_POLICIES = _rule(
    "multiple_permissive_policies",
    _NOTE,
    "several permissive policies for one role and operation: each is tried for each row",
    f"{_LINTER}0006_multiple_permissive_policies",
)
NO_KEY = _rule(
    "no_primary_key",
    _NOTE,
    "a table without a primary key",
    f"{_LINTER}0004_no_primary_key",
)
UNUSED_EXCEPTION = _rule(
    "unused-exception",
    _NOTE,
    "an exception in rls.toml that excepts nothing",
    "",
)

RULES: dict[str, Rule] = {
    each.name: each for each in tuple(globals().values()) if isinstance(each, Rule)
}

# What only `supabase db advisors` looks at (https://github.com/supabase/splinter).
ADVISORS = (
    "duplicate_index",
    "extension_in_public",
    "extension_versions_outdated",
    "fkey_to_auth_unique",
    "insecure_queue_exposed_in_api",
    "pg_graphql_anon_table_exposed",
    "pg_graphql_authenticated_table_exposed",
    "public_bucket_allows_listing",
    "sensitive_columns_exposed",
    "table_bloat",
    "unindexed_foreign_keys",
    "unsupported_reg_types",
    "unused_index",
)
