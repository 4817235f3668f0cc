"""Builds the demo company through the domain functions, month by month, so that a broken rule breaks the demo."""

from __future__ import annotations

import datetime as dt
import io
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone
from wagtail.models import Locale

from assessments.domain.attempts import OwnResponse, save_answer, start_attempt, submit_attempt
from assessments.domain.bank import newest_versions
from assessments.domain.takeover import PastAttempt, mark_past, take_over_attempts
from assessments.models import Question, Quiz, Response
from certificates.domain.issuing import publish_design
from certificates.models import CertificateDesign
from core.jobs import run_job
from core.notices import notify
from core.periods import Month
from core.spreadsheets import write_csv
from core.statistics import gather_statistics
from courses.domain.audiences import save_audience
from courses.domain.catching_up import catch_up
from courses.domain.choice import give_up, offer_of, take_course
from courses.domain.opening import close_run, open_month
from courses.domain.people_lists import add_by_number, make_list
from courses.domain.planning import plan_course
from courses.domain.preparing import prepare_month
from courses.domain.progress import complete_step, visit_step
from courses.domain.takeover import DoneStep, take_over_steps
from courses.models import Audience, CourseRun, Enrolment, PlanLine, Programme, RunStep, Step, StepCompletion
from people.domain.invitations import accept_invitation, invite
from people.domain.leave import add_leave
from people.domain.moves import mark_left, move_employee
from people.domain.roles import grant_role
from people.domain.roster import request_apply, upload_roster
from people.domain.units import add_unit
from people.models import Employee, OrgUnit, Position, RoleGrant, RosterImport, User
from portal.demo import company as story
from portal.demo import news
from portal.demo.bulletins import publish_bulletins
from portal.demo.closing import begin_to_sign, close_for_good
from portal.demo.company import PASSPHRASE
from portal.demo.course_content import DemoCourse, build_course, read_courses
from portal.demo.desk import fill_the_desk
from portal.demo.learning import Shelf, Way, answer, draw, knows, way_through
from portal.demo.performance import tell_performance
from portal.demo.reminders import bring_the_mail, tell_the_last_weeks
from portal.house import set_up_house
from portal.models import HomePage, NewsPage

_QUIZ = "assessments.quizpage"
_SIGN_IN_SHARE = 0.93
# Months (from the first) in which the front line has a second course, and how far that is ahead of the first.
_SECOND = {1: 3, 4: 2, 7: 4, 10: 4, 11: 2}


@dataclass
class Builder:
    """What the steps of building share: the company as told, the rows made of it, and the day it is today."""

    company: story.Company
    now: dt.datetime
    say: Callable[[str], None]
    rng: random.Random = field(default_factory=lambda: random.Random(story.SEED + 1))  # noqa: S311 - no secret
    units: dict[str, OrgUnit] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    people: dict[str, Employee] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    courses: list[DemoCourse] = field(default_factory=list)
    shelves: dict[int, list[Shelf]] = field(default_factory=dict)
    ways: dict[int, Way] = field(default_factory=dict)

    @property
    def today(self) -> dt.date:
        return timezone.localdate(self.now)

    @property
    def month(self) -> Month:
        return Month.of(self.today)

    @property
    def first_month(self) -> Month:
        return self.month.plus(-(story.MONTHS - 1))

    @property
    def beginning(self) -> dt.datetime:
        """Two weeks before the first month: when the platform was set up."""
        return moment(self.first_month.first_day - dt.timedelta(days=14), 9)


def moment(day: dt.date, hour: int = 9, minute: int = 0) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time(hour, minute)))


def build_demo(*, people: int, now: dt.datetime, say: Callable[[str], None] = lambda text: None) -> Builder:
    """This function will build the demo company with its year up to now, in one transaction."""
    builder = Builder(company=story.make_company(people=people, today=timezone.localdate(now)), now=now, say=say)
    with transaction.atomic():
        set_up_house()
        _content(builder)
        _tree(builder)
        _people(builder)
        _sign_ins(builder)
        _plan(builder)
        _future_supervisors(builder)
        for month, happenings in story.by_month(builder.company, builder.today):
            gather_statistics()
            _month(builder, month, happenings)
        _current_branch(builder)
        _reasons(builder)
        _by_choice(builder)
        fill_the_desk(builder)
        begin_to_sign(builder, builder.month.previous)
        _plan_ahead(builder)
        publish_bulletins(builder)
        tell_the_last_weeks(builder)
        gather_statistics()
        tell_performance(builder)
        _tell(builder)
        bring_the_mail(builder)
    return builder


# --- content --------------------------------------------------------------------------------------------------------
def _content(builder: Builder) -> None:
    at = builder.beginning
    design = CertificateDesign.objects.create(
        name="月度课程结业证书 / Monthly course",
        issuer_zh="华信通服务集团培训中心",
        issuer_en="Huaxintong Service Group · Training Centre",
        signatory_zh="集团培训中心主任 方景行",
        signatory_en="Fang Jingxing, Head of the Group Training Centre",
        seal_text="华信通服务集团培训中心",
    )
    publish_design(design=design, at=at)
    builder.courses = [build_course(demo=demo, design=design, at=at) for demo in read_courses()]
    builder.say(f"{len(builder.courses)} courses in both languages")
    for code in ("zh-hans", "en"):
        home = HomePage.objects.get(locale=Locale.objects.get(language_code=code))
        for piece in news.pieces(builder.today):
            page = NewsPage(
                title=piece.words[code]["title"],
                slug=piece.slug,
                locale=home.locale,
                translation_key=piece.key,
                published_on=piece.on,
                summary=piece.words[code]["summary"],
                body=piece.words[code]["body"],
                live=False,
                first_published_at=moment(piece.on),
            )
            home.add_child(instance=page)
            page.save_revision(changed=False).publish()
    for demo in builder.courses:
        builder.shelves[demo.quiz.pk] = _shelves(demo.quiz)


def _shelves(quiz: Quiz) -> list[Shelf]:
    found = []
    for line in quiz.draws.order_by("sort_order"):
        hardness = dict(Question.objects.filter(category=line.category).values_list("pk", "difficulty"))
        versions = newest_versions(question_ids=hardness)
        pairs = [(versions[pk], hardness[pk]) for pk in sorted(versions)]
        found.append(Shelf(count=line.count, points=line.points, versions=pairs))
    return found


# --- people ---------------------------------------------------------------------------------------------------------
def _tree(builder: Builder) -> None:
    for unit in builder.company.units:
        values = {"code": unit.code, "name": unit.name, "name_en": unit.name_en, "kind": unit.kind}
        if unit.parent:
            made = add_unit(parent=builder.units[unit.parent], **values, by=None, at=builder.beginning)
        else:
            made = OrgUnit.add_root(**values)
        builder.units[unit.code] = made
    for title, (title_en, job_family) in story.POSITIONS.items():
        builder.positions[title] = Position.objects.create(title=title, title_en=title_en, job_family=job_family)


def _people(builder: Builder) -> None:
    joiners = {one.employee_no for one in builder.company.happenings if one.kind == "join"}
    first = [one for one in builder.company.people.values() if one.employee_no not in joiners]
    _hire(builder, first, on=timezone.localdate(builder.beginning), by=None)
    builder.say(f"{len(builder.people)} people in {len(builder.units)} units")


def _hire(builder: Builder, persons: list[story.Person], *, on: dt.date, by: User | None) -> None:
    """Bring people in by a roster file, as HR does: uploaded, checked, applied."""
    at, file = moment(on, 8, 30), io.BytesIO()
    write_csv(file, _ROSTER, (_roster_row(builder, person) for person in persons))
    roster = upload_roster(
        file=file,
        file_name=f"花名册 {on}.csv",
        scope=builder.units[story.GROUP.code],
        mode=RosterImport.Mode.CHANGES,
        missing=RosterImport.Missing.KEEP,
        effective_on=on,
        all_or_nothing=True,
        by=by,
        at=at,
    )
    run_job(roster.job_id, clock=lambda: at)
    roster.refresh_from_db()
    request_apply(roster=roster, by=by, at=at)
    roster.refresh_from_db()
    run_job(roster.job_id, clock=lambda: at)
    roster.refresh_from_db()
    if roster.state != RosterImport.State.APPLIED:
        raise RuntimeError(f"the roster of {on} was not applied: {roster.state} {roster.counts} {roster.problem}")
    hired = list(Employee.objects.filter(employee_no__in=[one.employee_no for one in persons]))
    for employee in hired:
        employee.name_latin = builder.company.people[employee.employee_no].name_latin  # a roster has no column for it
        builder.people[employee.employee_no] = employee
    Employee.objects.bulk_update(hired, ["name_latin"], batch_size=500)
    people = {employee.pk: employee for employee in builder.people.values()}
    units = {unit.pk: unit for unit in builder.units.values()}
    positions = {position.pk: position for position in builder.positions.values()}
    for employee in hired:  # the rows that later happenings change are the rows at hand
        employee.unit, employee.position = units[employee.unit_id], positions[employee.position_id]
        employee.manager = people.get(employee.manager_id)


_ROSTER = ("工号", "姓名", "部门", "岗位", "岗位序列", "上级工号", "入职日期", "邮箱", "手机", "语言")


def _roster_row(builder: Builder, person: story.Person) -> tuple:
    return (
        person.employee_no,
        person.name,
        builder.company.path_of(person.unit),
        person.position,
        story.POSITIONS[person.position][1],
        person.manager_no,
        person.hired_on.isoformat(),
        person.email,
        person.mobile,
        person.language,
    )


def _sign_ins(builder: Builder) -> None:
    """The cast gets passwords and roles through their invitations; most others a sign-in that opens by single sign-on."""
    root = builder.units[story.GROUP.code]
    roles = {
        story.HR: (RoleGrant.Role.HR, root),
        story.AUTHOR: (RoleGrant.Role.AUTHOR, None),
        story.MODERATOR: (RoleGrant.Role.MODERATOR, None),
        story.AUDITOR: (RoleGrant.Role.AUDITOR, None),
        story.ADMIN: (RoleGrant.Role.ADMIN, None),
    }
    for part, number in story.CAST_NUMBERS.items():
        _invitation, token = invite(employee=builder.people[number], by=None, at=builder.beginning)
        user = accept_invitation(token=token, password=PASSPHRASE, at=builder.beginning + dt.timedelta(hours=2))
        builder.users[part] = builder.people[number].user = user
        if part in roles:
            role, unit = roles[part]
            grant_role(user=user, role=role, unit=unit, by=None, at=builder.beginning)
    _give_sign_ins(builder, [one for one in builder.people.values() if not one.user_id])


def _give_sign_ins(builder: Builder, employees: list[Employee]) -> None:
    chosen = [one for one in employees if builder.rng.random() < _SIGN_IN_SHARE]
    users = User.objects.bulk_create(
        User(
            username=employee.employee_no,
            email=employee.email,
            first_name=employee.name,
            language=employee.language,
            password="!" + employee.employee_no,  # unusable: nothing hashes to it
        )
        for employee in chosen
    )
    for employee, user in zip(chosen, users, strict=True):
        employee.user = user
    Employee.objects.bulk_update(chosen, ["user"], batch_size=200)


# --- the plan -------------------------------------------------------------------------------------------------------
def _plan(builder: Builder) -> None:
    root = builder.units[story.GROUP.code]
    everybody = Audience.objects.create(name="全体员工", name_en="All staff", scope=root, rule={})
    front = Audience.objects.create(
        name="一线销售与服务",
        name_en="Front-line sales and service",
        scope=root,
        rule={"job_families": story.FRONT_LINE},
    )
    monthly = Programme.objects.create(name="每月一课", name_en="One course a month", audience=everybody)
    counter = Programme.objects.create(name="一线加练", name_en="Extra practice for the front line", audience=front)
    courses = [demo.course for demo in builder.courses]
    at = timezone.make_aware(dt.datetime.combine(builder.first_month.previous.first_day, dt.time(10)))
    for place in range(story.MONTHS + 1):  # next month is planned as well
        month = builder.first_month.plus(place)
        PlanLine.objects.create(programme=monthly, course=courses[place % len(courses)], month=month, published_at=at)
        if place in _SECOND:
            other = courses[(place + _SECOND[place]) % len(courses)]
            PlanLine.objects.create(programme=counter, course=other, month=month, published_at=at)


def _future_supervisors(builder: Builder) -> None:
    """An audience that no list of units could say: shift supervisors and who may become one, but who has proved it."""
    root, by, at = builder.units[story.GROUP.code], builder.users[story.HR], builder.beginning
    chosen = make_list(name="值班岗后备（网点推荐）", scope=root, by=by, at=at)
    sellers = sorted(
        number
        for number, one in builder.people.items()
        if one.position and one.position.title in ("营业员", "客户经理")
    )
    text = "\n".join(f"{number}\t{builder.people[number].name}" for number in sellers[2::11][:12])
    add_by_number(people_list=chosen, text=text, people=Employee.objects.all(), by=by, at=at)
    this_month = builder.courses[(story.MONTHS - 1) % len(builder.courses)].course
    done = {"course": this_month.code, "since": str(builder.month)}
    save_audience(
        audience=None,
        name="值班岗及后备",
        name_en="Shift supervisors and who may become one",
        scope=root,
        rule={
            "any": [
                {"positions": ["值班经理"]},
                {"positions": ["高级营业员"], "tenure_from": 24},
                {"list": chosen.pk},
            ],
            "not": {"any": [{"completed": done}, {"tenure_until": 3}]},
        },
        by=by,
        at=at,
    )


def _plan_ahead(builder: Builder) -> None:
    """Next month is made ahead, the two after it are drafts of HR, and the year to come can be copied from this one."""
    by, programme = builder.users[story.HR], Programme.objects.get(name_en="One course a month")
    prepare_month(month=builder.month.next, by=by, at=builder.now)
    for ahead, demo in enumerate(builder.courses[-2:], start=2):
        month = builder.month.plus(ahead)
        plan_course(programme=programme, course=demo.course, month=month, by=by, at=builder.now)


# --- one month ------------------------------------------------------------------------------------------------------
def _month(builder: Builder, month: Month, happenings: list[story.Happening]) -> None:
    by = builder.users[story.HR]
    before = [one for one in happenings if one.on <= month.first_day]
    for one in before:
        _happen(builder, one)
    if builder.first_month < month < builder.month:
        close_for_good(builder, month.previous)
    for run in CourseRun.objects.filter(state=CourseRun.State.OPEN, month=month.plus(-2)):
        close_run(run=run, by=by, at=moment(month.first_day, 7))
    open_month(month=month, by=by, at=moment(month.first_day, 8))
    for one in happenings[len(before) :]:
        _happen(builder, one)
        if one.kind == "join":
            _catch_up(by, moment(one.on, 10), month)
    end = min(moment(month.last_day, 23), builder.now)
    _catch_up(by, end, month, month.previous)
    _learn(builder, month, end)
    builder.say(f"{month}")


def _catch_up(by: User, at: dt.datetime, *months: Month) -> None:
    runs = CourseRun.objects.filter(state=CourseRun.State.OPEN, month__in=months, accept_until__gte=at)
    for run in runs.select_related("course"):
        catch_up(run=run, by=by, at=at)


def _happen(builder: Builder, one: story.Happening) -> None:
    by, at = builder.users[story.HR], moment(one.on, 9)
    if one.kind == "join":
        _hire(builder, [builder.company.people[one.employee_no]], on=one.on, by=by)
        _give_sign_ins(builder, [builder.people[one.employee_no]])
        return
    employee = builder.people[one.employee_no]
    if one.kind == "move":
        manager = builder.people[one.manager_no]
        unit, position = builder.units[one.unit], builder.positions[one.position]
        move_employee(employee=employee, unit=unit, position=position, manager=manager, on=one.on, by=by, at=at)
    elif one.kind == "left":
        mark_left(employee=employee, on=one.on, by=by, at=at, reason=one.reason)
    elif one.kind == "leave":
        add_leave(employee=employee, starts_on=one.on, ends_on=one.until, reason=one.reason, by=by, at=at)


# --- learning -------------------------------------------------------------------------------------------------------
@dataclass
class _Taken:
    """What the people did in one stretch of time: steps done, and the attempts at each quiz."""

    steps: list[DoneStep] = field(default_factory=list)
    attempts: dict[tuple[int, int], list[PastAttempt]] = field(default_factory=lambda: defaultdict(list))


def _learn(builder: Builder, month: Month, end: dt.datetime) -> None:
    """What was done in this calendar month: of its own runs, and late of the month before."""
    start = moment(month.first_day, 0)
    taken = _Taken()
    runs = CourseRun.objects.filter(state=CourseRun.State.OPEN, month__in=[month, month.previous])
    for run in runs.select_related("course").order_by("month", "course__code"):
        steps = list(RunStep.objects.filter(run=run).select_related("step").order_by("position"))
        owed = Enrolment.objects.filter(run=run).unfinished().select_related("employee", "unit").order_by("pk")
        done_before = _done_before(run)
        for enrolment in owed:
            if enrolment.pk not in builder.ways:
                builder.ways[enrolment.pk] = _way(builder, enrolment, run, steps)
            if month == builder.month and run.month == month and _goes_step_by_step(builder, enrolment):
                continue
            _take(builder, taken, enrolment, steps, done_before.get(enrolment.pk, set()), start, end)
    steps_by_id = Step.objects.in_bulk({step for _quiz, step in taken.attempts})
    quizzes = {demo.quiz.pk: demo.quiz for demo in builder.courses}
    for (quiz_id, step_id), attempts in taken.attempts.items():
        attempts.sort(key=lambda one: one.submitted_at)
        take_over_attempts(attempts=attempts, step=steps_by_id[step_id], quiz=quizzes[quiz_id])
    take_over_steps(done=taken.steps, at=end)


def _done_before(run: CourseRun) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for enrolment_id, step_id in StepCompletion.objects.filter(enrolment__run=run).values_list("enrolment", "step"):
        found[enrolment_id].add(step_id)
    return found


def _way(builder: Builder, enrolment: Enrolment, run: CourseRun, steps: list[RunStep]) -> Way:
    person = builder.company.people[enrolment.employee.employee_no]
    lessons = sum(1 for one in steps if one.step.kind != _QUIZ)
    if person.cast == story.EMPLOYEE and (way := _way_of_the_employee(builder, run, lessons)):
        return way
    return way_through(
        rng=builder.rng,
        lessons=lessons,
        opens_at=max(run.opens_at, enrolment.assigned_at),
        due_at=enrolment.due_at,
        accept_until=run.accept_until,
        diligence=1.0 if person.cast else person.diligence,
        perfect=enrolment.unit.code in story.PERFECT,
    )


def _way_of_the_employee(builder: Builder, run: CourseRun, lessons: int) -> Way | None:
    """Whoever signs in as the employee finds a course begun, another to begin, and one left over from last month."""
    second = not PlanLine.objects.filter(
        course=run.course, month=run.month, programme__name_en="One course a month"
    ).exists()
    if run.month == builder.month.previous and second:
        first_lesson = moment(run.month.last_day - dt.timedelta(days=3), 12, 40)
        return Way(lessons=[first_lesson], quiz_at=None)
    if run.month == builder.month and second:
        return Way(lessons=[], quiz_at=None)
    if run.month == builder.month:
        begun = max(run.opens_at, builder.now - dt.timedelta(days=2, hours=3))
        done = [begun + dt.timedelta(minutes=20), begun + dt.timedelta(minutes=31)]
        return Way(lessons=[one for one in done[: max(1, lessons - 1)] if one < builder.now], quiz_at=None)
    return None


def _goes_step_by_step(builder: Builder, enrolment: Enrolment) -> bool:
    """The branch that the demo shows goes through the very functions the pages call."""
    return enrolment.unit.code == story.CAST[story.EMPLOYEE][0]


def _take(
    builder: Builder,
    taken: _Taken,
    enrolment: Enrolment,
    steps: list[RunStep],
    done: set[int],
    start: dt.datetime,
    end: dt.datetime,
) -> None:
    """Add what one person did between two moments."""
    way = builder.ways[enrolment.pk]
    lessons = [one for one in steps if one.step.kind != _QUIZ]
    for run_step, at in zip(lessons, way.lessons, strict=False):
        if start <= at <= end and run_step.step_id not in done:
            taken.steps.append(DoneStep(enrolment.pk, run_step.step_id, at))
    quiz_step = next((one for one in steps if one.step.kind == _QUIZ), None)
    if quiz_step is None or quiz_step.step_id in done:
        return
    demo = next(one for one in builder.courses if one.course.pk == quiz_step.step.course_id)
    earlier: list[PastAttempt] = []
    seen: set[int] = set()
    wanted = [*((at, False) for at in way.failed_at), *([(way.quiz_at, True)] if way.quiz_at else [])]
    for at, passes in wanted[: demo.quiz.attempts_allowed]:
        attempt = _attempt(builder, enrolment, demo.quiz, len(earlier) + 1, at, passes, earlier, seen)
        earlier.append(attempt)
        if start <= at <= end:
            taken.attempts[demo.quiz.pk, quiz_step.step_id].append(attempt)
            if attempt.passed:
                taken.steps.append(DoneStep(enrolment.pk, quiz_step.step_id, at, StepCompletion.How.PASSED))
        if attempt.passed:
            break


def _attempt(
    builder: Builder,
    enrolment: Enrolment,
    quiz: Quiz,
    number: int,
    at: dt.datetime,
    passes: bool,
    earlier: list[PastAttempt],
    seen: set[int],
) -> PastAttempt:
    """An attempt with its answers. Whether it passes is for the marking to say; the story only makes it likely."""
    # Chance of its own, so that an attempt that began last month is the same when this month looks at it again.
    rng = random.Random(enrolment.pk * 10 + number)  # noqa: S311 - no secret
    person = builder.company.people[enrolment.employee.employee_no]
    drawn = draw(rng=rng, shelves=builder.shelves[quiz.pk], seen=seen)
    ability = max(0.2, person.ability) + 0.5 if passes else person.ability - 1.2
    for _try in range(6):
        answers = [
            answer(
                rng=rng,
                content=one.version.content,
                right=knows(rng=rng, ability=ability, difficulty=difficulty),
                typed_language="en" if person.language == "en" else "zh",
            )
            for one, difficulty in drawn
        ]
        attempt = mark_past(
            attempt=PastAttempt(
                enrolment_id=enrolment.pk,
                number=number,
                started_at=at - dt.timedelta(seconds=rng.randint(240, 840)),
                submitted_at=at,
                drawn=[one for one, _difficulty in drawn],
                answers=answers,
            ),
            quiz=quiz,
            earlier=earlier,
        )
        if attempt.passed == passes:
            break
        ability += 0.5 if passes else -0.8
    return attempt


# --- the branch in the light ------------------------------------------------------------------------------------------
def _current_branch(builder: Builder) -> None:
    """This month of the manager's branch, step by step: reading, answering, handing in, as it would be on the phone."""
    unit = builder.units[story.CAST[story.MANAGER][0]]
    doings: list[tuple[dt.datetime, int, Callable[[], None]]] = []
    owed = Enrolment.objects.filter(run__month=builder.month, unit=unit).unfinished()
    for enrolment in owed.select_related("employee", "run", "unit").order_by("pk"):
        steps = list(RunStep.objects.filter(run=enrolment.run).select_related("step").order_by("position"))
        way = builder.ways.get(enrolment.pk) or _way(builder, enrolment, enrolment.run, steps)
        lessons = [one.step for one in steps if one.step.kind != _QUIZ]
        quiz = next((one.step for one in steps if one.step.kind == _QUIZ), None)
        for step, at in zip(lessons, way.lessons, strict=False):
            doings.append((at, enrolment.pk, lambda e=enrolment, s=step, t=at: _read(e, s, t)))
        for at in way.failed_at if quiz else []:
            doings.append((at, enrolment.pk, lambda e=enrolment, s=quiz, t=at: _sit(builder, e, s, t, passes=False)))
        if quiz and way.quiz_at:
            at = way.quiz_at
            doings.append((at, enrolment.pk, lambda e=enrolment, s=quiz, t=at: _sit(builder, e, s, t, passes=True)))
    for at, _pk, do in sorted(doings, key=lambda one: one[:2]):
        if at <= builder.now:
            do()


def _read(enrolment: Enrolment, step: Step, at: dt.datetime) -> None:
    visit_step(enrolment=enrolment, step=step, at=at - dt.timedelta(minutes=step.minutes))
    complete_step(enrolment=enrolment, step=step, at=at)


def _sit(builder: Builder, enrolment: Enrolment, step: Step, at: dt.datetime, *, passes: bool) -> None:
    if StepCompletion.objects.filter(enrolment=enrolment, step=step).exists():
        return
    rng = random.Random(enrolment.pk + at.toordinal())  # noqa: S311 - no secret
    enrolment = Enrolment.objects.select_related("run", "employee").get(pk=enrolment.pk)
    started = at - dt.timedelta(minutes=rng.randint(6, 13))
    attempt = start_attempt(enrolment=enrolment, step=step, at=started, rng=rng)
    for response in Response.objects.filter(attempt=attempt).select_related("question_version__question"):
        version = response.question_version
        right = knows(rng=rng, ability=2.6 if passes else -1.5, difficulty=version.question.difficulty)
        given = answer(rng=rng, content=version.content, right=right)
        own = OwnResponse(response.pk, version.pk, version.content_hash, response.option_order, attempt.deadline_at)
        save_answer(response=own, answer=given, at=at)
    submit_attempt(attempt=attempt, at=at)


def _reasons(builder: Builder) -> None:
    """The path to 100 % of that branch has more than one reason: one is away today, one did not pass the quiz."""
    unit, by = builder.units[story.CAST[story.MANAGER][0]], builder.users[story.HR]
    cast = set(story.CAST_NUMBERS.values())
    owed = Enrolment.objects.filter(run__month=builder.month, unit=unit, employee__user__isnull=False).unfinished()
    owed = owed.exclude(employee__employee_no__in=cast).filter(state=Enrolment.State.ASSIGNED, voluntary=False)
    people: dict[int, Enrolment] = {}
    for enrolment in owed.select_related("employee", "run", "unit").order_by("pk"):
        people.setdefault(enrolment.employee_id, enrolment)
    waiting = iter(people.values())
    if away := next(waiting, None):
        first = max(builder.today - dt.timedelta(days=1), builder.month.first_day)
        last = builder.today + dt.timedelta(days=2)
        add_leave(employee=away.employee, starts_on=first, ends_on=last, reason="年休假", by=by, at=builder.now)
    if failing := next(waiting, None):
        steps = RunStep.objects.filter(run=failing.run).select_related("step").order_by("position")
        at = max(failing.run.opens_at + dt.timedelta(minutes=30), builder.now - dt.timedelta(days=1, hours=2))
        if (quiz := next((one.step for one in steps if one.step.kind == _QUIZ), None)) and at < builder.now:
            _sit(builder, failing, quiz, at, passes=False)


# --- by choice --------------------------------------------------------------------------------------------------------
def _by_choice(builder: Builder) -> None:
    """Courses that nobody asked for: begun, done, given up, and one proved by its test without the lessons."""
    me = builder.people[story.CAST_NUMBERS[story.EMPLOYEE]]
    active = Employee.objects.filter(state=Employee.State.ACTIVE, unit__isnull=False, user__isnull=False)
    others = active.exclude(pk=me.pk).exclude(employee_no__in=story.CAST_NUMBERS.values()).order_by("employee_no")
    near = list(others.filter(unit=me.unit)[:4])
    far = list(others.exclude(unit=me.unit)[::29][:9])
    first = max(moment(builder.month.first_day, 0, 5), builder.now - dt.timedelta(days=3))
    courses = [demo.course for demo in builder.courses]
    proved = [one for one in courses if one.test_out]
    # They know it already: the test, and nothing else.
    owing = Enrolment.objects.filter(run__month=builder.month, run__course__in=proved).values("employee")
    provers = list(others.exclude(pk__in=owing)[:2])
    learners = [(one, courses) for one in (me, *near, *far) if one not in provers]
    for place, (person, offered) in enumerate([*learners, *((one, proved) for one in provers)]):
        at = first + dt.timedelta(minutes=11 * place)
        proves = offered is proved
        turn = place % len(offered) if offered else 0
        wanted = [*offered[turn:], *offered[:turn]]
        course = next((one for one in wanted if offer_of(employee=person, course=one, at=at).may_take), None)
        if course is None or at > builder.now:
            continue
        enrolment = take_course(employee=person, course=course, by=person.user, at=at)
        steps = [one.step for one in RunStep.objects.filter(run=enrolment.run).select_related("step")]
        lessons = [] if proves else [one for one in steps if one.kind != _QUIZ]
        quiz = [one for one in steps if one.kind == _QUIZ]
        finishes = proves or place % 4 == 1
        for step in [*(lessons if finishes else lessons[: place % 2 + (person == me)]), *(quiz if finishes else [])]:
            at += dt.timedelta(minutes=step.minutes + 3)
            if at > builder.now:
                break
            if step.kind == _QUIZ:
                _sit(builder, enrolment, step, at, passes=True)
            else:
                _read(enrolment, step, at)
        if place % 4 == 3 and not proves:
            give_up(enrolment=enrolment, by=person.user, at=min(at + dt.timedelta(hours=5), builder.now))


# --- what the page tells ----------------------------------------------------------------------------------------------
def _tell(builder: Builder) -> None:
    for part, text_zh, text_en, url, days in news.notices(builder.month):
        notify(
            user=builder.users[part],
            text_zh=text_zh,
            text_en=text_en,
            url=url,
            at=max(builder.beginning, builder.now - dt.timedelta(days=days)),
            key=f"demo-{part}-{days}",
        )
