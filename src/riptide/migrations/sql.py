"""Where one SQL statement ends and the next begins.

Not a parser: it knows PostgreSQL's quotes and comments
(https://www.postgresql.org/docs/17/sql-syntax-lexical.html), so that a semicolon inside one is
not taken for an end, and numbers statements as the Supabase CLI does. It is needed to say in which
line a statement stands, which the CLI does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r"""
      (?P<line_comment> --[^\n]* )
    | (?P<block_comment> /\* )
    | (?P<escape_string> \b[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) )
    | (?P<string> '(?:[^']|'')*(?:'|\Z) )
    | (?P<identifier> "(?:[^"]|"")*(?:"|\Z) )
    | (?P<dollar> (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$ )
    | (?P<begin_atomic> \bbegin\s+atomic\b )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")

# What ends or begins a transaction: https://www.postgresql.org/docs/17/sql-commands.html
_TRANSACTION_CONTROL = frozenset(
    {"begin", "start", "commit", "end", "rollback", "abort", "prepare"}
)
# What the CLI runs outside one, besides VACUUM, CLUSTER and REINDEX … CONCURRENTLY.
_OUTSIDE = (
    ("create", "index", "concurrently"),
    ("create", "unique", "index", "concurrently"),
    ("drop", "index", "concurrently"),
    ("alter", "system"),
)
_ENDS_ONE = re.compile(r"\b(?:commit|rollback)\b", re.IGNORECASE)
# The CLI's own mark, in the first line, for a file whose statements are each on their own.
_OWN_TRANSACTIONS = re.compile(r"-- pg-delta: transaction=false\r?(?:\n|\Z)")


@dataclass(frozen=True)
class Statement:
    """One statement of a file.

    Attributes:
        text: Verbatim, comments before it included, without the semicolon.
        offset: Of ``text`` in the file, in characters.
        code_offset: Of its first word, in the file.
        words: Its first words in lower case, quoted ones left out (``("create", "table", …)``).
    """

    text: str
    offset: int
    code_offset: int
    words: tuple[str, ...]

    @property
    def controls_transaction(self) -> bool:
        """Whether it would end or begin a transaction of its own."""
        words = self.words
        if words[:1] == ("prepare",):
            return words[:2] == ("prepare", "transaction")
        if words[:1] == ("rollback",):  # to a savepoint: the transaction goes on
            return "to" not in words[1:3]
        return bool(words) and words[0] in _TRANSACTION_CONTROL

    @property
    def may_commit(self) -> bool:
        """Whether code that it runs may end the transaction that it runs in.

        A procedure's body is not at hand; of a DO block it is.
        """
        word = self.words[:1]
        return word == ("call",) or (word == ("do",) and bool(_ENDS_ONE.search(self.text)))

    @property
    def refuses_transaction(self) -> bool:
        """Whether PostgreSQL runs it outside a transaction only, and the CLI does so.

        The CLI then commits what stands before it in the file, on its own.
        """
        words = self.words
        if words[:1] == ("reindex",):
            return "concurrently" in words
        return words[:1] in (("vacuum",), ("cluster",)) or any(
            words[: len(each)] == each for each in _OUTSIDE
        )


@lru_cache(maxsize=16_384)
def not_one_transaction(text: str) -> Statement | None:
    """Give the statement for which the Supabase CLI does not run a file as one transaction.

    A file that fails after that statement leaves behind what stands before it, unrecorded.

    Args:
        text: The file's content.

    Returns:
        The first such statement; ``None`` where the file is applied whole or not at all.
    """
    statements = split(text)
    for each in statements:
        if each.controls_transaction or (each.refuses_transaction and len(statements) > 1):
            return each
    if len(statements) > 1 and _OWN_TRANSACTIONS.match(text):
        return statements[0]
    return next((each for each in statements if each.may_commit), None)


def runs_each_alone(text: str) -> bool:
    """Whether the Supabase CLI runs every statement of a file on its own.

    It does where the file's first line asks for it, and where the file begins or ends a transaction
    itself.
    """
    if _OWN_TRANSACTIONS.match(text):
        return True
    return any(each.controls_transaction for each in split(text))


@lru_cache(maxsize=16_384)  # a push asks for each file's several times
def split(text: str) -> tuple[Statement, ...]:
    """Split a file into its statements; comments alone are none."""
    found: list[Statement] = []
    start = position = 0
    code: int | None = None
    words: list[str] = []
    depth = 0  # of BEGIN ATOMIC bodies and the CASE expressions in them

    def finish(end: int) -> None:
        nonlocal start, code, words, depth
        if code is not None:
            raw = text[start:end]
            lead = len(raw) - len(raw.lstrip())
            found.append(Statement(raw.strip(), start + lead, code, tuple(words[:8])))
        start, code, words, depth = end + 1, None, [], 0

    while position < len(text):
        match = _TOKEN.search(text, position)
        gap_end = match.start() if match else len(text)
        if code is None and (gap := text[position:gap_end]).strip():
            code = position + len(gap) - len(gap.lstrip())
        if match is None:
            break
        kind, position = match.lastgroup, match.end()
        if match["tag"] is not None:
            kind = "dollar"
        if kind == "line_comment":
            continue
        if kind == "block_comment":
            position = _block_comment_end(text, position)
            continue
        if kind == "end" and depth == 0:
            finish(match.start())
            continue
        if code is None:
            code = match.start()
        if kind == "dollar":
            position = _dollar_end(text, match)
        elif kind == "begin_atomic":
            depth += 1
        elif kind == "word":
            word = match["word"].lower()
            words.append(word)
            if depth and word in ("case", "end"):
                depth += 1 if word == "case" else -1
    finish(len(text))
    return tuple(found)


def _block_comment_end(text: str, position: int) -> int:
    """Give where a block comment ends; PostgreSQL nests them."""
    depth = 1
    while depth:
        edge = _BLOCK_EDGE.search(text, position)
        if edge is None:
            return len(text)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def significant(text: str) -> list[str]:
    """Give a file's tokens without comments, white space and the ends of statements.

    What is quoted is one token, unchanged: white space in a function's body is a part of it.
    """
    found: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.search(text, position)
        gap = text[position : match.start() if match else len(text)]
        found += "".join(gap.split())
        if match is None:
            break
        kind, position = match.lastgroup, match.end()
        if kind == "block_comment":
            position = _block_comment_end(text, position)
        elif match["dollar"] is not None:
            position = _dollar_end(text, match)
            found.append(text[match.start() : position])
        elif kind == "begin_atomic":
            found += match[0].split()
        elif kind not in ("line_comment", "end"):
            found.append(match[0])
    return found


def _dollar_end(text: str, match: re.Match[str]) -> int:
    """Give where a dollar-quoted string ends."""
    closing = text.find(match["dollar"], match.end())
    return len(text) if closing < 0 else closing + len(match["dollar"])


def line_of(text: str, offset: int) -> int:
    """Give the 1-based line of an offset."""
    return text.count("\n", 0, offset) + 1
