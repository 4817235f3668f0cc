"""A branch that is reviewed: DOMAIN T-01's six people, their manager, HR at three levels, and the steps of a cycle."""

import copy
import datetime as dt
from types import SimpleNamespace
from zoneinfo import ZoneInfo

from core.periods import Month
from kpi.domain import calibrating, ratings, reviews
from kpi.models import Rating, Review, ReviewCycle
from tests.factories.kpi import T01, make_measures, make_published_version
from tests.factories.people import grant, make_employee, make_unit

ZONE = ZoneInfo("Asia/Shanghai")
OCTOBER = Month(2026, 10)


def on(day: int, hour: int = 10, month: int = 11) -> dt.datetime:
    return dt.datetime(2026, month, day, hour, tzinfo=ZONE)


ANNOUNCED, OPENED, RATED, CALIBRATED, PUBLISHED = on(3, 12), on(3, 13), on(4), on(11), on(12)
UNTIL = reviews.Deadlines(on(5, 18), on(8, 18), on(10, 18))

# DOMAIN T-01: what was measured of each, and the stars of the manager.
PEOPLE = {
    "E1": ({"training": "100", "exam": "96", "satisfaction": "84.0", "bonus": "2"}, (0, 0), 5),
    "E2": ({"training": "100", "exam": "88", "satisfaction": "81.5"}, (0, 1), 4),
    "E3": ({"training": "95", "exam": "82", "satisfaction": "79.0"}, (0, 0), 4),
    "E4": ({"training": "80", "exam": "74", "satisfaction": "76.5"}, (1, 0), 3),
    "E5": ({"training": "100", "exam": "91", "satisfaction": "83.0", "regulator": "1"}, (1, 1), 4),
    "E6": ({"training": "60", "exam": "65", "satisfaction": "72.0"}, (0, 2), 3),
}


def card(**changes) -> dict:
    """The parameters of T-01 with some parts changed."""
    return {**copy.deepcopy(T01), **changes}


def make_branch(parameters=None, people=PEOPLE, measured=True) -> SimpleNamespace:
    """The company: group > province > city > branch, everybody with a sign-in, the measures of October."""
    group = make_unit(code="G", name="集团", name_en="Group")
    province = make_unit(group, "P", name="省公司", name_en="Province")
    city = make_unit(province, "C", name="市公司", name_en="City")
    branch = make_unit(city, "B", name="网点", name_en="Branch")
    world = SimpleNamespace(group=group, province=province, city=city, branch=branch)

    def person(key, unit, manager=None):
        made = make_employee(unit, manager, with_user=True, password=None, employee_no=f"N-{key}")
        setattr(world, key, made)
        return made

    person("boss", city)
    person("manager", branch, world.boss)
    for key, unit in (("hr", group), ("hr2", province), ("hr3", city)):
        grant(person(key, unit).user, "hr", unit)
    person("far_hr", other := make_unit(group, "P2"))
    grant(world.far_hr.user, "hr", other)
    grant(person("auditor", group).user, "auditor")
    grant(person("admin", group).user, "admin")
    grant(person("author", group).user, "author")
    world.people = [person(key, branch, world.manager) for key in people]
    world.version = make_published_version(parameters or card(), scope=branch, code="front-line")
    if measured:
        for key, (values, (liable, late), _stars) in people.items():
            counts = {"complaints_liable": str(liable), "complaints_late": str(late)}
            make_measures(getattr(world, key), OCTOBER, **values, **counts)
    return world


def make_cycle(world, **changes) -> ReviewCycle:
    """A draft of October for the branch."""
    values = {
        "cycle": None,
        "name": "十月考核",
        "name_en": "October review",
        "kind": "monthly",
        "scope": world.branch,
        "version": world.version,
        "first_month": OCTOBER,
        "last_month": OCTOBER,
        "snapshot_on": dt.date(2026, 10, 31),
        "deadlines": UNTIL,
        "appeal_days": 7,
        "by": world.hr.user,
        "at": ANNOUNCED,
    }
    return reviews.save_cycle(**{**values, **changes})


def fresh(cycle: ReviewCycle) -> ReviewCycle:
    return ReviewCycle.objects.select_related("scope", "version__rule__scope").get(pk=cycle.pk)


def read(review: Review) -> Review:
    """A review as it is by now, as the doors hand it out."""
    return Review.objects.select_related(*reviews.WITH).get(pk=review.pk)


def review_of(cycle, employee) -> Review:
    return Review.objects.select_related(*reviews.WITH).get(cycle=cycle, employee=employee, superseded_by=None)


def rating_of(cycle, employee, role, rater=None) -> Rating:
    found = Rating.objects.filter(review__cycle=cycle, review__employee=employee, role=role)
    found = found.filter(rater=rater) if rater else found
    return found.select_related("review__cycle__version__rule", "review__employee", "review__unit", "rater").get()


def rate(cycle, employee, role, stars, *, by, at=RATED, hand_in=True):
    """Hand in the same stars for every rated line."""
    rating = rating_of(cycle, employee, role, by)
    lines = [line["code"] for line in cycle.version.parameters["lines"] if line["kind"] == "rating"]
    answers = stars if isinstance(stars, dict) else dict.fromkeys(lines, stars)
    return ratings.rate(rating=rating, answers=answers, comment="看得见的努力", hand_in=hand_in, by=by.user, at=at)


STEPS = ("draft", "announced", "open", "calibrating", "settled", "published")


def bring(world, to: str = "published", people=PEOPLE, **changes) -> ReviewCycle:
    """A cycle of the branch brought to a step through the domain functions; the manager rates as in T-01."""
    cycle = make_cycle(world, **changes)
    wanted = STEPS[: STEPS.index(to) + 1]
    if "announced" in wanted:
        reviews.announce_cycle(cycle=cycle, by=world.hr.user, at=ANNOUNCED)
        cycle = fresh(cycle)
    if "open" in wanted:
        reviews.open_cycle(cycle=cycle, by=world.hr.user, at=OPENED)
        cycle = fresh(cycle)
    if "calibrating" in wanted:
        for key, (_values, _complaints, stars) in people.items():
            rate(cycle, getattr(world, key), "manager", stars, by=world.manager)
        calibrating.start_calibrating(cycle=cycle, level="branch", by=world.hr.user, at=CALIBRATED)
        cycle = fresh(cycle)
    if "settled" in wanted:
        for group in cycle.calibration_groups.select_related("unit", "cycle__version__rule", "cycle__scope"):
            calibrating.settle_group(group=group, by=world.hr.user, at=CALIBRATED)
    if "published" in wanted:
        reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=PUBLISHED)
        cycle = fresh(cycle)
    return cycle
