"""The pages of pay: the whole way of a run through the browser, who may do what, and what is kept of every look."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from core.models import Event
from kpi.domain import pay_runs
from kpi.models import Look, PayLine, PayPool, PayRun
from tests.factories.pay import (
    AT,
    PAID,
    make_computed_run,
    make_pay_world,
    settle,
    uphold,
)
from tests.factories.people import PASSWORD, grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return make_pay_world()


def sign_in(client, user):
    client.cookies["django_language"] = "en"
    client.force_login(user)
    return client


def text_of(response) -> str:
    """The words of a page, spaces folded."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def yuan(fen: int) -> str:
    return f"{fen // 100:,}.{fen % 100:02d}"


def test_t_02_holds_through_the_pages(client, world):
    sign_in(client, world.maker)
    form = client.get(reverse("kpi:new_pay_run"))
    assert form.context["form"].initial["code"] == "PAY-2026-10-G"
    made = client.post(
        reverse("kpi:new_pay_run"),
        {
            "cycle": world.cycle.pk,
            "scope": world.branch.pk,
            "version": world.version.pk,
            "code": "p-2026-10",
            "amount": "32,000.00",
            "checker": world.checker.pk,
        },
    )
    run = PayRun.objects.get()
    assert made.url == reverse("kpi:pay_run", args=[run.pk])
    assert (run.code, run.checker) == ("P-2026-10", world.checker)

    client.post(reverse("kpi:compute_pay", args=[run.pk]))
    page = text_of(client.get(reverse("kpi:pay_run", args=[run.pk])))
    for words in ("32,000.00", "28,000.00", "4,000.00", "28,117.00", "0.995839"):
        assert words in page
    lines = text_of(client.get(reverse("kpi:pay_lines", args=[run.pk])))
    for number, paid in PAID.items():
        assert number in lines
        assert yuan(paid) in lines

    assert client.post(reverse("kpi:submit_pay", args=[run.pk])).status_code == 422  # not signed yet
    client.post(reverse("kpi:pay_variance", args=[run.pk]), {"words": "first run"})
    assert client.post(reverse("kpi:submit_pay", args=[run.pk])).status_code == 302
    assert client.post(reverse("kpi:approve_pay", args=[run.pk])).status_code == 403

    sign_in(client, world.checker)
    assert "P-2026-10" in text_of(client.get(reverse("kpi:pay_checks")))
    assert "Approve 28,000.00 yuan" in text_of(client.get(reverse("kpi:pay_run", args=[run.pk])))
    assert client.post(reverse("kpi:approve_pay", args=[run.pk])).status_code == 302

    sign_in(client, world.maker)
    file = client.post(reverse("kpi:export_pay", args=[run.pk, "csv"]))
    content = b"".join(file.streaming_content)
    assert file["Content-Disposition"] == 'attachment; filename="P-2026-10-001.csv"'
    assert "合计 Total,6,,,,,,,,,,28000.00,2800000" in content.decode("utf-8-sig")
    run.refresh_from_db()
    assert run.state == "exported"
    assert Event.objects.filter(chain="pay", action="pay run exported").get().after["number"] == 1

    sign_in(client, world.checker)
    assert client.post(reverse("kpi:close_pay", args=[run.pk])).status_code == 302
    receipt = text_of(client.get(reverse("kpi:pay_receipt", args=[run.pk])))
    run.refresh_from_db()
    assert run.lines_hash in receipt
    assert "nothing was changed" in receipt


def test_a_large_run_is_computed_in_the_background(client, world, monkeypatch, django_capture_on_commit_callbacks):
    from kpi.views import pay as views

    monkeypatch.setattr(views, "COMPUTED_AT_ONCE", 3)
    run = make_computed_run(world)
    pay_runs.set_amount(run=run, amount_fen=3_200_000, checker=world.checker, by=world.maker, at=AT)
    sign_in(client, world.maker)
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("kpi:compute_pay", args=[run.pk]))
    run.refresh_from_db()
    assert (run.state, run.total_fen) == ("computed", 2_800_000)

    # A refusal stands on the page in words, and the run is as it was.
    PayPool.objects.filter(run=run).update(amount_fen=None, mode="open")
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("kpi:compute_pay", args=[run.pk]))
    assert "Write how much money there is first." in text_of(client.get(reverse("kpi:pay_run", args=[run.pk])))
    run.refresh_from_db()
    assert run.total_fen == 2_800_000


def test_t_02_everybody_reads_how_every_fen_came_about(client, world):
    settle(make_computed_run(world), world)
    for person in world.people:
        sign_in(client, person.user)
        page = client.get(reverse("kpi:my_pay"))
        assert yuan(PAID[person.employee_no]) in text_of(page)
        line = PayLine.objects.get(employee=person)
        letter = text_of(client.get(reverse("kpi:my_pay_line", args=[line.pk])))
        assert f"You get {yuan(PAID[person.employee_no])} yuan" in letter
        assert "× 1.05" in letter
        assert ("One fen more" in letter) == (line.extra_fen == 1)
    # E3: 5,000.00 x 1.10 x 1.05 x 20/21 = 5,500.00; 5,477.11 and one fen more.
    sign_in(client, world.people[2].user)
    letter = text_of(client.get(reverse("kpi:my_pay_line", args=[PayLine.objects.get(number=3).pk])))
    for words in ("5,000.00", "× 1.10", "× 20 / 21", "5,500.00", "28000/28117", "5,477.11", "+ 0.01", "5,477.12"):
        assert words in letter


def test_t_06_is_paid_through_the_pages(client, world):
    run = settle(make_computed_run(world), world)
    review = uphold(PayLine.objects.get(run=run, number=4).review, "73.70", "C", "1.00")
    sign_in(client, world.maker)
    page = text_of(client.get(reverse("kpi:pay_corrections", args=[run.pk])))
    assert "73.70 points, grade C, coefficient 1.00" in page
    assert "4,000.00 yuan are left" in page
    assert client.post(reverse("kpi:adjust_pay", args=[run.pk, review.pk])).status_code == 302
    correction = PayRun.objects.get(corrects=run)
    page = text_of(client.get(reverse("kpi:pay_run", args=[correction.pk])))
    assert "Submit" in page
    assert "Money and checker" not in page
    assert (
        "+1,003.81" in text_of(client.get(reverse("kpi:pay_corrections", args=[run.pk])))
        or correction.total_fen == 100_381
    )
    settle(correction, world)

    sign_in(client, world.people[3].user)
    mine = text_of(client.get(reverse("kpi:my_pay")))
    assert yuan(401_522 + 100_381) in mine
    assert "+1,003.81" in mine
    letter = client.get(reverse("kpi:my_pay_line", args=[PayLine.objects.get(run=correction).pk]))
    assert "1,003.81 yuan more" in text_of(letter)


def test_a_reserve_that_is_used_up_is_said_in_words(client, world):
    run = settle(make_computed_run(world), world)
    for number in (1, 2):
        line = PayLine.objects.get(run=run, number=number)
        review = uphold(line.review, "119.00", "A", "3.00")
        sign_in(client, world.maker)
        page = client.post(reverse("kpi:adjust_pay", args=[run.pk, review.pk]))
        assert page.status_code == 422
        assert "4,000.00 are left of the reserve" in text_of(page)
    assert not PayRun.objects.filter(corrects=run).exists()


# --- files ----------------------------------------------------------------------------------------------------------------
def upload(content: str, name="base.csv"):
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(name, content.encode())


def test_bases_are_uploaded_checked_and_taken_in(client, world):
    sign_in(client, world.maker)
    data = {
        "kind": "bases",
        "first_month": "2026-10",
        "file": upload("工号,绩效基数\n000101,6500\n000102,x\n000199,1\n"),
    }
    checked = client.post(reverse("kpi:pay_files"), data, follow=True)
    words = text_of(checked)
    for said in (
        "Take 1 row in?",
        "This is not an amount in yuan.",
        "Nobody of your units has this number.",
        "6,500.00",
    ):
        assert said in words
    found = checked.context["upload"]
    assert client.post(reverse("kpi:apply_pay_file", args=[found.pk])).status_code == 302
    assert client.post(reverse("kpi:apply_pay_file", args=[found.pk])).status_code == 422
    run = make_computed_run(world, code="P")
    pay_runs.compute_run(run=run, by=world.maker, at=timezone.now())
    assert PayLine.objects.get(run=run, number=1).base_fen == 650_000
    sign_in(client, make_maker(world.group))
    assert client.get(reverse("kpi:pay_file", args=[found.pk])).status_code == 404


def make_maker(unit):
    user = make_user()
    grant(user, "pay_maker", unit)
    return user


def test_a_file_that_cannot_be_read_says_why(client, world):
    sign_in(client, world.maker)
    data = {"kind": "attendance", "first_month": "2026-10", "file": upload("a,b\n1,2\n")}
    page = client.post(reverse("kpi:pay_files"), data)
    assert page.status_code == 422
    assert "No row with the headings of this table was found." in text_of(page)
    template = client.get(reverse("kpi:pay_template", args=["bases"]))
    assert b"".join(template.streaming_content).startswith(b"PK")
    assert client.get(reverse("kpi:pay_template", args=["nothing"])).status_code == 404


def test_payrolls_answer_is_taken_in_and_reconciled(client, world):
    run = settle(make_computed_run(world), world)
    sign_in(client, world.maker)
    rows = "核算行号,实发金额,备注\nP-2026-10-000001,7528.54,\nP-2026-10-000002,5000,代扣\n"
    checked = client.post(reverse("kpi:pay_answers", args=[run.pk]), {"file": upload(rows)}, follow=True)
    client.post(reverse("kpi:apply_pay_file", args=[checked.context["upload"].pk]))
    page = text_of(client.get(reverse("kpi:pay_answers", args=[run.pk])))
    for words in ("4 of 6 lines wait for an answer.", "-750.97", "代扣"):
        assert words in page
    sign_in(client, world.people[0].user)
    line = PayLine.objects.get(run=run, number=1)
    assert "Payroll: paid, 7,528.54 yuan" in text_of(client.get(reverse("kpi:my_pay_line", args=[line.pk])))


def test_au_11_a_file_is_compared_with_the_receipt(client, world):
    run = settle(make_computed_run(world), world, upto="approved")
    sign_in(client, world.maker)
    file = client.post(reverse("kpi:export_pay", args=[run.pk, "csv"]))
    content = b"".join(file.streaming_content).decode()
    url = reverse("kpi:pay_receipt", args=[run.pk])
    assert "byte for byte" in text_of(client.post(url, {"file": upload(content)}))
    changed = client.post(url, {"file": upload(content.replace("7528.54", "7528.55"))})
    assert "the file says 7,528.55, the run 7,528.54" in text_of(changed)


# --- looks ------------------------------------------------------------------------------------------------------------------
def test_pm_y13_every_look_at_a_line_is_kept_and_shown(client, world):
    run = settle(make_computed_run(world), world)
    person = world.people[0]
    sign_in(client, world.maker)
    client.get(reverse("kpi:pay_lines", args=[run.pk]))
    assert Look.objects.count() == 6
    client.get(reverse("kpi:pay_line", args=[PayLine.objects.get(run=run, employee=person).pk]))
    client.get(reverse("kpi:pay_lines", args=[run.pk]), {"q": "000102"})
    assert Look.objects.count() == 8

    sign_in(client, person.user)
    page = text_of(client.get(reverse("kpi:pay_looks")))
    assert "制表人" in page
    assert "the pay line · run P-2026-10" in page
    client.get(reverse("kpi:my_pay_line", args=[PayLine.objects.get(run=run, employee=person).pk]))
    assert Look.objects.filter(employee=person).count() == 2


def test_pm_y13_a_list_costs_one_write_however_long(client, world, django_assert_num_queries):
    run = settle(make_computed_run(world), world)
    sign_in(client, world.maker)
    url = reverse("kpi:pay_lines", args=[run.pk])
    client.get(url)
    with django_assert_num_queries(11):
        client.get(url, {"q": "000101"})
    with django_assert_num_queries(11):
        client.get(url)


def test_pm_y13_the_auditor_sees_who_looked_at_anybodys_pay(client, world):
    auditor = make_user()
    grant(auditor, "auditor")
    sign_in(client, auditor)
    assert client.get(reverse("kpi:pay_looks_of", args=[world.people[0].pk])).status_code == 200
    sign_in(client, world.people[1].user)
    assert client.get(reverse("kpi:pay_looks_of", args=[world.people[0].pk])).status_code == 404


# --- who may ------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def elsewhere(world):
    """Who prepares, checks and is HR in another province; who is nobody; an administrator."""
    other = make_unit(world.group, code="FAR")
    users = {}
    for name, role, unit in (
        ("far_maker", "pay_maker", other),
        ("far_checker", "pay_checker", other),
        ("far_hr", "hr", other),
        ("admin", "admin", None),
        ("auditor", "auditor", None),
        ("hr", "hr", world.branch),
    ):
        users[name] = make_user(username=name)
        grant(users[name], role, unit)
    users["employee"] = make_employee(other, with_user=True).user
    users["payee"] = world.people[0].user
    return users


READS = {
    "kpi:pay_run": {"far_maker": 404, "far_checker": 404, "far_hr": 404, "admin": 403, "payee": 403, "auditor": 200, "hr": 200},
    "kpi:pay_lines": {"far_maker": 404, "far_hr": 404, "admin": 403, "employee": 403, "payee": 403, "auditor": 200, "hr": 200},
    "kpi:pay_receipt": {"far_maker": 404, "admin": 403, "employee": 403, "auditor": 200, "hr": 200},
    "kpi:pay_what_if": {"far_maker": 404, "far_hr": 403, "admin": 403, "employee": 403, "auditor": 403, "hr": 403},
    "kpi:pay_answers": {"far_maker": 404, "far_checker": 403, "admin": 403, "employee": 403, "auditor": 403, "hr": 403},
    "kpi:pay_corrections": {"far_maker": 404, "far_checker": 403, "admin": 403, "auditor": 403, "hr": 403},
    "kpi:pay_variance": {"far_maker": 404, "admin": 403, "employee": 403, "auditor": 200, "hr": 200},
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_pm_y02_pages_of_a_run_open_for_whom_they_may(client, world, elsewhere, name):
    run = settle(make_computed_run(world), world)
    for who, status in READS[name].items():
        sign_in(client, elsewhere[who])
        assert (who, client.get(reverse(name, args=[run.pk])).status_code) == (who, status)


ACTS = [
    f"{act}_pay"
    for act in "compute change take_over discard submit approve send_back close follow".split()  # noqa: SIM905
]


@pytest.mark.parametrize("act", ACTS)
def test_pm_y_acts_are_refused_to_everybody_else_and_change_nothing(client, world, elsewhere, act):
    run = make_computed_run(world)
    before = (PayRun.objects.values().get(), Event.objects.count())
    for user in elsewhere.values():
        sign_in(client, user)
        assert client.get(reverse(f"kpi:{act}", args=[run.pk])).status_code == 405
        assert client.post(reverse(f"kpi:{act}", args=[run.pk]), {"words": "x"}).status_code in (403, 404)
    assert (PayRun.objects.values().get(), Event.objects.count()) == before


@pytest.mark.parametrize("act", ["compute_pay", "discard_pay", "submit_pay", "take_over_pay"])
def test_pm_s1_a_wrong_step_is_answered_with_409(client, world, act):
    run = settle(make_computed_run(world), world)
    sign_in(client, world.maker)
    page = client.post(reverse(f"kpi:{act}", args=[run.pk]))
    assert page.status_code == 409
    assert "not possible in the step the run is in" in text_of(page)


def test_pm_y06_who_is_paid_by_a_run_does_not_check_it(client, world):
    run = settle(make_computed_run(world), world, upto="submitted")
    payee = world.people[0].user
    grant(payee, "pay_checker", world.group)
    sign_in(client, payee)
    assert "somebody else checks it" in text_of(client.get(reverse("kpi:pay_run", args=[run.pk])))
    page = client.post(reverse("kpi:approve_pay", args=[run.pk]))
    assert page.status_code == 422
    assert "You are paid by this run" in text_of(page)
    assert PayRun.objects.get().state == "submitted"


def test_pm_y07_a_run_is_sent_back_with_a_reason(client, world):
    run = settle(make_computed_run(world), world, upto="submitted")
    sign_in(client, world.checker)
    assert client.post(reverse("kpi:send_back_pay", args=[run.pk]), {"words": ""}).status_code == 422
    client.post(reverse("kpi:send_back_pay", args=[run.pk]), {"words": "Base of 000103"})
    sign_in(client, world.maker)
    assert "Base of 000103" in text_of(client.get(reverse("kpi:pay_run", args=[run.pk])))


def test_pm_y02_lines_are_read_by_their_own_unit(client, world):
    """HR of the branch sees who moved away since (R8); HR of the new unit does not see the old pay (R9)."""
    run = settle(make_computed_run(world, scope=world.group), world)
    other = make_unit(world.group, code="NEW")
    person = world.people[0]
    person.unit = other
    person.save()
    line = PayLine.objects.get(run=run, employee=person)
    old, new = make_user(), make_user()
    grant(old, "hr", world.branch)
    grant(new, "hr", other)
    sign_in(client, old)
    assert client.get(reverse("kpi:pay_line", args=[line.pk])).status_code == 200
    sign_in(client, new)
    assert client.get(reverse("kpi:pay_line", args=[line.pk])).status_code == 404


def test_pm_y02_hr_sees_nothing_before_it_is_approved(client, world):
    run = make_computed_run(world)
    hr = make_user()
    grant(hr, "hr", world.branch)
    sign_in(client, hr)
    assert client.get(reverse("kpi:pay_run", args=[run.pk])).status_code == 404
    assert client.get(reverse("kpi:pay_line", args=[PayLine.objects.first().pk])).status_code == 404
    desk = text_of(client.get(reverse("kpi:pay")))
    assert "You see runs from their approval on." in desk
    assert "No approved pay run yet" in desk
    assert run.code not in desk


def test_pm_y01_nobody_reads_the_line_of_a_colleague(client, world):
    run = settle(make_computed_run(world), world)
    mine, other = PayLine.objects.filter(run=run).order_by("number")[:2]
    sign_in(client, mine.employee.user)
    assert client.get(reverse("kpi:my_pay_line", args=[mine.pk])).status_code == 200
    assert client.get(reverse("kpi:my_pay_line", args=[other.pk])).status_code == 404
    assert client.get(reverse("kpi:pay_line", args=[other.pk])).status_code == 403
    assert other.employee.name not in client.get(reverse("kpi:my_pay")).content.decode()


def test_pm_y01_a_draft_is_not_shown(client, world):
    make_computed_run(world)
    sign_in(client, world.people[0].user)
    assert "No performance pay yet" in text_of(client.get(reverse("kpi:my_pay")))


def test_pm_y10_nobody_corrects_the_own_line(client, world):
    run = settle(make_computed_run(world), world)
    payee = world.people[0].user
    grant(payee, "pay_maker", world.group)
    line = PayLine.objects.get(run=run, employee__user=payee)
    sign_in(client, payee)
    assert client.get(reverse("kpi:correct_pay", args=[line.pk])).status_code == 404
    other = PayLine.objects.get(run=run, number=2)
    page = client.post(reverse("kpi:correct_pay", args=[other.pk]), {"base": "5,100.00", "reason": "Wrong file"})
    assert page.status_code == 302
    made = PayLine.objects.get(adjusts=other)
    assert (made.base_fen, made.reason_text, made.paid_fen) == (510_000, "Wrong file", 11_502)


def test_a_following_run_is_begun_from_the_page(client, world):
    from tests.factories.pay import make_base

    make_base(world.maker.employee, 500_000)
    run = settle(make_computed_run(world, scope=world.group), world, upto="approved")
    other = make_maker(world.group)
    sign_in(client, other)
    page = text_of(client.get(reverse("kpi:pay_run", args=[run.pk])))
    assert "prepares this run" in page
    client.post(reverse("kpi:follow_pay", args=[run.pk]), {"code": "P-2"})
    made = PayRun.objects.get(follows=run)
    client.post(reverse("kpi:compute_pay", args=[made.pk]))
    assert PayLine.objects.get(run=made).employee == world.maker.employee


def test_what_if_is_asked_on_a_page_and_writes_nothing(client, world):
    run = make_computed_run(world)
    sign_in(client, world.maker)
    events, views = Event.objects.count(), Look.objects.count()
    url = reverse("kpi:pay_what_if", args=[run.pk])
    assert "Ask a question" in text_of(client.get(url))
    page = text_of(client.get(url, {"cap": "7,000.00"}))
    assert "5 gain, 1 lose, 0 stay the same" in page
    assert "528.54" in page
    assert client.get(url, {"cap": "1.00"}).status_code == 422
    assert "This is not an amount in yuan" in text_of(client.get(url, {"cap": "1e5"}))
    assert (Event.objects.count(), Look.objects.count()) == (events, views)


def test_the_figures_of_a_pay_rule_are_edited(client, world):
    from kpi.domain import rules

    version = rules.propose_version(rule=world.version.rule, by=world.maker, at=AT)
    sign_in(client, world.maker)
    url = reverse("kpi:edit_pay", args=[version.pk])
    page = client.get(url)
    assert page.status_code == 200
    data = {
        "seen": version.revision,
        "mode": "ceiling",
        "share": "units",
        "cap": "10,000.00",
        "cap_share": "150",
        "floor": "",
        "floor_share": "0",
        "reserve_share": "5",
        "without_review": "1",
        "grade_1": "A",
        "unit_1": "1.10",
    }
    assert client.post(url, {**data, "floor": "20,000.00"}).status_code == 422
    assert client.post(url, {**data, "unit_1": ""}).status_code == 422
    assert client.post(url, data).status_code == 302
    version.refresh_from_db()
    assert version.parameters == {
        "pool": {"mode": "ceiling", "share": "units"},
        "cap_fen": 1_000_000,
        "cap_share": "150",
        "floor_fen": 0,
        "floor_share": "0",
        "reserve_share": "5",
        "without_review": "1",
        "unit_bands": [{"grade": "A", "coefficient": "1.10"}],
    }
    assert client.post(url, data).status_code == 422  # on an older revision
    sign_in(client, world.checker)
    assert client.get(url).status_code == 403
    assert client.get(reverse("kpi:edit_pay", args=[world.version.pk])).status_code == 403


def test_the_desk_costs_the_same_with_one_run_and_many(client, world, django_assert_num_queries):
    sign_in(client, world.maker)
    make_computed_run(world)
    client.get(reverse("kpi:pay"))
    with django_assert_num_queries(11) as first:
        client.get(reverse("kpi:pay"))
    for number in range(3):
        PayRun.objects.create(
            code=f"X{number}",
            kind="correction",
            corrects=PayRun.objects.get(code="P-2026-10"),
            cycle=world.cycle,
            version=world.version,
            scope=world.branch,
            prepared_by=world.maker,
            prepared_at=AT,
        )
    with django_assert_num_queries(len(first)):
        client.get(reverse("kpi:pay"))


def test_pages_are_for_who_is_signed_in(client, world):
    run = make_computed_run(world)
    for name in ("kpi:pay", "kpi:my_pay", "kpi:pay_files"):
        assert client.get(reverse(name)).status_code == 302
    assert client.get(reverse("kpi:pay_run", args=[run.pk])).status_code == 302
    assert PASSWORD
