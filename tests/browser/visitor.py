"""A person at a browser: goes where the links lead, and looks hard at every page."""

import io
import re
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, Locator, Page, expect

from tests.factories.people import PASSWORD

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
PATIENCE = 30_000  # milliseconds a page may take on a busy machine

_WIDEST = """() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide <= 0) return null;
  const edge = document.documentElement.clientWidth;
  const over = [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > edge + 1);
  return `${wide} px too wide: ` + over.slice(0, 5).map((one) => one.outerHTML.slice(0, 120)).join(' | ');
}"""
_AXE = """async (tags) => {
  const options = { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'], preload: false };
  const shown = (node) => node.target.join(' ') + ' ' + node.html.slice(0, 160);
  return (await axe.run(document, options)).violations.map((one) => `${one.id}: ${one.help}: ` + one.nodes.map(shown).join(' | '));
}"""


class Visitor:
    """A browser context of its own: one person, one device, one language.

    ``phone``: 390 px wide with touch, else a desk of 1440 px. Every page the visitor looks at must pass axe, fit the
    width, and have put no error on the console; a refusal of the content security policy is such an error.
    """

    def __init__(self, browser: Browser, url: str, language: str, *, phone: bool, name: str, scripts: bool = True):
        self.url, self.language, self.phone, self.name = url, language, phone, name
        device = (
            {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
            if phone
            else {"viewport": {"width": 1440, "height": 900}}
        )
        self.context = browser.new_context(
            base_url=url,
            locale="zh-CN" if language == "zh-hans" else "en-GB",
            timezone_id="Asia/Shanghai",
            reduced_motion="reduce",
            java_script_enabled=scripts,
            **device,
        )
        self.context.set_default_timeout(PATIENCE)
        self.troubles: list[str] = []
        self.expected: list[str] = []
        self.page = self.tab()

    def tab(self) -> Page:
        """Another tab of the same person."""
        page = self.context.new_page()
        page.on("console", lambda message: self._trouble(message.text, page.url) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._trouble(str(error), page.url))
        return page

    def _trouble(self, text: str, url: str) -> None:
        if not any(re.search(pattern, text) for pattern in self.expected):
            self.troubles.append(f"{url.removeprefix(self.url)}: {text}")

    @contextmanager
    def expecting(self, pattern: str):
        """Errors on the console that belong to what is tried: a lost connection, an ended session."""
        self.expected.append(pattern)
        yield
        self.expected.remove(pattern)

    # --- going ------------------------------------------------------------------------------------------------------
    def open(self, address: str, *, look: bool = True) -> None:
        answer = self.page.goto(address)
        assert answer.status == 200, f"{address} answered {answer.status}"
        if look:
            self.look()

    def press(self, locator: Locator | str, *, look: bool = True) -> None:
        """Press what leads to another page, and look at that page."""
        target = self.page.locator(locator) if isinstance(locator, str) else locator
        with self.page.expect_navigation(timeout=PATIENCE):
            target.click()
        if look:
            self.look()

    def download(self, locator: Locator | str) -> tuple[str, io.BytesIO]:
        """Press what gives a file: its name and what is in it."""
        target = self.page.locator(locator) if isinstance(locator, str) else locator
        with self.page.expect_download(timeout=PATIENCE) as coming:
            target.click()
        return coming.value.suggested_filename, io.BytesIO(Path(coming.value.path()).read_bytes())

    def sign_in(self, username: str, password: str = PASSWORD) -> None:
        self.open("/sign-in/")
        self.page.fill("#id_username", username)
        self.page.fill("#id_password", password)
        self.press(self.page.locator("main button[type=submit]"))
        assert "/sign-in/" not in self.page.url, self.words()

    # --- looking ----------------------------------------------------------------------------------------------------
    def look(self, page: Page | None = None) -> None:
        """The page as it stands: axe, width, console, language."""
        page = page or self.page
        page.wait_for_load_state("load")
        where = page.url.removeprefix(self.url)
        page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
        problems = page.evaluate(_AXE, RULES)
        if wide := page.evaluate(_WIDEST):
            problems.append(wide)
        assert not problems, f"{where} ({self.language}, {'phone' if self.phone else 'desk'}):\n" + "\n".join(problems)
        self.calm()

    def calm(self) -> None:
        """Nothing went wrong in the browser so far."""
        assert not self.troubles, "\n".join(self.troubles)

    def words(self) -> str:
        """What the page says in its main part."""
        return self.page.locator("main").inner_text()

    def sees(self, text: str, page: Page | None = None) -> None:
        expect((page or self.page).locator("main")).to_contain_text(text, timeout=PATIENCE)

    def picture(self, file: Path) -> None:
        try:
            for number, page in enumerate(self.context.pages):
                page.screenshot(path=file.with_stem(f"{file.stem}-{number}"), full_page=True, timeout=5000)
        except Error:
            pass  # a page that is gone has no picture; the failure itself says more

    def close(self) -> None:
        self.context.close()
