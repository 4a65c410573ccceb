"""Reads a page as a browser would, and says what is wrong with it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "path", "circle", "rect", "use"}
# What a browser asks the network for.
LOADING = {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping", "cite"}
# A paragraph ends where one of these begins, and what was meant to be in it stands outside.
BLOCKS = {"p", "div", "dl", "ol", "ul", "pre", "table", "section", "h1", "h2", "h3", "details"}


class Page(HTMLParser):
    """A page's faults, ids, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"never closed: {each}" for each in self._open]
        twice = {each for each in self.ids if self.ids.count(each) > 1}
        self.faults += [f"id twice: {each}" for each in sorted(twice)]
        for link in self.links:
            if link.startswith("#") and link[1:] not in self.ids:
                self.faults.append(f"leads nowhere: {link}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        if "p" in self._open and tag in BLOCKS:
            self.faults.append(f"{tag} in a paragraph")
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if tag in ("a", "use") and name == "href":
                self.links.append(value or "")
            loads = name in LOADING or (name == "href" and tag not in ("a", "use"))
            if (loads and value != "data:,") or name.startswith("on"):
                self.faults.append(f"{tag} {name}={value}")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that is closed at once."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Hold an end to its beginning."""
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> at line {self.getpos()[0]} in {self._open[-3:]}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Note what can be read."""
        if not {"style", "script"} & set(self._open):
            self.words.append(data)

    @property
    def text(self) -> str:
        """All that can be read."""
        return " ".join(" ".join(self.words).split())
