import pytest
from django.core.cache import cache

from people.domain.queries import pinyin_of
from people.domain.search import SearchedTooOften, count_search, search_people
from tests.factories.people import make_employee, make_position, make_unit

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "pinyin"),
    [
        ("王伟", "wangwei ww"),
        ("欧阳 小明", "ouyangxiaoming oyxm"),
        ("单雄信", "shanxiongxin sxx"),
        ("吕布", "lvbu lb"),
        ("Ann Lee", "annlee al"),
        ("A王b2", "awangb2 awb"),
        ("", ""),
        ("🙂", ""),
    ],
)
def test_pinyin_of_gives_the_whole_and_the_initials(name, pinyin):
    assert pinyin_of(name) == pinyin


def test_pinyin_of_fits_its_column():
    assert len(pinyin_of("王" * 100)) == 200


@pytest.fixture
def people():
    unit, post = make_unit(name="深圳", name_en="Shenzhen"), make_position("营业员")
    return {
        "wei": make_employee(unit, employee_no="000123", name="王伟", name_latin="Wang Wei", position=post),
        "wu": make_employee(unit, employee_no="000456", name="吴文", mobile="13800000000", email="secret@example.com"),
        "ann": make_employee(unit, employee_no="A77", name="Ann Lee"),
        "gone": make_employee(unit, employee_no="000001", name="王伟", state="left", left_on="2026-01-31"),
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("王伟", ["wei", "gone"]),
        ("伟", ["wei", "gone"]),
        ("wangw", ["wei", "gone"]),
        ("Wang Wei", ["wei", "gone"]),
        ("wei wang", ["wei"]),
        ("ww", ["wu", "gone", "wei"]),
        ("000123", ["wei"]),
        ("0004", ["wu"]),
        ("a77", ["ann"]),
        ("lee", ["ann"]),
        ("%", []),
        ("_", []),
        ("", []),
        ("   ", []),
        ("13800000000", []),
        ("secret", []),
    ],
)
def test_pm_h01_search_finds_by_name_pinyin_and_number_only(people, text, found):
    keys = {employee.pk: key for key, employee in people.items()}
    hits = [keys[employee.pk] for employee in search_people(text)]
    assert sorted(hits) == sorted(found)
    if "gone" in hits:
        assert hits[-1] == "gone"  # who left comes last


def test_pm_h01_search_reads_the_card_only_in_one_query(people, django_assert_num_queries):
    with django_assert_num_queries(1):
        hit = search_people("000123")[0]
        assert (hit.name, hit.unit.label, hit.position.label) == ("王伟", "深圳", "营业员")
    assert {"email", "mobile"} <= hit.get_deferred_fields()


def test_pm_h01_search_gives_20_hits_at_most_and_the_exact_number_first():
    unit = make_unit()
    for number in range(25):
        make_employee(unit, employee_no=f"77{number:03}", name="张三")
    make_employee(unit, employee_no="77", name="李四")
    hits = list(search_people("77"))
    assert len(hits) == 20
    assert hits[0].employee_no == "77"


def test_sc_63_more_than_60_searches_in_a_minute_are_too_many():
    cache.clear()
    for _ in range(60):
        count_search(1, 1000)
    with pytest.raises(SearchedTooOften):
        count_search(1, 1000)
    count_search(2, 1000)  # somebody else
    count_search(1, 1001)  # a minute later
