"""Where the words of a path lead in the unit tree, and the units and positions that are made."""

import pytest

from people.domain.roster_units import PositionBook, UnitBook, make_positions, make_units
from people.models import OrgUnit, Position
from tests.factories.people import make_position, make_unit

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree():
    group = make_unit(code="G", name="华信通", name_en="Huaxintong")
    east, south = make_unit(group, "E", name="华东公司"), make_unit(group, "S", name="华南公司")
    shanghai = make_unit(east, "SH", name="上海", name_en="Shanghai")
    return {"G": group, "E": east, "S": south, "SH": shanghai}


def found(book, text):
    """The code of the unit, the path of the planned one, or the code of the fault."""
    unit, fault = book.find(text)
    if fault:
        return fault.code
    return OrgUnit.objects.get(pk=unit).code if unit > 0 else book.planned[unit]["path"]


@pytest.mark.parametrize(
    ("scope", "text", "where"),
    [
        (None, "华信通/华东公司/上海", "SH"),
        (None, "华信通>华东公司>上海", "SH"),
        (None, "华信通 ／ 华东公司 ＞ 上海", "SH"),
        (None, "/huaxintong/华东公司/SHANGHAI/", "SH"),
        (None, "SH", "SH"),
        (None, "新集团/甲", "新集团/甲"),
        (None, "华信通//上海", "unit_gap"),
        (None, "///", "unit_gap"),
        (None, "/".join("甲乙丙丁戊己庚辛壬癸子丑寅"), "unit_too_deep"),
        (None, "甲" * 101, "too_long"),
        ("G", "华东公司/上海", "SH"),
        ("G", "华北公司", "华信通/华北公司"),
        ("E", "华信通/华东公司/上海", "SH"),
        ("E", "华东公司/上海", "SH"),
        ("E", "上海", "SH"),
        ("E", "华东公司", "E"),
        ("E", "杭州/西湖营业厅", "华信通/华东公司/杭州/西湖营业厅"),
        ("E", "华信通/华东公司/杭州", "华信通/华东公司/杭州"),
        ("E", "华南公司/深圳", "unit_outside"),
        ("E", "华信通/华南公司", "unit_outside"),
        ("E", "华信通/华北公司", "unit_outside"),
        ("E", "华信通", "unit_outside"),
        ("E", "S", "unit_outside"),
    ],
)
def test_paths_lead_to_units_from_the_root_from_the_way_down_or_from_the_scope(tree, scope, text, where):
    assert found(UnitBook(tree[scope] if scope else None), text) == where


def test_two_units_of_one_name_at_one_place_are_not_guessed(tree):
    make_unit(tree["E"], "SH2", name="上海")
    book = UnitBook(tree["G"])
    assert [found(book, text) for text in ("华东公司/上海", "SH2")] == ["unit_twice", "SH2"]


def test_planned_units_are_made_once_below_their_parents_with_a_code_that_stays(tree):
    book = UnitBook(tree["G"])
    leaf, _fault = book.find("华东公司/杭州/西湖营业厅/早班")
    same, _fault = book.find("华信通＞华东公司＞杭州＞西湖营业厅＞早班")
    second, _fault = book.find("华东公司/上海/徐汇营业厅")
    book.find("不用/的")
    assert leaf == same
    ids = book.reserve({leaf, second})
    make_units(book.plan)
    made = {unit.name: unit for unit in OrgUnit.objects.exclude(pk__in=[unit.pk for unit in tree.values()])}
    assert {name: (unit.kind, unit.get_parent().name) for name, unit in made.items()} == {
        "杭州": ("city", "华东公司"),
        "西湖营业厅": ("branch", "杭州"),
        "早班": ("department", "西湖营业厅"),
        "徐汇营业厅": ("branch", "上海"),
    }
    assert (made["早班"].pk, made["徐汇营业厅"].pk) == (ids[leaf], ids[second])
    assert OrgUnit.find_problems() == ([], [], [], [], [])
    again = make_unit(name="x").add_child(name="y", code="z", kind="city")  # given ids are nobody else's
    assert again.pk > max(unit.pk for unit in made.values())
    code = made["杭州"].code
    OrgUnit.objects.filter(pk__in=[unit.pk for unit in made.values()]).delete()
    book = UnitBook(tree["G"])
    book.reserve({book.find("华东公司/杭州")[0]})
    make_units(book.plan)
    assert OrgUnit.objects.get(name="杭州").code == code


def test_new_roots_are_made_beside_the_old_ones(tree):
    book = UnitBook(None)
    book.reserve({book.find("新集团/甲")[0], book.find("新集团/乙")[0]})
    make_units(book.plan)
    assert OrgUnit.objects.get(name="乙").get_root().name == "新集团"
    assert OrgUnit.find_problems() == ([], [], [], [], [])


def test_positions_are_found_by_either_title_and_made_when_missing():
    make_position("店长", "Store manager", "管理")
    book = PositionBook()
    known, english, new = book.find("店长", "营销"), book.find("STORE MANAGER", None), book.find("客户 经理", None)
    assert (known, book.find("客户 经理", "营销"), list(book.differing)) == (english, new, ["店长"])
    book.reserve({known, new})
    make_positions(book.plan)
    assert list(Position.objects.values_list("title", "job_family")) == [("客户 经理", "营销"), ("店长", "管理")]
