"""The pages of results of units: computing, reading, and the way from one's own pay to the card of the unit."""

import re

import pytest
from django.db import transaction
from django.urls import reverse

from core.jobs import run_job
from core.models import Event
from courses.models import MonthClose
from kpi import unit_jobs
from kpi.domain import unit_results
from kpi.domain.scorecards import ACTION
from kpi.models import PayLine, PayRun, Scorecard
from tests.factories.kpi import T01, make_measures, make_published_version
from tests.factories.pay import AT, MONTH, PAID, make_computed_run, make_pay_world, settle
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

PAGE = "kpi:unit_results"


@pytest.fixture
def world():
    world = make_pay_world(unit_grade="")
    world.hr = make_user(username="hr")
    grant(world.hr, "hr", world.group)
    world.card = make_published_version(T01, scope=world.group, subject="unit", code="UNITS")
    MonthClose.objects.create(month=MONTH, state="closed", begun_at=AT, closed_at=AT, digest="x", newest_change=0)
    make_measures(world.branch, MONTH, training="100", exam="92", satisfaction="80", complaints_liable="0")
    return world


def as_(client, user):
    client.cookies["django_language"] = "en"
    client.force_login(user)
    return client


def text_of(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


@pytest.fixture
def compute(client, world, monkeypatch):
    """HR computes in the page; the job that this starts runs at once, as where nothing runs in the background."""
    monkeypatch.setattr(transaction, "on_commit", lambda do, **_more: do())

    def ask(**changed):
        return as_(client, world.hr).post(reverse("kpi:compute_unit_results"), asked(world, **changed))

    return ask


def asked(world, **changed):
    return {
        "version": world.card.pk,
        "scope": world.group.pk,
        "first_month": str(MONTH),
        "last_month": str(MONTH),
        **changed,
    }


def test_t_02_holds_through_the_pages_from_the_measures_of_the_unit_to_the_fen(client, world, compute):
    page = as_(client, world.hr).get(reverse(PAGE))
    assert "No results of units yet" in text_of(page)
    form = page.context["form"]
    assert form.fields["version"].initial == world.card
    assert form.initial == {"first_month": MONTH, "last_month": MONTH}  # those of the newest cycle that is over
    done = compute()
    assert done.url == f"{reverse(PAGE)}?months={MONTH}_{MONTH}"
    page = client.get(done.url)
    assert [(one.org_unit, str(one.total), one.grade) for one in page.context["page"]] == [
        (world.branch, "100.00", "A")
    ]
    (event,) = Event.objects.filter(chain="reviews", action=ACTION)
    assert event.actor == world.hr

    as_(client, world.maker)
    client.post(
        reverse("kpi:new_pay_run"),
        {
            "cycle": world.cycle.pk, "scope": world.branch.pk, "version": world.version.pk, "code": "P", "amount": "32000",
            "checker": world.checker.pk,
        },
    )  # fmt: skip
    run = PayRun.objects.get()
    client.post(reverse("kpi:compute_pay", args=[run.pk]))
    assert dict(PayLine.objects.filter(run=run).values_list("employee__employee_no", "paid_fen")) == PAID


def test_pm_y01_from_a_fen_to_the_card_of_the_unit(client, world):
    unit_results.compute_units(
        version=world.card, scope=world.group, units=[world.branch.pk], first_month=MONTH, last_month=MONTH,
        by=world.hr, at=AT,
    )  # fmt: skip
    run = make_computed_run(world)
    settle(run, world)
    card = Scorecard.objects.get(org_unit=world.branch)
    address = reverse("kpi:card", args=[card.pk])
    person = world.people[0]
    line = PayLine.objects.get(run=run, employee=person)
    page = as_(client, person.user).get(reverse("kpi:my_pay_line", args=[line.pk]))
    assert f'<a href="{address}">The result of the unit Hexi</a>' in page.content.decode()
    letter = client.get(address)
    words = text_of(letter)
    assert "The total is 100.00 points: grade A." in words and "coefficient" not in words
    assert reverse("kpi:measure", args=[1])[:-2] not in letter.content.decode()  # the figures themselves are not his
    stranger = make_employee(make_unit(world.group, code="B2"), with_user=True).user
    assert as_(client, stranger).get(address).status_code == 404


def test_the_run_says_that_no_unit_has_a_result_and_that_newer_ones_came(client, world, compute):
    run = make_computed_run(world)
    address = reverse("kpi:pay_run", args=[run.pk])
    assert "No unit has a result over the months of this cycle" in text_of(as_(client, world.maker).get(address))
    compute()
    assert "Results of units were computed after this run." in text_of(as_(client, world.maker).get(address))
    client.post(reverse("kpi:compute_pay", args=[run.pk]))
    words = text_of(client.get(address))
    assert "Results of units were computed after" not in words and "No unit has a result" not in words


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"last_month": "2026-11"}, "Not closed yet: November 2026."),
        ({"first_month": "2026-11"}, "The last month lies before the first."),
        ({"first_month": "2025-12"}, "The version is not the one in force over all the months."),
        ({"first_month": "soon"}, "2026-11"),
        ({"scope": "0"}, "Select a valid choice."),
    ],
)
def test_what_is_wrong_stands_beside_the_form(client, world, changed, words):
    page = as_(client, world.hr).post(reverse("kpi:compute_unit_results"), asked(world, **changed))
    assert page.status_code == 422
    assert words in text_of(page)
    assert not Scorecard.objects.filter(org_unit__isnull=False).exists()


def test_a_run_that_rests_on_the_results_is_named(client, world):
    settle(make_computed_run(world), world, upto="submitted")
    page = as_(client, world.hr).post(reverse("kpi:compute_unit_results"), asked(world))
    assert (page.status_code, "Pay run P-2026-10 rests on the results there are." in text_of(page)) == (422, True)


def test_what_was_computed_is_said(client, world, compute):
    empty = make_unit(world.group, code="B2")
    for scope, words in (
        (world.group, "1 unit has a result."),
        (empty, "Nothing was measured of these units in these months."),
    ):
        done = compute(scope=scope.pk)
        assert words in text_of(client.get(done.url))


def test_pm_f07_pm_v05_who_opens_it_and_who_computes(client, world, compute):
    compute()
    below, beside = make_user(username="below"), make_user(username="beside")
    other = make_unit(world.group, code="B2", name_en="Beside")
    grant(below, "hr", world.branch)
    grant(beside, "hr", other)
    auditor = make_user(username="auditor")
    grant(auditor, "auditor", None)
    seen = {}
    for name, user in {
        "below": below, "beside": beside, "auditor": auditor, "maker": world.maker, "person": world.people[0].user,
    }.items():  # fmt: skip
        page = as_(client, user).get(reverse(PAGE))
        units = [one.org_unit.code for one in page.context["page"]] if page.status_code == 200 else None
        computed = client.post(reverse("kpi:compute_unit_results"), asked(world)).status_code
        seen[name] = (page.status_code, units, computed)
    assert seen == {
        "below": (200, ["B1"], 422),  # the group is not among his units
        "beside": (200, [], 422),
        "auditor": (200, ["B1"], 403),
        "maker": (403, None, 403),
        "person": (403, None, 403),
    }


def test_pg_09_a_job_can_do_no_more_than_who_asked_for_it(world):
    person = make_user(username="nobody")
    job = unit_jobs.start(version=world.card, scope=world.group, first_month=MONTH, last_month=MONTH, by=person, at=AT)
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "您不负责该单位的全部人力资源。请选择您负责的单位。")
    assert not Scorecard.objects.filter(org_unit__isnull=False).exists()


def test_the_page_asks_the_same_number_of_queries_for_many_units(client, world, compute, django_assert_max_num_queries):
    for number in range(12):
        unit = make_unit(world.group, code=f"N{number}")
        make_measures(unit, MONTH, training="90")
    compute()
    client.get(reverse(PAGE))
    with django_assert_max_num_queries(24):
        page = client.get(reverse(PAGE))
    assert len(page.context["page"].object_list) == 13
