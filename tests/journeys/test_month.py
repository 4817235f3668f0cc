"""One person's month, through the pages: roster in, month opened, lessons, quiz, certificate, check, team, report."""

import datetime as dt
import io
from zoneinfo import ZoneInfo

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from wagtail.models import Page

from assessments.models import Attempt, Response
from certificates.models import Certificate
from core.events import chain_names, verify_chain
from core.periods import Month
from courses.models import Audience, Enrolment, PlanLine, Programme, Tally
from people.domain.invitations import accept_invitation, invite
from people.domain.roles import grant_role
from people.models import Employee, OrgUnit, RosterImport
from portal.house import set_up_house
from tests.factories.assessments import make_category, make_question, make_quiz, make_quiz_page, right_answer
from tests.factories.certificates import make_design
from tests.factories.courses import course_of, make_course_page
from tests.factories.people import make_employee, make_unit

PASSWORD = "four slow boats on the lake"
ROSTER = """工号,姓名,部门,岗位,岗位序列,上级工号,入职日期,语言
000101,周文静,华信通 / 南京市公司 / 新街口网点,网点经理,管理,,2019-03-01,zh-hans
000102,林晓雨,华信通 / 南京市公司 / 新街口网点,营业员,销售,000101,2024-05-06,zh-hans
000103,许一鸣,华信通 / 南京市公司 / 新街口网点,营业员,销售,000101,2025-09-01,zh-hans
"""


class Clock:
    """What the pages take for now; the journey moves it on."""

    def __init__(self, monkeypatch):
        self.now = dt.datetime(2026, 11, 2, 9, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
        monkeypatch.setattr("django.utils.timezone.now", lambda: self.now.astimezone(dt.UTC))

    def to(self, day: int, hour: int, minute: int = 0):
        self.now = self.now.replace(day=day, hour=hour, minute=minute)

    def tick(self, **by):
        self.now += dt.timedelta(**by)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def course(db, clock):
    """A published course with two lessons and a quiz of two questions."""
    set_up_house()
    design = make_design(clock.now)
    page = make_course_page(lessons=2, code="ETQ-01", title="销售礼仪", certificate_design=design)
    shelf = make_category()
    questions = [make_question(kind="single", category=shelf), make_question(kind="multiple", category=shelf)]
    quiz = make_quiz(questions=questions, pass_mark=80)
    make_quiz_page(quiz, parent=Page.objects.get(pk=page.pk).specific).save_revision().publish()
    return course_of(page)


@pytest.fixture
def hr_user(db, clock):
    """HR of the whole company; the root of the tree is there before the roster."""
    root = make_unit(name="华信通", kind="group")
    employee = make_employee(unit=root, with_user=True)
    grant_role(user=employee.user, role="hr", unit=root, by=None, at=clock.now)
    employee.user.refresh_from_db()
    return employee.user


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user, backend="people.sign_in.EmployeeNumberBackend")
    return client


def test_a_person_goes_through_a_month(course, hr_user, clock, django_capture_on_commit_callbacks):
    hr = signed_in(hr_user)
    # 1. HR brings the people in.
    file = SimpleUploadedFile("花名册.csv", ROSTER.encode("gb18030"), content_type="text/csv")
    upload = {"file": file, "mode": "changes", "missing": "keep", "effective_on": "2026-11-01"}
    with django_capture_on_commit_callbacks(execute=True):
        assert hr.post(reverse("people:roster"), upload).status_code == 302
    roster = RosterImport.objects.get()
    assert (roster.state, roster.counts["new"], roster.counts["refused"]) == (RosterImport.State.CHECKED, 3, 0)
    assert "林晓雨" in hr.get(reverse("people:roster_detail", args=[roster.pk])).text
    with django_capture_on_commit_callbacks(execute=True):
        hr.post(reverse("people:roster_apply", args=[roster.pk]))
        roster.refresh_from_db()
        if roster.state == RosterImport.State.AWAITING_SECOND:  # the house is small: all of it is new
            second = make_employee(unit=OrgUnit.objects.get(depth=1), with_user=True)
            grant_role(user=second.user, role="hr", unit=second.unit, by=None, at=clock.now)
            second.user.refresh_from_db()
            signed_in(second.user).post(reverse("people:roster_confirm", args=[roster.pk]))
    roster.refresh_from_db()
    assert roster.state == RosterImport.State.APPLIED
    manager, learner, late = (Employee.objects.get(employee_no=no) for no in ("000101", "000102", "000103"))
    assert (learner.manager, learner.unit.name) == (manager, "新街口网点")

    # 2. HR opens the month.
    audience = Audience.objects.create(name="一线", scope=OrgUnit.objects.get(depth=1), rule={"job_families": ["销售"]})
    programme = Programme.objects.create(name="每月一课", audience=audience)
    PlanLine.objects.create(programme=programme, course=course, month=Month(2026, 11), published_at=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        hr.post(reverse("courses:open_month", args=["2026-11"]))
    assert set(Enrolment.objects.values_list("employee__employee_no", flat=True)) == {"000102", "000103"}

    # 3. The learner gets a sign-in by a link and finds the course.
    _invitation, token = invite(employee=learner, by=None, at=clock.now)
    user = accept_invitation(token=token, password=PASSWORD, at=clock.now)
    clock.to(10, 12, 40)
    client = signed_in(user)
    page = client.get("/", follow=True)
    assert page.redirect_chain[-1][0] == reverse("portal:my_month")
    assert "销售礼仪" in page.text
    enrolment = Enrolment.objects.get(employee=learner)

    # 4. Two lessons, each read and done.
    first, second, quiz = [
        run_step.step for run_step in enrolment.run.steps.order_by("position").select_related("step")
    ]
    for step in (first, second):
        client.post(reverse("courses:visit", args=[enrolment.pk, step.pk]))
        assert client.get(reverse("courses:lesson", args=[enrolment.pk, step.pk])).status_code == 200
        clock.tick(minutes=6)
        client.post(reverse("courses:lesson", args=[enrolment.pk, step.pk]), {"done": "1"})
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.steps_done) == (Enrolment.State.IN_PROGRESS, 2)
    assert not Certificate.objects.exists()

    # 5. The quiz, answered one by one, handed in, passed.
    client.post(reverse("assessments:quiz", args=[enrolment.pk, quiz.pk]))
    attempt = Attempt.objects.get(enrolment=enrolment)
    for response in Response.objects.filter(attempt=attempt).select_related("question_version"):
        clock.tick(seconds=40)
        given = right_answer(response.question_version)
        posted = client.post(
            reverse("assessments:answer", args=[attempt.pk, response.position]), {f"q{response.position}": given}
        )
        assert posted.json()["saved"] is True
    client.post(reverse("assessments:submit", args=[attempt.pk]))
    attempt.refresh_from_db()
    assert (attempt.state, attempt.passed, str(attempt.percent)) == ("submitted", True, "100.00")
    assert client.get(reverse("assessments:result", args=[attempt.pk])).status_code == 200

    # 6. The certificate is there, in the same moment; anybody may check it.
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.on_time) == (Enrolment.State.COMPLETED, True)
    certificate = enrolment.certificate
    assert certificate.holder == "林晓雨"
    assert client.get(reverse("certificates:detail", args=[certificate.pk])).status_code == 200
    public = Client().get(reverse("certificates:verify", args=[certificate.code]))
    assert public.status_code == 200
    assert "林晓雨" not in public.text  # masked

    # 7. The manager sees who is missing and who is done.
    _invitation, token = invite(employee=manager, by=None, at=clock.now)
    user = accept_invitation(token=token, password=PASSWORD, at=clock.now)
    clock.to(11, 9)
    boss = signed_in(user)
    team = boss.get(reverse("portal:my_team"))
    assert team.context["team"].now.completed == 1
    assert [row.employee for row in team.context["rows"]] == [late]
    done = boss.get(reverse("portal:my_team"), {"show": "done"})
    assert [row.employee for row in done.context["rows"]] == [learner]
    record = boss.get(reverse("portal:person", args=[learner.pk]))
    assert certificate.number in record.text

    # 8. HR sees the same in the tree and takes it along as a file.
    hr = signed_in(hr_user)  # a new day: the session of the second of November is over
    desk = hr.get(reverse("portal:hr_desk"))
    assert (desk.context["own"].now.completed, desk.context["own"].now.assigned) == (1, 2)
    branch = learner.unit
    names = hr.get(reverse("courses:completion_names", args=["2026-11", branch.pk]))
    assert "许一鸣" in names.text
    export = hr.get(reverse("courses:completion_export", args=["2026-11", branch.pk, "csv"]))
    rows = io.BytesIO(b"".join(export.streaming_content)).read().decode("utf-8-sig").splitlines()
    assert len(rows) == 3  # the header and two people
    tally = Tally.objects.get(unit=branch)
    assert (tally.assigned, tally.completed, tally.on_time) == (2, 1, 1)

    # Nothing of it can be changed unseen.
    assert {chain: verify_chain(chain)[1] for chain in chain_names()} == dict.fromkeys(chain_names())
