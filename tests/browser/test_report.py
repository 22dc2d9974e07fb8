"""The report in Chromium with the network off: no request, no console error, every figure drawn, no sideways scroll."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldcast.workflows import Experiment, demo, load_experiment

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
MARKED = """[...document.querySelectorAll('.figure')].filter(box => {
  const mark = box.querySelector('.scatterlayer .trace path, .barlayer .trace path');
  return mark && mark.getAttribute('d') && box.querySelector('.main-svg').getBoundingClientRect().height > 100;
}).length"""
DRAWN = "html[data-figures=drawn]"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the demo on its last 1,500 sessions, with fewer models and draws."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    plain = load_experiment().model_dump(mode="json")
    plain["walk_forward"]["initial"] = 200
    plain["models"]["boosted_trees"] = None
    plain["intervals"]["draws"] = 200
    plain["cycle"]["sessions"] = 3
    small = Experiment.model_validate(plain)
    return demo(tmp_path_factory.mktemp("demo"), rows=1500, experiment=small).report


@pytest.fixture(scope="module")
def chromium(report: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light")])
def test_the_report_needs_nothing_but_itself(chromium: Any, report: Path, width: int, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True, color_scheme=scheme)
    page = context.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    page.wait_for_selector(DRAWN, timeout=120_000)

    places = page.locator(".figure").count()
    assert places > 15
    assert page.locator(".figure.js-plotly-plot").count() == places
    assert page.evaluate(MARKED) == places
    assert requests == [report.as_uri()]
    assert complaints == []
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_drawn_figures_keep_within_their_boxes_when_the_page_narrows(chromium: Any, report: Path) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(report.as_uri())
    page.wait_for_selector(DRAWN, timeout=120_000)
    page.set_viewport_size({"width": 400, "height": 900})
    edges = "Math.max(...[...document.querySelectorAll('.main-svg')].map(svg => svg.getBoundingClientRect().right))"
    until = time.monotonic() + 60
    while page.evaluate(edges) > 400 and time.monotonic() < until:      # the page's policy forbids wait_for_function
        page.wait_for_timeout(100)
    assert page.evaluate(edges) <= 400
    page.close()
