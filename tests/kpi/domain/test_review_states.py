"""Every state of a review by everybody by every action, through the functions and through the pages (TRUST PM-S3)."""

import copy
import datetime as dt
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import Event
from kpi.domain import appeals, calibrating, ratings, reviews
from kpi.domain.review_states import (
    ALLOWED,
    CYCLE_TABLE,
    Action,
    CycleAction,
    NotYours,
    Part,
    WrongState,
    cycle_part,
    may,
    parts_of,
)
from kpi.models import Appeal, Calibration, CalibrationGroup, Rating, Review, ReviewCycle
from people.domain.access import Actor
from people.models import User
from tests.factories.people import grant
from tests.factories.reviews import (
    CALIBRATED,
    OPENED,
    PUBLISHED,
    RATED,
    UNTIL,
    bring,
    card,
    fresh,
    make_branch,
    make_cycle,
    on,
    rate,
    review_of,
)

STATES = tuple(Review.State)
# What the house agreed on, written down a second time: action -> who -> in which states of the review.
#          dr = drafted, sd = self done, md = manager done, ca = calibrated, pu = published, ac = acknowledged,
#          co = contested, up = upheld, re = rejected, fi = final, su = superseded
SHORT = dict(zip(("dr", "sd", "md", "ca", "pu", "ac", "co", "up", "re", "fi", "su"), STATES, strict=True))
TOLD = "pu ac co up re fi su"
EVER = "dr sd md ca " + TOLD
AGREED = {
    "read_state": {"subject": EVER, "manager": EVER, "above": EVER, "hr": EVER, "auditor": EVER},
    "read_result": {"subject": TOLD, "manager": EVER, "above": EVER, "hr": EVER, "auditor": EVER},
    "read_authors": {"hr": EVER, "auditor": EVER},
    "rate_self": {"subject": "dr"},
    "rate_manager": {"manager": "dr sd"},
    "rate_peer": {"peer": "dr sd md"},
    "ask_peer": {"manager": "dr sd md", "hr": "dr sd md"},
    "withdraw_peer": {"manager": "dr sd md", "hr": "dr sd md"},
    "hand_over": {"hr": "dr sd"},
    "remind": {"manager": "dr sd md", "hr": "dr sd md", "clock": "dr sd md"},
    "calibrate": {"above": "dr sd md", "hr": "dr sd md"},
    "hold_back": {"hr": "dr sd md"},
    "settle": {"hr": "dr sd md"},
    "reopen": {"hr": "ca"},
    "publish": {"hr": "ca"},
    "acknowledge": {"subject": "pu"},
    "contest": {"subject": "pu ac"},
    "decide": {"hr": "co"},
    "finish": {"hr": "pu ac re", "clock": "pu ac re"},
}
EXPECTED = {
    (SHORT[state], Part(part), Action(action))
    for action, parts in AGREED.items()
    for part, states in parts.items()
    for state in states.split()
}


def at_step(step: str | None):
    return pytest.mark.parametrize("scene", [step], indirect=True)


@at_step(None)
def test_the_table_is_what_was_agreed():
    assert ALLOWED == EXPECTED
    assert set(AGREED) == set(Action)


# --- everybody and everything ---------------------------------------------------------------------------------------------
PEERS = {"self": "10", "manager": "60", "peers": "30", "min_peers": 3}
WHO = {
    Part.SUBJECT: "E1",
    Part.MANAGER: "manager",
    Part.PEER: "E2",
    Part.ABOVE: "boss",
    Part.HR: "hr2",
    Part.AUDITOR: "auditor",
    Part.OTHER: "E3",
}
NOBODY = ("far_hr", "admin", "author", "E3")  # all of them are "other" to this review


class Scene:
    """A company with one cycle at the step in which an action belongs, and the acts as functions and as requests."""

    def __init__(self, step: str):
        self.world = make_branch(parameters=card(raters=PEERS, top_share="10"))
        self.cycle = bring(self.world, "open")
        self.step = step
        self.kept: dict = {}  # every cell is undone, so keys and people stay what they are
        world = self.world
        ratings.ask_peers(review=self.review, raters=[world.E2, world.E4], by=world.hr.user, at=OPENED)
        if step == "open":
            return
        for one in world.people:
            rate(self.cycle, one, "self", 4, by=one)
            rate(self.cycle, one, "manager", 4, by=world.manager)
        calibrating.start_calibrating(cycle=self.fresh(), level="branch", by=world.hr.user, at=CALIBRATED)
        if step in ("settling", "reopening", "publishing", "published"):
            self.hold_back(world.hr.user)
        if step in ("reopening", "publishing", "published"):
            calibrating.settle_group(group=self.group, by=world.hr.user, at=CALIBRATED)
        if step == "published":
            reviews.publish_cycle(cycle=self.fresh(), by=world.hr.user, at=PUBLISHED)
            self.appeal = Appeal.objects.create(review=self.review, text="x", at=on(13))

    @property
    def review(self) -> Review:
        return review_of(self.cycle, self.world.E1)

    @property
    def review_id(self) -> int:
        return self._once(("review", self.world.E1.pk), lambda: self.review.pk)

    @property
    def group_id(self) -> int:
        return self._once("group", lambda: self.group.pk)

    def rating_id(self, role: str, rater: str) -> int:
        return self._once((role, rater, self.world.E1.pk), lambda: self.rating(role, rater).pk)

    def user(self, who: str) -> User:
        """Somebody as read from the database, with nothing looked up yet."""
        person = getattr(self.world, who)
        return copy.copy(self._once(("user", person.pk), lambda: User.objects.get(pk=person.user_id)))

    def set_state(self, state) -> None:
        Review.objects.filter(pk=self.review_id).update(state=state)

    def _once(self, key, look_up):
        if key not in self.kept:
            self.kept[key] = look_up()
        return self.kept[key]

    @property
    def group(self) -> CalibrationGroup:
        return CalibrationGroup.objects.select_related("unit", "cycle__version__rule", "cycle__scope").get(
            cycle=self.cycle
        )

    def fresh(self) -> ReviewCycle:
        return fresh(self.cycle)

    def rating(self, role: str, rater: str) -> Rating:
        rows = Rating.objects.select_related(
            "review__cycle__version__rule", "review__employee", "review__unit", "rater"
        )
        return rows.get(review=self.review, role=role, rater=getattr(self.world, rater))

    def hold_back(self, by) -> None:
        calibrating.hold_back(group=self.group, reviews=[self.review], reason="名额", by=by, at=CALIBRATED)


def _rate(role, rater):
    def act(scene, by):
        give = {"answers": {"manager": 4}, "comment": "", "hand_in": True, "by": by, "at": RATED}
        if role == "manager":
            give["at"] = on(6)  # the person's own time is over
        ratings.rate(rating=scene.rating(role, rater), **give)

    return act


def _ask(scene, by):
    ratings.ask_peers(review=scene.review, raters=[scene.world.E5], by=by, at=OPENED)


def _withdraw(scene, by):
    ratings.withdraw_peer(rating=scene.rating("peer", "E4"), by=by, at=OPENED)


def _hand_over(scene, by):
    ratings.hand_over(review=scene.review, manager=scene.world.hr, reason="x", by=by, at=OPENED)


def _remind(scene, by):
    asked = Rating.objects.filter(review=scene.review_id, role="self")
    if not ratings.remind(cycle=scene.fresh(), ratings=asked, by=by, at=on(4, 9)):
        raise WrongState


def _adjust(scene, by):
    calibrating.adjust_total(review=scene.review, total=Decimal("104"), reason="x", by=by, at=CALIBRATED)


def _settle(scene, by):
    before = scene.review
    calibrating.settle_group(group=scene.group, by=by, at=CALIBRATED)
    if scene.review.changed_at == before.changed_at and scene.review.state == before.state:
        raise WrongState


def _reopen(scene, by):
    before = scene.review.state
    calibrating.reopen_group(group=scene.group, by=by, at=PUBLISHED)
    if scene.review.state == before:
        raise WrongState


def _publish(scene, by):
    before = scene.review.state
    reviews.publish_cycle(cycle=scene.fresh(), by=by, at=PUBLISHED)
    if scene.review.state == before:
        raise WrongState


def _acknowledge(scene, by):
    reviews.acknowledge_review(review=scene.review, by=by, at=on(13))


def _contest(scene, by):
    appeals.contest(review=scene.review, text="x", by=by, at=on(13))


def _decide(scene, by):
    appeals.decide(appeal=scene.appeal, uphold=False, text="x", by=by, at=on(13))


def _finish(scene, by):
    before = scene.review.state
    reviews.finish_due(cycle=scene.fresh(), by=by, at=on(25))
    if scene.review.state == before:
        raise WrongState


ACTS = {
    Action.RATE_SELF: ("open", _rate("self", "E1")),
    Action.RATE_MANAGER: ("open", _rate("manager", "manager")),
    Action.RATE_PEER: ("open", _rate("peer", "E2")),
    Action.ASK_PEER: ("open", _ask),
    Action.WITHDRAW_PEER: ("open", _withdraw),
    Action.HAND_OVER: ("open", _hand_over),
    Action.REMIND: ("open", _remind),
    Action.CALIBRATE: ("calibrating", _adjust),
    Action.HOLD_BACK: ("calibrating", lambda scene, by: scene.hold_back(by)),
    Action.SETTLE: ("settling", _settle),
    Action.REOPEN: ("reopening", _reopen),
    Action.PUBLISH: ("publishing", _publish),
    Action.ACKNOWLEDGE: ("published", _acknowledge),
    Action.CONTEST: ("objecting", _contest),
    Action.DECIDE: ("published", _decide),
    Action.FINISH: ("published", _finish),
}
REFUSED = (
    NotYours,
    WrongState,
    calibrating.Settled,
    calibrating.NotTheTop,
    reviews.NothingToPublish,
    ratings.AlreadyHandedIn,
)


@pytest.fixture(scope="module")
def scene(request, django_db_setup, django_db_blocker):
    """One company for all tests at a step (pytest keeps those together), taken back after them; none for step None."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield Scene(request.param) if request.param else None
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _inside(scene, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


def each(actions):
    """Every action in the scene where it belongs."""
    cells = [pytest.param(_STAGE.get(ACTS[one][0], ACTS[one][0]), one, id=str(one)) for one in actions]
    return pytest.mark.parametrize(("scene", "action"), cells, indirect=["scene"])


_STAGE = {"objecting": "published"}


@pytest.fixture
def subject(scene, request):
    """Whose review it is: E1, and for objecting E4, whose result nobody contested yet."""
    action = request.node.callspec.params["action"]
    world, swapped = scene.world, ACTS[action][0] == "objecting"
    if swapped:
        world.E1, world.E4 = world.E4, world.E1
    yield
    if swapped:
        world.E1, world.E4 = world.E4, world.E1


def print_of() -> tuple:
    """Everything that could have changed, as the database has it: thousands of times, so without the models."""
    models = (ReviewCycle, Review, Rating, CalibrationGroup, Calibration, Appeal)
    with connection.cursor() as cursor:
        found = []
        for model in models:
            cursor.execute(f"SELECT * FROM {model._meta.db_table} ORDER BY id")
            found.append(cursor.fetchall())
        cursor.execute(f"SELECT count(*) FROM {Event._meta.db_table}")
        return *found, cursor.fetchone()


@each(action for action in Action if action in ACTS)
def test_pm_s3_every_state_by_everybody_through_the_functions(scene, action, subject):
    _step, act = ACTS[action]
    wrong = []
    for state in STATES:
        before = None
        for part, who in WHO.items():
            expected = (state, part, action) in EXPECTED
            with transaction.atomic():
                scene.set_state(state)
                before = before or print_of()
                user = scene.user(who)
                try:
                    with transaction.atomic():
                        act(scene, user)
                    done = True
                except REFUSED as error:
                    done = False
                    if print_of() != before:
                        wrong.append((state, part, "changed something though refused"))
                    ever = any((one, part, action) in EXPECTED for one in STATES)
                    if (
                        isinstance(error, NotYours) == ever and action is not Action.REMIND
                    ):  # of a set: others may be theirs
                        wrong.append((state, part, type(error).__name__))
                if done != expected:
                    wrong.append((state, part, "done" if done else "refused"))
                transaction.set_rollback(True)
    assert wrong == []


@at_step("published")
def test_pm_s3_what_everybody_may_read(scene):
    for action in (Action.READ_STATE, Action.READ_RESULT, Action.READ_AUTHORS):
        found = set()
        for state in STATES:
            with transaction.atomic():
                scene.set_state(state)
                for who in WHO.values():
                    actor = Actor(user=scene.user(who), on=on(13).date())
                    review = scene.review
                    parts = parts_of(review, actor)
                    if may(action, review, parts):
                        found |= {(state, part, action) for part in parts}
                transaction.set_rollback(True)
        assert found == {one for one in EXPECTED if one[2] == action}


@at_step("open")
def test_what_somebody_is_to_a_review(scene):
    actors = {**WHO, **dict(enumerate(NOBODY))}
    found = {who: set(parts_of(scene.review, Actor(user=scene.user(who), on=OPENED.date()))) for who in actors.values()}
    assert found == {who: {part} for part, who in WHO.items()} | {who: {Part.OTHER} for who in NOBODY}


@at_step("open")
def test_r0_the_person_is_nothing_else_to_the_own_review(scene):
    """HR whose own review it is, and who manages himself by a fault of the data, is the subject and no more."""
    review = scene.review
    review.manager = scene.world.E1
    grant(scene.world.E1.user, "hr", scene.world.group)
    actor = Actor(user=User.objects.get(pk=scene.world.E1.user_id), on=OPENED.date())
    assert parts_of(review, actor) == {Part.SUBJECT}


# --- cycles -----------------------------------------------------------------------------------------------------------
CYCLES = {
    "see": ("hr below auditor", "draft announced open calibrating published closed"),
    "edit": ("hr", "draft"),
    "delete": ("hr", "draft"),
    "announce": ("hr", "draft"),
    "open": ("hr", "announced"),
    "move_deadlines": ("hr", "announced open"),
    "start_calibrating": ("hr", "open"),
    "publish": ("hr", "calibrating published"),
    "close": ("hr", "published"),
}


@at_step(None)
def test_the_table_of_cycles_is_what_was_agreed():
    agreed = {
        CycleAction(action): (tuple(parts.split()), tuple(ReviewCycle.State(state) for state in states.split()))
        for action, (parts, states) in CYCLES.items()
    }
    assert agreed == CYCLE_TABLE


CYCLE_ACTS = {
    "edit": lambda cycle, world, by: make_cycle(world, cycle=cycle, by=by, name="neu"),
    "delete": lambda cycle, world, by: reviews.delete_cycle(cycle=cycle, by=by, at=OPENED),
    "announce": lambda cycle, world, by: reviews.announce_cycle(cycle=cycle, by=by, at=OPENED),
    "open": lambda cycle, world, by: reviews.open_cycle(cycle=cycle, by=by, at=OPENED),
    "move_deadlines": lambda cycle, world, by: reviews.move_deadlines(cycle=cycle, deadlines=UNTIL, by=by, at=OPENED),
    "start_calibrating": lambda cycle, world, by: calibrating.start_calibrating(
        cycle=cycle, level="branch", by=by, at=CALIBRATED
    ),
    "publish": lambda cycle, world, by: reviews.publish_cycle(cycle=cycle, by=by, at=PUBLISHED),
    "close": lambda cycle, world, by: reviews.close_cycle(cycle=cycle, by=by, at=on(25)),
}


@at_step(None)
@pytest.mark.parametrize("action", CYCLE_ACTS)
def test_pm_s3_every_state_of_a_cycle_by_everybody(action):
    world = make_branch()
    cycle = bring(world, "settled") if action in ("publish", "close") else bring(world, "draft")
    _parts, states = CYCLES[action]
    wrong = []
    for state in ReviewCycle.State:
        for who in ("hr", "hr2", "hr3", "far_hr", "manager", "boss", "E1", "auditor", "admin", "author"):
            expected = state in states.split() and who in ("hr", "hr2", "hr3")
            with transaction.atomic():
                ReviewCycle.objects.filter(pk=cycle.pk).update(state=state)
                if action == "close":
                    Review.objects.filter(cycle=cycle, state="calibrated").update(state="final")
                before = print_of()
                try:
                    with transaction.atomic():
                        CYCLE_ACTS[action](fresh(cycle), world, User.objects.get(pk=getattr(world, who).user_id))
                    done = True
                except (NotYours, WrongState) as error:
                    done = False
                    if print_of() != before or isinstance(error, NotYours) != (who not in ("hr", "hr2", "hr3")):
                        wrong.append((state, who, type(error).__name__))
                if done != expected:
                    wrong.append((state, who, done))
                transaction.set_rollback(True)
    assert wrong == []


@at_step(None)
def test_hr_of_a_unit_inside_sees_the_cycle_and_does_not_run_it():
    world = make_branch()
    cycle = make_cycle(world)
    cycle.scope = world.group
    actor = Actor(user=User.objects.get(pk=world.hr3.user_id), on=dt.date(2026, 11, 3))
    assert cycle_part(cycle, actor) == "below"


# --- through the pages ------------------------------------------------------------------------------------------------------
def _page(name, *, by="review", data=None, **extra):
    def send(client, scene):
        keys = {"review": scene.review_id, "cycle": scene.cycle.pk, "group": None, "appeal": None}
        if by == "group":
            keys["group"] = scene.group_id
        if by == "appeal":
            keys["appeal"] = scene.appeal.pk
        args = [keys[by]] if by in keys else [scene.rating_id(*by)]
        values = data(scene) if callable(data) else data or {}
        return client.post(reverse(f"kpi:{name}", args=[*args, *extra.get("more", ())]), values)

    return send


PAGES = {
    Action.RATE_SELF: _page("rate", by=("self", "E1"), data={"line-manager": "4", "hand_in": "1"}),
    Action.RATE_PEER: _page("rate", by=("peer", "E2"), data={"line-manager": "4", "hand_in": "1"}),
    Action.ASK_PEER: _page("review_colleagues", data=lambda scene: {"numbers": scene.world.E5.employee_no}),
    Action.WITHDRAW_PEER: _page("review_colleagues", data=lambda scene: {"withdraw": scene.rating_id("peer", "E4")}),
    Action.HAND_OVER: _page(
        "hand_over_review", data=lambda scene: {"number": scene.world.hr.employee_no, "reason": "x"}
    ),
    Action.CALIBRATE: _page(
        "adjust_review",
        data=lambda scene: {f"a{scene.review_id}-total": "104", f"a{scene.review_id}-reason": "x"},
    ),
    Action.HOLD_BACK: _page(
        "calibration_step",
        by="group",
        more=["hold-back"],
        data=lambda scene: {"review": scene.review_id, "hold-reason": "x"},
    ),
    Action.ACKNOWLEDGE: _page("acknowledge_review"),
    Action.CONTEST: _page("appeal", data={"text": "x", "line": ""}),
    Action.DECIDE: _page("decide_appeal", by="appeal", data={"text": "x", "reject": "1"}),
}


@each(PAGES)
def test_pm_s3_every_state_by_everybody_through_the_pages(scene, action, subject, monkeypatch):
    step, _act = ACTS[action]
    moment = {"open": OPENED, "calibrating": CALIBRATED}.get(step, on(13))
    monkeypatch.setattr(timezone, "now", lambda: moment)
    # What an answer says is tested with the pages; here hundreds of them are only taken for their status.
    monkeypatch.setattr("django.template.backends.django.Template.render", lambda *args, **more: "")
    clients = {}
    for part, who in [*WHO.items(), *((Part.OTHER, one) for one in NOBODY)]:
        client = Client(raise_request_exception=True)
        client.force_login(scene.user(who))
        clients[who] = (part, client)
    wrong = []
    tempting = {state for state, _part, one in EXPECTED if one is action}
    for state in STATES:
        before = None
        for who, (part, client) in clients.items():
            if who in NOBODY[:-1] and state not in tempting:
                continue  # the other nobodies only where somebody may
            with transaction.atomic():
                scene.set_state(state)
                before = before or print_of()
                answer = PAGES[action](client, scene)
                changed = print_of() != before
                expected = (state, part, action) in EXPECTED
                ever = any((one, part, action) in EXPECTED for one in STATES)
                if changed != expected:
                    wrong.append((state, who, answer.status_code, "changed" if changed else "refused"))
                # Another state: 409, or 404 where the page is only of published results; no part ever: 403, 404.
                allowed = {302} if expected else ({409, 404, 302} if ever else {403, 404})
                if answer.status_code not in allowed:
                    wrong.append((state, who, answer.status_code))
                transaction.set_rollback(True)
    assert wrong == []
