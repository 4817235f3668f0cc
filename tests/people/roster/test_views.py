"""The pages: who may, what stands on them, how many questions they ask, the files one takes away."""

import io
import re

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.models import Notice
from core.spreadsheets import open_table
from people.models import Employee, RosterImport
from tests.factories.people import grant, make_employee, make_position, make_unit
from tests.people.roster.tools import apply, checked, counts, csv_bytes, only, person, settle

pytestmark = pytest.mark.django_db
State = RosterImport.State


@pytest.fixture
def desk(client):
    client.cookies["django_language"] = "en"
    group = make_unit(code="G", name="华信通")
    east, south = make_unit(group, "E", name="华东公司"), make_unit(group, "S", name="华南公司")
    clerk = make_position("客户经理")
    head = make_employee(east, employee_no="0002", name="李娜", position=clerk, email="canary-east@example.com")
    make_employee(east, head, employee_no="0004", name="赵六", position=clerk)
    make_employee(south, employee_no="0005", name="钱七", email="canary-south@example.com")
    hr, second, outside = (
        make_employee(unit, with_user=True, name=f"人事{n}") for n, unit in enumerate([east, east, south])
    )
    for person_, unit in ((hr, east), (second, east), (outside, south)):
        grant(person_.user, "hr", unit)
    client.force_login(hr.user)
    return {"G": group, "E": east, "S": south, "hr": hr.user, "second": second.user, "outside": outside.user}


def page(name, *ids):
    return reverse(f"people:{name}", args=ids)


def upload(client, content, **values):
    values = {"mode": "changes", "missing": "keep", "effective_on": "2026-11-01", **values}
    return client.post(page("roster"), {"file": SimpleUploadedFile("十一月.csv", content), **values})


def done(client, response):
    """Run the job behind a redirect and return the page one lands on."""
    assert response.status_code == 302, response.content.decode()[:2000]
    roster = RosterImport.objects.order_by("-pk").first()
    settle(roster)
    return roster, client.get(response["Location"])


MIXED = csv_bytes(
    ["0002", "李娜", "华东公司", "店长"],
    ["0004", "赵六六", "华东公司", "", "", "", "", "", "new@example.com"],
    ["0060", "新人", "上海", "店长", "", "0002", "2026-01-05"],
    ["0061", "", "上海"],
    head="employee_no name unit position job_family manager_no hired_on left_on email mobile language".split(),  # noqa: SIM905
)


def test_a_file_goes_through_the_four_steps(client, desk):
    roster, response = done(client, upload(client, MIXED))
    assert (roster.scope, roster.uploaded_by, roster.file_name) == (desk["E"], desk["hr"], "十一月.csv")
    assert counts(roster) == only(new=1, changed=1, moved=1, refused=1)
    text = response.content.decode()
    assert "Apply 3 differences?" in text
    assert "1 row is refused" in text
    moved = client.get(page("roster_detail", roster.pk), {"outcome": "moved"}).content.decode()
    assert re.search(r"<del>客户经理</del>.*<ins>店长</ins>", moved, re.S)
    changed = client.get(page("roster_detail", roster.pk), {"outcome": "changed"}).content.decode()
    assert "<del>赵六</del>" in changed
    assert "new@example.com" in changed
    new = client.get(page("roster_detail", roster.pk), {"outcome": "new"}).content.decode()
    assert "上海" in new  # a unit that is not there yet
    assert "李娜 (0002)" in new
    roster, response = done(client, client.post(page("roster_apply", roster.pk)))
    assert (roster.state, person("0004")["name"]) == (State.APPLIED, "赵六六")
    assert "Applied by" in response.content.decode()
    roster, response = done(client, client.post(page("roster_undo", roster.pk)))
    assert (roster.state, person("0004")["name"]) == (State.UNDONE, "赵六")
    assert "Taken back by" in response.content.decode()


@pytest.mark.parametrize(
    ("values", "content", "words"),
    [
        ({"effective_on": "2999-01-01"}, MIXED, "has not come yet"),
        ({"effective_on": "x"}, MIXED, "field__error"),
        ({"mode": "all"}, MIXED, "field__error"),
        ({"scope": "999"}, MIXED, "field__error"),
        ({}, b"", "The file is empty"),
    ],
)
def test_an_upload_that_cannot_be_is_answered_in_words_and_makes_nothing(client, desk, values, content, words):
    grant(desk["hr"], "hr", desk["S"])  # two units: the unit is asked
    values = {"scope": desk["E"].pk, **values}
    response = upload(client, content, **values)
    assert response.status_code == 422
    assert "error" in response.content.decode() or words in response.content.decode()
    assert not RosterImport.objects.exists()


def test_a_file_that_is_too_large_is_not_kept(client, desk, monkeypatch):
    monkeypatch.setattr("people.roster_forms.MOST_BYTES", 10)
    response = upload(client, MIXED)
    assert response.status_code == 422
    assert "larger than 80 MB" in response.content.decode()
    assert not RosterImport.objects.exists()


def test_an_unreadable_file_says_why_and_what_to_do(client, desk):
    roster, response = done(client, upload(client, b"PK\x03\x04nonsense"))
    assert roster.state == State.UNREADABLE
    assert "damaged or cut off" in response.content.decode()
    assert client.post(page("roster_discard", roster.pk)).status_code == 302


def test_pm_i01_the_unit_is_one_of_ones_own(client, desk):
    assert upload(client, MIXED, scope=desk["S"].pk).status_code == 422
    roster, _response = done(client, upload(client, MIXED))
    assert roster.scope == desk["E"]  # with one unit nothing is asked
    grant(desk["hr"], "hr", make_unit(desk["G"], "N", name="华北公司"))
    assert upload(client, MIXED, scope=desk["S"].pk).status_code == 422
    assert upload(client, MIXED, scope=desk["E"].pk).status_code == 302


def test_pm_i01_server_owned_fields_are_not_taken_from_the_client(client, desk):
    extra = {
        "uploaded_by": desk["second"].pk,
        "state": "applied",
        "confirmed_by": desk["second"].pk,
        "uploaded_at": "2020-01-01",
    }
    roster, _response = done(client, upload(client, MIXED, **extra))
    assert (roster.uploaded_by, roster.state, roster.confirmed_by) == (desk["hr"], State.CHECKED, None)


def test_pm_i05_who_may_see_an_import(client, desk):
    roster = checked(MIXED, scope=desk["E"], by=desk["hr"])
    root = make_employee(desk["G"], with_user=True)
    grant(root.user, "hr", desk["G"])
    auditor = make_employee(desk["S"], with_user=True)
    grant(auditor.user, "auditor")
    plain = make_employee(desk["E"], with_user=True)
    for user, status in (
        (desk["hr"], 200),
        (desk["second"], 200),
        (root.user, 200),
        (auditor.user, 200),
        (desk["outside"], 404),
        (plain.user, 403),
    ):
        client.force_login(user)
        assert client.get(page("roster_detail", roster.pk)).status_code == status
        listed = client.get(page("roster"))
        assert listed.status_code == (403 if user == plain.user else 200)
        assert (roster.file_name in listed.content.decode()) is (status == 200)
    client.force_login(desk["outside"])
    missing, foreign = (client.get(page("roster_detail", pk)).content.decode() for pk in (10**9, roster.pk))
    assert _tokenless(missing) == _tokenless(foreign)


def _tokenless(text):
    return re.sub(r'X-CSRFToken": "[^"]+|value="[A-Za-z0-9]{64}"|/hr/roster/[0-9]+/', "", text)


def test_pm_i05_the_auditor_reads_and_does_nothing(client, desk):
    roster = checked(MIXED, scope=desk["E"], by=desk["hr"])
    auditor = make_employee(desk["S"], with_user=True)
    grant(auditor.user, "auditor")
    client.force_login(auditor.user)
    text = client.get(page("roster")).content.decode()
    assert 'type="file"' not in text
    assert "Apply the differences" not in client.get(page("roster_detail", roster.pk)).content.decode()
    assert client.post(page("roster"), {}).status_code == 403
    assert client.get(page("roster_template")).status_code == 403


# --- the stop -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(desk):
    for number in range(6):
        make_employee(desk["E"], employee_no=f"P{number}", name="人")
    rows = [[f"P{number}", "人", "华东公司", "店长"] for number in range(6)]
    roster = checked(csv_bytes(*rows), scope=desk["E"], by=desk["hr"])
    assert roster.needs_second
    return roster


def test_pm_i03_over_the_stop_a_second_person_must_agree(client, desk, stopped):
    response = client.post(page("roster_apply", stopped.pk), follow=True)
    stopped.refresh_from_db()
    assert stopped.state == State.AWAITING_SECOND
    text = response.content.decode()
    assert "another HR person has to agree" in text
    assert "人事1" in text
    assert "I agree" not in text
    assert Notice.objects.get(user=desk["second"]).url == page("roster_detail", stopped.pk)
    refused = client.post(page("roster_confirm", stopped.pk))  # the uploader tries it all the same
    assert refused.status_code == 409
    assert "second person has to be somebody else" in refused.content.decode()
    client.force_login(desk["outside"])
    assert client.post(page("roster_confirm", stopped.pk)).status_code == 404
    client.force_login(desk["second"])
    assert "I agree" in client.get(page("roster_detail", stopped.pk)).content.decode()
    roster, _response = done(client, client.post(page("roster_confirm", stopped.pk)))
    assert (roster.state, roster.confirmed_by, person("P0")["position"]) == (State.APPLIED, desk["second"], "店长")


def test_pm_i03_the_database_refuses_the_same_person_twice(desk, stopped):
    with pytest.raises(IntegrityError):
        RosterImport.objects.filter(pk=stopped.pk).update(confirmed_by=desk["hr"])


def test_pm_i03_the_second_person_may_not_be_in_the_file(client, desk, stopped):
    Employee.objects.filter(user=desk["second"]).update(employee_no="P9")
    rows = [[f"P{number}", "人", "华东公司", "店长"] for number in range(6)] + [["P9", "人事二", "华东公司"]]
    roster = checked(csv_bytes(*rows), scope=desk["E"], by=desk["hr"])
    apply(roster, by=desk["hr"])
    client.force_login(desk["second"])
    response = client.post(page("roster_confirm", roster.pk))
    assert response.status_code == 409
    assert "your own record" in response.content.decode()


def test_data_that_moved_on_is_checked_again_before_anything_is_applied(client, desk):
    roster = checked(MIXED, scope=desk["E"], by=desk["hr"])
    Employee.objects.filter(employee_no="0004").update(name="赵大六")
    response = client.post(page("roster_apply", roster.pk))
    assert response.status_code == 302
    settle(roster)
    text = client.get(response["Location"]).content.decode()
    assert "The data changed after the check" in text
    assert person("0004")["name"] == "赵大六"


# --- lists ----------------------------------------------------------------------------------------------------------


def test_pages_ask_the_same_number_of_questions_for_one_row_and_for_many(client, desk):
    def asked(address, **query):
        client.get(address, query)  # warm
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(address, query).status_code == 200
        return len(queries)

    few = checked(
        csv_bytes(["N1", "新", "上海", "店长", "", "0002"], ["0061", "", "x"]), scope=desk["E"], by=desk["hr"]
    )
    rows = [[f"N{n}", "新", f"上海/{n}", f"岗{n}", "", "N1" if n > 1 else "0002"] for n in range(1, 40)]
    bad = [[f"B{n}", "", "x"] for n in range(30)]
    one = [asked(page("roster_detail", few.pk), outcome=outcome) for outcome in ("new", "refused")]
    listed = asked(page("roster"))
    many = checked(csv_bytes(*rows, *bad), scope=desk["E"], by=desk["hr"])
    assert [asked(page("roster_detail", many.pk), outcome=outcome) for outcome in ("new", "refused")] == [
        one[0] + 1,
        one[1],
    ]
    assert asked(page("roster")) == listed
    assert max(one) <= 16


@pytest.mark.parametrize(
    "query",
    [
        {"outcome": "nonsense"},
        {"page": "0"},
        {"page": "-1"},
        {"page": "999999999999999999999"},
        {"page": "x"},
        {"q": "%"},
        {"q": "\x00"},
        {"q": "x" * 5000},
        {"outcome": ["new", "moved"]},
    ],
)
def test_pg_06_odd_filters_never_break_the_page(client, desk, query):
    roster = checked(MIXED, scope=desk["E"], by=desk["hr"])
    assert client.get(page("roster_detail", roster.pk), query).status_code == 200


def test_differences_are_searched_by_number_and_name(client, desk):
    roster = checked(csv_bytes(*[[f"N{n}", f"新{n}", "上海"] for n in range(60)]), scope=desk["E"], by=desk["hr"])
    response = client.get(page("roster_detail", roster.pk), {"q": "N5"})
    assert [line["change"].employee_no for line in response.context["lines"]] == [
        "N5",
        *[f"N{n}" for n in range(50, 60)],
    ]
    response = client.get(page("roster_detail", roster.pk), {"page": 2})
    assert len(response.context["lines"]) == 10


# --- files ----------------------------------------------------------------------------------------------------------


def table(response):
    with open_table(io.BytesIO(b"".join(response.streaming_content))) as opened:
        return [list(sheet.rows()) for sheet in opened.sheets]


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_refused_rows_come_back_in_their_columns_with_reasons_and_can_be_uploaded_again(client, desk, kind):
    content = (
        "备注,姓名,工号,部门,入职日期\n=x,新人,0060,上海,2026-02-30\ny,王五,0061,上海,2026-01-05\n,,0062,,\n".encode()
    )
    roster = checked(content, scope=desk["E"], by=desk["hr"])
    rows = table(client.get(page("roster_faults", roster.pk), {"kind": kind}))[0]
    assert rows[0] == ["备注", "姓名", "工号", "部门", "入职日期", "原因 reasons"]
    assert [row[:5] for row in rows[1:]] == [["'=x", "新人", "0060", "上海", "2026-02-30"], ["", "", "0062", "", ""]]
    assert "There is no such day." in rows[1][5]
    again = ",".join(rows[0]) + "\n" + ",".join([*rows[1][:4], "2026-02-28", '"' + rows[1][5] + '"'])
    roster = checked(again.encode(), scope=desk["E"], by=desk["hr"])
    assert counts(roster) == only(new=1)
    assert [note["params"] for note in roster.notes if note["code"] == "ignored_columns"] == [{"columns": ["备注"]}]


def test_the_fault_file_without_its_file_says_so(client, desk):
    roster = checked(MIXED, scope=desk["E"], by=desk["hr"])
    roster.file.storage.delete(roster.file.name)
    response = client.get(page("roster_faults", roster.pk))
    assert response.status_code == 409
    assert "no longer there" in response.content.decode()


def test_the_template_has_headings_in_both_languages_and_notes(client, desk):
    response = client.get(page("roster_template"))
    book = openpyxl.load_workbook(io.BytesIO(b"".join(response.streaming_content)))
    assert [cell.value for cell in book.worksheets[0][1]][:3] == ["工号 employee_no", "姓名 name", "部门 unit"]
    assert any("1.1" in str(row) or "zeros" in str(row) for row in book.worksheets[1].iter_rows(values_only=True))
    response = client.get(page("roster_template"), {"kind": "csv"})
    assert table(response)[0][0][0] == "工号 employee_no"


def test_pm_p02_the_present_roster_holds_ones_own_people_and_changes_nothing_when_uploaded(client, desk):
    response = client.get(page("roster_template"), {"people": 1})
    content = b"".join(response.streaming_content)
    with open_table(io.BytesIO(content)) as opened:
        rows = list(next(opened.sheets).rows())
    numbers = [row[0] for row in rows[1:]]
    assert {"0002", "0004"} <= set(numbers)
    assert "0005" not in numbers
    assert "canary-south" not in str(rows)
    assert desk["hr"].employee.employee_no not in numbers
    roster = checked(content, scope=desk["E"], by=desk["hr"])
    assert counts(roster) == only(unchanged=len(numbers))


def test_putting_a_file_aside_deletes_it(client, desk):
    roster = checked(MIXED, scope=desk["E"], by=desk["hr"])
    storage, name = roster.file.storage, roster.file.name
    assert client.post(page("roster_discard", roster.pk)).status_code == 302
    roster.refresh_from_db()
    assert (roster.state, roster.changes.count(), bool(roster.file)) == (State.DISCARDED, 0, False)
    assert storage.exists(name)  # until the commit, which this test never makes
    assert client.get(page("roster_detail", roster.pk)).status_code == 200
