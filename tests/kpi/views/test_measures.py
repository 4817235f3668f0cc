"""The pages of measures, by the people who may and may not use them."""

import datetime as dt
import io
from decimal import Decimal as D

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.periods import Month
from courses.domain import closing
from kpi.domain import collecting, measures
from kpi.domain.measures import NewMeasure
from kpi.models import Indicator, Look, Measure, MeasureImport
from tests.factories.courses import NOVEMBER, local, make_course, make_enrolment, make_run
from tests.factories.kpi import make_indicators
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 12, 5, 9)
OVERVIEW = reverse("kpi:measures")
FILES = reverse("kpi:measure_imports")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, settings, tmp_path):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    settings.STORAGES = {
        **settings.STORAGES,
        "private": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        },
    }


class World:
    """A group with an east and a west, a manager with one report in the east, and a person for every role."""

    def __init__(self):
        self.indicators = make_indicators()
        self.group = make_unit(name="集团", name_en="Group", code="G")
        self.east, self.west = (
            make_unit(self.group, name="东城", name_en="East", code="E"),
            make_unit(self.group, name="西城", name_en="West", code="W"),
        )
        self.manager = make_employee(unit=self.east, with_user=True, name="主管")
        self.ann = make_employee(unit=self.east, manager=self.manager, with_user=True, name="安然", employee_no="0012")
        self.eve = make_employee(unit=self.west, with_user=True, name="叶薇", employee_no="0020")
        self.users = {"manager": self.manager.user, "ann": self.ann.user, "eve": self.eve.user}
        for name, role, unit in (
            ("hr", "hr", self.group),
            ("hr east", "hr", self.east),
            ("hr west", "hr", self.west),
            ("auditor", "auditor", None),
            ("author", "author", None),
            ("admin", "admin", None),
        ):
            self.users[name] = make_user(username=name)
            grant(self.users[name], role, unit)

    def write(self, code, value, subject=None, month=NOVEMBER, **fields):
        subject = subject or self.ann
        key = "unit" if subject in (self.group, self.east, self.west) else "employee"
        row = NewMeasure(indicator=self.indicators[code], month=month, value=D(value), **{key: subject.pk}, **fields)
        return Measure.objects.get(pk=measures.write_measures(rows=[row], by=None, at=NOW).ids[0])

    def close(self):
        run = make_run(make_course(steps=1))
        make_enrolment(self.ann, run, state="completed")
        make_enrolment(self.eve, run)
        close = closing.begin_close(month=NOVEMBER, by=None, at=NOW)
        closing.sign_below(close=close, unit=self.group, by=None, at=NOW)
        closing.sign_off(close=close, unit=self.group, by=None, at=NOW)
        closing.close_month(close=close, by=None, at=NOW)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def jobs(django_capture_on_commit_callbacks):
    """What a request puts in the queue is done when the block ends."""
    return django_capture_on_commit_callbacks


@pytest.fixture
def as_(client, world):
    def sign_in(name, language="en"):
        client.force_login(world.users[name])
        client.cookies["django_language"] = language
        return client

    return sign_in


def statuses(as_, names, url):
    found = {}
    for name in names:
        answer = as_(name).get(url)
        found[name] = answer.status_code
        if answer.streaming:
            list(answer.streaming_content)  # a file that is read to its end is closed
    return found


EVERYBODY = ("ann", "eve", "manager", "hr", "hr east", "hr west", "auditor", "author", "admin")


# --- who may look ---------------------------------------------------------------------------------------------------------
def test_pm_f01_a_persons_measures_are_for_oneself_the_manager_hr_and_the_auditor(world, as_):
    measure = world.write("bonus", "1.5")
    page = {
        "ann": 200,
        "eve": 404,
        "manager": 200,
        "hr": 200,
        "hr east": 200,
        "hr west": 404,
        "auditor": 200,
        "author": 404,
        "admin": 404,
    }
    assert statuses(as_, EVERYBODY, reverse("kpi:person_measures", args=[world.ann.pk])) == page
    assert statuses(as_, EVERYBODY, reverse("kpi:measure", args=[measure.pk])) == page


def test_pm_f07_a_units_measure_is_for_hr_of_it_and_the_auditor(world, as_):
    measure = world.write("bonus", "1.5", world.east)
    expected = dict.fromkeys(EVERYBODY, 404) | {"hr": 200, "hr east": 200, "auditor": 200}
    assert statuses(as_, EVERYBODY, reverse("kpi:measure", args=[measure.pk])) == expected


def test_pm_f07_the_overview_and_charts_are_for_managers_hr_and_the_auditor(world, as_):
    expected = dict.fromkeys(EVERYBODY, 200) | dict.fromkeys(("ann", "eve", "author", "admin"), 403)
    assert statuses(as_, EVERYBODY, OVERVIEW) == expected
    url = reverse("kpi:indicator", args=[world.indicators["bonus"].pk])
    assert statuses(as_, EVERYBODY, url) == expected
    other = f"{url}?unit={world.east.pk}"
    expected = expected | {"manager": 404, "hr west": 404}
    assert statuses(as_, EVERYBODY, other) == expected


def test_pm_f02_pm_f03_files_and_indicators_are_for_hr(world, as_):
    expected = dict.fromkeys(EVERYBODY, 403) | dict.fromkeys(("hr", "hr east", "hr west"), 200)
    for url in (FILES, reverse("kpi:measure_template"), reverse("kpi:indicators"), reverse("kpi:new_indicator")):
        assert statuses(as_, EVERYBODY, url) == expected


@pytest.mark.parametrize("name", ["person_measures", "measure", "indicator", "edit_indicator", "measure_import"])
def test_a_missing_id_is_not_found(world, as_, name):
    for number in (999_999, 2**70):
        assert as_("hr").get(reverse(f"kpi:{name}", args=[number])).status_code == 404


# --- a person and a value -------------------------------------------------------------------------------------------------
def test_my_measures_shows_months_with_values_and_their_counts(world, as_):
    world.write("training", "50", numerator=D(1), denominator=D(2))
    world.write("satisfaction", "84.25", n=30, month=NOVEMBER.previous)
    world.write("bonus", "2", world.eve)

    page = as_("ann").get(reverse("kpi:my_measures")).content.decode()

    assert page.index("November 2026") < page.index("October 2026")
    for text in ("Training completion", "50\xa0%", "1 of 2", "84.25", "30 observations"):
        assert text in page
    assert "Bonus" not in page


def test_my_measures_without_an_employee_is_not_found(world, as_):
    assert as_("hr").get(reverse("kpi:my_measures")).status_code == 404


def test_a_measure_shows_what_it_rests_on(world, as_):
    world.close()
    collecting.collect_month(month=NOVEMBER, by=None, at=NOW)
    measure = Measure.objects.get(employee=world.ann)
    duty = measure.evidence["enrolments"][0]

    own = as_("ann").get(reverse("kpi:measure", args=[measure.pk]))
    other = as_("manager").get(reverse("kpi:measure", args=[measure.pk]))
    unit = as_("hr").get(reverse("kpi:measure", args=[Measure.objects.get(org_unit=world.group).pk]))

    assert reverse("courses:overview", args=[duty]) in own.content.decode()
    assert reverse("portal:person", args=[world.ann.pk]) in other.content.decode()
    assert "1 of 2 at the close" in unit.content.decode()
    assert reverse("courses:closed_month", args=[NOVEMBER]) in unit.content.decode()
    assert "Correct this value" not in own.content.decode() + other.content.decode()


def correct(client, measure, **data):
    return client.post(reverse("kpi:correct_measure", args=[measure.pk]), data)


def test_pm_f02_hr_of_the_person_corrects_with_a_reason(world, as_):
    measure = world.write("satisfaction", "70")
    answer = correct(as_("hr east"), measure, value="76.5", reason="复核录音")
    made = Measure.objects.get(supersedes=measure)
    assert (answer.status_code, answer.url) == (302, reverse("kpi:measure", args=[made.pk]))
    assert (made.value, made.reason, made.captured_by) == (D("76.5"), "复核录音", world.users["hr east"])
    old = as_("ann").get(reverse("kpi:measure", args=[measure.pk])).content.decode()
    assert "corrected later" in old
    assert "复核录音" in old


def test_hr_takes_a_value_back(world, as_):
    measure = world.write("complaints_late", "1")
    assert correct(as_("hr"), measure, withdraw="on", reason="记错了人").status_code == 302
    assert not measures.in_force().exists()
    assert (
        "nothing to measure"
        in as_("ann").get(reverse("kpi:measure", args=[Measure.objects.last().pk])).content.decode()
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"value": "76"}, "This field is required"),
        ({"value": "", "reason": "x"}, "Write the right value"),
        ({"value": "70", "reason": "x"}, "This is what stands there already."),
        ({"value": "70", "withdraw": "on", "reason": "x"}, "Either a right value or none"),
        ({"value": "很多", "reason": "x"}, "Enter a number"),
    ],
)
def test_a_faulty_correction_changes_nothing_and_keeps_what_was_typed(world, as_, data, message):
    measure = world.write("satisfaction", "70")
    answer = correct(as_("hr"), measure, **data)
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert Measure.objects.count() == 1


def test_a_measure_that_was_corrected_meanwhile_is_not_corrected_again(world, as_):
    measure = world.write("satisfaction", "70")
    correct(as_("hr"), measure, value="71", reason="x")
    answer = correct(as_("hr"), measure, value="72", reason="x")
    assert (answer.status_code, Measure.objects.count()) == (422, 2)
    assert "meanwhile" in answer.content.decode()


def test_pm_f02_nobody_else_corrects(world, as_):
    measure = world.write("satisfaction", "70")
    answers = {
        name: correct(as_(name), measure, value="99", reason="x").status_code
        for name in ("ann", "eve", "manager", "hr west", "auditor", "author", "admin")
    }
    assert answers == dict.fromkeys(answers, 403) | {"hr west": 404}
    assert Measure.objects.count() == 1


# --- months and charts ----------------------------------------------------------------------------------------------------
def test_the_overview_counts_people_and_units_in_scope(world, as_):
    world.write("satisfaction", "80")
    world.write("satisfaction", "80", world.eve)
    world.write("satisfaction", "80", world.east)
    world.write("bonus", "1", month=NOVEMBER.previous)

    def cells(name):
        rows = as_(name).get(OVERVIEW).context["rows"]
        return {
            row["indicator"].code: [(cell["now"].people, cell["now"].units) for cell in row["cells"]][-2:]
            for row in rows
            if any(cell["now"].total for cell in row["cells"])
        }

    assert cells("hr") == {"satisfaction": [(0, 0), (2, 1)], "bonus": [(1, 0), (0, 0)]}
    assert cells("hr west") == {"satisfaction": [(0, 0), (1, 0)]}
    assert cells("manager") == {"satisfaction": [(0, 0), (1, 0)], "bonus": [(1, 0), (0, 0)]}


def test_the_overview_says_what_is_missing_where_it_is_usual(world, as_, monkeypatch):
    world.write("satisfaction", "80")
    world.write("bonus", "1", month=NOVEMBER.previous)  # one person: no bonus in November is no gap
    assert "still missing" not in as_("hr").get(OVERVIEW).content.decode()
    monkeypatch.setattr("kpi.views.measures.USUAL", 1)
    assert "still missing" in as_("hr").get(OVERVIEW).content.decode()


def test_the_overview_asks_as_often_for_many_values_as_for_few(world, as_):
    world.write("bonus", "1")
    client = as_("hr")
    client.get(OVERVIEW)
    with CaptureQueriesContext(connection) as few:
        client.get(OVERVIEW)
    for number in range(12):
        person = make_employee(unit=world.east)
        for code in ("bonus", "satisfaction", "complaints_late"):
            world.write(code, "1", person, month=NOVEMBER.plus(-(number % 6)))
    with CaptureQueriesContext(connection) as many:
        client.get(OVERVIEW)
    assert len(many) == len(few)


def test_a_chart_says_what_it_shows_and_draws_limits_from_six_months_on(world, as_):
    url = reverse("kpi:indicator", args=[world.indicators["satisfaction"].pk])
    for back, value in enumerate(("80", "79")):
        world.write("satisfaction", value, world.group, month=NOVEMBER.plus(-back))
    few = as_("hr").get(url)
    assert few.context["sentence"] == (
        "November 2026: 80. 1 more than in October 2026. Limits are drawn from 6 months on."
    )
    for back, value in enumerate(("81", "79", "81", "79", "81", "79", "81", "30"), 2):
        world.write("satisfaction", value, world.group, month=NOVEMBER.plus(-back))
    many = as_("hr").get(url)
    assert many.context["sentence"] == (
        "November 2026: 80. 1 more than in October 2026."
        " February 2026 lies outside the limits: that is more than chance, look for its reason."
    )
    assert [dot.outside for dot in many.context["drawing"].dots].count(True) == 1
    assert len(many.context["rows"]) == 10


def test_a_chart_of_shares_has_limits_by_the_number_behind_each_month(world, as_):
    for back in range(6):
        world.write("training", "95", world.group, month=NOVEMBER.plus(-back), numerator=D(95), denominator=D(100))
    page = as_("auditor", "zh-hans").get(reverse("kpi:indicator", args=[world.indicators["training"].pk]))
    assert page.context["chart"].method == "p"
    assert "95%" in page.content.decode()


def test_a_manager_sees_the_team_and_hr_the_units_below(world, as_):
    world.write("satisfaction", "90")
    world.write("satisfaction", "60", world.eve)
    world.write("satisfaction", "75", world.east)
    url = reverse("kpi:indicator", args=[world.indicators["satisfaction"].pk])
    assert [one["point"].value for one in as_("manager").get(url).context["rows"]] == [D("90")]
    hr = as_("hr").get(url)
    assert [one["point"].value for one in hr.context["rows"]] == [D("75")]  # the mean of its two people
    assert [(one["unit"].code, one["measure"] and one["measure"].value) for one in hr.context["below"]] == [
        ("E", D("75")),
        ("W", None),
    ]


# --- collecting -----------------------------------------------------------------------------------------------------------
def test_hr_of_the_whole_company_collects_a_closed_month(world, as_):
    world.close()
    url = reverse("kpi:collect_measures")
    refused = {name: as_(name).post(url, {"month": "2026-11"}).status_code for name in EVERYBODY if name != "hr"}
    assert refused == dict.fromkeys(refused, 403) | {"hr east": 404, "hr west": 404}
    assert as_("hr").post(url, {"month": "2026-11"}).status_code == 302


def test_collecting_runs_to_its_end(world, as_, jobs):
    world.close()
    client = as_("hr")
    with jobs(execute=True):
        answer = client.post(reverse("kpi:collect_measures"), {"month": "2026-11"})
    assert "newest value of" in client.get(answer.url).content.decode()
    assert measures.in_force().filter(employee__isnull=False).count() == 2


def test_a_month_that_is_not_closed_is_not_collected(world, as_):
    answer = as_("hr").post(reverse("kpi:collect_measures"), {"month": "2026-11"}, follow=True)
    assert "not closed yet" in answer.content.decode()
    assert as_("hr").post(reverse("kpi:collect_measures"), {"month": "x"}).status_code == 404


def test_the_command_collects_what_is_named_or_what_is_due(world):
    world.close()
    out = io.StringIO()
    call_command("collect_measures", "2026-11", stdout=out)
    call_command("collect_measures", stdout=out)
    assert out.getvalue().splitlines() == [
        "2026-11: 5 new, 0 corrected, 0 unchanged.",
        "2026-11: 0 new, 0 corrected, 5 unchanged.",
    ]
    with pytest.raises(CommandError, match="2026-10 is not closed"):
        call_command("collect_measures", "2026-10")
    with pytest.raises(CommandError, match="is not a month"):
        call_command("collect_measures", "October")


def test_the_night_collects_closed_months(world):
    from kpi.measure_jobs import collect_at_night

    world.close()
    collect_at_night(NOW)
    assert measures.in_force().count() == 5


# --- indicators -----------------------------------------------------------------------------------------------------------
NPS = {"name": "净推荐值", "code": "nps", "unit": "points", "better": "higher", "source": "file", "active": "on"}


def test_hr_makes_and_changes_an_indicator(world, as_):
    client = as_("hr east")
    assert client.post(reverse("kpi:new_indicator"), NPS).status_code == 302
    made = Indicator.objects.get(code="nps")
    url = reverse("kpi:edit_indicator", args=[made.pk])
    assert client.post(url, NPS | {"name_en": "Net promoter score"}).status_code == 302
    made.refresh_from_db()
    assert made.name_en == "Net promoter score"
    assert "Net promoter score" in client.get(reverse("kpi:indicators")).content.decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"code": "exam"}, "already exists"), ({"code": "n p s"}, "Use letters"), ({"name": ""}, "required")],
)
def test_a_faulty_indicator_is_not_kept(world, as_, change, message):
    answer = as_("hr").post(reverse("kpi:new_indicator"), NPS | change)
    assert (answer.status_code, Indicator.objects.count()) == (422, len(world.indicators))
    assert message in answer.content.decode()


def test_a_used_indicator_keeps_its_code_whatever_is_posted(world, as_):
    world.write("bonus", "1")
    bonus = world.indicators["bonus"]
    url = reverse("kpi:edit_indicator", args=[bonus.pk])
    assert as_("hr").post(url, NPS | {"code": "x", "unit": "count", "name": "奖励分"}).status_code == 302
    bonus.refresh_from_db()
    assert (bonus.code, bonus.unit, bonus.name) == ("bonus", "points", "奖励分")
    assert "It is in use" in as_("hr").get(url).content.decode()


# --- files ----------------------------------------------------------------------------------------------------------------
CSV = "工号,月份,指标,数值\n0012,2026-11,加分,1.5\n0020,2026-11,加分,2\n9999,2026-11,加分,1\n"


def post_file(client, jobs, text=CSV, **data):
    file = SimpleUploadedFile("加分.csv", text.encode(), content_type="text/csv")
    with jobs(execute=True):
        return client.post(FILES, {"file": file, **data})


def test_pm_f02_hr_uploads_checks_applies_and_takes_back(world, as_, jobs):
    client = as_("hr east")
    answer = post_file(client, jobs)
    upload = MeasureImport.objects.get()
    assert answer.url == reverse("kpi:measure_import", args=[upload.pk])
    page = client.get(answer.url)
    assert {key: upload.counts[key] for key in ("new", "refused")} == {"new": 1, "refused": 2}
    assert "Nobody who works in your units has this number." in page.content.decode()
    assert "叶薇" not in page.content.decode()

    faults = b"".join(client.get(reverse("kpi:measure_faults", args=[upload.pk]) + "?kind=csv").streaming_content)
    lines = faults.decode("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines if line[:1].isdigit()] == ["0020", "9999"]

    with jobs(execute=True):
        assert client.post(reverse("kpi:apply_measures", args=[upload.pk])).status_code == 302
    assert dict(measures.in_force().values_list("employee", "value")) == {world.ann.pk: D("1.5")}
    assert "Applied by" in client.get(answer.url).content.decode()
    assert client.post(reverse("kpi:apply_measures", args=[upload.pk])).status_code == 409

    with jobs(execute=True):
        assert client.post(reverse("kpi:undo_measures", args=[upload.pk])).status_code == 302
    assert not measures.in_force().exists()
    assert "Taken back" in client.get(answer.url).content.decode()
    assert "加分.csv" in client.get(FILES).content.decode()


def test_corrections_by_file_ask_for_a_reason(world, as_, jobs):
    world.write("bonus", "1")
    client = as_("hr east")
    post_file(client, jobs)
    url = reverse("kpi:apply_measures", args=[MeasureImport.objects.get().pk])
    assert client.post(url).status_code == 422
    with jobs(execute=True):
        assert client.post(url, {"reason": "补录"}).status_code == 302
    assert Measure.objects.last().reason == "补录"


def test_pm_f02_a_file_is_nobody_elses(world, as_, jobs):
    post_file(as_("hr east"), jobs)
    pk = MeasureImport.objects.get().pk
    url = reverse("kpi:measure_import", args=[pk])
    assert statuses(as_, ("hr", "hr west", "ann", "auditor"), url) == {
        "hr": 200,
        "hr west": 404,
        "ann": 403,
        "auditor": 403,
    }
    for name in ("apply_measures", "undo_measures", "check_measures", "discard_measures"):
        assert as_("hr west").post(reverse(f"kpi:{name}", args=[pk])).status_code == 404
        assert as_("hr east").get(reverse(f"kpi:{name}", args=[pk])).status_code == 405


def test_au_02_who_reads_what_a_file_would_change_has_looked_at_the_measures(world, as_, jobs):
    world.write("bonus", "1")
    client = as_("hr east")
    client.get(post_file(client, jobs).url)
    assert list(Look.objects.values_list("employee", "viewer", "what")) == [
        (world.ann.pk, world.users["hr east"].pk, "measures 2026-11")
    ]


def test_an_unreadable_file_says_what_to_do_and_is_put_aside(world, as_, jobs):
    client = as_("hr east")
    page = client.get(post_file(client, jobs, "姓名\n安然\n").url).content.decode()
    assert "No row with the headings" in page
    pk = MeasureImport.objects.get().pk
    with jobs(execute=True):
        assert client.post(reverse("kpi:check_measures", args=[pk])).status_code == 302
    assert client.post(reverse("kpi:discard_measures", args=[pk])).status_code == 302
    assert MeasureImport.objects.get().state == "discarded"
    assert client.post(reverse("kpi:check_measures", args=[pk])).status_code == 409


def test_an_upload_without_a_file_or_of_a_month_to_come_is_refused(world, as_, jobs):
    client = as_("hr")
    assert "Choose a file first." in client.post(FILES, {}).content.decode()
    answer = post_file(client, jobs, month="2027-01")
    assert (answer.status_code, MeasureImport.objects.count()) == (422, 0)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_template_comes_back_as_a_file_that_is_understood(world, as_, language):
    from kpi.imports import MeasureFile

    client = as_("hr east", language)
    for query in ("", "?people=1"):
        content = b"".join(client.get(reverse("kpi:measure_template") + query).streaming_content)
        with MeasureFile(io.BytesIO(content), month=Month(2026, 11), today=dt.date(2026, 12, 5)) as file:
            lines = list(file.lines())
        if query:
            assert [line.employee_no for line in lines] == sorted(one.employee_no for one in (world.ann, world.manager))
            assert len(file.wide) == 5
        else:
            assert (lines, len(file.places)) == ([], 10)
