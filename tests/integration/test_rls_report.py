"""The page of `rls.verify`, opened in a real browser."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from _inv import inv
from _page import Page
from _requires import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from riptide.settings import Settings

pytestmark = pytest.mark.integration

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# As root, and in a container without a user namespace, Chromium has no sandbox to offer.
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a headless Chromium of the machine's."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    require(found, "Chromium or Chrome on PATH (apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def written(project: Settings) -> Path:
    """Give the page that the real task writes of RipTide's own schema, with a table too many."""
    import psycopg

    path = project.root / "out" / "rls.html"
    with psycopg.connect(project.local_db_url, autocommit=True) as connection:
        connection.execute("create table public.odd (id int)")
        try:
            process = inv(project, "rls.verify", "--html", str(path))
            output, _ = process.communicate(timeout=60)
        finally:
            connection.execute("drop table public.odd")
    assert process.returncode == 3, output
    return path


def test_the_page_is_of_the_stack_that_runs(project: Settings, tmp_path: Path) -> None:
    """A stack that was started on other ports than are said now is verified, audit and all."""
    page = tmp_path / "rls.html"
    process = inv(project, "rls.verify", "--html", str(page), SUPABASE_DB_PORT="9")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert page.exists()


def test_the_page_is_sound(written: Path, project: Settings) -> None:
    """It is valid, without a script, holds what was tried and no secret of the stack."""
    from riptide import open_stack

    text = written.read_text("utf-8")
    found = Page(text)
    assert found.faults == []
    assert "script" not in found.tags
    assert "api_tokens_select_own" in found.text
    assert "rls_disabled_in_public" in found.text
    status = open_stack(project).status()
    for secret in (status.secret_key, status.service_role_key, status.jwt_secret):
        assert secret
        assert secret not in text


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (390, "dark")])
def test_the_page_in_a_browser(
    scheme: Any, width: int, written: Path, browser: Browser, tmp_path: Path
) -> None:
    """Without scripts and without a request it is whole, wide or narrow, light or dark."""
    asked: list[str] = []
    said: list[str] = []
    context = browser.new_context(
        color_scheme=scheme, java_script_enabled=False, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(written.as_uri())
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)  # to be looked at
    assert asked == [written.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # A cell that its word does not fit into.
    too_wide = "[...document.querySelectorAll('.tag')].filter(e => e.scrollWidth > e.clientWidth)"
    assert page.evaluate(f"{too_wide}.map(e => e.textContent)") == []
    shut = page.locator("details:not([open]) > .inside").first
    assert not shut.is_visible()
    page.locator("details:not([open]) > summary").first.click()
    assert page.locator("details[open] > .inside").first.is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(scheme: Any, written: Path, browser: Browser) -> None:
    """Axe finds nothing: contrast, headings, tables, landmarks, names. By dark, contrast alone."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(written.as_uri())
    page.locator("details:not([open])").evaluate_all("all => all.forEach(e => e.open = true)")
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if scheme == "dark":
        options["runOnly"] = ["color-contrast"]
    found = Axe().run(page, options=options).response["violations"]
    context.close()
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_the_page_is_printed_whole(written: Path, browser: Browser) -> None:
    """On paper what is folded on a screen is open."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(written.as_uri())
    tall = "document.documentElement.scrollHeight"
    folded = page.evaluate(tall)
    page.emulate_media(media="print")
    assert page.evaluate(tall) > 1.5 * folded
    context.close()
