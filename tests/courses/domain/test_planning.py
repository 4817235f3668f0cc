"""The year plan: planned as drafts, moved, copied, published; what is refused, and what each change leaves behind."""

import pytest

from core.events import verify_chain
from core.models import Event
from core.periods import Month
from courses.domain import opening, planning, preparing
from courses.domain.planning import LineState
from courses.models import CourseRun, Enrolment, PlanLine, Programme
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_design, make_programme, make_step
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

AT = local(2026, 11, 18, 10)
DECEMBER = Month(2026, 12)
JANUARY = Month(2027, 1)


@pytest.fixture
def by():
    return make_user()


@pytest.fixture
def unit():
    return make_unit()


@pytest.fixture
def programme(unit):
    return make_programme(make_audience(unit))


def _plan(programme):
    lines = PlanLine.objects.filter(programme=programme).order_by("month", "course__code")
    return [(line.course.code, str(line.month), line.published_at is not None) for line in lines]


def _events():
    return list(Event.objects.filter(chain="months").order_by("sequence").values_list("action", flat=True))


# --- programmes -------------------------------------------------------------------------------------------------------
def test_saving_a_programme_leaves_one_event_with_what_changed(unit, by):
    first, second = make_audience(unit), make_audience(unit)
    values = {"name": "新员工", "name_en": "", "active": True, "by": by, "at": AT}
    made = planning.save_programme(programme=None, audience=first, **values)
    for _twice in range(2):
        made = planning.save_programme(programme=made, audience=second, seen=planning.marker(made), **values)
    said = {"name": "新员工", "name_en": "", "audience": first.pk, "active": True}
    events = Event.objects.filter(chain="months").order_by("sequence")
    assert list(events.values_list("action", "actor", "subject_id", "before", "after")) == [
        ("programme made", by.pk, str(made.pk), None, said),
        ("programme changed", by.pk, str(made.pk), said, {**said, "audience": second.pk}),
    ]


def test_a_programme_that_was_changed_meanwhile_is_not_written_over(programme, by):
    seen, stale = planning.marker(programme), Programme.objects.get()
    values = {"name": "我的", "name_en": "", "audience": programme.audience, "active": True, "by": by, "at": AT}
    Programme.objects.update(active=False)
    with pytest.raises(planning.ProgrammeChanged):
        planning.save_programme(programme=stale, **values)
    with pytest.raises(planning.ProgrammeChanged):
        planning.save_programme(programme=Programme.objects.get(), seen=seen, **values)
    assert (Programme.objects.get().name, _events()) == (programme.name, [])


# --- planning, moving, removing ---------------------------------------------------------------------------------------
def test_plan_course_makes_a_draft_and_one_event(programme, by):
    line = planning.plan_course(programme=programme, course=make_course(code="A-1"), month=NOVEMBER, by=by, at=AT)

    event = Event.objects.get(chain="months")
    assert _plan(programme) == [("A-1", "2026-11", False)]
    assert (event.action, event.actor, event.subject_id, event.before, event.after) == (
        "course planned",
        by,
        str(line.pk),
        None,
        {"programme": programme.pk, "course": "A-1", "month": "2026-11", "published": False},
    )


def test_plan_course_refuses_a_month_that_passed_and_a_course_twice(programme, by):
    course = make_course()
    with pytest.raises(planning.MonthPassed):
        planning.plan_course(programme=programme, course=course, month=Month(2026, 10), by=by, at=AT)
    planning.plan_course(programme=programme, course=course, month=DECEMBER, by=by, at=AT)
    with pytest.raises(planning.AlreadyPlanned):
        planning.plan_course(programme=programme, course=course, month=DECEMBER, by=by, at=AT)
    assert (PlanLine.objects.count(), _events()) == (1, ["course planned"])


def test_move_course_keeps_what_is_published_and_can_be_taken_back(programme, by):
    line = planning.plan_course(
        programme=programme, course=make_course(code="A-1"), month=DECEMBER, by=by, at=AT, published=True
    )

    moved = planning.move_course(line=line, month=JANUARY, by=by, at=AT)
    assert (moved.month, _plan(programme)) == (JANUARY, [("A-1", "2027-01", True)])
    planning.move_course(line=moved, month=JANUARY, by=by, at=AT)  # where it is: nothing
    planning.move_course(line=moved, month=DECEMBER, by=by, at=AT)

    assert _plan(programme) == [("A-1", "2026-12", True)]
    assert _events() == ["course planned", "course moved", "course moved"]
    assert verify_chain("months") == (3, None)


def test_move_course_refuses_what_passed_what_is_there_and_what_was_opened(unit, by):
    make_employee(unit=unit)
    one, two = make_course(), make_course()
    programme = make_programme(
        make_audience(unit), plan=[(one, NOVEMBER), (one, DECEMBER), (two, NOVEMBER), (two, JANUARY)]
    )
    line = PlanLine.objects.get(course=one, month=DECEMBER)
    with pytest.raises(planning.MonthPassed):
        planning.move_course(line=line, month=Month(2026, 10), by=by, at=AT)
    with pytest.raises(planning.AlreadyPlanned):
        planning.move_course(line=line, month=NOVEMBER, by=by, at=AT)
    stale = PlanLine.objects.get(course=two, month=JANUARY)
    planning.move_course(line=stale, month=JANUARY.next, by=by, at=AT)
    with pytest.raises(planning.LineGone):  # somebody moved it a moment ago
        planning.move_course(line=stale, month=DECEMBER, by=by, at=AT)
    opened = PlanLine.objects.get(course=two, month=NOVEMBER)
    opening.open_month(month=NOVEMBER, by=by, at=AT)
    for change in (
        lambda: planning.move_course(line=opened, month=DECEMBER, by=by, at=AT),
        lambda: planning.remove_course(line=opened, by=by, at=AT),
        lambda: planning.unpublish_lines(programme=programme, lines=[opened.pk], by=by, at=AT),
    ):
        with pytest.raises(planning.LineOpened):
            change()
    assert len(_plan(programme)) == 4


def test_remove_course_takes_an_unopened_line_out_once(programme, by):
    line = planning.plan_course(programme=programme, course=make_course(code="A-1"), month=DECEMBER, by=by, at=AT)

    planning.remove_course(line=line, by=by, at=AT)
    with pytest.raises(planning.LineGone):
        planning.remove_course(line=line, by=by, at=AT)

    assert (_plan(programme), _events()) == ([], ["course planned", "course taken out"])


def test_a_prepared_line_that_leaves_withdraws_whom_no_other_line_selects(unit, by):
    """The people of both lines keep their place; the others are withdrawn, and come back when it is planned again."""
    branch = make_unit(unit)
    make_employee(unit=unit, name="only of the large line")
    make_employee(unit=branch, name="of both")
    course = make_course(code="A-1")
    make_programme(make_audience(branch), plan=[(course, DECEMBER)])
    large = make_programme(make_audience(unit), plan=[(course, DECEMBER)])
    preparing.prepare_month(month=DECEMBER, by=by, at=AT)
    run = CourseRun.objects.get()

    def states():
        rows = Enrolment.objects.filter(run=run).values_list("employee__name", "state", "reason")
        return {name: (state, reason) for name, state, reason in rows}

    planning.remove_course(line=PlanLine.objects.get(programme=large), by=by, at=AT)
    withdrawn = {"only of the large line": ("withdrawn", "moved"), "of both": ("assigned", "plan")}
    assert states() == withdrawn

    planning.plan_course(programme=large, course=course, month=DECEMBER, by=by, at=AT, published=True)
    assert states() == withdrawn
    preparing.prepare_month(month=DECEMBER, by=by, at=AT)
    assert states() == {"only of the large line": ("assigned", "plan"), "of both": ("assigned", "plan")}

    planning.move_course(line=PlanLine.objects.get(programme=large), month=JANUARY, by=by, at=AT)
    assert states() == withdrawn
    assert list(PlanLine.objects.filter(programme=large).values_list("month", "prepared_at")) == [(JANUARY, None)]


# --- a year -----------------------------------------------------------------------------------------------------------
def test_copy_year_copies_month_by_month_as_drafts_and_keeps_what_is_there(unit, by):
    one, two = make_course(code="A-1"), make_course(code="B-2")
    programme = make_programme(
        make_audience(unit),
        plan=[(one, Month(2025, 3)), (one, Month(2025, 11)), (two, Month(2025, 12)), (two, DECEMBER)],
    )

    report = planning.copy_year(programme=programme, year=2026, by=by, at=AT)
    again = planning.copy_year(programme=programme, year=2026, by=by, at=AT)

    assert ([str(line.month) for line in report.made], report.there, report.passed) == (["2026-11"], 1, 1)
    assert again == planning.CopyReport(made=[], there=2, passed=1)
    assert _plan(programme)[3:] == [("A-1", "2026-11", False), ("B-2", "2026-12", True)]
    assert _events() == ["year copied"]
    with pytest.raises(planning.NothingToCopy):
        planning.copy_year(programme=programme, year=2024, by=by, at=AT)

    assert planning.remove_drafts(programme=programme, lines=[line.pk for line in report.made], by=by, at=AT) == 1
    assert planning.remove_drafts(programme=programme, lines=[line.pk for line in report.made], by=by, at=AT) == 0
    assert _plan(programme)[3:] == [("B-2", "2026-12", True)]


def test_publish_year_publishes_the_drafts_to_come_once_with_one_event(unit, by):
    programme = make_programme(make_audience(unit))
    passed, now, then, next_year = (
        PlanLine.objects.create(programme=programme, course=make_course(), month=month)
        for month in (Month(2026, 10), NOVEMBER, DECEMBER, JANUARY)
    )

    first = planning.publish_year(programme=programme, year=2026, by=by, at=AT)
    second = planning.publish_year(programme=programme, year=2026, by=by, at=AT)

    assert (first, second, _events()) == ([now, then], [], ["plan published"])
    published = PlanLine.objects.filter(published_at=AT)
    assert set(published) == {now, then}
    assert {passed, next_year} == set(PlanLine.objects.filter(published_at=None))


def test_unpublish_lines_takes_all_or_none_and_not_what_is_prepared(unit, by):
    programme = make_programme(make_audience(unit), plan=[(make_course(), DECEMBER), (make_course(), JANUARY)])
    december, january = PlanLine.objects.order_by("month")
    preparing.prepare_month(month=DECEMBER, by=by, at=AT)

    with pytest.raises(planning.LinePrepared):
        planning.unpublish_lines(programme=programme, lines=[december.pk, january.pk], by=by, at=AT)
    with pytest.raises(planning.LineGone):
        planning.unpublish_lines(programme=programme, lines=[january.pk, 0], by=by, at=AT)
    assert not PlanLine.objects.filter(published_at=None).exists()

    assert planning.unpublish_lines(programme=programme, lines=[january.pk], by=by, at=AT) == [january]
    assert planning.unpublish_lines(programme=programme, lines=[january.pk], by=by, at=AT) == []
    assert list(PlanLine.objects.filter(published_at=None)) == [january]
    assert _events().count("plan unpublished") == 1


def test_drafts_are_neither_prepared_nor_opened(programme, unit, by):
    make_employee(unit=unit)
    planning.plan_course(programme=programme, course=make_course(), month=DECEMBER, by=by, at=AT)
    assert preparing.prepare_month(month=DECEMBER, by=by, at=AT) == preparing.MonthAhead(month=DECEMBER)
    assert opening.open_month(month=DECEMBER, by=by, at=AT) == opening.MonthReport(month=DECEMBER)
    assert not CourseRun.objects.exists()


# --- the grid ---------------------------------------------------------------------------------------------------------
def test_year_plan_says_how_every_line_stands(unit, by, django_assert_num_queries):
    make_employee(unit=unit)
    opened, cases, unready = make_course(theme="cases"), make_course(theme="cases"), make_course(steps=0)
    programme = make_programme(
        make_audience(unit),
        plan=[
            (cases, Month(2025, 11)),
            (opened, Month(2026, 10)),
            (opened, NOVEMBER),
            (cases, DECEMBER),
            (unready, DECEMBER),
        ],
    )
    planning.plan_course(programme=programme, course=opened, month=DECEMBER, by=by, at=AT)
    opening.open_month(month=NOVEMBER, by=by, at=AT)
    preparing.prepare_month(month=DECEMBER, by=by, at=AT)

    with django_assert_num_queries(3):
        plan = planning.year_plan(programme=programme, year=2026, at=AT)

    shown = [
        (one.month.month, cell.theme, [(card.course, card.state, card.ready, card.may_move) for card in cell.cards])
        for one in plan.months
        for cell in one.cells
        if cell.cards
    ]
    assert shown == [
        (10, "cases", [(opened, LineState.MISSED, True, True)]),
        (11, "cases", [(opened, LineState.OPEN, True, False)]),
        (12, "cases", [(opened, LineState.DRAFT, True, True), (cases, LineState.PREPARED, True, True)]),
        (12, "other", [(unready, LineState.PUBLISHED, False, True)]),
    ]
    assert (plan.drafts, plan.lines, plan.to_copy, plan.without_course) == (1, 5, 1, [])
    assert [one.month for one in plan.months if one.may_plan] == [NOVEMBER, DECEMBER]
    empty = planning.year_plan(programme=programme, year=2027, at=AT)
    assert (empty.drafts, empty.to_copy, len(empty.without_course)) == (0, 5, 12)


def test_year_plan_sees_a_closed_run_and_an_unpublished_design(unit, by):
    design = make_design()
    course, bare = make_course(), make_course(design=design)
    design.versions.all().delete()
    make_step(bare, required=False)
    programme = make_programme(make_audience(unit), plan=[(course, NOVEMBER), (bare, DECEMBER)])
    opening.open_month(month=NOVEMBER, by=by, at=AT)
    CourseRun.objects.update(state="closed")

    cards = [card for one in planning.year_plan(programme=programme, year=2026, at=AT).months for card in one.cards]

    assert [(card.state, card.ready) for card in cards] == [(LineState.CLOSED, True), (LineState.PUBLISHED, False)]
