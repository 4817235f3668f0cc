"""Reviews through the pages: the employee, the manager, HR, and those who may not (T-01, T-06, T-08 through the pages)."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from kpi.domain import calibrating, measures, ratings, reviews
from kpi.models import CalibrationGroup, Rating, Review, ReviewCycle
from people.models import User
from tests.factories.people import make_employee
from tests.factories.reviews import (
    ANNOUNCED,
    CALIBRATED,
    OPENED,
    PUBLISHED,
    RATED,
    bring,
    card,
    fresh,
    make_branch,
    on,
    rate,
    rating_of,
    review_of,
)

pytestmark = pytest.mark.django_db
PEERS = {"self": "10", "manager": "60", "peers": "30", "min_peers": 3}


@pytest.fixture
def clock(monkeypatch):
    """Set what time it is for the pages: clock(moment)."""

    def set_to(moment):
        monkeypatch.setattr(timezone, "now", lambda: moment)

    set_to(RATED)
    return set_to


def browser(employee) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(User.objects.get(pk=employee.user_id))
    return client


def opened(client, name, *args, **data):
    return client.get(reverse(f"kpi:{name}", args=args), data)


def text_of(response) -> str:
    return " ".join(response.content.decode().split())


# --- the whole way -----------------------------------------------------------------------------------------------------
def test_t01_t06_a_cycle_from_the_form_to_the_upheld_objection(clock):
    world = make_branch()
    clock(ANNOUNCED)
    hr = browser(world.hr)  # signed in anew each day: sessions end
    answer = hr.post(
        reverse("kpi:cycle_new"),
        {
            "name": "十月考核",
            "name_en": "October review",
            "kind": "monthly",
            "version": world.version.pk,
            "scope": world.branch.pk,
            "first_month": "2026-10",
            "last_month": "2026-10",
            "snapshot_on": "2026-10-31",
            "self_until": "2026-11-05",
            "peers_until": "2026-11-08",
            "manager_until": "2026-11-10",
            "appeal_days": "7",
        },
    )
    cycle = ReviewCycle.objects.get()
    assert answer.url == reverse("kpi:cycle", args=[cycle.pk])

    def step(name, at, **data):
        clock(at)
        answer = browser(world.hr).post(reverse("kpi:cycle_step", args=[cycle.pk, name]), data, follow=True)
        assert [str(one) for one in answer.context["messages"] if one.level_tag == "error"] == []

    step("announce", ANNOUNCED)
    step("open", OPENED)
    clock(RATED)
    manager = browser(world.manager)
    page = opened(manager, "team_reviews", cycle.pk)
    assert page.status_code == 200
    data = {"hand_in_all": "1"}
    for key, stars in {"E1": 5, "E2": 4, "E3": 4, "E4": 3, "E5": 4, "E6": 3}.items():
        rating = rating_of(cycle, getattr(world, key), "manager")
        data |= {f"r{rating.pk}-line-manager": stars, f"r{rating.pk}-comment": "seen it"}
    assert manager.post(reverse("kpi:team_reviews", args=[cycle.pk]), data).status_code == 302
    step("calibrate", CALIBRATED, level="branch")
    group = CalibrationGroup.objects.get()
    hr = browser(world.hr)
    page = opened(hr, "calibration_group", group.pk)
    assert "103.60" in text_of(page)
    assert (page.context["grades"], page.context["changed"]) == ([("A", 1), ("B", 2), ("D", 2), ("E", 1)], 0)
    address = reverse("kpi:calibration_group", args=[group.pk])
    shown = {who: [row["review"].employee for row in hr.get(address, {"who": who}).context["rows"]] for who in "ABxy"}
    everybody = [row["review"].employee for row in page.context["rows"]]
    assert shown == {"A": [world.E1], "B": [world.E2, world.E3], "x": everybody, "y": everybody}
    lifted = review_of(cycle, world.E6)
    hr.post(reverse("kpi:adjust_review", args=[lifted.pk]), {
        f"a{lifted.pk}-total": "53.20", f"a{lifted.pk}-reason": "Helped out in two branches."
    })  # fmt: skip
    page = hr.get(address, {"who": "changed"})
    assert [row["review"].employee for row in page.context["rows"]] == [world.E6]
    assert hr.post(reverse("kpi:calibration_step", args=[group.pk, "settle"])).status_code == 302
    step("publish", PUBLISHED)

    clock(on(13))
    employee = browser(world.E4)
    review = review_of(cycle, world.E4)
    assert reverse("kpi:review", args=[review.pk]) in text_of(opened(employee, "my_reviews"))
    assert "69.70 points" in text_of(opened(employee, "review", review.pk))
    employee.post(reverse("kpi:acknowledge_review", args=[review.pk]))
    answer = employee.post(
        reverse("kpi:appeal", args=[review.pk]), {"line": "complaints", "text": "It was not my fault."}
    )
    assert answer.url == reverse("kpi:review", args=[review.pk])

    clock(on(14))
    hr, employee, decider = (browser(one) for one in (world.hr, world.E4, world.hr2))
    appeal = review_of(cycle, world.E4).appeal
    assert "Another person of HR decides this one" in text_of(opened(hr, "decide_appeal", appeal.pk))
    liable = measures.in_force().get(employee=world.E4, indicator__code="complaints_liable")
    answer = decider.post(
        reverse("kpi:decide_appeal", args=[appeal.pk]),
        {"text": "The slip shows it.", f"measure-{liable.pk}": "0", "uphold": "1"},
    )
    assert answer.status_code == 302
    new = review_of(cycle, world.E4)
    assert (new.number, new.total, new.grade) == (2, Decimal("73.70"), "C")
    page = text_of(opened(employee, "review", new.pk))
    assert "73.70 points" in page
    assert "number 1" in page
    assert "This result was replaced by a newer one." in text_of(opened(employee, "review", review.pk))


def test_t08_own_rating_and_colleagues_through_the_pages(clock):
    world = make_branch(parameters=card(raters=PEERS), measured=False)
    cycle = bring(world, "open")
    review = review_of(cycle, world.E1)
    refused = browser(world.manager).post(
        reverse("kpi:review_colleagues", args=[review.pk]), {"person": [world.E2.pk], "numbers": "0000"}
    )
    assert (refused.context["ticked"], refused.context["typed"]) == ({world.E2.pk}, "0000")
    assert 'value="0000"' in text_of(refused)
    asked = browser(world.manager).post(
        reverse("kpi:review_colleagues", args=[review.pk]),
        {"person": [world.E2.pk, world.E3.pk], "numbers": world.E4.employee_no},
    )
    assert asked.status_code == 302
    give = [("self", world.E1, 5), ("peer", world.E2, 4), ("peer", world.E3, 4), ("peer", world.E4, 5)]
    for role, who, stars in give:
        rating = rating_of(cycle, world.E1, role, who)
        client = browser(who)
        assert reverse("kpi:rate", args=[rating.pk]) in text_of(opened(client, "my_reviews"))
        asks = {"self": "Your manager reads them.", "peer": "The person reads them."}
        assert asks[role] in text_of(opened(client, "rate", rating.pk))
        sent = {"line-manager": stars, "comment": f"words of {who.employee_no}", "hand_in": "1"}
        assert client.post(reverse("kpi:rate", args=[rating.pk]), sent).status_code == 302
    page = opened(browser(world.manager), "team_reviews", cycle.pk)
    said = {one["employee"]: one["own_stars"] for one in page.context["people"]}
    assert (len(said[world.E1]), said[world.E1][0][1], said[world.E2]) == (1, 5, [])
    scores = ratings.combined_scores(version=world.version, reviews=[review.pk])[world.E1.pk]
    assert round(scores["manager"], 2) == round((10 * 100 + 30 * (80 + 80 + 100) / 3) / 40, 2)
    rate(cycle, world.E1, "manager", 4, by=world.manager)
    calibrating.start_calibrating(cycle=fresh(cycle), level="branch", by=world.hr.user, at=CALIBRATED)
    group = CalibrationGroup.objects.select_related("unit", "cycle__version__rule", "cycle__scope").get(cycle=cycle)
    calibrating.settle_group(group=group, by=world.hr.user, at=CALIBRATED)
    reviews.publish_cycle(cycle=fresh(cycle), by=world.hr.user, at=PUBLISHED)
    clock(on(13))
    own = text_of(opened(browser(world.E1), "review", review.pk))
    assert "words of N-E2" in own
    assert world.E2.name not in own  # PM-V09: the words, never who wrote them
    assert world.E2.name not in text_of(opened(browser(world.manager), "review", review.pk))
    assert world.E2.name in text_of(opened(browser(world.hr), "review", review.pk))
    assert world.E2.name in text_of(opened(browser(world.auditor), "review", review.pk))


# --- faults in words ------------------------------------------------------------------------------------------------------
def test_a_rating_that_is_not_complete_says_what_is_missing(clock):
    world = make_branch(parameters=card(raters=PEERS))
    cycle = bring(world, "open")
    rating = rating_of(cycle, world.E1, "self")
    client = browser(world.E1)
    answer = client.post(reverse("kpi:rate", args=[rating.pk]), {"hand_in": "1", "comment": ""})
    assert "Choose 1 to 5." in text_of(answer)
    answer = client.post(reverse("kpi:rate", args=[rating.pk]), {"hand_in": "1", "line-manager": "5"})
    assert "A 1 or a 5 needs a few words" in text_of(answer)
    answer = client.post(reverse("kpi:rate", args=[rating.pk]), {"save": "1", "line-manager": "5"})
    assert answer.status_code == 302
    assert Rating.objects.get(pk=rating.pk).answers == {"manager": 5}
    assert "You have begun: it is saved." in text_of(opened(client, "my_reviews"))


def test_what_is_over_answers_409_and_says_so(clock):
    world = make_branch(parameters=card(raters=PEERS))
    cycle = bring(world, "open")
    rating = rating_of(cycle, world.E1, "self")
    clock(on(6))
    answer = browser(world.E1).post(reverse("kpi:rate", args=[rating.pk]), {"hand_in": "1", "line-manager": "4"})
    assert answer.status_code == 409
    assert "The time for this rating is over" in text_of(answer)


def test_a_cycle_that_is_not_ready_says_what_is_missing(clock):
    world = make_branch()
    cycle = bring(world, "draft", snapshot_on=on(20).date())
    client = browser(world.hr)
    assert "The day of the snapshot is still to come." in text_of(opened(client, "cycle", cycle.pk))
    client.post(reverse("kpi:cycle_step", args=[cycle.pk, "announce"]))
    assert not Review.objects.exists()


def test_a_total_below_the_card_is_refused_beside_its_field(clock):
    world = make_branch()
    cycle = bring(world, "calibrating")
    review = review_of(cycle, world.E4)
    answer = browser(world.hr).post(
        reverse("kpi:adjust_review", args=[review.pk]),
        {f"a{review.pk}-total": "60", f"a{review.pk}-reason": "x"},
    )
    assert answer.status_code == 422
    assert "Nobody falls below what was earned: at least 69.70." in text_of(answer)


# --- the doors ----------------------------------------------------------------------------------------------------------
STATUS = {
    # page: (E4, another employee, manager, manager above, HR, HR of another province, auditor, administrator)
    "review": (200, 404, 200, 200, 200, 404, 200, 404),
    "review_colleagues": (403, 403, 200, 404, 200, 404, 403, 403),
    "appeal": (200, 404, 404, 404, 404, 404, 404, 404),
    "cycle": (403, 403, 403, 403, 200, 404, 200, 403),
    "cycle_people": (403, 403, 403, 403, 200, 404, 200, 403),
    "cycles": (403, 403, 403, 403, 200, 200, 200, 403),
    "calibration_groups": (403, 403, 404, 404, 200, 404, 403, 403),
    "calibration_group": (403, 403, 404, 404, 200, 404, 403, 403),
    "appeals": (403, 403, 403, 403, 200, 200, 403, 403),
    "cycle_new": (403, 403, 403, 403, 200, 200, 403, 403),
    "my_reviews": (200, 200, 200, 200, 200, 200, 200, 200),
}


def test_pm_v01_who_may_open_which_page(clock):
    world = make_branch()
    cycle = bring(world, "published")
    clock(on(13))
    review, group = review_of(cycle, world.E4), CalibrationGroup.objects.get()
    args = {
        "review": [review.pk],
        "review_colleagues": [review.pk],
        "appeal": [review.pk],
        "cycle": [cycle.pk],
        "cycle_people": [cycle.pk],
        "calibration_groups": [cycle.pk],
        "calibration_group": [group.pk],
    }
    people = [world.E4, world.E5, world.manager, world.boss, world.hr2, world.far_hr, world.auditor, world.admin]
    clients = [browser(one) for one in people]
    found = {name: tuple(opened(one, name, *args.get(name, [])).status_code for one in clients) for name in STATUS}
    assert found == STATUS


def test_pm_v01_a_result_is_the_employees_once_it_is_published(clock):
    world = make_branch()
    cycle = bring(world, "settled")
    client = browser(world.E4)
    review = review_of(cycle, world.E4)
    assert opened(client, "review", review.pk).status_code == 404
    assert "69.70" not in text_of(opened(client, "my_reviews"))
    reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=PUBLISHED)
    assert opened(client, "review", review.pk).status_code == 200


def test_r8_r9_of_review_records_the_unit_of_the_record_counts(clock):
    """HR of the unit at the time still sees the review of somebody who moved away; HR of the new unit does not."""
    world = make_branch()
    cycle = bring(world, "published")
    type(world.E4).objects.filter(pk=world.E4.pk).update(unit=world.far_hr.unit, manager=None)
    review = review_of(cycle, world.E4)
    assert opened(browser(world.hr3), "review", review.pk).status_code == 200
    assert opened(browser(world.far_hr), "review", review.pk).status_code == 404
    assert opened(browser(world.manager), "review", review.pk).status_code == 200  # who rated, by the record


# --- reminding and lists ----------------------------------------------------------------------------------------------------
def test_hr_reminds_those_who_are_waited_for(clock):
    world = make_branch()
    cycle = bring(world, "open")
    answer = browser(world.hr3).post(
        reverse("kpi:cycle_remind", args=[cycle.pk]), {"unit": world.branch.pk, "show": "manager"}, follow=True
    )
    assert "2 people are reminded." in text_of(answer)
    refused = browser(world.far_hr).post(reverse("kpi:cycle_remind", args=[cycle.pk]), {"show": "manager"})
    assert refused.status_code == 404


@pytest.mark.parametrize("more", [0, 25])
def test_lists_ask_as_often_for_one_as_for_many(clock, more, django_assert_max_num_queries):
    world = make_branch(measured=not more)
    for _one in range(more):
        make_employee(world.branch, world.manager, with_user=True, password=None)
    cycle = bring(world, "open")
    pages = {
        "cycle_people": (world.hr, [cycle.pk], 24),
        "cycle": (world.hr, [cycle.pk], 32),
        "team_reviews": (world.manager, [cycle.pk], 20),
        "my_reviews": (world.manager, [], 24),
    }
    for name, (who, args, most) in pages.items():
        client = browser(who)
        opened(client, name, *args)
        with django_assert_max_num_queries(most):
            assert opened(client, name, *args).status_code == 200
