"""The question bank in the content admin: who may, the list, the forms, the preview, the import, the quiz page."""

import io

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from assessments.forms import QuizForm
from assessments.models import Question, QuestionImport, Quiz
from assessments.viewsets import with_usage
from core.spreadsheets import SheetOut, write_xlsx
from people.domain.roles import AUTHORS_GROUP
from tests.factories.assessments import (
    build_question,
    make_attempt,
    make_category,
    make_question,
    make_quiz,
    make_quiz_duty,
    make_quiz_page,
)
from tests.factories.courses import make_course_page
from tests.factories.people import grant, make_employee, make_unit

pytestmark = pytest.mark.django_db


def admin(name, *args, model="question"):
    return reverse(f"wagtailsnippets_assessments_{model}:{name}", args=args)


@pytest.fixture
def author():
    """An author as the role and its Wagtail group make one."""
    person = make_employee(make_unit(), with_user=True)
    grant(person.user, "author")
    group, _made = Group.objects.get_or_create(name=AUTHORS_GROUP)
    models = ["question", "questioncategory", "quiz"]
    group.permissions.add(
        *Permission.objects.filter(content_type__app_label="assessments", content_type__model__in=models),
        Permission.objects.get(codename="access_admin"),
    )
    person.user.groups.add(group)
    return person


@pytest.fixture
def desk(client, author):
    client.force_login(author.user)
    return client


def form_of(question, options, **more):
    """The fields of the question form as the browser sends them."""
    fields = {
        "key": question.key, "category": question.category_id, "kind": question.kind, "difficulty": question.difficulty,
        "text_zh": question.text_zh, "text_en": "", "feedback_zh": "", "feedback_en": "", "number": "", "tolerance": "",
        "number_unit_zh": "", "number_unit_en": "", "tags": "",
        "options-TOTAL_FORMS": len(options), "options-INITIAL_FORMS": 0, "options-MIN_NUM_FORMS": 0, "options-MAX_NUM_FORMS": 1000,
    }  # fmt: skip
    for place, (text, right) in enumerate(options):
        fields |= {f"options-{place}-text_zh": text, f"options-{place}-ORDER": place + 1, f"options-{place}-id": ""}
        if right:
            fields[f"options-{place}-is_correct"] = "on"
    return {**fields, **more}


# --- who --------------------------------------------------------------------------------------------------------------
PAGES = [("list", "question"), ("add", "question"), ("import", "question"), ("import_template", "question"),
         ("list", "questioncategory"), ("add", "questioncategory"), ("list", "quiz"), ("add", "quiz")]  # fmt: skip


@pytest.mark.parametrize("role", [None, "hr", "auditor", "admin"])
def test_pm_q01_pm_q02_only_authors_enter_the_question_bank(client, role):
    question = make_question()
    unit = make_unit()
    person = make_employee(unit, with_user=True)
    if role:
        grant(person.user, role, unit if role == "hr" else None)
    client.force_login(person.user)
    for name, model in PAGES:
        assert client.get(admin(name, model=model)).status_code in (302, 403)
    for name in ("edit", "preview_on_edit", "history", "usage"):
        found = client.get(admin(name, question.pk))
        assert found.status_code in (302, 403)
        assert question.text_zh not in found.content.decode()
    assert client.post(admin("import"), {"file": SimpleUploadedFile("x.csv", b"x")}).status_code in (302, 403)
    assert not QuestionImport.objects.exists()


def test_pm_q01_pm_q02_authors_do(desk):
    question = make_question()
    for name, model in PAGES:
        response = desk.get(admin(name, model=model))
        assert (response.status_code, response.getvalue() != b"") == (200, True), name
    assert desk.get(admin("edit", question.pk)).status_code == 200


# --- the list ----------------------------------------------------------------------------------------------------------
def test_the_list_is_searched_in_chinese_and_filtered(desk):
    first = make_question("single", key="A-1", text_zh="客户投诉怎么办？", difficulty="hard")
    second = make_question("ordering", key="A-2", text_zh="排列步骤")
    first.tags.add("投诉")
    first.save()

    def found(**query):
        return [question.key for question in desk.get(admin("list"), query).context["object_list"]]

    assert found() == ["A-1", "A-2"]
    assert found(q="投诉") == ["A-1"]
    assert found(kind="ordering") == ["A-2"]
    assert found(category=second.category_id) == ["A-2"]
    assert found(difficulty="hard") == ["A-1"]
    assert found(tag=first.tags.get().pk) == ["A-1"]


def test_the_list_counts_quizzes_and_askings(desk):
    asked = make_question()
    make_attempt(*make_quiz_duty(make_quiz([asked])))
    make_quiz(draws=[(asked.category, 1), (asked.category, 1)])
    found = with_usage(Question.objects.all()).get(pk=asked.pk)
    assert (found.in_quizzes, found.asked) == (2, 1)


def test_the_list_asks_as_many_questions_for_one_as_for_many(desk, django_assert_max_num_queries):
    make_question()
    desk.get(admin("list"))
    with django_assert_max_num_queries(60) as one:
        desk.get(admin("list"))
    for _n in range(20):
        make_question()
    with django_assert_max_num_queries(60) as many:
        desk.get(admin("list"))
    assert len(many) <= len(one)


def test_the_chooser_finds_chinese(desk):
    make_question(key="A-1", text_zh="客户投诉怎么办？")
    make_question(key="A-2", text_zh="排列步骤")
    address = reverse("wagtailsnippetchoosers_assessments_question:choose_results")
    text = desk.get(address, {"q": "投诉"}).content.decode()
    assert "A-1" in text
    assert "A-2" not in text


# --- the forms ----------------------------------------------------------------------------------------------------------
def test_publishing_a_good_question_freezes_it(desk):
    question = build_question("single")
    options = [("微笑", True), ("转身", False)]
    found = desk.post(admin("add"), form_of(question, options, **{"action-publish": "1"}))
    assert found.status_code == 302
    stored = Question.objects.get(key=question.key)
    assert [option["zh"] for option in stored.versions.get().content["options"]] == ["微笑", "转身"]


def test_publishing_a_faulty_question_is_refused_with_the_field(desk):
    question = build_question("single")
    found = desk.post(admin("add"), form_of(question, [("微笑", False), ("转身", False)], **{"action-publish": "1"}))
    assert found.status_code == 200
    assert "请只标记一个正确选项" in found.content.decode()
    twice = desk.post(admin("add"), form_of(question, [("微笑", True), ("微笑", False)], **{"action-publish": "1"}))
    assert "重复" in twice.content.decode()
    assert not Question.objects.filter(key=question.key).exists()


def test_a_draft_may_be_unfinished(desk):
    question = build_question("single")
    assert desk.post(admin("add"), form_of(question, [("微笑", False)])).status_code == 302
    stored = Question.objects.get(key=question.key)
    assert (stored.live, stored.versions.count()) == (False, 0)


def quiz_fields(**line):
    return {
        "name": "测验", "pass_mark": 80, "attempts_allowed": 3, "grading": "highest", "time_limit": "", "layout": "one",
        "review": "finished", "draws-TOTAL_FORMS": 1, "draws-INITIAL_FORMS": 0, "draws-MIN_NUM_FORMS": 0,
        "draws-MAX_NUM_FORMS": 1000, "draws-0-ORDER": 1, "draws-0-points": 1, "draws-0-count": 1, "draws-0-id": "",
        **{f"draws-0-{name}": value for name, value in line.items()},
    }  # fmt: skip


def test_a_quiz_is_saved_only_when_the_bank_holds_what_it_draws(desk):
    category = make_category()
    make_question(category=category)
    refused = desk.post(admin("add", model="quiz"), quiz_fields(category=category.pk, count=3))
    assert refused.status_code == 200
    assert "只有1道已发布的题可抽，需要3道" in refused.content.decode()
    assert desk.post(admin("add", model="quiz"), quiz_fields(category=category.pk)).status_code == 302
    assert Quiz.objects.get().question_count == 1


@pytest.mark.parametrize("line", ["both", "none", "draft", "count"])
def test_a_line_of_a_quiz_is_one_question_or_one_category(desk, line):
    question, draft = make_question(), make_question(published=False)
    fields = {
        "both": {"question": question.pk, "category": question.category_id},
        "none": {},
        "draft": {"question": draft.pk},
        "count": {"question": question.pk, "count": 2},
    }[line]
    assert desk.post(admin("add", model="quiz"), quiz_fields(**fields)).status_code == 200
    assert not Quiz.objects.exists()
    assert QuizForm is not None


@pytest.mark.parametrize(("language", "words"), [("zh-hans", "微笑问候"), ("en", "Choose one answer.")])
def test_the_preview_shows_the_question_as_a_learner_sees_it(desk, language, words):
    question = make_question()
    data = form_of(question, [("微笑问候", True), ("转身", False)])
    desk.post(admin("preview_on_edit", question.pk), data)
    found = desk.get(admin("preview_on_edit", question.pk), {"mode": language})
    assert found.status_code == 200
    assert words in found.content.decode()


def test_a_category_offers_lessons_to_read_again(desk):
    make_quiz_duty(lessons=2)
    text = desk.get(admin("add", model="questioncategory")).content.decode()
    assert text.count("课程") >= 2
    assert "结课测验" not in text


# --- the import ---------------------------------------------------------------------------------------------------------
HEADER = ["题号", "分类", "题型", "题目", "选项A", "选项B", "答案"]


def upload(desk, rows, name="题目.xlsx"):
    file = io.BytesIO()
    write_xlsx(file, [SheetOut("题目", HEADER, rows)])
    return desk.post(admin("import"), {"file": SimpleUploadedFile(name, file.getvalue())})


def test_a_file_is_checked_previewed_and_applied(desk):
    make_category(slug="greeting")
    found = upload(
        desk,
        [
            ["A-1", "greeting", "单选题", "先做什么？", "问候", "转身", "A"],
            ["A-2", "无", "单选题", "？", "一", "二", "A"],
        ],
    )
    assert found.status_code == 302
    preview = desk.get(found.url)
    text = preview.content.decode()
    assert (preview.context["counts"]["new"], preview.context["counts"]["refused"]) == (1, 1)
    for words in ("A-1", "先做什么？", "没有这个分类", "greeting"):
        assert words in text
    assert not Question.objects.exists()
    done = desk.post(found.url, {"how": "publish"}, follow=True)
    assert "已导入1道题" in done.content.decode()
    assert Question.objects.get().live
    again = desk.post(found.url, {"how": "publish"}, follow=True)
    assert "已经导入过" in again.content.decode()
    assert Question.objects.count() == 1


def test_drafts_are_drafts(desk):
    make_category(slug="greeting")
    found = upload(desk, [["A-1", "greeting", "单选题", "先做什么？", "问候", "转身", "A"]])
    desk.post(found.url, {"how": "draft"})
    assert not Question.objects.get().live


def test_who_may_not_publish_imports_drafts_only(client, author):
    group = Group.objects.get(name=AUTHORS_GROUP)
    group.permissions.remove(Permission.objects.get(codename="publish_question"))
    client.force_login(author.user)
    make_category(slug="greeting")
    found = upload(client, [["A-1", "greeting", "单选题", "先做什么？", "问候", "转身", "A"]])
    assert not client.get(found.url).context["can_publish"]
    client.post(found.url, {"how": "publish"})
    assert not Question.objects.exists()


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7 x", b"PK\x03\x04 broken", b"\x00\x01\x02" * 99])
def test_a_bad_file_is_refused_in_words_and_nothing_is_kept(desk, content):
    found = desk.post(admin("import"), {"file": SimpleUploadedFile("题目.xlsx", content)})
    assert found.status_code == 200
    assert found.context["form"].errors["file"]
    assert not QuestionImport.objects.exists()


def test_another_authors_upload_is_not_there(desk, client):
    make_category(slug="greeting")
    found = upload(desk, [["A-1", "greeting", "单选题", "先做什么？", "问候", "转身", "A"]])
    other = make_employee(make_unit(), with_user=True)
    grant(other.user, "author")
    other.user.groups.add(Group.objects.get(name=AUTHORS_GROUP))
    client.force_login(other.user)
    assert client.get(found.url).status_code == 404
    assert client.post(found.url, {"how": "draft"}).status_code == 404


def test_the_template_is_a_workbook(desk):
    found = desk.get(admin("import_template"))
    body = b"".join(found.streaming_content)
    assert found["Content-Disposition"].startswith("attachment")
    assert body.startswith(b"PK")


# --- the quiz page --------------------------------------------------------------------------------------------------------
def test_a_quiz_page_leads_learners_to_their_quiz_and_others_to_the_course(client, author):
    course_page = make_course_page()
    page = make_quiz_page(make_quiz([make_question()]), parent=course_page)
    enrolment, step = make_quiz_duty()
    step.translation_key = page.translation_key
    step.course.steps.exclude(pk=step.pk).delete()
    type(step).objects.filter(translation_key=page.translation_key).exclude(pk=step.pk).delete()
    step.save()
    address = page.get_url()
    assert client.get(address).status_code == 302
    client.force_login(enrolment.employee.user)
    assert client.get(address).url == reverse("assessments:quiz", args=[enrolment.pk, step.pk])
    client.force_login(make_employee(make_unit(), with_user=True).user)
    assert client.get(address).url == course_page.get_url()
    client.force_login(author.user)
    shown = client.get(address)
    assert shown.status_code == 200
    assert "1道题" in shown.content.decode()
