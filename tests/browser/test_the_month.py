"""The month as a record, as people do it: the year is planned by the keyboard, the team chased, the month closed and told."""

import datetime as dt
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from core.events import chain_names, verify_chain
from core.periods import Month
from courses.domain.opening import open_month
from courses.domain.planning import plan_course
from courses.domain.progress import complete_step
from courses.models import DutyRequest, Enrolment, Nudge, PlanLine, Programme
from tests.browser.company import Company, close_in_pages, found_company, open_this_month
from tests.browser.visitor import PATIENCE, Visitor

pytestmark = pytest.mark.browser


@pytest.fixture(params=["zh-hans", "en"])
def company(request, own_database) -> Company:
    return found_company(request.param)


def test_the_month_is_planned_chased_closed_and_told(company, visit):
    duty = open_this_month(company)["0102"]
    programme = Programme.objects.get()
    _last_month(company, programme)
    hr = visit(company.language, name="hr")
    hr.sign_in("0001")
    _plan(company, programme, hr)
    _ask(visit(company.language, phone=True, name="employee"), duty)
    manager = visit(company.language, phone=True, name="manager")
    manager.sign_in("0101")
    _chase(manager, duty)
    _close(company, hr)
    _look_around(company, programme, hr)
    assert [fault for chain in chain_names() if (fault := verify_chain(chain)[1])] == []


def _last_month(company: Company, programme: Programme) -> None:
    """The month before: opened on its first day, done in time by the manager, not by the colleague."""
    month = company.month.previous
    first = timezone.make_aware(dt.datetime.combine(month.first_day, dt.time(9)))
    PlanLine.objects.create(programme=programme, course=company.course, month=month, published_at=first)
    open_month(month=month, by=company.hr, at=first)
    done = Enrolment.objects.get(run__month=month, employee=company.manager)
    for step in company.steps:
        complete_step(enrolment=done, step=step, at=first + dt.timedelta(days=3))


def _plan(company: Company, programme: Programme, hr: Visitor) -> None:
    """A draft is moved to the next month by the arrow key, and published."""
    january = Month(company.month.year + 1, 1)
    line = plan_course(programme=programme, course=company.course, month=january, by=company.hr, at=timezone.now())
    hr.open(reverse("courses:programme_plan", args=[programme.pk, january.year]))
    card = hr.page.locator(f"#line-{line.pk}")
    card.focus()
    hr.page.keyboard.press("ArrowRight")
    moved = hr.page.locator(f'[data-month="{january.next}"] #line-{line.pk}')
    expect(moved).to_be_visible(timeout=PATIENCE)
    expect(moved).to_be_focused(timeout=PATIENCE)
    line.refresh_from_db()
    assert (line.month, line.published_at) == (january.next, None)
    hr.look()
    hr.press(f'form[action$="/plan/{january.year}/publish/"] button')
    line.refresh_from_db()
    assert line.published_at is not None


def _ask(learner: Visitor, duty: Enrolment) -> None:
    """An employee asks for three days more."""
    learner.sign_in("0102")
    learner.open(reverse("courses:ask", args=[duty.pk]))
    learner.page.check('input[name="kind"][value="extension"]')
    learner.page.fill('input[name="until"]', (timezone.localdate(duty.due_at) + dt.timedelta(days=3)).isoformat())
    learner.page.select_option('select[name="code"]', "workload")
    learner.page.fill('[name="text"]', "Stocktaking 月底盘点")
    learner.press("main form.form button[type=submit]")
    assert DutyRequest.objects.get(enrolment=duty).state == DutyRequest.State.ASKED


def _chase(manager: Visitor, duty: Enrolment) -> None:
    """The manager sees who decides it, nudges, and grants the time."""
    manager.open(reverse("portal:team_path"))
    manager.open(reverse("portal:my_team"))
    manager.press(manager.page.locator(f'form[action="{reverse("courses:nudge")}"] button').first)
    assert Nudge.objects.filter(employee=duty.employee).count() == 1
    manager.open(reverse("courses:requests"))
    asked = DutyRequest.objects.get(enrolment=duty)
    manager.press(f'form[action="{reverse("courses:grant_request", args=[asked.pk])}"] button:not([formaction])')
    before = duty.due_at
    duty.refresh_from_db()
    assert timezone.localdate(duty.due_at) == timezone.localdate(before) + dt.timedelta(days=3)


def _close(company: Company, hr: Visitor) -> None:
    """HR begins, signs from the branches up and closes for good; then the bulletin is made and published."""
    month = company.month.previous
    close_in_pages(hr, month)
    hr.open(reverse("courses:closed_month", args=[month]))
    hr.sees("50")  # one of two
    hr.open(reverse("bulletins:workspace", args=[month, company.root.pk]))
    hr.press(f'form[action="{reverse("bulletins:make", args=[month, company.root.pk])}"] button:not([name])')
    hr.press(f'form[action="{reverse("bulletins:publish", args=[month, company.root.pk])}"] button')
    assert urlsplit(hr.page.url).path == reverse("bulletins:workspace", args=[month, company.root.pk])


def _look_around(company: Company, programme: Programme, hr: Visitor) -> None:
    """The other pages of the month."""
    hr.open(reverse("courses:audience", args=[programme.audience_id]))
    hr.open(reverse("courses:people_lists"))
    hr.open(reverse("courses:ladder"))
    hr.open(reverse("courses:messages"))
    hr.open(reverse("courses:catch_up", args=[company.month]))
    hr.open(reverse("courses:matters"))
    hr.press(f'form[action="{reverse("courses:look_for_matters")}"] button')
    hr.open(reverse("portal:unit_path", args=[company.month, company.root.pk]))
    hr.open(reverse("portal:hr_desk"))
