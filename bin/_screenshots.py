"""The pictures of bin/screenshots: signs in as each part of the demo and looks at its pages."""

# ruff: noqa: S607, T201
from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # the browser's own loop runs beside our queries

import django  # noqa: E402

django.setup()

from django.urls import reverse  # noqa: E402
from django.utils import timezone  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from assessments.models import Attempt, Question, Quiz  # noqa: E402
from bulletins.models import Bulletin, BulletinPage  # noqa: E402
from certificates.models import Certificate, CertificateDesign  # noqa: E402
from core.periods import Month  # noqa: E402
from courses.models import Audience, CoursePage, Enrolment, LessonPage, MonthClose, Programme  # noqa: E402
from kpi.models import (  # noqa: E402
    Award,
    AwardProgramme,
    AwardRound,
    HonourWallPage,
    Indicator,
    PayRun,
    Review,
)
from people.models import Employee, RosterImport, User  # noqa: E402
from portal.demo.builder import PASSPHRASE  # noqa: E402
from portal.demo.company import ADMIN, AUDITOR, AUTHOR, CAST_NUMBERS, EMPLOYEE, HR, MANAGER  # noqa: E402

ADDRESS = os.environ["SITE_URL"]
PHONE, DESK = 390, 1440
LANGUAGES = ("zh-hans", "en")
NOBODY = "nobody"
SCROLLED = {"indicator": 170, "wall": 210}  # pixels, so that what matters stands in the picture
LARGEST = 120_000  # bytes of a picture in the repository


class Stage:
    """What the pictures show: the ids of the demo's rows, looked up once."""

    def __init__(self):
        self.today = timezone.localdate()
        self.month = Month.of(self.today)
        self.people = {part: Employee.objects.get(employee_no=number) for part, number in CAST_NUMBERS.items()}
        me = self.people[EMPLOYEE]
        mine = Enrolment.objects.filter(employee=me).select_related("run").order_by("-run__month", "pk")
        begun = mine.filter(run__month=self.month, state="in_progress").first()
        self.current = begun or mine.filter(state__in=("assigned", "in_progress")).first() or mine.first()
        steps = list(self.current.run.steps.select_related("step").order_by("position"))
        self.lessons = [one.step for one in steps if one.step.kind == "courses.lessonpage"]
        self.quiz = next((one.step for one in steps if one.step.kind != "courses.lessonpage"), None)
        done = mine.filter(state="completed").first()
        self.done = done or self.current
        self.certificate = Certificate.objects.filter(employee=me, revoked_at=None).order_by("-issued_at").first()
        self.attempt = Attempt.objects.filter(enrolment__employee=me).exclude(submitted_at=None).order_by("-pk").first()
        self.unit = me.unit
        self.city = me.unit.get_parent()
        self.group = me.unit.get_root()
        self.run = self.current.run
        closes = MonthClose.objects.order_by("-month")
        self.closed, self.closing = closes.filter(state="closed").first(), closes.filter(state="signing").first()
        self.roster = RosterImport.objects.order_by("-pk").first()
        rounds = AwardRound.objects.order_by("-pk")
        self.rounds = {state: rounds.filter(state=state).first() for state in AwardRound.State.values}
        self.group_round = rounds.filter(programme__kind="team", state="granted").first()
        self.award = Award.objects.filter(employee=me, certificate__isnull=False).first()
        card = Review.objects.filter(employee=me, published_at__isnull=False).order_by("-published_at", "-pk").first()
        self.card = card and card.scorecard
        self.pay = PayRun.objects.filter(corrects=None).order_by("-pk").first()


def addresses(stage: Stage) -> dict[str, list[tuple[str, str]]]:
    """(file name, address) of the pages that each part may open."""
    month = str(stage.month)
    me = stage.people[EMPLOYEE]

    def page(name: str, view: str, *args) -> list[tuple[str, str]]:
        return [] if None in args else [(name, reverse(view, args=args))]

    pk = lambda row: row.pk if row else None  # noqa: E731
    for_all = [
        *page("my-month", "portal:my_month"),
        *page("account", "people:account"),
        *page("notices", "portal:notices"),
        *page("my-certificates", "certificates:mine"),
        *page("search", "portal:search"),
    ]
    lists = [
        ("search-found", f"{reverse('portal:search')}?q={stage.people[MANAGER].name[:1]}"),
        *page("person", "portal:person", me.pk),
        *page("print", "certificates:print"),
    ]
    closed, closing = stage.closed and str(stage.closed.month), stage.closing and str(stage.closing.month)
    told = Bulletin.objects.first()
    bulletin = BulletinPage.objects.live().filter(locale__language_code="zh-hans").order_by("-pk").first()
    hr = [
        *page("hr-desk", "portal:hr_desk"),
        *page("hr-people", "portal:hr_people"),
        *page("roster", "people:roster"),
        *page("roster-detail", "people:roster_detail", pk(stage.roster)),
        *page("invitations", "people:invitations"),
        *page("units", "people:units"),
        *page("unit", "people:unit", stage.unit.pk),
        *page("edit-person", "people:edit", me.pk),
        *page("move-person", "people:move", me.pk),
        *page("leave-of-person", "people:leave", me.pk),
        *page("sign-in-of-person", "people:person_sign_in", me.pk),
        *page("months", "courses:months"),
        *page("month", "courses:month", month),
        *page("catch-up", "courses:catch_up", month),
        *page("path", "portal:unit_path", month, stage.group.pk),
        *page("close", "courses:close_month", closing),
        *page("closed", "courses:closed_month", closed),
        *page("closed-unit", "courses:closed_unit", closed, stage.city.pk),
        *page("as-of", "courses:as_of", month),
        *page("ladder", "courses:ladder"),
        *page("messages", "courses:messages"),
        *page("plan", "courses:programme_plan", pk(Programme.objects.first()), Month.of(timezone.localdate()).year),
        *page("programmes", "courses:programmes"),
        *page("programme", "courses:programme", pk(Programme.objects.first())),
        *page("audiences", "courses:audiences"),
        *page("audience", "courses:audience", pk(Audience.objects.first())),
        *page("completion", "courses:completion"),
        *page("completion-unit", "courses:completion_unit", month, stage.city.pk),
        *page("completion-names", "courses:completion_names", month, stage.unit.pk),
        *page("exempt", "courses:exempt", stage.current.pk),
        *page("extend", "courses:extend", stage.current.pk),
        *page("withdraw", "courses:withdraw", stage.current.pk),
        *page("exceptions", "courses:matters"),
        *page("requests", "courses:requests"),
        *page("bulletins-desk", "bulletins:desk"),
        *(page("bulletin-made", "bulletins:workspace", str(told.month), told.unit_id) if told else []),
        *(page("bulletin-words", "bulletins:write", str(told.month), told.unit_id) if told else []),
    ]
    rounds = {state: pk(found) for state, found in stage.rounds.items()}
    performance = [
        *page("performance", "kpi:home"),
        *page("honours", "kpi:honours"),
        *page("nominate", "kpi:nominate", rounds["nominating"]),
        *page("thank", "kpi:say_thanks", stage.people[AUTHOR].pk),
        *[(f"wall-{wall.locale.language_code}", wall.get_url()) for wall in HonourWallPage.objects.live()],
    ]
    plans = [*page("my-plan", "kpi:my_plan"), *page("plan-of-person", "kpi:person_plan", me.pk)]
    honours = [
        *page("honours-desk", "kpi:honours_desk"),
        *page("new-honour", "kpi:new_programme"),
        *page("new-round", "kpi:new_round", pk(AwardProgramme.objects.first())),
        *[(f"round-{state}", reverse("kpi:honours_round", args=[one])) for state, one in rounds.items() if one],
        *page("round-of-groups", "kpi:honours_round", pk(stage.group_round)),
        *page("courses-that-help", "kpi:development"),
        *_effect(page),
    ]
    course = CoursePage.objects.filter(locale__language_code="zh-hans", live=True).first()
    lesson = LessonPage.objects.filter(locale__language_code="zh-hans", live=True).first()
    authoring = [
        ("cms", "/cms/"),
        *([("cms-tree", f"/cms/pages/{course.pk}/")] if course else []),
        *([("cms-lesson", f"/cms/pages/{lesson.pk}/edit/")] if lesson else []),
        *_wagtail(Question),
        *_wagtail(Quiz),
        *_wagtail(CertificateDesign),
    ]
    return {
        NOBODY: [
            ("home", "/"),
            ("sign-in", reverse("people:sign_in")),
            ("verify-form", reverse("certificates:verify_form")),
            *page("verify", "certificates:verify", stage.certificate and stage.certificate.code),
            *page("verify-honour", "certificates:verify", stage.award and stage.award.certificate.code),
            ("not-found", "/no-such-page/"),
        ],
        EMPLOYEE: [
            *for_all,
            *page("overview", "courses:overview", stage.current.pk),
            *page("ask", "courses:ask", stage.current.pk),
            *[(f"lesson-{n}", reverse("courses:lesson", args=(stage.current.pk, one.pk))) for n, one in enumerate(stage.lessons[:2], 1)],
            *page("quiz", "assessments:quiz", stage.current.pk, pk(stage.quiz)),
            *page("result", "assessments:result", pk(stage.attempt)),
            *page("certificate", "certificates:detail", pk(stage.certificate)),
            *page("course-done", "courses:overview", stage.done.pk),
            *page("person-me", "portal:person", me.pk),
            *([("bulletin", bulletin.get_url()), ("bulletins", bulletin.get_parent().get_url())] if bulletin else []),
            *performance,
            *plans,
            *page("card", "kpi:card", pk(stage.card)),
            *page("honour-certificate", "certificates:detail", stage.award and stage.award.certificate_id),
        ],
        MANAGER: [
            *for_all[:1],
            *page("my-team", "portal:my_team"),
            *page("path", "portal:team_path"),
            *page("requests", "courses:requests"),
            ("requests-hr", f"{reverse('courses:requests')}?show=hr"),
            *page("closed", "courses:closed_month", closed),
            *lists,
            *page("extend", "courses:extend", stage.current.pk),
            *performance,
            *plans,
            *page("vote", "kpi:vote", rounds["voting"]),
        ],
        HR: [*for_all[:1], *hr, *lists, *performance, *plans, *honours, *page("pay-run", "kpi:pay_run", pk(stage.pay))],
        AUDITOR: [
            *for_all[:1],
            *page("completion", "courses:completion"),
            *page("closed", "courses:closed_month", closed),
            *page("exceptions", "courses:matters"),
            *page("messages", "courses:messages"),
            *page("roster", "people:roster"),
            *page("roles", "people:roles"),
            *lists,
            *performance,
            *plans,
        ],
        AUTHOR: [*for_all[:1], *authoring, *performance, *plans[:1]],
        ADMIN: [*for_all[:1], *performance, *plans[:1], *page("roles", "people:roles"), *page("robots", "courses:robots"),
                *page("sign-in-of-person", "people:person_sign_in", me.pk)],
    }  # fmt: skip


def _effect(page) -> list[tuple[str, str]]:
    """Whether a course moved an indicator, for the first course that is named for one."""
    indicator = Indicator.objects.filter(courses__isnull=False).order_by("pk").first()
    return (
        page("effect", "kpi:development_effect", indicator.pk, indicator.courses.first().course_id) if indicator else []
    )


def _wagtail(model) -> list[tuple[str, str]]:
    """The listing of a model in the content admin, and the form of its first row."""
    from wagtail.admin.admin_url_finder import AdminURLFinder

    row = model.objects.first()
    edit = AdminURLFinder(User.objects.get(username=CAST_NUMBERS[AUTHOR])).get_edit_url(row) if row else None
    if edit is None:
        return []
    name = f"cms-{model._meta.model_name}"
    return [(name, edit), (f"{name}-list", re.sub(r"edit/.*$", "", edit))]


# --- the browser ------------------------------------------------------------------------------------------------------


class Camera:
    def __init__(self, browser):
        self.browser = browser
        self.kept: dict[str, dict] = {}  # the cookies of each part

    def open(self, part: str, width: int, language: str, scale: float = 1) -> Page:
        context = self.browser.new_context(
            viewport={"width": width, "height": 844 if width == PHONE else 900},
            device_scale_factor=scale,
            has_touch=width == PHONE,
            is_mobile=width == PHONE,
            locale="zh-CN" if language == "zh-hans" else "en-GB",
            timezone_id="Asia/Shanghai",
            reduced_motion="reduce",
            storage_state=self.kept.get(part),
        )
        page = context.new_page()
        if part != NOBODY and part not in self.kept:
            page.goto(f"{ADDRESS}{reverse('people:sign_in')}")
            page.fill("input[name=username]", CAST_NUMBERS[part])
            page.fill("input[name=password]", PASSPHRASE)
            page.press("input[name=password]", "Enter")
            page.wait_for_url(lambda url: "/sign-in/" not in url)
            self.kept[part] = context.storage_state()
        self._speak(page, language)
        return page

    @staticmethod
    def _speak(page: Page, language: str) -> None:
        """As the language switch does: one POST, remembered by the browser and by the user."""
        page.goto(f"{ADDRESS}{reverse('people:account')}")
        token = page.locator("input[name=csrfmiddlewaretoken]").first.input_value()
        page.request.post(
            f"{ADDRESS}{reverse('people:set_language')}",
            form={"language": language, "next": "/", "csrfmiddlewaretoken": token},
            headers={"Referer": ADDRESS},
        )

    @staticmethod
    def look(page: Page, address: str) -> int:
        """Open a page, let it settle, and return its status."""
        answer = page.goto(f"{ADDRESS}{address}", wait_until="load")
        page.wait_for_timeout(250)
        return answer.status if answer else 0


def every_page(camera: Camera, stage: Stage, only: list[str]) -> int:
    """Every page as every part, at both widths, in both languages, into var/screenshots/. Returns how many failed."""
    folder = ROOT / "var" / "screenshots"
    failed = 0
    for part, pages in addresses(stage).items():
        if only and part not in only:
            continue
        for language in LANGUAGES:
            for width in (PHONE, DESK):
                page = camera.open(part, width, language)
                problems: list[str] = []
                page.on("pageerror", lambda error, problems=problems: problems.append(str(error)))
                page.on(
                    "console",
                    lambda message, problems=problems: message.type == "error" and problems.append(message.text),
                )
                for name, address in pages:
                    problems.clear()
                    status = camera.look(page, address)
                    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    file = folder / f"{part}-{name}-{width}-{language[:2]}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=file, full_page=True)
                    bad = status >= 400 and name != "not-found"
                    failed += bad
                    if bad or wide > 0 or (problems and name != "not-found"):
                        print(
                            f"{part} {address} {width} {language}: {status}, {wide} px too wide, {problems[:2]}",
                            flush=True,
                        )
                page.context.close()
    print(f"The pictures are in {folder.relative_to(ROOT)}.")
    return failed


# --- the README's set -------------------------------------------------------------------------------------------------


def readme_set(camera: Camera, stage: Stage) -> None:
    folder = ROOT / "docs" / "screenshots"
    folder.mkdir(exist_ok=True)
    bulletin = BulletinPage.objects.live().filter(locale__language_code="en").order_by("-pk").first()
    wall = HonourWallPage.objects.live().filter(locale__language_code="en").first()
    indicator = Indicator.objects.filter(code="satisfaction").first()
    current, lesson = stage.current.pk, stage.lessons[min(1, len(stage.lessons) - 1)]
    for name, part, width, language, address in (
        ("my-month", EMPLOYEE, PHONE, "zh-hans", reverse("portal:my_month")),
        ("lesson", EMPLOYEE, PHONE, "en", reverse("courses:lesson", args=(current, lesson.pk))),
        ("my-team", MANAGER, DESK, "zh-hans", reverse("portal:my_team")),
        ("hr-desk", HR, DESK, "zh-hans", reverse("portal:hr_desk")),
        ("path", MANAGER, DESK, "en", reverse("portal:team_path")),
        (
            "closed-month",
            HR,
            DESK,
            "zh-hans",
            stage.closed and reverse("courses:closed_month", args=(str(stage.closed.month),)),
        ),
        ("bulletin", EMPLOYEE, DESK, "en", bulletin and bulletin.get_url()),
        ("letter", EMPLOYEE, PHONE, "en", stage.card and reverse("kpi:card", args=(stage.card.pk,))),
        ("pay-run", HR, DESK, "zh-hans", stage.pay and reverse("kpi:pay_run", args=(stage.pay.pk,))),
        ("indicator", HR, DESK, "en", indicator and reverse("kpi:indicator", args=(indicator.pk,))),
        ("wall", EMPLOYEE, DESK, "en", wall and wall.get_url()),
    ):
        if not address:
            continue
        page = camera.open(part, width, language, scale=2 if width == PHONE else 1)
        camera.look(page, address)
        page.mouse.wheel(0, SCROLLED.get(name, 0))
        page.wait_for_timeout(300)
        keep(folder / f"{name}.webp", page.screenshot(), 620 if width == PHONE else 1200)
        page.context.close()
    page = camera.open(EMPLOYEE, PHONE, "zh-hans", scale=2)
    quiz(camera, page, stage)
    keep(folder / "quiz.webp", page.screenshot(), 620)
    page.context.close()
    if stage.certificate:
        keep(folder / "certificate.webp", certificate(stage.certificate), 1100)


def quiz(camera: Camera, page: Page, stage: Stage) -> None:
    """Begin the quiz of the present course, or look at one that is open, and answer the first question."""
    mine = Attempt.objects.filter(enrolment__employee=stage.people[EMPLOYEE], submitted_at=None)
    open_one = mine.exclude(deadline_at__lte=timezone.now()).first()
    if open_one:
        camera.look(page, reverse("assessments:attempt", args=(open_one.pk,)))
    else:
        camera.look(page, reverse("assessments:quiz", args=(stage.current.pk, stage.quiz.pk)))
        page.locator("main form[method=post] button").first.click()
        page.wait_for_url("**/attempts/**")
    choice = page.locator("main input[type=radio]")
    for _question in range(9):  # the questions are shuffled: look for one with a single answer
        if choice.count():
            break
        with page.expect_navigation():
            page.locator("main .quiz-actions__next").click()
    if choice.count():
        page.locator("main input[type=radio]:not(:checked)").first.check(force=True)  # a change is what is saved
        page.wait_for_timeout(900)


def certificate(one: Certificate) -> bytes:
    from certificates.domain.rendering import certificate_pdf

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.pdf").write_bytes(certificate_pdf(one))
        subprocess.run(["pdftoppm", "-r", "110", "-png", "-singlefile", "in.pdf", "out"], cwd=folder, check=True)
        return (Path(folder) / "out.png").read_bytes()


def keep(file: Path, png: bytes, width: int) -> None:
    """Save a picture as WebP, no wider than that and small enough for the repository."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    for quality in (86, 80, 72, 64, 56, 48, 40):
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=quality, method=6)
        if out.tell() < LARGEST:
            break
    file.write_bytes(out.getvalue())
    print(f"{file.relative_to(ROOT)}: {picture.width} x {picture.height}, {out.tell() // 1000} kB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every page as every role")
    parser.add_argument("--only", nargs="*", default=[], help="with --all: only these parts (employee, hr …)")
    given = parser.parse_args()
    stage = Stage()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        camera = Camera(browser)
        failed = every_page(camera, stage, given.only) if given.all else 0
        if not given.only:
            readme_set(camera, stage)
        browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
