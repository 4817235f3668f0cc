import pytest
from django.core.cache import cache
from django.test import override_settings
from django.urls import reverse

from courses.domain.publishing import sync_course
from courses.models import Enrolment, StepCompletion
from tests.factories.courses import (
    course_of,
    local,
    make_catalogue,
    make_course,
    make_course_page,
    make_design,
    make_enrolment,
    make_lesson_page,
    make_locales,
    make_run,
    make_step,
)
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 10, 9)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    """The views read the clock; here it stands."""
    cache.clear()  # the tests use the same ids again, and time stands still
    clock = {"now": NOW}
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock["now"])
    return lambda moment: clock.update(now=moment)


@pytest.fixture
def learner():
    return make_employee(unit=make_unit(), with_user=True)


@pytest.fixture
def course_page():
    return make_course_page(lessons=2, title="销售礼仪", certificate_design=make_design())


@pytest.fixture
def enrolment(learner, course_page):
    return make_enrolment(learner, make_run(course_of(course_page)))


@pytest.fixture
def signed_in(client, learner):
    client.force_login(learner.user)
    return client


def _steps(enrolment):
    return [run_step.step for run_step in enrolment.run.steps.all()]


def _lesson(enrolment, step):
    return reverse("courses:lesson", args=[enrolment.pk, step.pk])


def _overview(enrolment):
    return reverse("courses:overview", args=[enrolment.pk])


def _visit(enrolment, step):
    return reverse("courses:visit", args=[enrolment.pk, step.pk])


def test_pm_t06_the_overview_is_only_the_learners_own(client, enrolment, learner):
    colleague = make_employee(unit=learner.unit, manager=None, with_user=True)
    manager = make_employee(unit=learner.unit, with_user=True)
    type(learner).objects.filter(pk=learner.pk).update(manager=manager)
    hr = make_user()
    grant(hr, "hr", learner.unit)
    for user, status in ((learner.user, 200), (colleague.user, 404), (manager.user, 404), (hr, 404)):
        client.force_login(user)
        assert client.get(_overview(enrolment)).status_code == status
        step = _steps(enrolment)[0]
        assert client.get(_lesson(enrolment, step)).status_code == status
        if status == 404:
            assert client.post(_lesson(enrolment, step)).status_code == 404
            assert client.post(_visit(enrolment, step)).status_code == 404
    assert not StepCompletion.objects.exists()


def test_a_missing_duty_and_one_of_somebody_else_answer_alike(signed_in, enrolment):
    other = make_enrolment()
    assert signed_in.get(_overview(other)).content.count(b"404") == signed_in.get(
        reverse("courses:overview", args=[999999])
    ).content.count(b"404")


def test_nobody_reads_a_lesson_without_signing_in(client, enrolment):
    response = client.get(_lesson(enrolment, _steps(enrolment)[0]))
    assert response.status_code in (302, 401)


def test_the_overview_names_the_next_step_and_what_is_left(signed_in, enrolment):
    response = signed_in.get(_overview(enrolment))
    assert response.context["situation"] == "open"
    assert response.context["next_step"].step == _steps(enrolment)[0]
    assert (response.context["steps_done"], response.context["steps_total"], response.context["minutes_left"]) == (
        0,
        2,
        10,
    )


@pytest.mark.parametrize(
    ("state", "moment", "situation"),
    [
        ("assigned", local(2026, 10, 31, 12), "early"),
        ("assigned", local(2027, 1, 2), "closed"),
        ("exempt", NOW, "excused"),
        ("withdrawn", NOW, "excused"),
        ("completed", local(2027, 1, 2), "done"),
        ("in_progress", local(2026, 12, 5), "open"),
    ],
)
def test_the_overview_says_where_the_duty_stands(signed_in, learner, course_page, now, state, moment, situation):
    enrolment = make_enrolment(learner, make_run(course_of(course_page)), state=state)
    now(moment)
    signed_in.force_login(learner.user)
    response = signed_in.get(_overview(enrolment))
    assert (response.status_code, response.context["situation"]) == (200, situation)
    assert response.context["is_overdue"] == (moment > enrolment.due_at and state in ("assigned", "in_progress"))


def test_reading_changes_nothing(signed_in, enrolment):
    signed_in.get(_overview(enrolment))
    signed_in.get(_lesson(enrolment, _steps(enrolment)[0]))
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.last_step, StepCompletion.objects.count()) == ("assigned", None, 0)


def test_the_beacon_keeps_the_place_and_answers_nothing(signed_in, enrolment):
    step = _steps(enrolment)[1]
    response = signed_in.post(_visit(enrolment, step), headers={"X-Keep-Place": "yes"})
    enrolment.refresh_from_db()
    assert (response.status_code, enrolment.state, enrolment.last_step) == (204, "in_progress", step)
    assert signed_in.get(_overview(enrolment)).context["next_step"].step == step


def test_continue_keeps_the_place_without_javascript_and_leads_on(signed_in, enrolment):
    step = _steps(enrolment)[0]
    response = signed_in.post(_visit(enrolment, step))
    assert (response.status_code, response.url) == (302, _lesson(enrolment, step))
    enrolment.refresh_from_db()
    assert enrolment.last_step == step


def test_done_leads_to_the_next_step_and_the_last_to_the_overview(signed_in, enrolment):
    first, second = _steps(enrolment)
    assert signed_in.post(_lesson(enrolment, first)).url == _lesson(enrolment, second)
    assert signed_in.post(_lesson(enrolment, second)).url == _overview(enrolment)

    response = signed_in.get(_overview(enrolment))
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.on_time, response.context["situation"]) == ("completed", True, "done")
    assert reverse("certificates:detail", args=[enrolment.certificate_id]) in response.content.decode()


def test_a_double_click_on_done_does_no_more(signed_in, enrolment):
    first, second = _steps(enrolment)
    for _press in range(2):
        signed_in.post(_lesson(enrolment, first))
    assert StepCompletion.objects.count() == 1
    signed_in.post(_lesson(enrolment, second))
    certificate = Enrolment.objects.get().certificate
    signed_in.post(_lesson(enrolment, second))
    assert Enrolment.objects.get().certificate == certificate


def test_done_after_the_last_acceptance_records_nothing_and_says_why(signed_in, enrolment, now):
    now(local(2027, 1, 1))
    signed_in.force_login(enrolment.employee.user)
    step = _steps(enrolment)[0]
    page = signed_in.get(_lesson(enrolment, step))
    assert (page.context["situation"], page.context["counts"]) == ("closed", False)
    response = signed_in.post(_lesson(enrolment, step), follow=True)
    assert [message.level_tag for message in response.context["messages"]] == ["error"]
    assert not StepCompletion.objects.exists()


def test_a_lesson_that_has_not_opened_leads_to_the_overview(signed_in, enrolment, now):
    now(local(2026, 10, 31, 12))
    assert signed_in.get(_lesson(enrolment, _steps(enrolment)[0])).url == _overview(enrolment)


def test_another_kind_of_step_is_neither_read_nor_completed_here(signed_in, learner):
    course = make_course(steps=1)
    quiz = make_step(course, kind="assessments.quizpage")
    enrolment = make_enrolment(learner, make_run(course))
    address = _lesson(enrolment, quiz)
    assert signed_in.get(address).url == reverse("assessments:quiz", args=[enrolment.pk, quiz.pk])
    assert signed_in.post(address).status_code == 404
    assert not StepCompletion.objects.exists()


def test_a_step_of_another_course_is_missing(signed_in, enrolment):
    other = make_course(steps=1).steps.get()
    assert signed_in.get(_lesson(enrolment, other)).status_code == 404


def test_a_lesson_shows_its_text_in_the_other_language_with_a_word(signed_in, enrolment):
    step = _steps(enrolment)[0]
    response = signed_in.get(_lesson(enrolment, step), headers={"Accept-Language": "en"})
    assert response.context["other_language"] is True
    assert "先问候，再倾听。" in response.content.decode()


def test_the_place_is_kept_across_languages(signed_in, enrolment, course_page):
    _zh, english = make_locales()
    lesson = course_page.get_children().specific().first()
    translation = lesson.copy_for_translation(english, copy_parents=True)
    translation.title = "Greeting"
    translation.body = [{"type": "tip", "value": "Smile."}]
    translation.save_revision().publish()
    step = _steps(enrolment)[0]
    signed_in.post(_visit(enrolment, step), headers={"X-Keep-Place": "yes"})

    response = signed_in.get(_lesson(enrolment, step), headers={"Accept-Language": "en"})
    assert (response.context["page"].title, response.context["other_language"]) == ("Greeting", False)
    assert "Smile." in response.content.decode()


def test_a_lesson_whose_page_is_gone_can_still_be_passed(signed_in, enrolment, course_page):
    step = _steps(enrolment)[0]
    course_page.get_children().first().delete()
    response = signed_in.get(_lesson(enrolment, step))
    assert (response.status_code, response.context["page"]) == (200, None)
    signed_in.post(_lesson(enrolment, step))
    assert StepCompletion.objects.get().step == step


def test_a_new_text_is_shown_as_soon_as_it_is_published(signed_in, enrolment, course_page):
    step = _steps(enrolment)[0]
    signed_in.get(_lesson(enrolment, step))
    lesson = course_page.get_children().specific().first()
    lesson.body = [{"type": "text", "value": "<p>新的内容</p>"}]
    lesson.save_revision().publish()
    assert "新的内容" in signed_in.get(_lesson(enrolment, step)).content.decode()


def test_a_lesson_takes_the_same_queries_for_few_and_many_steps(
    signed_in, learner, django_assert_max_num_queries, course_page
):
    small = make_enrolment(learner, make_run(course_of(course_page)))
    large_page = make_course_page(course_page.get_parent().specific, lessons=8)
    large = make_enrolment(learner, make_run(course_of(large_page)))
    for enrolment in (small, large):
        address = _lesson(enrolment, _steps(enrolment)[0])
        signed_in.get(address)
        with django_assert_max_num_queries(12):
            signed_in.get(address)


def test_every_block_is_drawn(signed_in, learner):
    page = make_course_page(lessons=0)
    make_lesson_page(
        page,
        body=[
            {"type": "text", "value": "<h2>开场</h2><p>您好</p>"},
            {
                "type": "case",
                "value": {"title": "王女士", "story": "一\n\n二", "question": "怎么办？", "answer": "先道歉。"},
            },
            {"type": "tip", "value": "<b>不是标签</b>"},
        ],
    )
    enrolment = make_enrolment(learner, make_run(sync_course(page)))
    html = signed_in.get(_lesson(enrolment, _steps(enrolment)[0])).content.decode()
    assert "<details" in html and "先道歉。" in html
    assert "&lt;b&gt;不是标签&lt;/b&gt;" in html
    assert " style=" not in html


# --- pages of the tree --------------------------------------------------------------------------------------------
@pytest.fixture
def tree(course_page):
    lesson = course_page.get_children().specific().first()
    catalogue = course_page.get_parent().specific
    return {page.__class__.__name__: page.get_url() for page in (catalogue, course_page, lesson)}


def test_pm_c02_pages_of_the_tree_ask_for_the_sign_in(client, tree):
    for address in tree.values():
        response = client.get(address)
        assert (response.status_code, response.url.split("?")[0]) == (302, reverse("people:sign_in"))


def test_the_catalogue_lists_courses_in_fixed_queries(signed_in, tree, course_page, django_assert_max_num_queries):
    for _ in range(5):
        make_course_page(course_page.get_parent().specific, lessons=1)
    signed_in.get(tree["CourseCataloguePage"])
    with django_assert_max_num_queries(16):
        response = signed_in.get(tree["CourseCataloguePage"])
    assert response.context["count"] == 6


def test_the_course_page_offers_to_continue_to_who_has_the_duty(signed_in, tree, enrolment):
    response = signed_in.get(tree["CoursePage"])
    assert response.context["duty"].enrolment == enrolment
    assert _overview(enrolment) in response.content.decode()


def test_a_lesson_of_the_tree_leads_a_learner_to_the_own_one_and_others_to_the_course(client, tree, enrolment):
    client.force_login(enrolment.employee.user)
    assert client.get(tree["LessonPage"]).url == _lesson(enrolment, _steps(enrolment)[0])
    client.force_login(make_employee(unit=make_unit(), with_user=True).user)
    assert client.get(tree["LessonPage"]).url.endswith(tree["CoursePage"])


@pytest.mark.parametrize("role", ["author", "auditor"])
def test_pm_c01_authors_and_auditors_read_a_lesson_in_the_tree(client, tree, role):
    user = make_user()
    grant(user, role)
    client.force_login(user)
    response = client.get(tree["LessonPage"])
    assert response.status_code == 200
    assert "先问候，再倾听。" in response.content.decode()


@override_settings(ALLOWED_HOSTS=["*"])
@pytest.mark.parametrize("mode", ["", "pair"])
def test_previews_show_a_page_alone_and_beside_its_translation(rf, mode, course_page):
    user = make_user()
    request = rf.get("/cms/")
    request.user = user
    for page in (course_page, course_page.get_children().specific().first()):
        response = page.make_preview_request(request, mode, {"user": user})
        assert response.status_code == 200
        assert page.title in response.content.decode()


def test_the_catalogue_of_a_new_house_says_that_it_is_empty(signed_in):
    assert signed_in.get(make_catalogue().get_url()).context["count"] == 0
