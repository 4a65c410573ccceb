"""What ``supabase/rls.toml`` has for the audit alone: functions, and exceptions to its rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from riptide.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.results import AuditFinding
    from riptide.rls.intent import Intent

CLIENTS = ("anon", "authenticated")
_KEYS = ("rule", "object", "reason")
_HEADER = re.compile(r"\s*\[\[\s*audit\s*\.\s*except\s*\]\]")


@dataclass(frozen=True, kw_only=True)
class FunctionIntent:
    """One ``[functions."schema.name"]`` section.

    Attributes:
        full_name: ``schema.name``; all functions of that name are meant, whatever they take.
        section: The section's name in the file, for messages.
        execute: The clients that may call it.
    """

    full_name: str
    section: str
    execute: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AuditException:
    """One ``[[audit.except]]``.

    Attributes:
        rule: The rule's name.
        object: What is excepted: ``schema.table``, ``schema.table.policy``, ``schema.function`` or
            ``schema.function(types)``, a role; ``*`` and ``?`` stand for what they do in a shell.
        reason: Why it is meant so.
        line: Where it stands in the file, or ``None``.
    """

    rule: str
    object: str
    reason: str
    line: int | None = None

    def covers(self, finding: AuditFinding) -> bool:
        """Whether the finding is meant."""
        if finding.rule != self.rule:
            return False
        names = (finding.object, finding.name, finding.object.partition("(")[0])
        # fnmatch reads brackets as a set of characters; in a name they are an array's type.
        wanted = self.object.replace("[", "[[]")
        return any(fnmatchcase(each, wanted) for each in names)


def read_functions(intent: Intent, value: object) -> tuple[FunctionIntent, ...]:
    """Read ``[functions.…]``.

    Raises:
        ConfigError: A key or a word in it is wrong.
    """
    from riptide.rls.intent import nearest

    if not isinstance(value, dict):
        raise intent.error("functions", None, "is not a table of functions")
    found: list[FunctionIntent] = []
    for name, inner in value.items():
        section = f"functions.{name}" if re.fullmatch(r"[\w-]+", name) else f'functions."{name}"'
        if not isinstance(inner, dict):
            raise intent.error(section, None, "is not a table of settings")
        for key in inner:
            if key != "execute":
                raise intent.error(section, key, f"is not known{nearest(key, ('execute',))}")
        roles = inner.get("execute")
        if not isinstance(roles, list) or not all(isinstance(each, str) for each in roles):
            raise intent.error(
                section, "execute", 'must be a list of roles: execute = ["authenticated"]'
            )
        for role in roles:
            if role not in CLIENTS:
                raise intent.error(
                    section,
                    "execute",
                    f"names {role!r}; it takes anon and authenticated{nearest(role, CLIENTS)}",
                )
        full_name = name if "." in name else f"public.{name}"
        if any(each.full_name == full_name for each in found):
            raise intent.error(section, None, f"declares {full_name} a second time")
        found.append(FunctionIntent(full_name=full_name, section=section, execute=tuple(roles)))
    return tuple(found)


def read_exceptions(path: Path, text: str, value: object) -> tuple[AuditException, ...]:
    """Read ``[[audit.except]]``.

    Args:
        path: The file, for messages.
        text: What is in it, for line numbers.
        value: What TOML has for ``audit``.

    Raises:
        ConfigError: A rule is not known, a reason or an object is missing, or a key is not known;
            with the line.
    """
    from riptide.rls.intent import nearest

    def error(number: int, key: str, problem: str) -> ConfigError:
        line = _line_of(text, number, key)
        return ConfigError(
            f"supabase/{path.name}{f':{line}' if line else ''}: [[audit.except]] {problem}",
            state="nothing was looked at",
            next_step=f"mend {path}",
        )

    if not isinstance(value, dict):
        raise error(0, "", "is what [audit] takes, and nothing else")
    for key in value:
        if key != "except":
            raise error(0, key, f"is what [audit] takes, not {key}{nearest(key, ('except',))}")
    entries = value.get("except", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise error(0, "", "must be written with two brackets, once for each exception")
    return tuple(_entry(number, each, text, error) for number, each in enumerate(entries, start=1))


def _entry(number: int, entry: dict[str, Any], text: str, error: Any) -> AuditException:
    from riptide.rls.audit.rules import ADVISORS, RULES
    from riptide.rls.intent import nearest

    for key in entry:
        if key not in _KEYS:
            raise error(number, key, f"{key} is not known{nearest(key, _KEYS)}")
    for key in _KEYS:
        given = entry.get(key)
        if given is not None and not isinstance(given, str):
            raise error(number, key, f"{key} must be a text, not {given!r}")
        if not (given or "").strip():
            missing = {
                "rule": "says no rule: `inv rls.audit` shows its name",
                "object": 'says no object; object = "*" is every one',
                "reason": "gives no reason: say why it is meant so, for who reads this later",
            }
            raise error(number, key, missing[key])
    known = (*RULES, *ADVISORS)
    if entry["rule"] not in known:
        problem = f"there is no rule {entry['rule']!r}{nearest(entry['rule'], known)}"
        raise error(number, "rule", problem)
    values = {key: entry[key].strip() for key in _KEYS}
    return AuditException(**values, line=_line_of(text, number, ""))


def _line_of(text: str, number: int, key: str) -> int | None:
    """Find the line of a key of the exception of that number, else of its header."""
    count, header = 0, None
    for index, line in enumerate(text.splitlines(), start=1):
        if _HEADER.match(line):
            count += 1
            if count == number:
                header = index
        elif header and re.match(r"\s*\[", line):
            break
        elif key and (header or not number) and re.match(rf"\s*{re.escape(key)}\s*=", line):
            return index
    return header
