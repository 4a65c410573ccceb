"""The report as one page, which asks for nothing: its style is in it, and it has no script."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riptide.render import plural, seconds
from riptide.render.files import write_report
from riptide.render.rls import alike, matrices, word, worst
from riptide.results import Fate, Verdict
from riptide.runner import mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from riptide.results import AuditReport, MutantResult, MutationReport, RlsCheck, RlsReport
    from riptide.rls.breakable import Policy
    from riptide.settings import Settings

TEMPLATES = Path(__file__).parent / "templates"
# The order in which the counts stand, with what each means.
_MEANING = {
    Verdict.OK: "as declared, proved",
    Verdict.LEAK: "somebody can do what is denied",
    Verdict.MASKED: "open, but for another policy",
    Verdict.LOCKOUT: "somebody cannot do what is allowed",
    Verdict.SLOW: "it holds, at a growing cost",
    Verdict.ERROR: "not tried, or proves nothing",
    Verdict.UNDECLARED: "exposed, and not declared",
}


def write_html(
    path: Path,
    settings: Settings,
    *,
    report: RlsReport | None = None,
    policies: Sequence[Policy] = (),
    audit: AuditReport | None = None,
    mutation: MutationReport | None = None,
) -> None:
    """Write a page: one file that needs nothing beside it, and no network.

    Args:
        path: The file.
        settings: The project's.
        report: A verification, with each request and reply.
        policies: The policies of its tables.
        audit: What the catalog says beside it.
        mutation: How the verification did against mistakes made on purpose.

    Raises:
        ConfigError: The file cannot be written.
    """
    text = page(settings, report=report, policies=policies, audit=audit, mutation=mutation)
    write_report(path, settings, lambda: path.write_text(text, encoding="utf-8"))


def page(
    settings: Settings,
    *,
    report: RlsReport | None = None,
    policies: Sequence[Policy] = (),
    audit: AuditReport | None = None,
    mutation: MutationReport | None = None,
) -> str:
    """Give the page's text; see `write_html`."""
    import riptide

    return (
        _environment(settings)
        .get_template("rls.html.j2")
        .render(
            project=settings.config.project_id,
            version=riptide.__version__,
            at=datetime.now(UTC),
            report=report,
            counts=_counts(report) if report else [],
            failures=alike(report.failures) if report else [],
            matrices=list(matrices(report)) if report else [],
            probes=_probes(report) if report else {},
            policies=_by_table(policies),
            audit=audit,
            mutation=mutation,
            kinds=_kinds(mutation) if mutation else [],
        )
    )


def _environment(settings: Settings) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    keys = [each for each in (settings.secret_key, settings.publishable_key) if each]

    def shown(value: object) -> object:
        """Give what an expression may show: no key and no password, whoever has put it there."""
        if type(value) is not str:  # markup is the template's own
            return value
        for key in keys:
            value = value.replace(key, "***")
        return mask(value)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(Verdict=Verdict, Fate=Fate, worst=worst, word=word, plural=plural)
    environment.filters.update(seconds=seconds, percent=lambda part: f"{100 * part:.0f} %")
    return environment


def _counts(report: RlsReport) -> list[tuple[Verdict, int, str]]:
    numbers = {each: sum(one.verdict is each for one in report.checks) for each in Verdict}
    return [
        (each, numbers[each], about)
        for each, about in _MEANING.items()
        if numbers[each] or each is Verdict.OK
    ]


def _probes(report: RlsReport) -> dict[str, list[tuple[int, RlsCheck]]]:
    """Give each table's checks with their places in the report, by which cells refer to them."""
    found: dict[str, list[tuple[int, RlsCheck]]] = {}
    for place, each in enumerate(report.checks):
        found.setdefault(each.table, []).append((place, each))
    return found


def _by_table(policies: Sequence[Policy]) -> dict[str, list[Policy]]:
    found: dict[str, list[Policy]] = {}
    for each in policies:
        found.setdefault(each.table, []).append(each)
    return found


def _kinds(mutation: MutationReport) -> list[tuple[str, dict[Fate, int], list[MutantResult]]]:
    kinds: list[tuple[str, dict[Fate, Any], list[MutantResult]]] = []
    for kind in sorted({each.kind for each in mutation.mutants}):
        mine = [each for each in mutation.mutants if each.kind == kind]
        kinds.append((kind, {fate: sum(m.fate is fate for m in mine) for fate in Fate}, mine))
    return kinds
