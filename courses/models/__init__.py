from courses.models.completions import StepCompletion
from courses.models.enrolments import Enrolment
from courses.models.pages import CourseCataloguePage, CoursePage, CourseStep, LessonPage
from courses.models.programmes import Audience, PlanLine, Programme
from courses.models.runs import Course, CourseRun, RunStep, Step
from courses.models.tallies import Tally

__all__ = [
    "Audience",
    "Course",
    "CourseCataloguePage",
    "CoursePage",
    "CourseRun",
    "CourseStep",
    "Enrolment",
    "LessonPage",
    "PlanLine",
    "Programme",
    "RunStep",
    "Step",
    "StepCompletion",
    "Tally",
]
