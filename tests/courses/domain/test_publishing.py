import pytest
from django.core.exceptions import ValidationError

from courses.domain.publishing import course_pages, missing_translations, step_page, sync_course, unpublished_drafts
from courses.models import Course, CoursePage, Step
from tests.factories.courses import (
    course_of,
    make_catalogue,
    make_course_page,
    make_design,
    make_lesson_page,
    make_locales,
)

pytestmark = pytest.mark.django_db


def _translate(page, language="en", title="Courtesy"):
    """The page in the other language, published."""
    _zh, en = make_locales()
    translation = page.copy_for_translation(en, copy_parents=True)
    translation.title = title
    translation.save_revision().publish()
    return translation


def _steps(course):
    return list(Step.objects.filter(course=course, live=True).values_list("title_zh", "title_en", "position"))


def test_publishing_makes_the_course_and_its_steps():
    design = make_design()
    page = make_course_page(lessons=2, code="ETQ-01", title="销售礼仪", theme="etiquette", certificate_design=design)
    course = course_of(page)
    assert (course.code, course.theme, course.title_zh, course.title_en, course.certificate_design) == (
        "ETQ-01",
        "etiquette",
        "销售礼仪",
        "",
        design,
    )
    assert _steps(course) == [("第1课", "", 1), ("第2课", "", 2)]


def test_both_languages_are_one_course_with_one_list_of_steps():
    page = make_course_page(lessons=2, title="销售礼仪")
    _translate(page)
    for number, lesson in enumerate(page.get_children().specific(), start=1):
        _translate(lesson, title=f"Part {number}")

    course = Course.objects.get()
    assert (course.title_zh, course.title_en) == ("销售礼仪", "Courtesy")
    assert _steps(course) == [("第1课", "Part 1", 1), ("第2课", "Part 2", 2)]


def test_a_draft_is_no_course():
    page = make_course_page(publish=False)
    assert sync_course(page) is None
    assert not Course.objects.exists()


def test_a_new_title_is_copied_when_it_is_published():
    page = make_course_page(lessons=1)
    page.title = "新的标题"
    revision = page.save_revision()
    assert course_of(page).title_zh != "新的标题"
    revision.publish()
    assert course_of(page).title_zh == "新的标题"


def test_positions_follow_the_tree():
    page = make_course_page(lessons=3)
    first, _second, third = page.get_children().specific()
    third.move(first, pos="left")
    assert [title for title, _en, _position in _steps(course_of(page))] == ["第3课", "第1课", "第2课"]


def test_the_version_rises_with_the_list_of_required_steps_only():
    page = make_course_page(lessons=1)
    version = course_of(page).version

    lesson = page.get_children().specific().first()
    lesson.title, lesson.minutes = "改名", 9
    lesson.save_revision().publish()
    make_lesson_page(page, required=False)
    assert course_of(page).version == version

    make_lesson_page(page)
    assert course_of(page).version == version + 1


def test_a_step_taken_offline_or_deleted_is_kept_but_not_live():
    page = make_course_page(lessons=2)
    first, second = page.get_children().specific()
    first.unpublish()
    second.delete()
    assert list(Step.objects.values_list("live", flat=True)) == [False, False]
    assert Course.objects.exists()


def test_a_deleted_course_page_keeps_the_record_with_no_live_step():
    page = make_course_page(lessons=2)
    page.delete()
    assert (Course.objects.count(), Step.objects.filter(live=True).count()) == (1, 0)


def test_a_step_moved_to_another_course_goes_along():
    catalogue = make_catalogue()
    one, other = make_course_page(catalogue, lessons=2), make_course_page(catalogue, lessons=1)
    one.get_children().specific().first().move(other, pos="last-child")
    assert (len(_steps(course_of(one))), len(_steps(course_of(other)))) == (1, 2)


def test_code_theme_and_design_of_the_first_language_are_copied():
    page = make_course_page(lessons=1, code="ETQ-01")
    english = _translate(page)
    page.code, page.theme, page.certificate_design = "ETQ-02", "cases", make_design()
    page.save_revision().publish()
    english.refresh_from_db()
    assert (english.code, english.theme, english.certificate_design) == ("ETQ-02", "cases", page.certificate_design)
    assert course_of(page).code == "ETQ-02"


def test_a_code_of_another_course_is_refused_with_its_name():
    catalogue = make_catalogue()
    make_course_page(catalogue, code="ETQ-01", title="销售礼仪")
    other = make_course_page(catalogue, code="ETQ-02")
    other.code = "ETQ-01"
    with pytest.raises(ValidationError) as refused:
        other.full_clean()
    assert list(refused.value.message_dict) == ["code"]
    assert "销售礼仪" in refused.value.message_dict["code"][0]


def test_the_same_code_in_the_other_language_is_fine():
    english = _translate(make_course_page(lessons=1, code="ETQ-01"))
    english.full_clean()


def test_step_page_prefers_the_language_then_any_then_one_taken_offline():
    page = make_course_page(lessons=1)
    lesson = page.get_children().specific().first()
    step = Step.objects.get()
    assert step_page(step=step, language="en") == lesson

    _translate(page)
    english = _translate(lesson)
    assert (step_page(step=step, language="en"), step_page(step=step, language="zh-hans")) == (english, lesson)

    english.unpublish()
    lesson.unpublish()
    assert step_page(step=step, language="en") == english
    english.delete()
    lesson.delete()
    assert step_page(step=step, language="en") is None


def test_course_pages_finds_the_page_in_the_language_or_another():
    page = make_course_page(lessons=0)
    course = course_of(page)
    assert course_pages(courses=[course], language="en") == {course.pk: page}
    english = _translate(page)
    assert course_pages(courses=[course], language="en") == {course.pk: english}


def test_the_report_names_missing_languages_and_open_drafts():
    page = make_course_page(lessons=1)
    _zh, en = make_locales()
    lesson = page.get_children().specific().first()
    assert missing_translations() == [(page, [en]), (lesson, [en])]
    assert unpublished_drafts() == []

    _translate(page)
    lesson.title = "草稿"
    lesson.save_revision()
    assert missing_translations() == [(lesson, [en])]
    assert unpublished_drafts() == [lesson]


def test_the_english_form_shows_the_shared_fields_and_does_not_take_them():
    page = make_course_page(lessons=0, code="ETQ-01")
    english = _translate(page)
    form_class = CoursePage.get_edit_handler().get_form_class()
    form = form_class(instance=english)
    assert [form.fields[name].disabled for name in ("code", "theme", "certificate_design")] == [True] * 3
    assert [form_class(instance=page).fields["code"].disabled] == [False]
