"""Files of measures: reading, checking, applying, taking back."""

import datetime as dt
import io
from decimal import Decimal as D

import pytest

from core.events import verify_chain
from core.jobs import run_job
from core.models import Event, Job
from core.periods import Month
from core.spreadsheets import SheetOut, write_csv, write_xlsx
from kpi import imports, measure_jobs
from kpi.domain import measure_files, measures
from kpi.models import Measure, MeasureImport
from people.domain.access import Actor
from people.models import RoleGrant
from tests.factories.kpi import make_indicators
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOVEMBER = Month(2026, 11)
LONG = ["工号", "单位编码", "月份", "指标", "数值", "分子", "分母", "样本数", "标准差", "备注"]


@pytest.fixture(autouse=True)
def files_in_a_folder(settings, tmp_path, monkeypatch, at):
    settings.STORAGES = {
        **settings.STORAGES,
        "private": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        },
    }
    settings.JOBS = "worker"
    monkeypatch.setattr("django.utils.timezone.now", lambda: at)


class World:
    """A group with an east and a west; HR of the east; two people in the east, one in the west."""

    def __init__(self):
        self.indicators = make_indicators()
        self.group = make_unit(code="G")
        self.east, self.west = make_unit(self.group, code="E"), make_unit(self.group, code="W")
        self.ann = make_employee(unit=self.east, employee_no="0012", name="安然")
        self.bob = make_employee(unit=self.east, employee_no="0013", name="白波")
        self.eve = make_employee(unit=self.west, employee_no="0020", name="叶薇")
        self.hr = make_employee(unit=self.east, employee_no="0001", with_user=True, name="何思").user
        grant(self.hr, "hr", self.east)

    def upload(self, header, *rows, kind="csv", month=None, name="十一月.csv", at=None):
        file = io.BytesIO()
        if kind == "csv":
            write_csv(file, header, rows)
        else:
            write_xlsx(file, [SheetOut("数据", header=header, rows=rows)])
        file.seek(0)
        made = measure_files.upload_file(file=file, file_name=name, month=month, by=self.hr, at=at or AT)
        return self.run(made)

    def run(self, upload):
        upload.refresh_from_db()
        run_job(upload.job_id)
        job = Job.objects.get(pk=upload.job_id)
        assert job.state == "done", job.error
        upload.refresh_from_db()
        return upload

    def apply(self, upload, reason=""):
        measure_files.request_apply(upload=upload, reason=reason, by=self.hr, at=AT)
        return self.run(upload)

    def undo(self, upload):
        measure_files.request_undo(upload=upload, by=self.hr, at=AT)
        return self.run(upload)

    def values(self):
        rows = measures.in_force().values_list(
            "indicator__code", "month", "employee__employee_no", "org_unit__code", "value"
        )
        return {(code, str(month), number or unit): value for code, month, number, unit, value in rows}


AT = dt.datetime(2026, 11, 18, 2, tzinfo=dt.UTC)


@pytest.fixture
def world():
    return World()


def faults(upload):
    return [(one["row"], one["column"], one["value"]) for one in upload.report["faults"]]


def test_a_long_file_is_checked_and_applied(world):
    upload = world.upload(
        LONG,
        ["0012", "", "2026-10", "客户满意度", "84.25", "", "", "30", "6.5", ""],
        ["0013", "", "2026年10月", "complaints_late", "2", "", "", "", "", ""],
        ["", "E", "2026/10", "Customer satisfaction", "81.5", "", "", "120", "", ""],
    )

    assert upload.state == "checked"
    assert upload.counts == {
        "rows": 3,
        "refused": 0,
        "new": 3,
        "corrected": 0,
        "unchanged": 0,
        "unexplained": 0,
    }
    assert not Measure.objects.exists()

    world.apply(upload)

    assert (upload.state, upload.counts["new"]) == ("applied", 3)
    assert world.values() == {
        ("satisfaction", "2026-10", "0012"): D("84.25"),
        ("complaints_late", "2026-10", "0013"): D("2"),
        ("satisfaction", "2026-10", "E"): D("81.5"),
    }
    first = Measure.objects.get(employee=world.ann)
    assert (first.n, first.spread, first.source, first.captured_by) == (30, D("6.5"), "file", world.hr)
    assert first.evidence == {"file": "十一月.csv", "row": 2, "import": upload.pk}
    actions = list(Event.objects.filter(chain="measures").order_by("sequence").values_list("action", flat=True))
    assert actions == ["file uploaded", "measures from a file", "file applied"]
    assert verify_chain("measures") == (3, None)


def test_a_wide_workbook_is_taken_and_empty_cells_say_nothing(world):
    upload = world.upload(
        ["员工号", "姓名", "客户满意度", "加分", "complaints_late"],
        ["0012", "安然", 84.5, "", 0],
        ["0013", "白波", 79, 1.5, "-"],
        kind="xlsx",
        month=Month(2026, 10),
    )
    assert upload.report["ignored"] == ["姓名"]
    world.apply(upload)
    assert world.values() == {
        ("satisfaction", "2026-10", "0012"): D("84.5"),
        ("complaints_late", "2026-10", "0012"): D("0"),
        ("satisfaction", "2026-10", "0013"): D("79"),
        ("bonus", "2026-10", "0013"): D("1.5"),
    }
    assert Measure.objects.first().evidence["sheet"] == "数据"


def test_corrections_need_a_reason_and_unchanged_values_stay(world):
    world.apply(world.upload(LONG, ["0012", "", "2026-10", "加分", "1"], ["0013", "", "2026-10", "加分", "1"]))
    second = world.upload(LONG, ["0012", "", "2026-10", "加分", "2"], ["0013", "", "2026-10", "加分", "1"])

    assert {name: second.counts[name] for name in ("new", "corrected", "unchanged", "unexplained")} == {
        "new": 0,
        "corrected": 1,
        "unchanged": 1,
        "unexplained": 1,
    }
    assert second.report["samples"] == [
        {
            "outcome": "corrected",
            "row": 2,
            "subject": "安然 0012",
            "employee": world.ann.pk,
            "month": "2026-10",
            "indicator": world.indicators["bonus"].pk,
            "before": "1.0000",
            "after": "2.0000",
        }
    ]
    with pytest.raises(measures.ReasonMissing):
        measure_files.request_apply(upload=second, reason=" ", by=world.hr, at=AT)
    world.apply(second, reason="漏记一次表扬")

    made = Measure.objects.get(supersedes__isnull=False)
    assert (made.employee, made.value, made.reason) == (world.ann, D("2"), "漏记一次表扬")


def test_a_note_is_the_reason_of_its_row(world):
    world.apply(world.upload(LONG, ["0012", "", "2026-10", "加分", "1"]))
    second = world.upload(LONG, ["0012", "", "2026-10", "加分", "2", "", "", "", "", "补录"])
    assert second.counts["unexplained"] == 0
    world.apply(second)
    assert Measure.objects.get(supersedes__isnull=False).reason == "补录"


def test_taking_a_file_back_restores_what_stood_before(world):
    world.apply(world.upload(LONG, ["0012", "", "2026-10", "加分", "1"]))
    second = world.apply(
        world.upload(
            LONG,
            ["0012", "", "2026-10", "加分", "2", "", "", "", "", "补录"],
            ["0013", "", "2026-10", "加分", "3"],
            ["0013", "", "2026-10", "超时回复", "1"],
        )
    )
    late = Measure.objects.get(indicator__code="complaints_late")
    measures.correct_measure(measure=late, value=D("2"), reason="核实", by=world.hr, at=AT)

    world.undo(second)

    assert (second.state, second.report["left"]) == ("undone", 1)
    assert world.values() == {
        ("bonus", "2026-10", "0012"): D("1"),
        ("complaints_late", "2026-10", "0013"): D("2"),
    }
    with pytest.raises(measure_files.WrongState):
        measure_files.request_undo(upload=second, by=world.hr, at=AT)


def test_pm_f02_only_people_and_units_of_ones_own_units_are_written(world):
    upload = world.upload(
        LONG,
        ["0020", "", "2026-10", "加分", "1"],  # of the west
        ["9999", "", "2026-10", "加分", "1"],  # nobody
        ["0001", "", "2026-10", "加分", "1"],  # oneself
        ["", "W", "2026-10", "加分", "1"],
        ["", "G", "2026-10", "加分", "1"],
        ["0012", "", "2026-10", "加分", "1"],
    )
    west, nobody, own, *_units = upload.report["faults"]
    assert (upload.counts["new"], upload.counts["refused"]) == (1, 5)
    # somebody else's person and a missing one are told apart by nothing
    assert {key: west[key] for key in ("problem", "cure")} == {key: nobody[key] for key in ("problem", "cure")}
    assert own["problem"] != west["problem"]
    world.apply(upload)
    assert world.values() == {("bonus", "2026-10", "0012"): D("1")}


def test_pg_09_a_role_that_ended_before_the_file_is_applied_writes_nothing(world):
    upload = world.upload(LONG, ["0012", "", "2026-10", "加分", "1"])
    measure_files.request_apply(upload=upload, reason="", by=world.hr, at=AT)
    RoleGrant.objects.filter(user=world.hr).delete()
    world.run(upload)
    assert (world.values(), upload.counts["new"]) == ({}, 0)


@pytest.mark.parametrize(
    ("cells", "column", "value"),
    [
        (["", "", "2026-10", "加分", "1"], "工号", ""),
        (["0012", "E", "2026-10", "加分", "1"], "工号", "0012 / E"),
        (["0012", "", "", "加分", "1"], "月份", ""),
        (["0012", "", "十月", "加分", "1"], "月份", "十月"),
        (["0012", "", "2026-12", "加分", "1"], "月份", "2026-12"),
        (["0012", "", "2026-10", "没有的", "1"], "指标", "没有的"),
        (["0012", "", "2026-10", "", "1"], "指标", ""),
        (["0012", "", "2026-10", "加分", ""], "数值", ""),
        (["0012", "", "2026-10", "加分", "很多"], "数值", "很多"),
        (["0012", "", "2026-10", "加分", "9999999999"], "数值", "9999999999"),
        (["0012", "", "2026-10", "超时回复", "1.5"], "数值", "1.5"),
        (["0012", "", "2026-10", "超时回复", "-1"], "数值", "-1"),
        (["0012", "", "2026-10", "考试成绩", "90"], "数值", "90"),  # the platform measures it
        (["0012", "", "2026-10", "share", "0.985"], "数值", "0.985"),
        (["0012", "", "2026-10", "share", "98.5", "9", ""], "分母 denominator", ""),
        (["0012", "", "2026-10", "share", "98.5", "9", "10"], "数值", "98.5000"),
        (["0012", "", "2026-10", "share", "90", "9", "0"], "分母", "0"),
        (["0012", "", "2026-10", "加分", "1", "", "", "2.5"], "样本数", "2.5"),
        (["0012", "", "2026-10", "加分", "1", "", "", "", "-1"], "标准差", "-1"),
    ],
)
def test_a_faulty_row_is_refused_with_its_place(world, cells, column, value):
    from kpi.models import Indicator

    Indicator.objects.create(code="share", name="占比", unit="percent")
    upload = world.upload(LONG, cells)
    assert (upload.counts["refused"], upload.counts["new"]) == (1, 0)
    assert faults(upload)[0] == (2, column, value)
    assert all(one["problem"] and one["cure"] for one in upload.report["faults"])


def test_the_same_subject_twice_in_a_file_is_refused(world):
    upload = world.upload(LONG, ["0012", "", "2026-10", "加分", "1"], ["0012", "", "2026-10", "bonus", "2"])
    assert (upload.counts["new"], faults(upload)) == (1, [(3, "指标 indicator", "加分")])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (["姓名", "数值"], ["安然", "1"]),
        (["工号", "姓名"], ["0012", "安然"]),
    ],
)
def test_a_file_without_the_right_headings_cannot_be_read(world, header, row):
    upload = world.upload(header, row)
    assert (upload.state, upload.counts) == ("unreadable", {})
    assert upload.report["problem"]
    assert upload.report["cure"]


def test_a_file_without_rows_and_one_that_is_none_cannot_be_read(world):
    assert world.upload(LONG).state == "unreadable"
    upload = measure_files.upload_file(
        file=io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"\x00" * 900), file_name="x.csv", month=None, by=world.hr, at=AT
    )
    assert world.run(upload).state == "unreadable"


def test_a_big_file_goes_part_by_part_and_a_job_that_was_taken_over_goes_on(world, monkeypatch):
    monkeypatch.setattr(imports, "ROWS", 2)
    monkeypatch.setattr(imports.resolved, "__defaults__", (2,))
    people = [make_employee(unit=world.east, employee_no=f"3{n:03d}") for n in range(7)]
    upload = world.upload(LONG, *([one.employee_no, "", "2026-10", "加分", "1"] for one in people))
    assert (upload.counts["rows"], upload.counts["new"]) == (7, 7)
    measure_files.request_apply(upload=upload, reason="", by=world.hr, at=AT)
    upload.refresh_from_db()
    kind, job = measure_jobs.ApplyMeasures(), upload.job
    job.total = kind.start(job)
    job.cursor += kind.chunk(job)
    kind._drop(job)
    other = measure_jobs.ApplyMeasures()  # another process, with nothing in its memory
    while job.cursor < job.total:
        upload.refresh_from_db()
        job.cursor += other.chunk(job)
    other.finish(job)
    upload.refresh_from_db()
    assert (upload.state, upload.counts["new"], Measure.objects.count()) == ("applied", 7, 7)
    assert len(measure_files.written_ids(upload)) == 7
    assert Event.objects.filter(action="measures from a file").count() == 4


def test_visible_imports_are_ones_own_and_all_for_hr_of_the_company(world):
    world.upload(LONG, ["0012", "", "2026-10", "加分", "1"])
    chief, other, nobody = (make_user() for _n in range(3))
    grant(chief, "hr", world.group)
    grant(other, "hr", world.east)

    def seen(user):
        actor = Actor(user=user, on=dt.date(2026, 11, 18))
        return measure_files.visible_imports(actor).count()

    assert [seen(user) for user in (world.hr, chief, other, nobody)] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("cell", "month"),
    [
        ("2026-10", Month(2026, 10)),
        ("2026/1", Month(2026, 1)),
        ("2026年1月", Month(2026, 1)),
        ("2026年10月份", Month(2026, 10)),
        ("202610", Month(2026, 10)),
        (202610.0, Month(2026, 10)),
        ("2026-10-01", Month(2026, 10)),
        (dt.datetime(2026, 10, 1), Month(2026, 10)),
        ("20261", None),
        ("2026-13", None),
        ("45962", None),
        ("", None),
    ],
)
def test_read_month(cell, month):
    assert imports.read_month(cell) == month


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (84.5, D("84.5")),
        (0.1 + 0.2, D("0.3")),
        (84.33333333333333, D("84.3333")),
        ("1,234.5", D("1234.5")),
        ("98.5%", D("98.5")),
        ("９８．５％", D("98.5")),
        ("−3", D("-3")),
        ("12,3", None),
        ("1e5", None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        ("", None),
        (dt.date(2026, 1, 1), None),
    ],
)
def test_read_number(cell, number):
    assert imports.read_number(cell) == number


def test_discard_and_wrong_states(world):
    upload = world.upload(LONG, ["0012", "", "2026-10", "加分", "1"])
    measure_files.discard(upload=upload, by=world.hr, at=AT)
    assert upload.state == MeasureImport.State.DISCARDED
    with pytest.raises(measure_files.WrongState):
        measure_files.request_apply(upload=upload, reason="", by=world.hr, at=AT)
    empty = world.upload(LONG, ["9999", "", "2026-10", "加分", "1"])
    with pytest.raises(measure_files.NothingToApply):
        measure_files.request_apply(upload=empty, reason="", by=world.hr, at=AT)
