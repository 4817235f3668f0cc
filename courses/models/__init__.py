from courses.models.changes import EnrolmentChange
from courses.models.closing import ClosedFigure, MonthClose, SignOff
from courses.models.completions import StepCompletion
from courses.models.enrolments import Enrolment
from courses.models.pages import CourseCataloguePage, CoursePage, CourseStep, LessonPage
from courses.models.programmes import Audience, PeopleList, PlanLine, Programme
from courses.models.reminders import GroupChat, Ladder, LadderStep, Nudge, ReminderDue
from courses.models.requests import DutyRequest, Matter
from courses.models.runs import Course, CourseRun, RunStep, Step
from courses.models.tallies import Tally

__all__ = [
    "Audience",
    "ClosedFigure",
    "Course",
    "CourseCataloguePage",
    "CoursePage",
    "CourseRun",
    "CourseStep",
    "DutyRequest",
    "Enrolment",
    "EnrolmentChange",
    "GroupChat",
    "Ladder",
    "LadderStep",
    "LessonPage",
    "Matter",
    "MonthClose",
    "Nudge",
    "PeopleList",
    "PlanLine",
    "Programme",
    "ReminderDue",
    "RunStep",
    "SignOff",
    "Step",
    "StepCompletion",
    "Tally",
]
