"""The page of a study in a real browser: it renders, asks nothing, fits, turns dark, and prints.

Chromium is driven through two pipes (its DevTools protocol: JSON, each message ended by a zero
byte), so that no other software is needed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pytest

from bninit.verbs.study.report import write_report

if TYPE_CHECKING:
    from bninit.verbs.study.run import StudyResult

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


def find() -> str | None:
    """The program, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One page in a fresh profile; what it logs and asks of the network is kept."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        to_child, self._write = os.pipe()
        self._read, from_child = os.pipe()
        # The program reads from descriptor 3 and writes to 4.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_child} 4>&{from_child}', "bash", program, *FLAGS,
             f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(to_child, from_child),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_child)
        os.close(from_child)
        self._buffer = b""
        self._last = 0
        self._session: str | None = None
        self.messages: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        targets = self("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._profile.cleanup()

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        """Asks for something and waits for the answer."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found
            self._note(answer)

    def open(self, path: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Opens a file in a window of this width, as a light or a dark page."""
        phone = width < 600
        self("Emulation.setDeviceMetricsOverride", width=width, height=height,
             deviceScaleFactor=2 if phone else 1, mobile=phone)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.messages.clear()
        self.requests.clear()
        self._loaded = False
        self("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._note(self._next())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def pdf(self) -> bytes:
        """The page as it prints, on A4."""
        printed = self("Page.printToPDF", printBackground=True, preferCSSPageSize=True,
                       paperWidth=8.27, paperHeight=11.69)  # fmt: skip
        return base64.b64decode(printed["data"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._read, 1 << 20)
            assert piece, "chromium ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.messages.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(str(params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.messages.append(str(params["exceptionDetails"]))


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    program = find()
    if program is None:
        pytest.skip(f"there is no Chromium: none of {', '.join(NAMES)} is installed")
    with Chromium(program) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def page(tiny_study: StudyResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tiny_study, path=tmp_path_factory.mktemp("page") / "report.html")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_renders_in_silence_and_fits(
    browser: Chromium, page: Path, width: int, dark: bool
) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.messages == []
    asked = [url for url in browser.requests if not url.startswith("data:")]
    assert asked == [page.resolve().as_uri()], "the page itself, and nothing else"
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    beyond = """
        [...document.querySelectorAll('body *')].filter(e =>
            !e.closest('.scroll, pre, svg, .hidden') &&
            e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))
    """
    assert browser.evaluate(beyond) == []


def test_text_in_pictures_stays_within_them(browser: Chromium, page: Path) -> None:
    browser.open(page, width=1280)
    cut = """
        [...document.querySelectorAll('svg text')].filter(t => {
            const own = t.getBoundingClientRect();
            const all = t.closest('svg').getBoundingClientRect();
            return own.left < all.left - 1 || own.right > all.right + 1
                || own.bottom > all.bottom + 1 || own.top < all.top - 1;
        }).map(t => t.textContent)
    """
    assert browser.evaluate(cut) == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(browser: Chromium, page: Path, dark: bool) -> None:
    """Contrast of all text at least 4.5 to 1 (WCAG 2.2, 1.4.3), of drawn lines 3 to 1."""
    browser.open(page, width=1280, dark=dark)
    low = """
    (() => {
        const parse = c => c.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
            .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
        const ground = e => {
            for (; e; e = e.parentElement) {
                const c = parse(getComputedStyle(e).backgroundColor);
                if (c.length < 4 || c[3] > 0) return c;
            }
        };
        const ratio = (a, b) => {
            const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
            return (x + .05) / (y + .05);
        };
        const faults = [];
        for (const e of document.querySelectorAll('body *')) {
            const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
            if (!own || e.closest('.hidden') || !e.getClientRects().length) continue;
            const colour = getComputedStyle(e)[e.closest('svg') ? 'fill' : 'color'];
            const found = ratio(parse(colour), ground(e));
            if (found < 4.5) faults.push([e.textContent.slice(0, 30), found]);
        }
        for (const e of document.querySelectorAll('figure svg .role-axis-domain line')) {
            const found = ratio(parse(getComputedStyle(e).stroke), ground(e));
            if (found < 3) faults.push([e.outerHTML, found]);
        }
        return faults;
    })()
    """
    assert browser.evaluate(low) == []
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(paper[4:].split(",")[0]) < 60) is dark


def test_it_shows_a_picture_for_every_claim(
    browser: Chromium, page: Path, tiny_study: StudyResult
) -> None:
    browser.open(page, width=1280)
    sizes = browser.evaluate("""
        [...document.querySelectorAll('.evidence svg')].map(e => e.getBoundingClientRect())
            .map(box => [box.width, box.height])
    """)
    assert len(sizes) == len(tiny_study.claims)
    assert all(width > 200 and height > 60 for width, height in sizes)


def test_it_prints(browser: Chromium, page: Path) -> None:
    browser.open(page, width=1280)
    printed = browser.pdf()
    assert printed.startswith(b"%PDF-")
    assert 3 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 20
