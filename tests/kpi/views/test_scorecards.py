"""The letter of a card: who may read it and when, and what it says (TRUST PM-V01)."""

import datetime as dt
import re
from decimal import Decimal
from fractions import Fraction

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from core.periods import Month
from kpi.domain.letters import letter_of
from kpi.domain.scorecards import compute_cards
from kpi.domain.scoring import rated
from kpi.models import Calibration, Indicator, Measure, Rating, Review, ReviewCycle
from tests.factories.kpi import T01, make_measures, make_published_version
from tests.factories.people import grant, make_employee, make_position, make_unit

pytestmark = pytest.mark.django_db

MONTH = Month(2026, 10)
NOW = dt.datetime(2026, 11, 12, 2, 0, tzinfo=dt.UTC)
E4 = {"training": "80", "exam": "74", "satisfaction": "76.5", "complaints_liable": "1", "complaints_late": "0"}


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def group():
    return make_unit(name="集团")


@pytest.fixture
def branch(group):
    return make_unit(group, name="人民路网点", name_en="Renmin Road")


@pytest.fixture
def boss(branch):
    return make_employee(branch, name="王主管", with_user=True)


@pytest.fixture
def person(branch, boss):
    return make_employee(branch, manager=boss, name="陈晨", with_user=True, position=make_position("柜员", "Teller"))


@pytest.fixture
def version(branch):
    return make_published_version(T01, scope=branch)


@pytest.fixture
def card(version, person):
    make_measures(person, MONTH, **E4)
    ratings = {person.pk: {"manager": rated(Fraction(3))}}
    return compute_cards(
        version=version, employees=[person], first_month=MONTH, last_month=MONTH, ratings=ratings, by=None, at=NOW
    )[person.pk]


def make_review(card, *, state="published", days=5, number=1, **fields):
    cycle, _new = ReviewCycle.objects.get_or_create(
        version=card.version, scope=card.version.rule.scope, first_month=MONTH, last_month=MONTH,
        defaults={
            "name": "十月考核", "name_en": "October review", "kind": "monthly", "snapshot_on": MONTH.last_day,
            "state": "published" if state != "drafted" else "open",
            "self_until": NOW, "peers_until": NOW, "manager_until": NOW,
        },
    )  # fmt: skip
    values = {"total": card.total, "grade": card.grade, "coefficient": card.coefficient, "unit": card.employee.unit}
    if state != "drafted":
        values |= {"published_at": NOW, "object_until": NOW + dt.timedelta(days=days)}
    return Review.objects.create(
        cycle=cycle, employee=card.employee, number=number, state=state, scorecard=card, changed_at=NOW,
        manager=card.employee.manager, **(values | fields),
    )  # fmt: skip


def page(card):
    return reverse("kpi:card", args=[card.pk])


def text_of(response):
    return re.sub(r"[ \n]+", " ", response.content.decode())


# --- who may -----------------------------------------------------------------------------------------------------------
def answers(client, card, users):
    found = {}
    for name, user in users.items():
        client.force_login(user)
        found[name] = client.get(page(card)).status_code
    return found


@pytest.fixture
def readers(group, branch, person, boss):
    other = make_unit(group)
    users = {"self": person.user, "manager": boss.user, "colleague": make_employee(branch, with_user=True).user}
    for name, role, unit in (
        ("HR", "hr", branch), ("HR elsewhere", "hr", other), ("pay", "pay_maker", branch), ("auditor", "auditor", None),
        ("admin", "admin", None), ("author", "author", None),
    ):  # fmt: skip
        users[name] = make_employee(other, with_user=True).user
        grant(users[name], role, unit)
    return users


NOBODY_ELSE = {"colleague": 404, "HR elsewhere": 404, "pay": 404, "admin": 404, "author": 404}


def test_pm_v01_before_publication_the_person_does_not_read_the_card(client, card, readers):
    make_review(card, state="drafted")
    assert answers(client, card, readers) == {"self": 404, "manager": 200, "HR": 200, "auditor": 200, **NOBODY_ELSE}


def test_pm_v01_a_card_without_a_review_is_not_shown_to_the_person(client, card, readers):
    assert answers(client, card, readers) == {"self": 404, "manager": 200, "HR": 200, "auditor": 200, **NOBODY_ELSE}


def test_pm_v01_once_published_the_person_reads_it(client, card, readers):
    make_review(card)
    assert answers(client, card, readers) == {"self": 200, "manager": 200, "HR": 200, "auditor": 200, **NOBODY_ELSE}


def test_pm_v01_hr_of_then_reads_on_and_hr_of_now_does_not(client, card, readers, group, person):
    make_review(card)
    elsewhere = make_unit(group)
    now = make_employee(elsewhere, with_user=True).user
    grant(now, "hr", elsewhere)
    person.unit = elsewhere
    person.save()
    found = answers(client, card, {"then": readers["HR"], "now": now})
    assert found == {"then": 200, "now": 404}


def test_pm_v01_a_card_that_does_not_exist_answers_like_one_out_of_reach(client, card, readers):
    client.force_login(readers["colleague"])
    for number in (card.pk + 1, 10**25):
        assert client.get(f"/performance/cards/{number}/").status_code == 404


def test_pm_f07_the_card_of_a_unit_is_a_figure_of_the_unit(client, branch, group, readers):
    version = make_published_version(T01, scope=branch, subject="unit", code="UNITS")
    make_measures(branch, MONTH, training="80", exam="90")
    card = compute_cards(version=version, units=[branch], first_month=MONTH, last_month=MONTH, by=None, at=NOW)[
        branch.pk
    ]
    wanted = {"HR": 200, "auditor": 200, "HR elsewhere": 404, "colleague": 404, "author": 404, "self": 404}
    found = answers(client, card, readers)
    assert {name: found[name] for name in wanted} == wanted


def test_pm_v01_reading_is_all_that_can_be_done(client, card, person):
    make_review(card)
    client.force_login(person.user)
    assert client.post(page(card)).status_code == 405


# --- what it says ---------------------------------------------------------------------------------------------------------
def test_t_21_the_letter_of_e4(client, card, person):
    make_review(card)
    client.force_login(person.user)
    client.cookies["django_language"] = "en"
    words = text_of(client.get(page(card)))
    for sentence in (
        "The total is 69.70 points: grade D, coefficient 0.80. That is 0.30 below C, which begins at 70.00.",
        "69.70 = 10.00 + 17.50 + 17.20 + 16.00 + 9.00",
        "The largest loss is “Training completion”: −10.00 of 20.",
        "With 85\u00a0% instead of 80\u00a0% for “Training completion” the total would have been 72.20 and the grade C.",
        "version 1, in force from 1 January 2026.",
        card.version.content_hash[:16],
        'until <strong class="nowrap">17 November 2026',
    ):
        assert sentence in words
    client.cookies["django_language"] = "zh-hans"
    words = text_of(client.get(page(card)))
    for sentence in (
        "总分69.70分：等级D，系数0.80。距离等级C（70.00分起）还差0.30分。",
        "失分最多的是“培训完成率”：−10.00（满分20）。",
    ):
        assert sentence in words


def test_the_letter_names_who_decided_but_no_colleague(client, card, person, boss, branch):
    review = make_review(card, state="drafted")
    peers = [make_employee(branch, name=f"同事甲{n}") for n in range(3)]
    for role, rater in [("manager", boss), *(("peer", one) for one in peers)]:
        Rating.objects.create(
            review=review,
            rater=rater,
            role=role,
            answers={"manager": 3},
            comment="稳重",
            asked_at=NOW,
            submitted_at=NOW,
        )
    Review.objects.filter(pk=review.pk).update(
        state="published", published_at=NOW, object_until=NOW, total=Decimal("71.00"), grade="C"
    )
    ReviewCycle.objects.update(state="published")
    Calibration.objects.create(
        review=review,
        total_before=card.total,
        total_after=71,
        grade_before="D",
        grade_after="C",
        reason="带教新人",
        at=NOW,
    )
    client.force_login(person.user)
    client.cookies["django_language"] = "en"
    words = text_of(client.get(page(card)))
    assert "The total is 71.00 points: grade C" in words
    assert "The card came to 69.70 (D)." in words and "带教新人" in words
    assert "王主管 gave the manager’s rating" in words
    assert "同事甲" not in words


def test_a_measure_that_was_corrected_since_is_said(card, person):
    old = Measure.objects.get(employee=person, indicator__code="exam")
    Measure.objects.create(
        indicator=Indicator.objects.get(code="exam"), employee=person, month=MONTH, value=90, source="exam",
        supersedes=old, reason="补录", captured_at=NOW,
    )  # fmt: skip
    rows = letter_of(card=card, review=None).lines
    assert [one.corrected is not None for row in rows for one in row.evidence] == [False, True, False, False, False]


def test_a_replaced_result_says_so(client, card, person):
    first = make_review(card)
    Review.objects.filter(pk=first.pk).update(state="superseded")
    make_review(card, number=2, supersedes=first)
    with translation.override("en"):
        assert letter_of(card=card, review=first).newer.number == 2
    client.force_login(person.user)
    assert client.get(page(card)).status_code == 200


def test_after_the_last_day_nothing_can_be_asked_any_more(client, card, person):
    make_review(card, days=-1)
    client.force_login(person.user)
    response = client.get(page(card))
    assert (response.context["may_object"], response.context["is_over"]) == (False, True)


def test_the_letter_asks_the_same_number_of_queries_for_any_card(client, version, person, branch, boss):
    make_measures(person, MONTH, training="80")
    rich = make_employee(branch, manager=boss, with_user=True)
    for month in (8, 9, 10):
        make_measures(rich, Month(2026, month), **E4, bonus="1", regulator="0")
    counts = []
    for one in (person, rich):
        card = compute_cards(
            version=version, employees=[one], first_month=Month(2026, 8), last_month=MONTH, by=None, at=NOW
        )[one.pk]
        with CaptureQueriesContext(connection) as context:
            letter_of(card=card, review=None)
        counts.append(len(context))
    assert counts[0] == counts[1]
