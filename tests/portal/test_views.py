"""Pages over several subjects: who sees what, and with how many queries."""

import datetime as dt

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.urls import reverse
from django.utils import translation

from core.models import Notice
from core.notices import notify
from core.periods import Month
from courses.models import PlanLine, Tally
from kpi.models import Award, AwardProgramme, AwardRound, Nomination, Rule, Thanks
from people.domain.access import Actor
from people.models import RosterImport
from portal import dashboards
from portal.house import set_up_house
from portal.views import PAGE
from tests.factories.certificates import make_certificate, make_design
from tests.factories.courses import (
    make_audience,
    make_catalogue,
    make_course,
    make_course_page,
    make_enrolment,
    make_programme,
    make_run,
)
from tests.factories.kpi import AWARD, make_published_version
from tests.factories.people import grant, make_employee, make_leave, make_position, make_unit, make_user

pytestmark = pytest.mark.django_db

MONTH = Month(2026, 11)


@pytest.fixture(autouse=True)
def today(monkeypatch, at):
    """The pages take Wednesday 18 November 2026, 10:00 for now."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: at.astimezone(dt.UTC))
    cache.clear()  # searches are counted there
    return at


@pytest.fixture
def house():
    """A branch with a manager and three people below, one of them two levels down; another branch; the other roles."""
    root = make_unit(name="集团", name_en="Group")
    branch, other = make_unit(root, name="东湖网点", name_en="Donghu Branch"), make_unit(root)
    people = {"manager": make_employee(branch, with_user=True, name="周文静", name_latin="Zhou Wenjing")}
    people["first"] = make_employee(branch, people["manager"], with_user=True, name="林晓雨", email="lin@example.com")
    people["second"] = make_employee(branch, people["manager"], name="许一鸣")
    people["below"] = make_employee(branch, people["first"], name="曹思远")
    people["stranger"] = make_employee(other, with_user=True, name="严立新")
    for role in ("hr", "author", "auditor", "admin"):
        people[role] = make_employee(other, with_user=True)
        grant(people[role].user, role, root if role == "hr" else None)
    people["other_hr"] = make_employee(other, with_user=True)
    grant(people["other_hr"].user, "hr", other)
    return people


@pytest.fixture
def as_(client):
    def sign_in(employee):
        client.force_login(employee.user, backend="people.sign_in.EmployeeNumberBackend")
        client.cookies["django_language"] = "en"
        return client

    return sign_in


# --- the front door -----------------------------------------------------------------------------------------------------
def test_start_leads_strangers_to_the_home_page_in_their_language(client):
    set_up_house()
    client.cookies["django_language"] = "en"
    page = client.get("/", follow=True)
    assert page.redirect_chain == [("/en/", 302)]
    assert "One course a month" in page.text
    client.cookies["django_language"] = "zh-hans"
    assert client.get("/", follow=True).redirect_chain == [("/zh-hans/", 302)]


def test_start_without_a_home_page_leads_to_the_sign_in(client):
    assert client.get("/", follow=True).redirect_chain[-1][0] == reverse("people:sign_in")


@pytest.mark.parametrize("who", ["first", "manager", "hr", "author", "auditor", "admin"])
def test_start_leads_whoever_has_a_record_to_my_month(house, as_, who):
    assert as_(house[who]).get("/").url == reverse("portal:my_month")


def test_home_page_tells_strangers_nothing_about_courses_or_news(client, as_, house):
    set_up_house()
    make_course_page(title="销售礼仪")
    assert "销售礼仪" not in client.get("/zh-hans/").text


@pytest.mark.parametrize(
    ("who", "labels"),
    [
        ("second_user", ["My month", "Performance"]),
        ("manager", ["My month", "My team", "Performance"]),
        ("hr", ["My month", "HR desk", "Performance"]),
        ("auditor", ["My month", "HR desk", "Performance"]),
        ("author", ["My month", "Performance", "Edit content"]),
        ("admin", ["My month", "Performance", "Administration"]),
    ],
)
def test_navigation_follows_the_roles(house, as_, who, labels):
    house["second_user"] = house["stranger"]
    page = as_(house[who]).get(reverse("portal:my_month"))
    assert [item["label"] for item in page.context["navigation"]] == labels
    assert [item["label"] for item in page.context["navigation"] if item["active"]] == ["My month"]


@pytest.mark.parametrize(
    ("address", "active"), [("/hr/", "HR desk"), ("/hr/rules/", "Performance"), ("/my/measures/", "Performance")]
)
def test_the_nearest_area_is_the_active_one(house, as_, address, active):
    page = as_(house["hr"]).get(address)
    assert [item["label"] for item in page.context["navigation"] if item["active"]] == [active]


# --- my month -----------------------------------------------------------------------------------------------------------
def test_my_month_puts_what_is_begun_first(house, as_):
    run, begun = make_run(make_course(title_en="Untouched")), make_run(make_course(title_en="Begun"))
    make_enrolment(house["first"], run)
    make_enrolment(house["first"], begun, state="in_progress", steps_done=1)
    page = as_(house["first"]).get(reverse("portal:my_month"))
    assert page.context["first"].course.title_en == "Begun"
    assert [duty.course.title_en for duty in page.context["others"]] == ["Untouched"]
    assert "1 of 3 steps, about 15 minutes left" in " ".join(page.text.split())


def test_my_month_names_debts_of_earlier_months_apart(house, as_):
    make_enrolment(house["first"], make_run(make_course(title_en="This month")))
    make_enrolment(house["first"], make_run(make_course(title_en="Left over"), month="2026-10"))
    page = as_(house["first"]).get(reverse("portal:my_month"))
    assert page.context["first"].course.title_en == "This month"
    assert [duty.course.title_en for duty in page.context["debts"]] == ["Left over"]


def test_my_month_says_when_all_is_done(house, as_):
    make_enrolment(house["first"], state="completed", completed_at=dt.datetime(2026, 11, 10, tzinfo=dt.UTC))
    page = as_(house["first"]).get(reverse("portal:my_month"))
    assert page.context["first"] is None
    assert "All done." in page.text


def test_my_month_without_duties_and_without_a_record_says_so(house, as_, client):
    assert "No course for you this month yet" in as_(house["first"]).get(reverse("portal:my_month")).text
    client.force_login(make_user(), backend="people.sign_in.EmployeeNumberBackend")
    assert "no employee record" in client.get(reverse("portal:my_month")).text


@pytest.mark.parametrize("month", ["2026-13", "nonsense", "2027-01", "1900-01"])
def test_my_month_of_no_month_is_not_found(house, as_, month):
    assert as_(house["first"]).get(reverse("portal:my_month"), {"month": month}).status_code == 404


def test_my_month_takes_the_same_queries_for_one_duty_and_for_many(house, as_, django_assert_num_queries):
    client = as_(house["first"])
    make_enrolment(house["first"], make_run())
    client.get(reverse("portal:my_month"))
    with django_assert_num_queries(13):
        client.get(reverse("portal:my_month"))
    for month in ("2026-11", "2026-11", "2026-10", "2026-10"):
        make_enrolment(house["first"], make_run(month=month))
    with django_assert_num_queries(13):
        client.get(reverse("portal:my_month"))


# --- my team ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def november():
    return make_run(make_course(title_en="Etiquette"))


def test_pm_t05_my_team_holds_direct_reports_or_everybody_below(house, as_, november):
    for who in ("manager", "first", "second", "below", "stranger"):
        make_enrolment(house[who], november)
    client = as_(house["manager"])
    page = client.get(reverse("portal:my_team"))
    assert {row.employee for row in page.context["rows"]} == {house["first"], house["second"]}
    assert "2 people decide whether your team reaches 100 %." in page.text
    page = client.get(reverse("portal:my_team"), {"level": "all"})
    assert {row.employee for row in page.context["rows"]} == {house["first"], house["second"], house["below"]}


def test_my_team_lists_by_what_is_needed(house, as_, november):
    october = make_run(month="2026-10")
    make_enrolment(house["first"], november)
    make_enrolment(house["second"], november, due_at=november.due_at - dt.timedelta(days=20))
    make_enrolment(house["first"], october)
    page = as_(house["manager"]).get(reverse("portal:my_team"))
    assert [row.employee for row in page.context["rows"]] == [house["second"], house["first"]]
    assert [row.is_overdue for row in page.context["rows"]] == [True, False]


def test_my_team_shows_certificates_to_choose_when_done(house, as_, november):
    make_enrolment(house["first"], november, state="completed")
    page = as_(house["manager"]).get(reverse("portal:my_team"))
    assert page.context["shown"] == "done"
    assert "Everybody is done." in page.text
    assert reverse("certificates:print") in page.text


@pytest.mark.parametrize("who", ["author", "admin", "stranger"])
def test_pm_x01_my_team_of_nobody(house, as_, who):
    response = as_(house[who]).get(reverse("portal:my_team"))
    assert response.status_code == 403 if who != "author" else "Nobody reports to you" in response.text


def test_my_team_takes_the_same_queries_for_one_and_for_many(house, as_, november, django_assert_num_queries):
    client = as_(house["manager"])
    make_enrolment(house["first"], november)
    client.get(reverse("portal:my_team"))
    with django_assert_num_queries(19):
        client.get(reverse("portal:my_team"))
    for number in range(8):
        make_enrolment(make_employee(house["first"].unit, house["manager"]), november, steps_done=number % 2)
    with django_assert_num_queries(19):
        client.get(reverse("portal:my_team"))


def test_my_team_pages_a_big_team(house, as_, november):
    for _number in range(PAGE + 1):
        make_enrolment(make_employee(house["first"].unit, house["manager"]), november)
    client = as_(house["manager"])
    assert len(client.get(reverse("portal:my_team")).context["rows"]) == PAGE
    assert len(client.get(reverse("portal:my_team"), {"page": "2"}).context["rows"]) == 1


# --- the HR desk ----------------------------------------------------------------------------------------------------------
def test_hr_desk_shows_the_month_of_the_units_of_the_role(house, as_, november):
    make_enrolment(house["first"], november, state="completed")
    make_enrolment(house["second"], november)
    make_enrolment(house["stranger"], november)
    desk = as_(house["hr"]).get(reverse("portal:hr_desk"))
    assert (desk.context["own"].now.completed, desk.context["own"].now.assigned) == (1, 3)
    assert [(row.unit, row.now.completed, row.now.assigned) for row in desk.context["rows"]] == [
        (house["first"].unit, 1, 2),
        (house["stranger"].unit, 0, 1),
    ]
    desk = as_(house["other_hr"]).get(reverse("portal:hr_desk"))
    assert (desk.context["unit"], desk.context["own"].now.assigned) == (house["stranger"].unit, 1)


def test_pm_x01_hr_desk_of_a_unit_of_somebody_else_is_not_found(house, as_):
    address = reverse("portal:hr_desk")
    assert as_(house["other_hr"]).get(address, {"unit": house["first"].unit.pk}).status_code == 404
    assert as_(house["other_hr"]).get(address, {"unit": "no"}).status_code == 404


@pytest.mark.parametrize(
    ("who", "status"), [("hr", 200), ("auditor", 200), ("manager", 403), ("author", 403), ("admin", 403)]
)
def test_pm_i05_hr_desk_opens_to_hr_and_auditors(house, as_, who, status):
    assert as_(house[who]).get(reverse("portal:hr_desk")).status_code == status
    assert as_(house[who]).get(reverse("portal:hr_people")).status_code == status


def test_hr_desk_counts_what_waits(house, as_, at):
    course = make_course()
    programme = make_programme(make_audience(house["stranger"].unit), plan=[(course, MONTH)])
    PlanLine.objects.create(
        programme=programme, course=make_course(), month=MONTH.next, published_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    )
    RosterImport.objects.create(
        scope=house["stranger"].unit, file_name="a.csv", effective_on=at.date(), uploaded_at=at, state="checked"
    )
    make_employee(house["stranger"].unit, None)
    matters = {m.title: m.count for m in as_(house["other_hr"]).get(reverse("portal:hr_desk")).context["matters"]}
    assert matters == {
        "1 roster file is waiting": 1,
        "1 planned course is not open": 1,
        "1 person cannot sign in yet": 1,
        "7 people have no unit or no manager": 7,
    }


def test_hr_people_lists_the_people_behind_a_matter(house, as_):
    orphan = make_employee(house["stranger"].unit, None)
    client = as_(house["other_hr"])
    assert list(client.get(reverse("portal:hr_people")).context["page"]) == [orphan]
    without_post = client.get(reverse("portal:hr_people"), {"gap": "post"}).context["page"]
    assert orphan in without_post
    assert house["first"] not in without_post


def test_hr_desk_takes_the_same_queries_for_one_unit_and_for_many(house, as_, november, django_assert_num_queries):
    client = as_(house["hr"])
    make_enrolment(house["first"], november)
    client.get(reverse("portal:hr_desk"))
    with django_assert_num_queries(17):
        client.get(reverse("portal:hr_desk"))
    for _number in range(6):
        make_enrolment(make_employee(make_unit(house["first"].unit.get_root())), november)
    with django_assert_num_queries(17):
        client.get(reverse("portal:hr_desk"))


def test_hr_desk_says_what_the_last_recount_found(house, as_, november):
    enrolment = make_enrolment(house["first"], november)
    client = as_(house["hr"])
    assert "counted again" not in client.get(reverse("portal:hr_desk")).text
    call_command("reconcile_tallies", verbosity=0)
    assert "18 November 2026, 10:00: no difference." in " ".join(client.get(reverse("portal:hr_desk")).text.split())
    Tally.objects.filter(run=november, unit=enrolment.unit).update(assigned=5)
    call_command("reconcile_tallies", verbosity=0)
    assert "1 was wrong and has been put right" in client.get(reverse("portal:hr_desk")).text
    assert client.get(reverse("portal:hr_desk")).context["own"].now.assigned == 1


def test_hr_desk_compares_with_the_same_point_of_the_month_before(house, as_, november):
    october = make_run(november.course, month="2026-10")
    for who, back in (("first", 20), ("second", 2), ("below", 13)):
        make_enrolment(
            house[who], october, state="completed", completed_at=october.due_at - dt.timedelta(days=back, hours=1)
        )
        make_enrolment(house[who], november)
    desk = as_(house["hr"]).get(reverse("portal:hr_desk"))
    own = desk.context["own"]
    assert (own.before.completed, own.ended.completed, own.same_point) == (2, 3, True)
    assert "At the same point of October 2026, 2 of 3 were done (66.6\xa0%); it ended at 100\xa0%." in desk.text


# --- a person -------------------------------------------------------------------------------------------------------------
def test_pm_p01_everybody_sees_the_card_and_no_more(house, as_, november):
    make_enrolment(house["first"], november, state="completed")
    page = as_(house["stranger"]).get(reverse("portal:person", args=[house["first"].pk]))
    assert page.status_code == 200
    assert "林晓雨" in page.text
    assert "lin@example.com" not in page.text
    record = page.context["record"]
    assert (record.months, record.duties, record.attempts, record.certificates, record.placements) == (None,) * 5
    assert record.events == []


@pytest.mark.parametrize(
    ("who", "contact", "duties", "certificates"),
    [
        ("first", True, True, True),
        ("manager", True, True, True),
        ("hr", True, True, True),
        ("other_hr", False, False, False),
        ("auditor", True, True, True),
        ("author", False, False, False),
        ("admin", True, False, False),
        ("stranger", False, False, False),
    ],
)
def test_pm_p02_pm_t01_pm_k01_the_record_opens_by_role(house, as_, november, who, contact, duties, certificates):
    make_enrolment(house["first"], november, state="completed")
    page = as_(house[who]).get(reverse("portal:person", args=[house["first"].pk]))
    record = page.context["record"]
    seen = ("lin@example.com" in page.text, record.duties is not None, record.certificates is not None)
    assert seen == (contact, duties, certificates)


def test_person_offers_actions_to_hr_in_scope_only(house, as_):
    address = reverse("portal:person", args=[house["first"].pk])
    move = reverse("people:move", args=[house["first"].pk])
    assert move in as_(house["hr"]).get(address).text
    assert move not in as_(house["other_hr"]).get(address).text
    assert move not in as_(house["manager"]).get(address).text


def test_person_tells_one_story_newest_first(house, as_, november, at):
    first = house["first"]
    make_enrolment(first, november, state="completed", completed_at=at - dt.timedelta(days=1))
    make_leave(first, dt.date(2026, 6, 1), dt.date(2026, 6, 5), "年假")
    events = as_(house["hr"]).get(reverse("portal:person", args=[first.pk])).context["events"]
    assert [event["title"] for event in events] == [
        "Completed “Etiquette”",
        "On leave until 5 June 2026",
        "Began as – at Donghu Branch",
    ]


def test_person_that_is_not_there_is_not_found(house, as_):
    assert as_(house["first"]).get(reverse("portal:person", args=[999_999])).status_code == 404


def test_pm_w08_honours_and_thanks_stand_in_the_record_for_those_who_may_see_it(house, as_, at):
    first = house["first"]
    programme = AwardProgramme.objects.create(
        rule=Rule.objects.create(family="award", code="star", name="服务明星", scope=first.unit),
        kind="person",
        design=make_design(at),
    )
    version = make_published_version(AWARD, scope=first.unit, code="star")
    round = AwardRound.objects.create(
        programme=programme,
        version=version,
        name="服务明星",
        first_month=MONTH,
        last_month=MONTH,
        places=1,
        nominate_until=at.date(),
        created_at=at,
    )
    nomination = Nomination.objects.create(round=round, employee=first, citation="热心", state="granted", at=at)
    Award.objects.create(
        nomination=nomination, employee=first, name_zh="服务明星", holder=first.name, citation="热心", granted_at=at
    )
    Thanks.objects.create(giver=house["second"], receiver=first, text="多谢", at=at)
    Thanks.objects.create(giver=house["second"], receiver=first, text="藏起来的", at=at, hidden_at=at)
    shown = {}
    for who in ("first", "manager", "hr", "auditor", "stranger", "other_hr"):
        response = as_(house[who]).get(reverse("portal:person", args=[first.pk]))
        record = response.context["record"]
        shown[who] = (
            None if record.honours is None else [one.label for one in record.honours],
            sorted(one.text for one in record.thanks),
            "Honoured: “服务明星”" in [event["title"] for event in response.context["events"]],
            reverse("kpi:say_thanks", args=[first.pk]) in response.content.decode(),
        )
    theirs = (["服务明星"], ["多谢"], True, True)
    assert shown == {
        "first": (["服务明星"], ["多谢", "藏起来的"], True, False),
        "manager": theirs,
        "hr": theirs,
        "auditor": theirs,
        "stranger": (None, [], False, True),
        "other_hr": (None, [], False, True),
    }


def test_person_takes_the_same_queries_for_one_month_and_for_many(house, as_, november, django_assert_num_queries):
    client = as_(house["hr"])
    address = reverse("portal:person", args=[house["first"].pk])
    make_enrolment(house["first"], november, state="completed")
    client.get(address)
    with django_assert_num_queries(24):
        client.get(address)
    for month in ("2026-10", "2026-09", "2026-08"):
        make_enrolment(house["first"], make_run(month=month), state="completed")
    with django_assert_num_queries(24):
        client.get(address)


# --- search ---------------------------------------------------------------------------------------------------------------
def test_search_finds_people_and_courses_in_both_languages(house, as_):
    set_up_house()
    make_course_page(title="作业场所安全培训课程", code="SAF-01")
    client = as_(house["stranger"])
    for text in ("安全", "SAF-01", "saf", "场所安"):
        found = client.get(reverse("portal:search"), {"q": text})
        assert [one["page"].title for one in found.context["courses"]] == ["作业场所安全培训课程"], text
    assert client.get(reverse("portal:search"), {"q": "全业"}).context["courses"] == []
    found = client.get(reverse("portal:search"), {"q": "林晓"})
    assert [one.name for one in found.context["people"]] == ["林晓雨"]
    assert "lin@example.com" not in found.text


def test_search_prefers_the_course_in_the_language_of_the_reader(house, as_):
    set_up_house()
    chinese = make_course_page(title="商务谈判", code="NEG-01")
    english = make_course_page(
        make_catalogue("en"), title="Negotiation", code="NEG-01", translation_key=chinese.translation_key
    )
    found = as_(house["stranger"]).get(reverse("portal:search"), {"q": "谈判"})
    assert [one["page"].pk for one in found.context["courses"]] == [english.pk]


def test_pm_h01_search_stops_a_machine(house, as_):
    client = as_(house["stranger"])
    answers = [client.get(reverse("portal:search"), {"q": "a"}).status_code for _n in range(61)]
    assert answers == [200] * 60 + [429]


@pytest.mark.parametrize("text", ["", "   ", "\x00", "'; --", "x" * 500, "\"' OR *", "（）"])
def test_search_survives_whatever_is_typed(house, as_, text):
    assert as_(house["first"]).get(reverse("portal:search"), {"q": text}).status_code == 200


# --- notices --------------------------------------------------------------------------------------------------------------
def test_pm_n01_notices_are_ones_own_and_marked_by_post(house, as_, at):
    for who in ("first", "stranger"):
        notify(user=house[who].user, text_zh="已开课", text_en="It is open", at=at, url="/my/", key="k")
    mine, other = (Notice.objects.get(user=house[who].user) for who in ("first", "stranger"))
    client, address = as_(house["first"]), reverse("portal:notices")
    page = client.get(address)
    assert list(page.context["page"]) == [mine]
    assert "It is open" in page.text
    assert client.post(address, {"notice": other.pk}).status_code == 404
    assert client.post(address, {"notice": "x"}).status_code == 404
    assert client.post(address, {"notice": mine.pk, "go": "1"}).url == "/my/"
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.read_at, other.read_at) == (at, None)


def test_notices_lead_nowhere_else(house, as_, at):
    notify(user=house["first"].user, text_zh="x", text_en="x", at=at, url="https://elsewhere.example/")
    notice = Notice.objects.get()
    assert as_(house["first"]).post(reverse("portal:notices"), {"notice": notice.pk, "go": "1"}).url == "/notices/"


def test_all_notices_are_marked_at_once(house, as_, at):
    for number in range(3):
        notify(user=house["first"].user, text_zh="x", text_en="x", at=at, key=str(number))
    client = as_(house["first"])
    assert client.get(reverse("portal:my_month")).context["notice_count"]() == 3
    client.post(reverse("portal:notices"))
    assert Notice.objects.filter(read_at=None).count() == 0


def test_notices_take_the_same_queries_for_one_and_for_many(house, as_, at, django_assert_num_queries):
    client = as_(house["first"])
    notify(user=house["first"].user, text_zh="x", text_en="x", at=at)
    client.get(reverse("portal:notices"))
    with django_assert_num_queries(9):
        client.get(reverse("portal:notices"))
    for _number in range(9):
        notify(user=house["first"].user, text_zh="x", text_en="x", at=at)
    with django_assert_num_queries(9):
        client.get(reverse("portal:notices"))


# --- parts ----------------------------------------------------------------------------------------------------------------
def test_a_record_merges_what_belongs_together(house, november, at):
    """A completion, its passing attempt and its certificate are one event."""
    first = house["first"]
    enrolment = make_enrolment(first, november, state="completed", completed_at=at)
    enrolment.certificate = make_certificate(first, at)
    enrolment.save()
    actor = Actor(user=house["manager"].user, on=at.date())
    with translation.override("zh-hans"):
        record = dashboards.person_record(actor, first, frozenset({"PM-T01", "PM-K01", "PM-Q06"}), at)
    assert [event["text"] for event in record.events] == [f"2026年11月 · 按时 · 证书编号{enrolment.certificate.number}"]


def test_position_in_the_record_is_in_the_language_of_the_reader(house, as_):
    person = make_employee(house["first"].unit, position=make_position("营业员", "Sales associate"))
    assert "Sales associate" in as_(house["first"]).get(reverse("portal:person", args=[person.pk])).text
