"""Passwords, own paths and the growing pause: what people/sign_in.py holds."""

import datetime as dt

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from people.models import User
from people.sign_in import Argon2Hasher, own_path, pause_after, plain_text
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db


def test_sc_33_argon2id_with_the_owasp_minimum():
    encoded = Argon2Hasher().encode("some words in a row", "c2FsdHNhbHQ")
    assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.fixture
def person():
    root = make_unit(name="华信通服务集团", name_en="Huaxintong Service Group")
    employee = make_employee(
        make_unit(root),
        employee_no="0012345",
        name="王小伟",
        name_latin="Wang Xiaowei",
        email="sunflower@example.com",
        with_user=True,
    )
    return employee.user


def problems(password, user):
    try:
        validate_password(password, user)
    except ValidationError as error:
        return sorted(problem.code for problem in error.error_list)
    return []


@pytest.mark.parametrize(
    ("password", "codes"),
    [
        ("a long walk by the river", []),
        ("seven green lamps", []),
        ("雨后的操场边有三只鸽子在散步呢", []),  # 15 characters of any script
        ("!!!??? ... words ok", []),
        ("x" * 14, ["password_repeats", "password_too_short"]),
        ("short words", ["password_too_short"]),
        ("lamp river cloud " * 15 + "ab", ["password_too_long"]),
        ("aaaaaaaaaaaaaaaa", ["password_repeats"]),
        ("abcabcabcabcabcabc", ["password_repeats"]),
        ("1234567890123456", ["password_repeats"]),
        ("qwertyuiopasdfghjkl", ["password_repeats"]),
        ("abcdefghijklmnop", ["password_repeats"]),
        ("lamps and 0012345 and rivers", ["password_has_own_name"]),
        ("lamps and 王小伟 and rivers", ["password_has_own_name"]),
        ("lamps wangxiaowei rivers", ["password_has_own_name"]),
        ("lamps Wáng Xiǎo-Wěi rivers", ["password_has_own_name"]),
        ("lamps sunflower and rivers", ["password_has_own_name"]),
        ("lamps 华信通服务集团 and rivers", ["password_has_own_name"]),
        ("lamps huaxintongfuwujituan rivers", ["password_has_own_name"]),
        ("huaxintong service group", ["password_has_own_name"]),
    ],
)
def test_sc_30_sc_31_which_passwords_are_refused(person, password, codes):
    assert problems(password, person) == codes


def test_sc_31_common_passwords_are_refused(person):
    assert "password_too_common" in problems("password", person)


def test_sc_31_the_name_of_a_person_without_a_sign_in_yet_counts_too():
    make_unit()
    user = User(username="0042", first_name="李娜", last_name="Li Na", email="moonlight@example.com")
    assert problems("green moonlight over rivers", user) == ["password_has_own_name"]
    assert problems("lamps 李娜 and rivers again", user) == ["password_has_own_name"]


def test_sc_32_the_exact_characters_count(person):
    person.set_password("  words with spaces around  ")
    assert person.check_password("  words with spaces around  ")
    assert not person.check_password("words with spaces around")


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/my/", "/my/"),
        ("/my/?month=2026-11", "/my/?month=2026-11"),
        ("http://testserver/my/", "/my/"),
        ("https://evil.example/my/", ""),
        ("//evil.example", ""),
        ("///evil.example", ""),
        ("/\\evil.example", ""),
        ("\\\\evil.example", ""),
        ("http:///evil.example", ""),
        ("javascript:alert(1)", ""),
        ("http://testserver@evil.example/", ""),
        ("http://testserver//evil.example", ""),
        (" /my/", "/my/"),
        ("\t//evil.example", ""),
        ("my/", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_sc_24_only_paths_of_this_site_are_followed(rf, address, path):
    assert own_path(rf.get("/"), address) == path


def test_plain_text_reads_what_a_chinese_keyboard_gives():
    assert plain_text(" ００１２３ａ＠example.com ") == "00123a@example.com"


def test_sc_38_the_pause_doubles_up_to_an_hour():
    assert [pause_after(failures, 5) for failures in (5, 6, 7, 10, 11, 12, 60)] == [
        dt.timedelta(minutes=minutes) for minutes in (1, 2, 4, 32, 60, 60, 60)
    ]
