"""The pages of item analysis: who may open them, what a small group hides, the files, the ways to them (PM-Q01)."""

import datetime as dt
import io

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.cache import cache
from django.urls import reverse

from core.spreadsheets import open_table
from people.domain.roles import AUTHORS_GROUP
from tests.assessments.domain.test_item_analysis import T19, answered, hand_in, quiz_of_marks, versions_of
from tests.factories.assessments import STARTED, make_category, make_question, make_quiz
from tests.factories.people import grant, make_employee, make_unit

pytestmark = pytest.mark.django_db


def somebody(role=None):
    unit = make_unit()
    person = make_employee(unit, with_user=True)
    if role:
        grant(person.user, role, unit if role in ("hr", "pay_maker", "pay_checker") else None)
    return person


@pytest.fixture
def auditor(client):
    client.force_login(somebody("auditor").user)
    return client


def addresses(quiz):
    return [
        reverse("assessments:quizzes"),
        reverse("assessments:analysis", args=[quiz.pk]),
        reverse("assessments:analysis_export", args=[quiz.pk, "csv"]),
        reverse("assessments:analysis_export", args=[quiz.pk, "xlsx"]),
    ]


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (None, 403),
        ("hr", 403),
        ("pay_maker", 403),
        ("pay_checker", 403),
        ("admin", 403),
        ("author", 200),
        ("moderator", 200),
        ("auditor", 200),
    ],
)
def test_pm_q01_item_analysis_opens_to_authors_and_auditors_only(client, role, status):
    quiz = quiz_of_marks(T19)
    client.force_login(somebody(role).user)
    answers = [client.get(address) for address in addresses(quiz)]
    assert [answer.status_code for answer in answers] == [status] * 4
    for answer in answers:
        answer.close()


def test_pm_q01_nobody_else_gets_in(client):
    quiz = make_quiz()
    assert {client.get(address).status_code for address in addresses(quiz)} == {302}


def test_a_missing_quiz_or_question_is_not_found(auditor):
    for address in (*addresses(type("No", (), {"pk": 999_999}))[1:], *addresses(type("No", (), {"pk": 2**70}))[1:]):
        assert auditor.get(address).status_code == 404
    for question in ("999999", "x", "²", "9" * 30):
        assert auditor.get(reverse("assessments:quizzes"), {"question": question}).status_code == 404
    assert auditor.get(reverse("assessments:analysis_export", args=[make_quiz().pk, "pdf"])).status_code == 404


def test_t_19_on_the_page(auditor):
    quiz = quiz_of_marks(T19)
    found = auditor.get(reverse("assessments:analysis", args=[quiz.pk]))
    shown = {item.question.key: (item.facility, item.discrimination, item.item.n) for item in found.context["page"]}
    keys = sorted(shown)
    assert [shown[key] for key in keys] == [
        ("0.83", "0.34", 6), ("0.83", "0.34", 6), ("0.50", "0.60", 6), ("0.50", "0.60", 6), ("0.16", "0.47", 6),
    ]  # fmt: skip
    text = found.content.decode()
    for words in ("0.71", "± 0.8", "KR-20", "仅供参考，不与薪酬挂钩", "只有6人作答，需满100人", "作答太少"):
        assert words in text


def test_pm_q01_letter_m_a_small_group_shows_no_numbers(auditor):
    quiz = quiz_of_marks(T19[:4])
    address = reverse("assessments:analysis", args=[quiz.pk])
    found = auditor.get(address)
    text = found.content.decode()
    assert [(shown.facility, shown.discrimination, shown.options) for shown in found.context["page"]] == [
        ("", "", [])
    ] * 5
    assert "不足5人" in text
    assert "4人" not in text
    assert "选项的选择情况" not in text
    row = open_file(auditor.get(reverse("assessments:analysis_export", args=[quiz.pk, "csv"])))[1]
    assert row[5:9] == ["", "", "", ""]


def test_pm_q01_no_person_appears(auditor):
    quiz = quiz_of_marks(T19)
    people = [attempt.enrolment.employee for attempt in quiz.attempts.select_related("enrolment__employee")]
    for address in addresses(quiz)[:3]:
        found = auditor.get(address)
        text = (b"".join(found.streaming_content) if found.streaming else found.content).decode()
        assert not [one for one in people if one.name in text or one.employee_no in text]


def test_the_answers_that_were_chosen_and_the_one_that_nobody_takes(auditor):
    question = make_question("single")
    quiz = make_quiz([question, make_question("single")])
    version, other = versions_of(quiz_questions(quiz))
    hand_in(quiz, [[answered(version, n % 2), answered(other, int(n % 3 > 0))] for n in range(30)])
    found = auditor.get(reverse("assessments:analysis", args=[quiz.pk]))
    shown = next(shown for shown in found.context["page"] if shown.item.version == version)
    assert [(option["text"], option["chosen"], option["idle"]) for option in shown.options] == [
        ("微笑问候", 15, False), ("低头看手机", 15, False), ("转身离开", 0, True),
    ]  # fmt: skip
    assert "无人选择" in found.content.decode()


def quiz_questions(quiz):
    return [line.question for line in quiz.draws.order_by("sort_order")]


def test_what_is_to_be_mended_comes_first(auditor):
    able, turned = [[1, 1, 1, 0, 1]] * 14, [[0, 0, 0, 1, 1]] * 14
    quiz = quiz_of_marks([*able, *turned, [1, 0, 1, 0, 1], [0, 1, 1, 0, 1]])
    found = auditor.get(reverse("assessments:analysis", args=[quiz.pk]))
    assert [shown.item.advice for shown in found.context["page"]] == ["negative", "too_easy", *["fine"] * 3]
    assert [one["count"] for one in found.context["summary"]] == [1, 1, 3]


def open_file(response):
    content = b"".join(response.streaming_content)
    with open_table(io.BytesIO(content)) as table:
        return list(next(iter(table.sheets)).rows())


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_file_says_the_same(auditor, kind):
    quiz = quiz_of_marks(T19)
    rows = open_file(auditor.get(reverse("assessments:analysis_export", args=[quiz.pk, kind])))
    assert [str(cell) for cell in rows[0]][7:9] == ["难度系数", "区分度"]
    assert [[float(cell) for cell in row[7:9]] for row in rows[1:]] == [
        [0.833, 0.346], [0.833, 0.346], [0.5, 0.603], [0.5, 0.603], [0.167, 0.478],
    ]  # fmt: skip


def test_quizzes_are_found_by_name_and_by_question(auditor):
    category = make_category()
    question = make_question("single", category=category)
    fixed, drawn, other = (
        make_quiz([question], name="固定"),
        make_quiz(draws=[(category, 1)], name="抽题"),
        make_quiz(name="别的"),
    )

    def names(**query):
        return {quiz.name for quiz in auditor.get(reverse("assessments:quizzes"), query).context["page"]}

    assert names() == {"固定", "抽题", "别的"}
    assert names(q="抽") == {"抽题"}
    assert names(question=question.pk) == {"固定", "抽题"}
    assert "没有这个名称的测验" in auditor.get(reverse("assessments:quizzes"), {"q": "无"}).content.decode()
    assert {fixed, drawn, other}


def test_the_pages_ask_as_often_for_one_quiz_and_attempt_as_for_many(auditor, django_assert_max_num_queries):
    def asked(address):
        with django_assert_max_num_queries(40) as queries:
            assert auditor.get(address).status_code == 200
        return len(queries)

    one = quiz_of_marks(T19[:1])
    addresses_of_one = [reverse("assessments:quizzes"), reverse("assessments:analysis", args=[one.pk])]
    asked(addresses_of_one[0])
    before = [asked(address) for address in addresses_of_one]
    many = quiz_of_marks(T19 * 5)
    assert [asked(addresses_of_one[0]), asked(reverse("assessments:analysis", args=[many.pk]))] == before


def test_a_large_quiz_is_not_summed_at_each_visit(auditor, monkeypatch, now):
    quiz = quiz_of_marks(T19)
    address = reverse("assessments:analysis", args=[quiz.pk])
    monkeypatch.setattr("assessments.analysis_views.LARGE", 6)
    first = auditor.get(address)
    now(STARTED + dt.timedelta(minutes=5))
    quiz.attempts.first().responses.update(score=0)
    again = auditor.get(address)
    assert (again.context["at"], again.context["whole"]) == (STARTED, first.context["whole"])
    cache.clear()
    assert auditor.get(address).context["at"] == STARTED + dt.timedelta(minutes=5)


def test_pm_q01_the_question_bank_leads_here(client):
    person = somebody("author")
    group, _made = Group.objects.get_or_create(name=AUTHORS_GROUP)
    group.permissions.add(
        *Permission.objects.filter(content_type__app_label="assessments"),
        Permission.objects.get(codename="access_admin"),
    )
    person.user.groups.add(group)
    client.force_login(person.user)
    question = make_question("single")
    quiz = make_quiz([question])
    quiz_address = reverse("assessments:analysis", args=[quiz.pk])
    asking = f"{reverse('assessments:quizzes')}?question={question.pk}"
    for name, args, wanted in [
        ("quiz:list", [], quiz_address), ("quiz:edit", [quiz.pk], quiz_address),
        ("question:list", [], asking), ("question:edit", [question.pk], asking),
    ]:  # fmt: skip
        text = client.get(reverse(f"wagtailsnippets_assessments_{name}", args=args)).content.decode()
        assert wanted in text, name
