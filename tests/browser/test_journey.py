"""From a roster file to a printed certificate, as people do it: HR and managers at a desk, employees on a phone."""

import io
import re
import zipfile
from urllib.parse import urlsplit

import pikepdf
import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from openpyxl import load_workbook
from playwright.sync_api import expect

from assessments.models import Attempt
from certificates.domain.rendering import verify_url
from certificates.models import Certificate
from core.events import chain_names, verify_chain
from core.jobs import run_job
from core.models import Job
from courses.domain.progress import complete_step
from courses.models import Audience, CourseRun, Enrolment, StepCompletion
from people.models import Employee, OrgUnit, RosterImport
from tests.browser.company import TITLE, Company, found_company, roster_file
from tests.browser.visitor import PATIENCE, Visitor
from tests.factories.assessments import right_answer, wrong_answer

pytestmark = pytest.mark.browser

NEWCOMER = {"zh-hans": ("00731", "林小雨"), "en": ("00731", "Amy Lin")}
PASSPHRASE = "seven kites over the harbour"
OFFLINE = r"ERR_INTERNET_DISCONNECTED"


@pytest.fixture(params=["zh-hans", "en"])
def company(request, own_database) -> Company:
    return found_company(request.param)


def test_journey_from_roster_to_certificate(company, visit, server, settings):
    language = company.language
    hr = visit(language, name="hr")
    hr.sign_in("0001")
    _roster(company, hr, settings)
    link = _invitation(company, hr)
    learner = visit(language, phone=True, name="learner")
    _first_sign_in(company, learner, link)
    _month(company, hr)
    _learn(company, learner)
    certificate = _quiz(company, learner)
    _finish_for(company.colleague)
    manager = visit(language, name="manager")
    manager.sign_in("0101")
    _team(company, manager, certificate)
    _completion(company, hr)
    _verify(visit(language, phone=True, name="passer-by"), certificate, server)
    _author(company, visit, learner)
    assert [fault for chain in chain_names() if (fault := verify_chain(chain)[1])] == []


# --- 2. the roster ----------------------------------------------------------------------------------------------------
def _roster(company: Company, hr: Visitor, settings) -> None:
    """A file with a newcomer, a change and a refused row: looked at, applied with progress. A second one is taken back."""
    number, name = NEWCOMER[company.language]
    east = f"{company.root.name}/{company.east.name}"
    hr.open("/hr/")
    hr.press(hr.page.locator(f'main a[href="{reverse("people:roster")}"]').first)
    # what a spreadsheet made of a long number: in a CSV as text, in a workbook as a float
    speaks, broken = {"zh-hans": ("中文", "1.1E+17"), "en": ("English", 1.1e17)}[company.language]
    rows = [
        [number, name, east, "客户顾问", "0101", "2024-03-01", "newcomer@riverside.example", speaks],
        ["0102", "沈月", east, "客户顾问", "0101", "2024-01-01", "shen.yue@riverside.example", ""],
        [broken, "无名", east, "客户顾问", "0101", "2024-01-01", "", ""],
    ]
    _upload(company, hr, rows)
    roster = RosterImport.objects.latest("pk")
    wanted = {"new": 1, "changed": 1, "moved": 0, "left": 0, "unchanged": 0, "refused": 1}
    assert {key: roster.counts[key] for key in wanted} == wanted
    hr.sees("1.1E+17")  # the refused rows come first
    for outcome, text in (("new", name), ("changed", "shen.yue@riverside.example")):
        hr.press(hr.page.locator(f'.tabs a[href="?outcome={outcome}"]'))
        hr.sees(text)
    assert not Employee.objects.filter(employee_no=number).exists(), "looking changes nothing"
    _name, refused = hr.download(f'main a[href="{reverse("people:roster_faults", args=[roster.pk])}"]')
    sheet = load_workbook(refused).worksheets[0]
    assert any("无名" in [cell.value for cell in row] for row in sheet.iter_rows())

    settings.JOBS = "worker"  # this once the work waits for a worker, so that its progress can be watched
    hr.press(hr.page.locator(f'form[action="{reverse("people:roster_apply", args=[roster.pk])}"] button'))
    expect(hr.page.locator(".progress")).to_be_visible()
    with hr.page.expect_navigation(timeout=PATIENCE):  # the page asks by itself, and loads anew when the work is done
        run_job(Job.objects.get(state=Job.State.WAITING).pk)
    settings.JOBS = "immediate"
    roster.refresh_from_db()
    assert roster.state == RosterImport.State.APPLIED
    expect(hr.page.locator(".notice--success")).to_be_visible()
    hr.look()
    newcomer = Employee.objects.get(employee_no=number)
    assert (newcomer.name, newcomer.unit, newcomer.manager) == (name, company.east, company.manager)

    hr.open(reverse("people:roster"))
    _upload(company, hr, [["0999", "过客", f"{company.root.name}/新街网点", "", "", "2024-05-01", "", ""]])
    roster = RosterImport.objects.latest("pk")
    hr.press(hr.page.locator(f'form[action="{reverse("people:roster_apply", args=[roster.pk])}"] button'))
    assert Employee.objects.filter(employee_no="0999").exists()
    hr.page.click('[data-dialog-open="undo"]')
    expect(hr.page.locator("dialog#undo")).to_be_visible()
    hr.look()
    hr.press(hr.page.locator("dialog#undo button[type=submit]"))
    roster.refresh_from_db()
    assert roster.state == RosterImport.State.UNDONE
    assert not Employee.objects.filter(employee_no="0999").exists()
    assert not OrgUnit.objects.filter(name="新街网点").exists()


def _upload(company: Company, hr: Visitor, rows: list[list]) -> None:
    hr.page.set_input_files("#id_file", roster_file(company, rows))
    expect(hr.page.locator("[data-file-chosen]")).not_to_be_empty()
    hr.press(hr.page.locator("[data-roster-upload] button[type=submit]"))
    assert "/hr/roster/" in hr.page.url


def _invitation(company: Company, hr: Visitor) -> str:
    """The newcomer's record, and the link that is shown once."""
    newcomer = Employee.objects.get(employee_no=NEWCOMER[company.language][0])
    hr.open(f"/search/?q={newcomer.employee_no}")
    hr.press(hr.page.locator(f'main a[href="{reverse("portal:person", args=[newcomer.pk])}"]').first)
    hr.press(hr.page.locator(f'main a[href="{reverse("people:person_sign_in", args=[newcomer.pk])}"]'))
    hr.press(hr.page.locator(f'form[action="{reverse("people:invite", args=[newcomer.pk])}"] button'))
    return hr.page.locator("[data-link]").inner_text().strip()


def _first_sign_in(company: Company, learner: Visitor, link: str) -> None:
    learner.open(link)
    learner.sees(NEWCOMER[company.language][1])
    learner.page.fill("#id_password", PASSPHRASE)
    learner.press(learner.page.locator("main button[type=submit]"))
    assert urlsplit(learner.page.url).path == reverse("portal:my_month")
    with learner.expecting("status of 410"):
        other = learner.tab()
        assert other.goto(link).status == 410, "a link works once"
        learner.look(other)
        other.close()


# --- 3. the month -----------------------------------------------------------------------------------------------------
def _month(company: Company, hr: Visitor) -> None:
    """HR says for whom (an audience), what (a programme with a plan), and opens the month."""
    month = company.month
    hr.open(reverse("courses:months"))
    hr.press(hr.page.locator(f'.tabs a[href="{reverse("courses:audiences")}"]'))
    hr.press(hr.page.locator(f'main a[href="{reverse("courses:new_audience")}"]'))
    hr.page.fill("#id_name", "一线")
    hr.page.fill("#id_name_en", "Front line")
    hr.page.check('input[name="rule-0-units"][value="E"]')
    hr.press(hr.page.locator(".sticky-foot button[value=preview]"))
    hr.sees(NEWCOMER[company.language][1])
    assert not Audience.objects.exists(), "looking saves nothing"
    hr.press(hr.page.locator(".sticky-foot button:not([name])"))
    assert Audience.objects.get().rule == {"units": ["E"]}

    hr.open(reverse("courses:new_programme"))
    hr.page.fill("#id_name", "每月一课")
    hr.page.fill("#id_name_en", "One a month")
    hr.press(hr.page.locator("main form.form button[type=submit]"))
    assert urlsplit(hr.page.url).path.endswith(f"/plan/{month.year}/"), "a new programme leads to its plan"
    hr.press(hr.page.locator(f'#m-{month} a[href="?add={month}#add"]'))
    hr.page.select_option("#id_course", str(company.course.pk))
    hr.press(hr.page.locator("#add form button[type=submit]"))
    hr.press(hr.page.locator('form[action$="/publish/"] button'))
    hr.press(hr.page.locator(f"#m-{month} h2 a"))
    hr.press(hr.page.locator(f'form[action="{reverse("courses:open_month", args=[month])}"] button'))
    run = CourseRun.objects.get()
    assert (run.course, run.month, run.state) == (company.course, month, CourseRun.State.OPEN)
    names = set(Enrolment.objects.filter(run=run).values_list("employee__employee_no", flat=True))
    assert names == {"0101", "0102", "00731"}
    hr.sees(TITLE[company.language])


# --- 4. learning ------------------------------------------------------------------------------------------------------
def _learn(company: Company, learner: Visitor) -> None:
    """My month, the lessons, the place that is kept, the other language in the middle of a lesson."""
    duty = Enrolment.objects.get(employee__employee_no="00731")
    first, second, quiz = company.steps
    learner.open(reverse("portal:my_month"))
    learner.sees(TITLE[company.language])
    learner.press(".next-duty button[type=submit]")
    _at(learner, "courses:lesson", duty, first)
    learner.press(".lesson__onward form button[type=submit]")  # done, next
    _at(learner, "courses:lesson", duty, second)
    learner.sees(second.title_en if company.language == "en" else second.title_zh)

    learner.open(reverse("portal:my_month"))  # a customer comes in
    learner.press(".next-duty button[type=submit]")
    _at(learner, "courses:lesson", duty, second)

    other = "zh-hans" if company.language == "en" else "en"
    for language in (other, company.language):
        _speak(learner, language)
        _at(learner, "courses:lesson", duty, second)
        learner.sees(company.lesson_page(1, language).intro)
    assert set(StepCompletion.objects.filter(enrolment=duty).values_list("step_id", flat=True)) == {first.pk}

    learner.press(".lesson__onward form button[type=submit]")
    _at(learner, "assessments:quiz", duty, quiz)


def _speak(learner: Visitor, language: str) -> None:
    """Press the language switch, unless that is the language already; on a phone it stands in the menu of the account."""
    if learner.page.locator("html").get_attribute("lang").casefold() == language:
        return
    button = learner.page.locator(f'button[name=language][value="{language}"]')
    if not button.first.is_visible():
        learner.page.click("details[data-menu] summary")
    learner.language = language
    learner.press(button.locator("visible=true").first)
    html = learner.page.locator("html").get_attribute("lang")
    assert html.casefold() == language


def _at(visitor: Visitor, name: str, duty: Enrolment, step) -> None:
    assert urlsplit(visitor.page.url).path == reverse(name, args=[duty.pk, step.pk])


def _quiz(company: Company, learner: Visitor) -> Certificate:
    """One attempt that fails, what to read again, one that passes with one mistake and a lost connection; the certificate."""
    duty = Enrolment.objects.get(employee__employee_no="00731")
    quiz_step = company.steps[2]
    start = f'form[action="{reverse("assessments:quiz", args=[duty.pk, quiz_step.pk])}"] button'

    learner.press(start)
    _answer_all(learner, right=lambda position: position not in (1, 3))
    attempt = Attempt.objects.get(enrolment=duty)
    assert (attempt.state, str(attempt.percent), attempt.passed) == ("submitted", "60.00", False)
    learner.sees("60")
    learner.press(
        learner.page.locator(f'main a[href="{reverse("courses:lesson", args=[duty.pk, company.steps[1].pk])}"]')
    )
    learner.page.go_back()
    learner.press(start)
    _answer_all(learner, right=lambda position: position != 3, lost=2)
    attempt = Attempt.objects.get(enrolment=duty, number=2)
    assert (attempt.state, str(attempt.percent), attempt.passed) == ("submitted", "80.00", True)
    duty.refresh_from_db()
    assert duty.state == Enrolment.State.COMPLETED
    certificate = duty.certificate
    learner.press(learner.page.locator(f'main a[href="{reverse("certificates:detail", args=[certificate.pk])}"]'))
    learner.sees(certificate.number)
    learner.open(reverse("portal:my_month"))
    learner.press(
        learner.page.locator(f'main a[href="{reverse("certificates:detail", args=[certificate.pk])}"]').first,
        look=False,
    )
    learner.open(reverse("courses:overview", args=[duty.pk]))
    return certificate


def _answer_all(learner: Visitor, *, right, lost: int | None = None) -> None:
    """Answer question by question. While the one at ``lost`` is answered there is no connection."""
    attempt = Attempt.objects.latest("pk")
    responses = list(attempt.responses.select_related("question_version").order_by("position"))
    for response in responses:
        version = response.question_version
        answer = right_answer(version) if right(response.position) else wrong_answer(version)
        learner.look()
        question = learner.page.locator(f'[data-question="{response.position}"]')
        saved = question.locator('[data-save-state][data-state="saved"]')
        if response.position == lost:
            with learner.expecting(OFFLINE):
                learner.context.set_offline(True)
                _give(question, version.content["kind"], answer)
                expect(question.locator('[data-save-state][data-state="waiting"]')).to_be_visible(timeout=PATIENCE)
                expect(learner.page.locator("[data-offline]")).to_be_visible()
                learner.look()
                response.refresh_from_db()
                assert response.answer is None, "nothing reached the server"
                learner.context.set_offline(False)
                expect(saved).to_be_visible(timeout=PATIENCE)
                expect(learner.page.locator("[data-offline]")).to_be_hidden()
        else:
            _give(question, version.content["kind"], answer)
            expect(saved).to_be_visible(timeout=PATIENCE)
            so_far = re.compile(rf"\b{response.position}\b.*\b{len(responses)}\b")
            expect(learner.page.locator("[data-palette-count]")).to_have_text(so_far)
        learner.press("button[name=go][value=next].quiz-actions__next", look=False)
    for response in responses:
        response.refresh_from_db()
        assert response.answer is not None
    assert urlsplit(learner.page.url).path == reverse("assessments:review", args=[attempt.pk])
    learner.look()
    learner.press("form.quiz-actions button[type=submit], form.quiz-actions button:not([type])")
    assert urlsplit(learner.page.url).path == reverse("assessments:result", args=[attempt.pk])


def _give(question, kind: str, answer) -> None:
    """Answer one question as a thumb does."""
    if kind in ("single", "true_false"):
        question.locator(f'input[value="{answer}"]').check()
    elif kind == "multiple":
        for one in answer:
            question.locator(f'input[value="{one}"]').check()
    elif kind == "matching":
        for left, match in answer.items():
            question.locator(f'select[name$=".{left}"]').select_option(match)
    elif kind == "ordering":
        for place, item in enumerate(answer):
            while True:
                shown = question.locator(".order__item input").evaluate_all("all => all.map(one => one.value)")
                if shown[place] == item:
                    break
                question.locator(f'[data-move=up][value*="up:{item}"]').click()
        keep = question.locator("[data-move=keep]")
        if keep.count():
            keep.click()
    else:
        field = question.locator("input[type=text]")
        field.fill(str(answer))
        field.blur()


def _finish_for(employee: Employee) -> None:
    """A colleague finished as well."""
    duty = Enrolment.objects.get(employee=employee)
    for step in duty.run.steps.all():
        how = StepCompletion.How.PASSED if "quiz" in step.step.kind else StepCompletion.How.READ
        complete_step(enrolment=duty, step=step.step, at=timezone.now(), how=how)


# --- 5. the team ------------------------------------------------------------------------------------------------------
def _team(company: Company, manager: Visitor, certificate: Certificate) -> None:
    """The rate, who is done, one person, one certificate, then the team's as a zip."""
    manager.open(reverse("portal:my_team"))
    manager.sees("2")
    manager.press(manager.page.locator(".tabs a[href*='show=done']"))
    manager.sees(certificate.holder)
    person = reverse("portal:person", args=[certificate.employee_id])
    manager.press(manager.page.locator(f'main a[href="{person}"]').first)
    manager.press(manager.page.locator(f'main a[href="{reverse("certificates:detail", args=[certificate.pk])}"]').first)
    name, printed = manager.download(f'main a[href="{reverse("certificates:pdf", args=[certificate.pk])}"]')
    with pikepdf.open(printed) as pdf:
        assert len(pdf.pages) == 1
    assert name == f"{certificate.number}.pdf"

    manager.open(reverse("portal:my_team") + "?show=done")
    everybody = manager.page.locator("[data-choose-all]")
    expect(everybody).to_be_visible()
    everybody.check()
    manager.page.select_option("#print-form", "zip")
    manager.press(".team__print button[type=submit]")
    job = Job.objects.filter(kind="certificates.print").latest("pk")
    assert urlsplit(manager.page.url).path == reverse("certificates:print_job", args=[job.pk])
    name, printed = manager.download(f'main a[href="{reverse("certificates:print_file", args=[job.pk])}"]')
    assert name.endswith(".zip")
    with zipfile.ZipFile(printed) as archive:
        assert archive.testzip() is None
        numbers = sorted(Certificate.objects.values_list("number", flat=True))
        names = sorted(archive.namelist())
        assert len(names) == 2
        assert all(any(number in name for name in names) for number in numbers)
        for name in names:
            with pikepdf.open(io.BytesIO(archive.read(name))) as pdf:
                assert len(pdf.pages) == 1


# --- 6. completion ----------------------------------------------------------------------------------------------------
def _completion(company: Company, hr: Visitor) -> None:
    """From the group down to the names, and the names as a workbook."""
    hr.open(reverse("courses:completion"))
    east = reverse("courses:completion_unit", args=[company.month, company.east.pk])
    row = hr.page.locator(f'tr:has(a[href="{east}"])')
    share = number_format("66.6") if company.language == "en" else "66.6"
    expect(row).to_contain_text(share)  # 2 of 3, floored
    hr.press(row.locator(f'a[href="{east}"]'))
    names = reverse("courses:completion_names", args=[company.month, company.east.pk])
    hr.press(hr.page.locator(f'main a[href^="{names}"]').first)
    hr.open(names)
    for employee in Enrolment.objects.values_list("employee__name", flat=True):
        hr.sees(employee)
    name, export = hr.download("main a[href*='export.xlsx']")
    assert name.endswith(".xlsx")
    sheet = load_workbook(export).worksheets[0]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    found = {str(row[4]): row for row in rows if row[4] in ("0101", "0102", "00731")}
    assert set(found) == {"0101", "0102", "00731"}, "numbers stay text, zeros and all"
    assert found["00731"][5] == NEWCOMER[company.language][1]
    assert found["00731"][2] == TITLE[company.language]


# --- 7. the public check ----------------------------------------------------------------------------------------------
def _verify(passer_by: Visitor, certificate: Certificate, server) -> None:
    """What the QR code leads to, for somebody without a sign-in."""
    address = verify_url(certificate)
    assert address.startswith(server.url)
    passer_by.open(address)
    passer_by.sees(certificate.number)
    assert certificate.holder not in passer_by.words(), "the name is masked"
    expect(passer_by.page.locator(".verdict--valid")).to_be_visible()
    for language in ("en", "zh-hans", passer_by.language):  # a form works on this page too, which hides its address
        _speak(passer_by, language)
    with passer_by.expecting("status of 404"):
        passer_by.page.goto(reverse("certificates:verify", args=["0" * 32]))
        expect(passer_by.page.locator(".verdict--unknown")).to_be_visible()
        passer_by.look()


# --- 8. the author ----------------------------------------------------------------------------------------------------
def _author(company: Company, visit, learner: Visitor) -> None:
    """An author changes a lesson, looks at it, submits it; another one approves; the learner reads it; nothing is undone."""
    page = company.lesson_page(0)
    title = "迎接客户" if company.language == "zh-hans" else "Welcoming a customer"
    tip = "先放下手里的单子。" if company.language == "zh-hans" else "Put the paper down first."
    edit = f"/cms/pages/{page.pk}/edit/"

    author = visit(company.language, name="author")
    author.sign_in("0002")
    author.open(edit, look=False)
    author.page.fill("#id_title", title)
    block = author.page.locator("[data-streamfield-child] textarea").last
    block.fill(tip)
    preview = _preview(author)
    expect(preview.locator("main")).to_contain_text(tip, timeout=PATIENCE)
    author.look(preview)
    preview.close()
    _cms_action(author, '[name="action-submit"]')
    author.calm()
    page.refresh_from_db()
    assert (page.title, page.current_workflow_state.status) != (title, None)
    assert page.title != title, "nothing is public before somebody approves"

    moderator = visit(company.language, name="moderator")
    moderator.sign_in("0003")
    moderator.open("/cms/", look=False)
    moderator.open(edit, look=False)
    expect(moderator.page.locator("#id_title")).to_have_value(title)
    _cms_action(moderator, '[data-workflow-action-name="approve"]:not([data-workflow-action-modal-url])')
    moderator.calm()
    page.refresh_from_db()
    assert (page.title, page.live, page.has_unpublished_changes) == (title, True, False)

    duty = Enrolment.objects.get(employee__employee_no="00731")
    learner.open(reverse("courses:lesson", args=[duty.pk, company.steps[0].pk]))
    learner.sees(title)
    learner.sees(tip)
    duty.refresh_from_db()
    assert duty.state == Enrolment.State.COMPLETED
    assert StepCompletion.objects.filter(enrolment=duty).count() == 3


def _preview(author: Visitor):
    """The preview in a tab of its own, as the editor opens it."""
    panel = author.page.locator("[data-side-panel=preview]")
    if not panel.is_visible():
        author.page.click('[data-side-panel-toggle="preview"]')
    with author.context.expect_page(timeout=PATIENCE) as opened:
        author.page.locator("[data-preview-new-tab], [data-w-preview-target='newTab']").first.click()
    page = opened.value
    page.on("console", lambda message: author._trouble(message.text, page.url) if message.type == "error" else None)
    page.wait_for_load_state("load")
    return page


def _cms_action(visitor: Visitor, selector: str) -> None:
    """Press an action of the editor; it may stand behind the arrow of the action menu."""
    button = visitor.page.locator(selector).first
    if not button.is_visible():
        visitor.page.locator("footer .w-dropdown-button [data-w-dropdown-target=toggle]").first.click()
    with visitor.page.expect_navigation(timeout=PATIENCE):
        button.click()
