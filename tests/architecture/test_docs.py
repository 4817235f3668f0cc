"""The documents keep up with the code: twins, variables, scripts, commands and links."""

import ast
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [ROOT / "training_site" / "env.py", *sorted((ROOT / "training_site" / "settings").glob("*.py"))]
# our own: not what an environment or a build left behind
PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md", "bench/**/*.md")
    for page in sorted(ROOT.glob(pattern))
]
READERS = {"text", "flag", "number", "choice", "words", "secret", "database", "networks"}


def _variables() -> set[str]:
    """The names given to the readers of training_site/env.py in the settings."""
    found = set()
    for file in SETTINGS:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in READERS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "env"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(node.args[0].value)
    return found


def test_docs_have_a_page_in_each_language():
    english, chinese = ({page.name for page in (ROOT / "docs" / code).glob("*.md")} for code in ("en", "zh"))

    assert english == chinese
    assert english


def test_docs_name_every_environment_variable():
    variables = _variables()

    assert {"DATABASE_URL", "SECRET_KEY", "JOBS"} <= variables
    for language in ("en", "zh"):
        text = (ROOT / "docs" / language / "administrator.md").read_text(encoding="utf-8")
        assert sorted(name for name in variables if f"`{name}`" not in text) == []


def test_docs_name_every_management_command():
    commands = {file.stem for file in ROOT.glob("*/management/commands/[a-z]*.py")}

    for language in ("en", "zh"):
        text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / language).glob("*.md"))
        assert sorted(name for name in commands if name not in text) == []


def test_readme_names_every_sign_in_of_the_demo():
    from portal.demo.builder import PASSPHRASE
    from portal.demo.company import CAST_NUMBERS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\d{6})` \|", text, flags=re.MULTILINE)
    second_hr = "001013"  # beside the cast: who checks what the first HR prepares
    assert named == [*CAST_NUMBERS.values(), second_hr]
    assert f"`{PASSPHRASE}`" in text


def test_contributing_names_every_script():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert sorted(script.name for script in (ROOT / "bin").iterdir() if f"`bin/{script.name}`" not in text) == []


def test_contributing_names_every_app():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert sorted(app.parent.name for app in ROOT.glob("*/apps.py") if f"| `{app.parent.name}` |" not in text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r"(?:src|href)=\"([^\"]+)\"", text)]
    broken = []
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _hash, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)

    assert broken == []


def _anchors(file: Path) -> set[str]:
    """The anchors that a reader of Markdown gives to headings: small letters, hyphens for spaces, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
