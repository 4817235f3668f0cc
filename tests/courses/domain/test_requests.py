import datetime as dt

import pytest
from django.db import IntegrityError, transaction
from django.utils import translation

from core.events import verify_chain
from core.models import Event, Notice
from courses.domain import exceptions, requests
from courses.models import DutyRequest, Enrolment, Tally
from people.domain.access import Actor
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

AT = local(2026, 11, 20, 9)
LATER = local(2026, 11, 21, 15)
UNTIL = dt.date(2026, 12, 10)


@pytest.fixture
def manager():
    return make_employee(unit=make_unit(), with_user=True, name="周文静")


@pytest.fixture
def duty(manager):
    person = make_employee(unit=manager.unit, manager=manager, with_user=True, name="林晓雨")
    return make_enrolment(person, make_run())


def _ask(duty, **values):
    asked = {"kind": "extension", "code": "workload", "text": "年终盘点", "until": UNTIL, "at": AT}
    if values.get("kind") == "exemption":
        asked["until"] = None
    return requests.ask(enrolment=duty, by=duty.employee.user, **{**asked, **values})


def _row(request):
    fields = ("kind", "code", "text", "until", "state", "asked_at", "decided_at", "decided_by", "answer")
    return DutyRequest.objects.values_list(*fields).get(pk=request.pk)


def _events():
    return list(Event.objects.filter(chain="completions").order_by("sequence").values_list("action", "actor"))


def _told(user):
    return list(Notice.objects.filter(user=user).order_by("pk").values_list("key", "text_zh", "text_en"))


# --- asking ---------------------------------------------------------------------------------------------------------
def test_ask_keeps_what_is_wanted_and_tells_the_manager(duty, manager):
    asked = _ask(duty, text="  年终盘点 ")
    course = duty.run.course
    assert _row(asked) == ("extension", "workload", "年终盘点", UNTIL, "asked", AT, None, None, "")
    assert _events() == [("asked", duty.employee.user.pk)]
    assert verify_chain("completions") == (1, None)
    assert _told(manager.user) == [
        (
            f"request-{asked.pk}-asked-manager",
            f"林晓雨申请把《{course.title_zh}》延期到2026年12月10日，请您答复。",
            f"林晓雨 asks for time until 10 December 2026 for “{course.title_en}”. You can answer.",
        )
    ]


def test_ask_to_be_excused_needs_no_day_and_is_for_hr_to_answer(duty, manager):
    asked = _ask(duty, kind="exemption", code="not_relevant", until=UNTIL)
    assert _row(asked)[:5] == ("exemption", "not_relevant", "年终盘点", None, "asked")
    assert _told(manager.user)[0][2].endswith("HR decides; you can say what you think.")


def test_pm_m02_only_the_person_asks(duty, manager):
    for user in (manager.user, make_user(), None):
        with pytest.raises(requests.NotOwnDuty):
            requests.ask(enrolment=duty, kind="exemption", code="other", text="x", by=user, at=AT)
    assert not DutyRequest.objects.exists()


def test_a_second_request_waits_for_the_first(duty):
    first = _ask(duty)
    with pytest.raises(requests.AlreadyAsked):
        _ask(duty, kind="exemption")
    requests.take_back(request=first, by=duty.employee.user, at=AT)
    assert _ask(duty, kind="exemption").state == "asked"


@pytest.mark.parametrize("text", ["", "   "])
def test_ask_needs_words(duty, text):
    with pytest.raises(exceptions.ReasonMissing):
        _ask(duty, text=text)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (AT, None),
        (AT, dt.date(2026, 11, 30)),  # that is the due day
        (AT, dt.date(2027, 1, 1)),  # work is accepted until the end of December
        (local(2026, 12, 5, 9), dt.date(2026, 12, 4)),  # passed
    ],
)
def test_ask_refuses_a_day_that_is_no_extension(duty, at, until):
    with pytest.raises(exceptions.DueRefused):
        _ask(duty, at=at, until=until)


def test_ask_takes_the_last_day_of_acceptance_and_today(duty):
    assert _ask(duty, until=dt.date(2026, 12, 31)).until == dt.date(2026, 12, 31)
    other = make_enrolment(make_employee(unit=duty.unit, with_user=True), duty.run)
    assert _ask(other, at=local(2026, 12, 5, 9), until=dt.date(2026, 12, 5)).until == dt.date(2026, 12, 5)


@pytest.mark.parametrize("state", ["completed", "exempt", "withdrawn"])
def test_there_is_nothing_to_ask_about_a_duty_that_ended(state, manager):
    person = make_employee(unit=manager.unit, with_user=True)
    with pytest.raises(requests.NothingToAsk):
        _ask(make_enrolment(person, state=state))


@pytest.mark.parametrize("state", ["planned", "closed"])
def test_one_asks_in_open_runs_only(duty, state):
    type(duty.run).objects.update(state=state)
    with pytest.raises(requests.NothingToAsk):
        _ask(duty)


def test_what_was_taken_by_choice_needs_no_asking(manager):
    with pytest.raises(requests.NothingToAsk):
        _ask(make_enrolment(make_employee(unit=manager.unit, with_user=True), voluntary=True))


def test_take_back_ends_a_request_of_ones_own(duty, manager):
    asked = _ask(duty)
    with pytest.raises(requests.NotOwnDuty):
        requests.take_back(request=asked, by=manager.user, at=LATER)
    requests.take_back(request=asked, by=duty.employee.user, at=LATER)
    assert _row(asked)[4:] == ("taken_back", AT, LATER, duty.employee.user.pk, "")
    with pytest.raises(requests.NotWaiting):
        requests.take_back(request=asked, by=duty.employee.user, at=LATER)


# --- advising -------------------------------------------------------------------------------------------------------
def _advice(request):
    return DutyRequest.objects.values_list("state", "advice", "advice_text", "advised_at", "advised_by").get(
        pk=request.pk
    )


def test_pm_t03_a_manager_advises_and_hr_still_decides(duty, manager):
    asked = _ask(duty, kind="exemption")
    advised = requests.advise(request=asked, advice="supported", by=manager.user, at=LATER)
    assert _advice(advised) == ("asked", "supported", "", LATER, manager.user.pk)
    assert Enrolment.objects.get().state == "assigned"
    hr = make_user()
    requests.refuse(request=advised, by=hr, at=LATER, answer="岗位需要")
    assert (_row(asked)[4], _row(asked)[7], _advice(asked)[1]) == ("refused", hr.pk, "supported")
    assert [action for action, _actor in _events()] == ["asked", "request advised", "request refused"]
    assert verify_chain("completions") == (3, None)


def test_advice_said_again_stands_anew_and_the_chain_keeps_both(duty, manager):
    asked = _ask(duty, kind="exemption")
    asked = requests.advise(request=asked, advice="not_supported", text=" 常接触客户 ", by=manager.user, at=AT)
    requests.advise(request=asked, advice="supported", text="调岗了", by=manager.user, at=LATER)
    assert _advice(asked) == ("asked", "supported", "调岗了", LATER, manager.user.pk)
    said = Event.objects.filter(action="request advised").order_by("sequence")
    assert list(said.values_list("before", "after", "reason")) == [
        (None, {"advice": "not_supported"}, "常接触客户"),
        ({"advice": "not_supported", "text": "常接触客户"}, {"advice": "supported"}, "调岗了"),
    ]


def test_advice_that_crosses_another_or_an_answer_is_refused(duty, manager):
    asked = _ask(duty, kind="exemption")
    requests.advise(request=asked, advice="supported", by=manager.user, at=AT)
    head = make_user()
    with pytest.raises(requests.NotWaiting):  # read before the manager spoke
        requests.advise(request=asked, advice="not_supported", text="不行", by=head, at=LATER)
    asked.refresh_from_db()
    requests.grant(request=asked, by=make_user(), at=LATER)
    with pytest.raises(requests.NotWaiting):
        requests.advise(request=asked, advice="not_supported", text="不行", by=manager.user, at=LATER)
    assert _advice(asked)[1:3] == ("supported", "")


def test_advice_has_its_bounds(duty, manager):
    with pytest.raises(requests.NotToAdvise):
        requests.advise(request=_ask(duty), advice="supported", by=manager.user, at=AT)
    other = make_enrolment(make_employee(unit=duty.unit, with_user=True), duty.run)
    asked = _ask(other, kind="exemption")
    with pytest.raises(exceptions.ReasonMissing):
        requests.advise(request=asked, advice="not_supported", text="  ", by=manager.user, at=AT)
    with pytest.raises(requests.OwnRequest):
        requests.advise(request=asked, advice="supported", by=other.employee.user, at=AT)
    assert not Event.objects.filter(action="request advised").exists()


@pytest.mark.parametrize(
    "values",
    [{"advice": "supported"}, {"advice_text": "好"}, {"advised_at": AT}],
)
def test_the_database_keeps_no_half_of_an_advice(duty, values):
    asked = _ask(duty, kind="exemption")
    with pytest.raises(IntegrityError), transaction.atomic():
        DutyRequest.objects.filter(pk=asked.pk).update(**values)


def test_the_record_shows_the_advice(duty, manager):
    asked = _ask(duty, kind="exemption", code="not_relevant")
    asked = requests.advise(request=asked, advice="not_supported", text="常接触客户", by=manager.user, at=LATER)
    title = duty.run.course.title_en
    expected = {
        "at": LATER,
        "title": f"Not supported by the manager: “{title}”",
        "text": "常接触客户",
        "who": "Said by 周文静",
    }
    with translation.override("en"):
        assert requests.duty_events(enrolments=[duty])[1:] == [expected]


# --- answering ------------------------------------------------------------------------------------------------------
def test_pm_t04_granting_an_extension_moves_the_due_day_and_tells_the_person(duty, manager):
    asked = requests.grant(request=_ask(duty), by=manager.user, at=LATER, answer="可以")
    duty.refresh_from_db()
    assert (duty.due_at, duty.reason_text, duty.decided_by) == (
        local(2026, 12, 10, 23, 59, 59),
        "年终盘点",
        manager.user,
    )
    assert _row(asked)[4:] == ("granted", AT, LATER, manager.user.pk, "可以")
    assert _events()[1:] == [("extended", manager.user.pk), ("request granted", manager.user.pk)]
    assert Event.objects.get(action="extended").after["code"] == "workload"
    assert [key for key, *_words in _told(duty.employee.user)] == [f"request-{asked.pk}-decided"]
    assert len(_told(manager.user)) == 1  # he decided himself


def test_an_earlier_day_may_be_granted_and_a_later_one_not(duty, manager):
    asked = _ask(duty)
    with pytest.raises(exceptions.DueRefused):
        requests.grant(request=asked, by=manager.user, at=LATER, until=dt.date(2026, 12, 11))
    assert _row(asked)[4] == "asked"
    requests.grant(request=asked, by=manager.user, at=LATER, until=dt.date(2026, 12, 4))
    duty.refresh_from_db()
    assert (duty.due_at, asked.until) == (local(2026, 12, 4, 23, 59, 59), UNTIL)
    assert Event.objects.get(action="request granted").after == {"state": "granted", "until": "2026-12-04"}


def test_pm_t03_granting_an_exemption_takes_the_duty_out_and_tells_both(duty, manager):
    hr = make_user()
    requests.grant(request=_ask(duty, kind="exemption", code="sick"), by=hr, at=LATER)
    duty.refresh_from_db()
    assert (duty.state, duty.reason, duty.reason_text, duty.decided_by) == ("exempt", "hr", "年终盘点", hr)
    assert Tally.objects.values_list("assigned", "exempt").get(run=duty.run) == (0, 1)
    assert [len(_told(user)) for user in (duty.employee.user, manager.user)] == [1, 2]


def test_refusing_needs_words_and_changes_no_duty(duty, manager):
    asked = _ask(duty)
    with pytest.raises(exceptions.ReasonMissing):
        requests.refuse(request=asked, by=manager.user, at=LATER, answer=" ")
    requests.refuse(request=asked, by=manager.user, at=LATER, answer="下周有空档")
    before = duty.due_at
    duty.refresh_from_db()
    assert (duty.due_at, duty.state, duty.decided_by) == (before, "assigned", None)
    assert _row(asked)[4:] == ("refused", AT, LATER, manager.user.pk, "下周有空档")
    assert _events()[1:] == [("request refused", manager.user.pk)]


def test_pm_t03_pm_t04_nobody_decides_his_own_request(duty):
    asked = _ask(duty)
    own = duty.employee.user
    for decide, values in ((requests.grant, {}), (requests.refuse, {"answer": "x"})):
        with pytest.raises(requests.OwnRequest):
            decide(request=asked, by=own, at=LATER, **values)
    assert _row(asked)[4] == "asked"


def test_a_request_is_answered_once(duty, manager):
    asked = _ask(duty)
    stale = DutyRequest.objects.select_related("enrolment__employee").get(pk=asked.pk)
    requests.refuse(request=asked, by=manager.user, at=LATER, answer="不行")
    for decide, values in ((requests.grant, {}), (requests.refuse, {"answer": "x"})):
        with pytest.raises(requests.NotWaiting):
            decide(request=stale, by=make_user(), at=LATER, **values)


def test_a_grant_that_comes_after_the_duty_was_done_changes_nothing(duty, manager):
    asked = _ask(duty, kind="exemption")
    exceptions.record_past_completion(
        enrolment=duty, on=dt.date(2026, 11, 3), by=manager.user, at=LATER, reason="以前学过"
    )
    with pytest.raises(exceptions.NotPossibleNow):
        requests.grant(request=asked, by=manager.user, at=LATER)
    assert _row(asked)[4] == "asked"


# --- lapsing --------------------------------------------------------------------------------------------------------
def _settle_otherwise(duty, how, by):
    if how == "exempt":
        exceptions.exempt_enrolment(enrolment=duty, by=by, at=LATER, reason="x")
    elif how == "extended as far":
        exceptions.extend_due(enrolment=duty, until=UNTIL, by=by, at=LATER, reason="x")
    elif how == "extended less":
        exceptions.extend_due(enrolment=duty, until=dt.date(2026, 12, 2), by=by, at=LATER, reason="x")
    elif how == "closed":
        type(duty.run).objects.update(state="closed")


@pytest.mark.parametrize(
    ("kind", "how", "lapses"),
    [
        ("extension", "nothing", False),
        ("extension", "exempt", True),
        ("extension", "extended as far", True),
        ("extension", "extended less", False),
        ("extension", "closed", True),
        ("exemption", "exempt", True),
        ("exemption", "extended as far", False),
        ("exemption", "closed", False),  # it may still be excused, as a correction
    ],
)
def test_a_request_lapses_when_no_answer_is_needed(duty, kind, how, lapses):
    asked = _ask(duty, kind=kind)
    _settle_otherwise(duty, how, make_user())
    found = requests.open_requests(DutyRequest.objects.all(), LATER)
    assert found.exists() == (not lapses)  # before it is marked it is out of the lists
    assert requests.lapse_requests(at=LATER) == int(lapses)
    assert _row(asked)[4] == ("lapsed" if lapses else "asked")
    assert requests.lapse_requests(at=LATER) == 0
    assert Event.objects.filter(action="request lapsed").count() == int(lapses)


def test_lapsing_takes_the_same_queries_for_one_and_for_many(django_assert_num_queries):
    run = make_run()
    duties = [make_enrolment(make_employee(unit=make_unit(), with_user=True), run) for _number in range(4)]
    for duty in duties:
        _ask(duty)
    Enrolment.objects.filter(pk=duties[0].pk).update(state="exempt")
    with django_assert_num_queries(10):
        assert requests.lapse_requests(at=LATER) == 1
    Enrolment.objects.filter(run=run).update(state="exempt")
    with django_assert_num_queries(10):
        assert requests.lapse_requests(at=LATER) == 3


# --- the door and the words -----------------------------------------------------------------------------------------
def _actor(user):
    return Actor(user=user, on=AT.date())


def test_pm_t03_pm_t04_what_waits_for_whom(duty, manager):
    extension = _ask(duty)
    other = make_enrolment(make_employee(unit=duty.unit, manager=manager, with_user=True), duty.run)
    exemption = _ask(other, kind="exemption", at=LATER)
    hr, other_hr, peer = make_user(), make_user(), make_employee(unit=duty.unit, with_user=True).user
    grant(hr, "hr", duty.unit)
    grant(other_hr, "hr", make_unit())

    seen = {
        name: (list(requests.to_decide(_actor(user), LATER)), list(requests.for_hr(_actor(user), LATER)))
        for name, user in {"manager": manager.user, "hr": hr, "other": other_hr, "peer": peer}.items()
    }
    assert seen == {
        "manager": ([extension], [exemption]),
        "hr": ([extension, exemption], []),
        "other": ([], []),
        "peer": ([], []),
    }


def test_the_record_shows_what_was_asked_and_decided_with_its_code(duty, manager):
    requests.grant(request=_ask(duty), by=manager.user, at=LATER, answer="可以")
    hr = make_user(username="hr-desk")
    exceptions.exempt_enrolment(enrolment=Enrolment.objects.get(), by=hr, at=LATER, reason="外派", code="seconded")
    duties = list(Enrolment.objects.select_related("run__course"))
    title = duty.run.course.title_en
    with translation.override("en"):
        assert requests.duty_events(enrolments=duties) == [
            {
                "at": AT,
                "title": f"Asked for more time: “{title}”",
                "text": "Until 10 December 2026. Urgent work: 年终盘点",
            },
            {
                "at": LATER,
                "title": f"Request granted: “{title}”",
                "text": "可以",
                "who": "Decided by 周文静",
            },
            {
                "at": LATER,
                "title": f"Due day moved to 10 December 2026: “{title}”",
                "text": "",
                "who": "Decided by 周文静",
            },
            {
                "at": LATER,
                "title": f"Exempted from “{title}”",
                "text": "Seconded elsewhere: 外派",
                "who": "Decided by hr-desk",
            },
        ]


def test_the_record_says_what_became_of_a_request(duty):
    requests.take_back(request=_ask(duty), by=duty.employee.user, at=LATER)
    _ask(duty, kind="exemption")
    Enrolment.objects.update(state="withdrawn")
    requests.lapse_requests(at=LATER)
    duties = list(Enrolment.objects.select_related("run__course"))
    with translation.override("en"):
        titles = sorted(event["title"].split(":")[0] for event in requests.duty_events(enrolments=duties))
    assert titles == [
        "Asked for more time",
        "Asked to be excused",
        "No answer was needed any more",
        "Request taken back",
    ]
