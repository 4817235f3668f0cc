"""What goes wrong between a person and a server: double clicks, two tabs, an ended session; and no mouse at all."""

import datetime as dt
from urllib.parse import urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import expect

from assessments.models import Attempt
from certificates.models import Certificate
from courses.models import Enrolment, StepCompletion
from people.models import User
from tests.browser.company import found_company, open_this_month
from tests.browser.visitor import PATIENCE, Visitor
from tests.factories.assessments import answer_all, right_answer
from tests.factories.people import PASSWORD

pytestmark = pytest.mark.browser


@pytest.fixture
def company(own_database):
    return found_company("en")


@pytest.fixture
def duty(company) -> Enrolment:
    """The colleague's duty of this month, with the lessons still to read."""
    return open_this_month(company)["0102"]


def _quiz(duty: Enrolment) -> str:
    return reverse("assessments:quiz", args=[duty.pk, duty.run.steps.get(position=3).step_id])


def _start(visitor: Visitor, duty: Enrolment) -> Attempt:
    visitor.open(_quiz(duty))
    visitor.press(f'form[action="{_quiz(duty)}"] button')
    return Attempt.objects.get(enrolment=duty)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_double_click_starts_one_attempt_and_hands_in_once(duty, company, visit, scripts):
    for step in company.steps[:2]:
        StepCompletion.objects.create(enrolment=duty, step=step, at=duty.assigned_at)
    learner = visit("en", phone=True, scripts=scripts)
    learner.page.goto("/sign-in/")
    learner.page.fill("#id_username", "0102")
    learner.page.fill("#id_password", PASSWORD)
    learner.page.click("main button[type=submit]")
    learner.page.wait_for_url("**/my/")

    learner.page.goto(_quiz(duty))
    learner.page.locator(f'form[action="{_quiz(duty)}"] button').dblclick(no_wait_after=True)
    learner.page.wait_for_url("**/attempts/*/", timeout=PATIENCE)
    attempt = Attempt.objects.get(enrolment=duty)
    answer_all(attempt, at=attempt.started_at)

    learner.page.goto(reverse("assessments:review", args=[attempt.pk]))
    learner.page.locator("form.quiz-actions button").dblclick(no_wait_after=True)
    learner.page.wait_for_url("**/attempts/*/result/", timeout=PATIENCE)
    attempt.refresh_from_db()
    assert (attempt.state, str(attempt.percent)) == ("submitted", "100.00")
    duty.refresh_from_db()
    assert (duty.state, duty.certificate) == (Enrolment.State.COMPLETED, Certificate.objects.get())
    assert StepCompletion.objects.filter(enrolment=duty).count() == 3
    learner.calm()


def test_two_tabs_share_one_attempt(duty, visit):
    learner = visit("en")
    learner.sign_in("0102")
    attempt = _start(learner, duty)
    first = learner.page
    second = learner.tab()
    second.goto(_quiz(duty))
    with second.expect_navigation():
        second.click(f'main a[href="{reverse("assessments:attempt", args=[attempt.pk])}"]')
    second.goto(f"{second.url}?q=2")
    one, two = attempt.responses.select_related("question_version").order_by("position")[:2]

    first.locator(f'input[value="{right_answer(one.question_version)}"]').check()
    expect(first.locator('[data-save-state][data-state="saved"]')).to_be_visible(timeout=PATIENCE)
    for option in right_answer(two.question_version):
        second.locator(f'input[value="{option}"]').check()
    expect(second.locator('[data-save-state][data-state="saved"]')).to_be_visible(timeout=PATIENCE)
    for response, tab in ((one, second), (two, first)):  # each tab sees what the other one saved
        response.refresh_from_db()
        assert response.answer == right_answer(response.question_version)
        tab.goto(f"{reverse('assessments:attempt', args=[attempt.pk])}?q={response.position}")
        assert tab.locator(".answers input:checked").count() == (1 if response is one else 2)

    second.goto(reverse("assessments:review", args=[attempt.pk]))
    with second.expect_navigation():
        second.click("form.quiz-actions button")
    with learner.expecting("status of 409"):  # the other tab learns of it with its next answer, and goes to the result
        with first.expect_navigation(timeout=PATIENCE):
            first.locator(".answers input").last.click()
        assert urlsplit(first.url).path == reverse("assessments:result", args=[attempt.pk])
    learner.calm()
    attempt.refresh_from_db()
    assert (attempt.state, str(attempt.percent)) == ("submitted", "40.00")
    assert Attempt.objects.count() == 1


def test_ended_session_keeps_what_was_typed(duty, visit):
    """A manager types a reason while the session ends: sign in in another tab, send again, and it is there."""
    manager = visit("en")
    manager.sign_in("0101")
    manager.open(reverse("courses:extend", args=[duty.pk]))
    until = (duty.due_at + dt.timedelta(days=3)).date()
    manager.page.fill("#id_until", until.isoformat())
    manager.page.select_option("#id_code", "seconded")
    manager.page.fill("#id_reason", "Two weeks at the fair, “with customers” all day.\n<b>Back on Monday.</b>")
    Session.objects.all().delete()
    with manager.expecting("status of 401"):
        manager.press("main form button[type=submit]")
    manager.sees("You were signed out. What you typed is still here.")

    with manager.context.expect_page() as opened:
        manager.page.click("main a[target=_blank]")
    door = opened.value
    door.fill("#id_username", "0101")
    door.fill("#id_password", PASSWORD)
    with door.expect_navigation():
        door.click("main button[type=submit]")
    door.close()

    manager.press("form[data-send-again] button")
    duty.refresh_from_db()
    assert duty.due_at.astimezone().date() >= until
    person = reverse("portal:person", args=[duty.employee_id])
    assert urlsplit(manager.page.url).path == person
    manager.open(f"{person}?all=1")


def test_ended_session_in_a_quiz_keeps_the_answer(duty, visit):
    """The answer waits on the device; after signing in again it goes by itself."""
    learner = visit("en", phone=True)
    learner.sign_in("0102")
    attempt = _start(learner, duty)
    response = attempt.responses.select_related("question_version").get(position=3)
    learner.open(f"{reverse('assessments:attempt', args=[attempt.pk])}?q=3")
    Session.objects.all().delete()
    with learner.expecting("status of 401"):
        learner.page.fill("#q3-field", "3")
        expect(learner.page.locator("[data-signed-out]")).to_be_visible(timeout=PATIENCE)
        learner.look()
        response.refresh_from_db()
        assert response.answer is None
        learner.press("[data-signed-out] a", look=False)  # it may try once more before the page is left
        learner.page.fill("#id_username", "0102")
        learner.page.fill("#id_password", PASSWORD)
        learner.press("main button[type=submit]", look=False)
    expect(learner.page.locator("#q3-field")).to_have_value("3")
    expect(learner.page.locator('[data-save-state][data-state="saved"]')).to_be_visible(timeout=PATIENCE)
    response.refresh_from_db()
    assert response.answer == right_answer(response.question_version)
    learner.look()


def test_quiz_without_a_mouse(duty, company, visit):
    """Start, answer every kind of question and hand in by keyboard alone, and always see where one is."""
    User.objects.filter(username="0102").update(language="zh-hans")
    learner = visit("zh-hans")
    learner.sign_in("0102")
    learner.open(_quiz(duty))
    _tab_to(learner, f'form[action="{_quiz(duty)}"] button')
    _enter(learner)
    attempt = Attempt.objects.get(enrolment=duty)
    for response in attempt.responses.select_related("question_version").order_by("position"):
        question, version = f'[data-question="{response.position}"]', response.question_version
        answer, kind = right_answer(version), version.content["kind"]
        if kind == "single":
            _tab_to(learner, f"{question} input[type=radio]")
            learner.page.keyboard.press("Space")
            for _press in range(5):
                if learner.page.locator(f'{question} input[value="{answer}"]').is_checked():
                    break
                learner.page.keyboard.press("ArrowDown")
        elif kind == "multiple":
            for option in answer:
                _tab_to(learner, f'{question} input[value="{option}"]')
                learner.page.keyboard.press("Space")
        elif kind == "matching":
            for left, match in answer.items():
                _tab_to(learner, f'{question} select[name$=".{left}"]')
                field = learner.page.locator(f'{question} select[name$=".{left}"]')
                for _press in range(5):
                    if field.input_value() == match:
                        break
                    learner.page.keyboard.press("ArrowDown")
        elif kind == "ordering":
            for place, item in enumerate(answer):
                shown = f"{question} .order__item input"
                while (order := learner.page.locator(shown).evaluate_all("all => all.map(one => one.value)"))[
                    place
                ] != item:
                    _tab_to(learner, f'{question} [data-move=up][value*="up:{item}"]')
                    for _press in range(order.index(item) - place):
                        learner.page.keyboard.press("Enter")
            if learner.page.locator(f"{question} [data-move=keep]").count():
                _tab_to(learner, f"{question} [data-move=keep]")
                learner.page.keyboard.press("Enter")
        else:
            _tab_to(learner, f"{question} input[type=text]")
            learner.page.keyboard.type(str(answer))
        saved = learner.page.locator(f'{question} [data-save-state][data-state="saved"]')
        expect(saved).to_be_visible(timeout=PATIENCE)
        _tab_to(learner, "button.quiz-actions__next")
        _enter(learner)
    assert urlsplit(learner.page.url).path == reverse("assessments:review", args=[attempt.pk])
    _tab_to(learner, "form.quiz-actions button")
    _enter(learner)
    attempt.refresh_from_db()
    assert (attempt.state, str(attempt.percent), attempt.passed) == ("submitted", "100.00", True)
    learner.calm()


_FOCUS = """async () => {
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const one = document.activeElement;
  if (!one || one === document.body || one.id === 'main') return null;
  const drawn = (element) => element && parseFloat(getComputedStyle(element).outlineWidth) > 0
    && getComputedStyle(element).outlineStyle !== 'none';
  const box = one.getBoundingClientRect();
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return { shown: (drawn(one) || drawn(one.closest('label'))) && inside, html: one.outerHTML.slice(0, 160) };
}"""


def _tab_to(visitor: Visitor, selector: str) -> None:
    """Press Tab until the focus is there; every stop on the way must be seen."""
    for _press in range(120):
        if visitor.page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
        visitor.page.keyboard.press("Tab")
        stop = visitor.page.evaluate(_FOCUS)
        assert stop is None or stop["shown"], f"the focus is not seen on {stop['html']}"
    raise AssertionError(f"Tab never came to {selector}")


def _enter(visitor: Visitor) -> None:
    with visitor.page.expect_navigation(timeout=PATIENCE):
        visitor.page.keyboard.press("Enter")
