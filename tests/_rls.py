"""What the tests of RLS verification share: declaring, verifying, reading the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.rls import verify_rls

if TYPE_CHECKING:
    from riptide.results import RlsReport
    from riptide.settings import Settings

LEFT_BEHIND = """
select
  (select count(*) from auth.users where email like 'riptide-rls-%'),
  (select count(*) from public.profiles), (select count(*) from public.api_tokens),
  (select count(*) from public.user_sessions)
"""


def declare(settings: Settings, text: str) -> None:
    """Write ``rls.toml``."""
    (settings.supabase_dir / "rls.toml").write_text(text, encoding="utf-8")


def verify(settings: Settings) -> RlsReport:
    """Verify what the project declares on the (remote) target."""
    return verify_rls(settings=settings, allow_remote=True)


STRANGERS = ("empty", "claimant", "no_sub")


def cells(report: RlsReport, table: str) -> set[str]:
    """Give what is not ok on a table as ``operation actor expected verdict``.

    What another user can do, strangers can as well: theirs is left out where it is just that.
    """
    found = [each for each in report.failures if each.table == table]
    others = {(each.operation, each.verdict) for each in found if each.actor == "other"}
    return {
        f"{each.operation} {each.actor} {each.expected} {each.verdict.value}"
        for each in found
        if each.actor not in STRANGERS or (each.operation, each.verdict) not in others
    }
