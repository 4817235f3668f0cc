"""Item analysis: how well each question, and a quiz as a whole, measures. And the gate before a mark may carry pay.

**An item is a question version.** A question that was changed is another question to whoever answers it, so a new version
starts anew with no answers; the numbers of the old one stay beside it.

**Whose answers count.** Of each person the first attempt at the quiz that was not voided, once it is handed in and marked.
Later attempts come after feedback and practice, are made mostly by those who failed, and would count one person several
times as if they were many. A question left open in it earned nothing and counts so, as it did in the mark. An attempt in
which nothing at all was answered tells nothing about the questions and is left out: a few of those would make any quiz
look consistent.

**The measures** (variances divide by n, sums are exact; a float comes in with the square root and not before):

- facility: mean mark of an item as a share of its points, over those who were asked it;
- item-rest correlation (discrimination): Pearson's r between an item and the rest of the same attempt, the item itself
  left out. Both as shares of their points, so that people who drew different questions can be compared;
- internal consistency, everybody asked the same k items: Cronbach's alpha k/(k-1) * (1 - sum of item variances / variance
  of totals) (L. J. Cronbach, Psychometrika 16, 1951), which for items marked 0 or 1 is KR-20 (G. F. Kuder and
  M. W. Richardson, Psychometrika 2, 1937): one formula covers both;
- internal consistency, people drew different items: KR-21 of the same paper, written for part marks in the same way, k
  times the pooled variance of all marks in place of the sum of item variances. It counts the luck of the draw as error and
  is never above alpha; apart from a factor (n-1)/n of the error it is the reliability of a mean of k items drawn for each
  person anew (one-way ICC(1,k): P. E. Shrout and J. L. Fleiss, Psychological Bulletin 86, 1979). It asks that all
  questions are worth the same;
- standard error of measurement: standard deviation of totals * sqrt(1 - consistency), in points.

**The quiz as it now is.** Consistency, error and the gate rest only on attempts that were made of questions which the quiz
still asks, in the same versions, as many and worth the same: what is gone from a quiz speaks neither for nor against it.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext, pgettext

from assessments import shapes
from assessments.models import Attempt, Question, QuestionVersion, Quiz

SMALLEST_GROUP = 5  # of fewer answers nothing is shown but their number (TRUST 2.3, letter M)
JUDGED_FROM = 30  # with fewer answers chance speaks louder than the question: r wavers by 0.18 and more

# What a question should be. Discrimination: R. L. Ebel and D. A. Frisbie, Essentials of Educational Measurement (1991),
# below 0.20 poor. Facility: limits of the house; a quiz after a course may be easy, but not empty.
TOO_EASY, TOO_HARD, WEAK = Fraction(95, 100), Fraction(30, 100), 0.20

# What a quiz must be before its mark may touch pay.
GATE_PEOPLE = 100
GATE_CONSISTENCY = Fraction(70, 100)

_SCALE = 10_000  # marks are stored to four places, and summed as whole ten-thousandths


# --- the kernel: sums in, measures out --------------------------------------------------------------------------------
@dataclass
class Sums:
    """What is needed of pairs (x, y): their number and the sums of x, y and their products. Exact."""

    n: int = 0
    x: Fraction = Fraction(0)
    xx: Fraction = Fraction(0)
    y: Fraction = Fraction(0)
    yy: Fraction = Fraction(0)
    xy: Fraction = Fraction(0)

    def add(self, n: int, x, xx, y=0, yy=0, xy=0, *, x_unit=1, y_unit=1) -> None:
        """Take in the sums of n more pairs, counted in units of which ``x_unit`` and ``y_unit`` make a whole."""
        self.n += n
        self.x += Fraction(x, x_unit)
        self.xx += Fraction(xx, x_unit**2)
        self.y += Fraction(y, y_unit)
        self.yy += Fraction(yy, y_unit**2)
        self.xy += Fraction(xy, x_unit * y_unit)

    @property
    def mean(self) -> Fraction | None:
        return self.x / self.n if self.n else None

    @property
    def variance(self) -> Fraction:
        """Of x, divided by n."""
        return self.xx / self.n - (self.x / self.n) ** 2 if self.n else Fraction(0)

    @property
    def correlation(self) -> float | None:
        """Pearson's r of x and y; None where one of them never varies."""
        spread = (self.n * self.xx - self.x**2) * (self.n * self.yy - self.y**2)
        if not spread:
            return None
        shared = self.n * self.xy - self.x * self.y
        return math.copysign(math.sqrt(shared**2 / spread), shared)


def consistency(*, items: int, item_variance: Fraction, total_variance: Fraction) -> Fraction | None:
    """This function will return Cronbach's alpha of a number of items; None for one item or where all totals are equal.

    ``item_variance`` is the sum of the variances of the items, ``total_variance`` that of the totals. At most 1; below 0
    when items work against each other.
    """
    if items < 2 or not total_variance:
        return None
    return Fraction(items, items - 1) * (1 - item_variance / total_variance)


def error_of_measurement(*, total_variance: Fraction, consistency: Fraction) -> float:
    """This function will return by how many points a total differs from what the person can do, as a standard deviation."""
    return math.sqrt(total_variance * (1 - consistency))


def floored(value: Fraction | float, places: int = 2) -> str:
    """This function will write a measure with so many places, floored: what is below a limit never looks as if at it."""
    whole = math.floor(value * 10**places)
    sign, digits = ("−" if whole < 0 else ""), str(abs(whole)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


# --- what is found -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class OptionShare:
    """How many of those who were asked chose one answer of a choice question."""

    id: str
    text_zh: str
    text_en: str
    correct: bool
    chosen: int
    asked: int

    def text(self, language: str) -> str:
        return shapes.in_language({"zh": self.text_zh, "en": self.text_en}, language)

    @property
    def is_idle(self) -> bool:
        """Is it a wrong answer that nobody takes, although enough people were asked?"""
        return not self.correct and not self.chosen and self.asked >= JUDGED_FROM


# What the numbers of a question mean, and what to do. The first that holds is said.
ADVICE = {
    "few": gettext_noop("Too early to judge: that takes %(from)s answers."),
    "negative": gettext_noop(
        "People who do well elsewhere get it wrong more often. Check which answer is marked as right, then the wording."
    ),
    "too_hard": gettext_noop(
        "Too hard: hardly anybody gets it right. Check the wording, and whether the course teaches it."
    ),
    "too_easy": gettext_noop("Too easy: nearly everybody gets it right, so it tells nobody apart."),
    "weak": gettext_noop(
        "It hardly tells those who know from those who do not. Make the wrong answers more tempting or the wording clearer."
    ),
    "weak_typed": gettext_noop(
        "It hardly tells those who know from those who do not. Make the wording clearer, or ask for something else."
    ),
    "unknown": gettext_noop("It cannot be compared: the other questions gave everybody the same mark."),
    "fine": gettext_noop("Fine: neither too easy nor too hard, and it tells those who know from those who do not."),
}


@dataclass(frozen=True)
class Item:
    """One question version and what the first attempts say about it."""

    version: QuestionVersion
    asked_now: bool  # does the quiz still ask it, in this version?
    n: int
    unanswered: int
    facility: Fraction | None
    discrimination: float | None
    options: tuple[OptionShare, ...] = ()

    @property
    def shown(self) -> bool:
        """May more be shown than the number of answers? Not of a group so small that it points at persons."""
        return self.n >= SMALLEST_GROUP

    @property
    def is_negative(self) -> bool:
        return self.shown and self.discrimination is not None and self.discrimination < 0

    @property
    def advice(self) -> str:
        """The word of ADVICE for this question."""
        if self.n < JUDGED_FROM or self.facility is None:
            return "few"
        if self.is_negative:
            return "negative"
        if self.facility < TOO_HARD:
            return "too_hard"
        if self.facility > TOO_EASY:
            return "too_easy"
        if self.discrimination is None:
            return "unknown"
        return "weak" if self.discrimination < WEAK else "fine"

    @property
    def advice_text(self) -> str:
        word = self.advice
        if word == "weak" and self.version.content["kind"] not in shapes.CHOICES:
            word = "weak_typed"
        return _(ADVICE[word]) % {"from": JUDGED_FROM}


@dataclass(frozen=True)
class Whole:
    """The quiz as it now is: how consistently it measures, and how exactly."""

    n: int  # people
    items: int  # questions in an attempt
    points: int
    same_items: bool  # was everybody asked the same?
    consistency: Fraction | None = None
    error: float | None = None  # in points
    worth: int | None = None  # points of each question, where all are worth the same
    problem: str = ""  # why there is no consistency: a word of PROBLEMS

    @property
    def error_in_items(self) -> float | None:
        return self.error / self.worth if self.error is not None and self.worth else None

    @property
    def problem_text(self) -> str:
        return _(PROBLEMS[self.problem]) if self.problem else ""

    @property
    def method(self) -> str:
        return "KR-20" if self.same_items else "KR-21"


PROBLEMS = {
    "nobody": gettext_noop("Nobody has handed in this quiz as it now is."),
    "few": gettext_noop("Too few people have handed in this quiz as it now is."),
    "one_question": gettext_noop("A quiz of one question cannot be compared with itself."),
    "no_spread": gettext_noop("Everybody has the same total."),
    "unequal": gettext_noop(
        "Everybody saw different questions, worth different points. Give all questions the same points."
    ),
}


@dataclass(frozen=True)
class Analysis:
    """What the first attempts say about a quiz: as a whole, and question by question."""

    quiz: Quiz
    people: int  # first attempts that count, of whichever versions
    empty: int  # first attempts left out because nothing was answered
    whole: Whole
    items: list[Item] = field(default_factory=list)

    @property
    def items_now(self) -> list[Item]:
        return [item for item in self.items if item.asked_now]

    @property
    def items_before(self) -> list[Item]:
        return [item for item in self.items if not item.asked_now]


# --- the gate --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Reason:
    """Why a quiz may not carry pay weight: a code and its values to keep, and words in the active language."""

    code: str  # people, no_consistency, consistency, negative
    values: dict

    @property
    def text(self) -> str:
        values = self.values
        if self.code == "people" and values["n"] < SMALLEST_GROUP:
            few = _("Fewer than %(few)s people have answered it as it now is; %(wanted)s are needed.")
            return few % {"few": SMALLEST_GROUP, "wanted": values["wanted"]}
        if self.code == "people":
            return ngettext(
                "%(n)s person has answered it as it now is; %(wanted)s are needed.",
                "%(n)s people have answered it as it now is; %(wanted)s are needed.",
                values["n"],
            ) % {"n": values["n"], "wanted": values["wanted"]}
        if self.code == "no_consistency":
            return _("Its consistency cannot be computed: %(why)s") % {"why": _(PROBLEMS[values["problem"]])}
        if self.code == "consistency":
            return _("Its consistency is %(value)s; at least %(wanted)s is needed.") % values
        keys = pgettext("between the items of a list", ", ").join(values["questions"])
        return ngettext(
            "Question %(keys)s has negative discrimination: people who do well elsewhere get it wrong more often.",
            "Questions %(keys)s have negative discrimination: people who do well elsewhere get them wrong more often.",
            len(values["questions"]),
        ) % {"keys": keys}


@dataclass(frozen=True)
class PayGate:
    """May the mark of a quiz carry pay weight? ``reasons`` is empty when it may."""

    reasons: tuple[Reason, ...]
    whole: Whole

    @property
    def passes(self) -> bool:
        return not self.reasons


def pay_gate(*, quiz: Quiz, until: dt.datetime | None = None) -> PayGate:
    """This function will say whether a quiz is good enough for its mark to carry pay weight, or why not.

    At least 100 people, consistency of at least 0.70, no question with negative discrimination. ``until``: only what was
    handed in, and published, before that moment.
    """
    return gate_of(analyse_quiz(quiz=quiz, until=until))


def gate_of(analysis: Analysis) -> PayGate:
    """This function will draw the conclusion of ``pay_gate`` from an analysis that is there already.

    A negative question counts from five answers on, however few they are: in doubt a mark does not touch pay.
    """
    whole, reasons = analysis.whole, []
    if whole.n < GATE_PEOPLE:
        reasons.append(Reason("people", {"n": whole.n, "wanted": GATE_PEOPLE}))
    if whole.consistency is None:
        if whole.problem not in {"nobody", "few"}:  # said already
            reasons.append(Reason("no_consistency", {"problem": whole.problem}))
    elif whole.consistency < GATE_CONSISTENCY and whole.n >= SMALLEST_GROUP:
        values = {"value": floored(whole.consistency), "wanted": floored(GATE_CONSISTENCY)}
        reasons.append(Reason("consistency", values))
    negative = [item.version.question.key for item in analysis.items_now if item.is_negative]
    if negative:
        reasons.append(Reason("negative", {"questions": negative}))
    return PayGate(reasons=tuple(reasons), whole=whole)


# --- reading ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Now:
    """What the quiz asks as it now is: the versions, and what an attempt is made of."""

    versions: dict[int, int]  # version id -> question id
    items: int
    points: int
    squares: int  # of the points of each question: tells 1 + 3 points from 2 + 2
    worth: int | None


def _asked_now(quiz: Quiz, until: dt.datetime | None) -> _Now:
    """Two queries, however many lines the quiz has: the lines, and the versions of all they may draw."""
    lines = list(quiz.draws.order_by("sort_order", "pk"))
    fixed = {
        line.question_id: line for line in reversed(lines) if line.question_id
    }  # the first line of a question counts
    wanted = Q(question__in=list(fixed))
    for line in lines:
        if line.category_id:
            random = Q(question__category=line.category_id)
            if line.difficulty:
                random &= Q(question__difficulty=line.difficulty)
            if line.tag:
                random &= Q(question__tagged_items__tag__name__iexact=line.tag.strip())
            wanted |= random
    versions = QuestionVersion.objects.filter(wanted, question__live=True)
    if until is not None:
        versions = versions.filter(created_at__lt=until)
    newest = {
        question: pk
        for question, _number, pk in versions.order_by("question", "number").values_list("question", "number", "pk")
    }
    worths = [line.points for line in fixed.values()]
    worths += [line.points for line in lines if line.category_id for _one in range(line.count)]
    return _Now(
        versions={pk: question for question, pk in newest.items()},
        items=len(worths),
        points=sum(worths),
        squares=sum(worth**2 for worth in worths),
        worth=worths[0] if len(set(worths)) == 1 else None,
    )


# The marks of everybody's first attempt, as whole ten-thousandths of a point, each beside the totals of its attempt; an
# attempt is ``present`` when it is made of what the quiz now asks. Summed by the database: a quiz of the whole house has
# millions of answers. Totals come by a window and not by a join, which SQLite would do by comparing every row with every
# other. (Sums of squares stay within 64 bits up to 300,000 people and some 500 points.)
_MARKS = """
    WITH tried AS (
        SELECT attempt.id, attempt.state, attempt.submitted_at,
               ROW_NUMBER() OVER (PARTITION BY enrolment.employee_id ORDER BY attempt.started_at, attempt.id) AS turn
        FROM assessments_attempt attempt JOIN courses_enrolment enrolment ON enrolment.id = attempt.enrolment_id
        WHERE attempt.quiz_id = %s AND attempt.state <> %s
    ), marks AS (
        SELECT response.attempt_id AS attempt, response.question_version_id AS version, response.points AS worth, response.position,
               CAST(ROUND(response.score * 10000) AS BIGINT) AS mark, response.answer,
               CASE WHEN response.answer IS NULL THEN 0 ELSE 1 END AS given,
               CASE WHEN response.question_version_id IN ({versions}) THEN 1 ELSE 0 END AS asked_now
        FROM assessments_response response JOIN tried ON tried.id = response.attempt_id
        WHERE tried.turn = 1 AND tried.state = %s AND response.score IS NOT NULL {until}
    ), beside AS (
        SELECT marks.*, CAST(SUM(worth) OVER whole AS BIGINT) - worth AS rest_worth,
               CAST(SUM(mark) OVER whole AS BIGINT) - mark AS rest, SUM(given) OVER whole AS all_given,
               CASE WHEN COUNT(*) OVER whole = %s AND SUM(asked_now) OVER whole = COUNT(*) OVER whole
                         AND SUM(worth) OVER whole = %s AND SUM(worth * worth) OVER whole = %s
                    THEN 1 ELSE 0 END AS present
        FROM marks WINDOW whole AS (PARTITION BY attempt)
    )
"""

# The first question of an attempt stands for the attempt when people are counted.
_ITEMS = """
    SELECT version, worth, rest_worth, present, CASE WHEN all_given > 0 THEN 1 ELSE 0 END,
           SUM(CASE WHEN position = 1 THEN 1 ELSE 0 END), COUNT(*), SUM(given),
           SUM(mark), SUM(mark * mark), SUM(rest), SUM(rest * rest), SUM(mark * rest)
    FROM beside
    GROUP BY version, worth, rest_worth, present, CASE WHEN all_given > 0 THEN 1 ELSE 0 END
"""

_ANSWERS = """
    SELECT version, CAST(answer AS TEXT), COUNT(*)
    FROM marks WHERE given = 1 AND version IN ({choices})
    GROUP BY version, CAST(answer AS TEXT)
"""


class _Reader:
    """Asks for sums over the first attempts at one quiz."""

    def __init__(self, quiz: Quiz, now: _Now, until: dt.datetime | None):
        self.marks = _MARKS.format(
            versions=_places(now.versions), until="AND tried.submitted_at < %s" if until is not None else ""
        )
        moment = Attempt._meta.get_field("submitted_at").get_db_prep_value(until, connection)
        self.params = [quiz.pk, Attempt.State.VOIDED.value, *now.versions, Attempt.State.SUBMITTED.value]
        self.params += [moment] if until is not None else []
        self.params += [now.items, now.points, now.squares]

    def rows(self, select: str, *params) -> list[tuple]:
        with connection.cursor() as cursor:
            cursor.execute(self.marks + select, [*self.params, *params])
            return cursor.fetchall()


def _places(values: Iterable) -> str:
    return ", ".join("%s" for _value in values) or "NULL"


def analyse_quiz(*, quiz: Quiz, until: dt.datetime | None = None) -> Analysis:
    """This function will return what the first attempts at a quiz say about it and about each question of it.

    At most five queries, however many people and questions. ``until``: only what was handed in, and published, before that
    moment. Questions come by number, versions from new to old; one that the quiz asks and nobody has met yet is there too.
    """
    now = _asked_now(quiz, until)
    reader = _Reader(quiz, now, until)
    of_item: dict[int, Sums] = {}
    given: dict[int, int] = {}
    present: dict[int, Sums] = {}  # marks in points, over attempts as the quiz now is
    totals, people, empty = Sums(), 0, 0
    for version, worth, rest, is_present, is_answered, attempts, n, answered, *sums in reader.rows(_ITEMS):
        if not is_answered:
            empty += int(attempts)
            continue
        people += int(attempts)
        x, xx, y, yy, xy = (int(one) for one in sums)
        worth, rest = int(worth), int(rest)
        of_item.setdefault(version, Sums()).add(n, x, xx, y, yy, xy, x_unit=worth * _SCALE, y_unit=(rest or 1) * _SCALE)
        given[version] = given.get(version, 0) + int(answered)
        if is_present:
            present.setdefault(version, Sums()).add(n, x, xx, x_unit=_SCALE)
            # the square of a total is the sum over its marks of mark * (mark + rest)
            totals.add(int(attempts), x, xx + xy, x_unit=_SCALE)
    versions = QuestionVersion.objects.filter(pk__in={*of_item, *now.versions}).select_related("question")
    found = sorted(versions, key=lambda version: (version.question.key, -version.number))
    chosen = _chosen(reader, [version.pk for version in found if version.content["kind"] in shapes.CHOICES])
    return Analysis(
        quiz=quiz,
        people=people,
        empty=empty,
        whole=_whole(now, totals, present),
        items=[
            _item(version, version.pk in now.versions, of_item.get(version.pk, Sums()), given, chosen)
            for version in found
        ],
    )


def _chosen(reader: _Reader, choices: list[int]) -> dict[tuple[int, str], int]:
    """{(version id, option id): how many chose it}."""
    if not choices:
        return {}
    chosen: dict[tuple[int, str], int] = {}
    for version, text, n in reader.rows(_ANSWERS.format(choices=_places(choices)), *choices):
        answer = json.loads(text)
        for option in answer if isinstance(answer, list) else [answer]:
            chosen[version, option] = chosen.get((version, option), 0) + n
    return chosen


def _item(version: QuestionVersion, asked_now: bool, sums: Sums, given: dict, chosen: dict) -> Item:
    options: tuple[OptionShare, ...] = ()
    if version.content["kind"] in shapes.CHOICES:
        options = tuple(
            OptionShare(
                id=option["id"],
                text_zh=option["zh"],
                text_en=option["en"],
                correct=option["correct"],
                chosen=chosen.get((version.pk, option["id"]), 0),
                asked=sums.n,
            )
            for option in version.content["options"]
        )
    return Item(
        version=version,
        asked_now=asked_now,
        n=sums.n,
        unanswered=sums.n - given.get(version.pk, 0),
        facility=sums.mean,
        discrimination=sums.correlation,
        options=options,
    )


def _whole(now: _Now, totals: Sums, present: dict[int, Sums]) -> Whole:
    same_items = len(present) <= now.items
    problem, value = "", None
    if not totals.n:
        problem = "nobody"
    elif totals.n < 2:
        problem = "few"
    elif now.items < 2:
        problem = "one_question"
    elif not same_items and now.worth is None:
        problem = "unequal"
    else:
        if same_items:
            item_variance = sum((sums.variance for sums in present.values()), Fraction(0))
        else:
            pooled = Sums()
            for sums in present.values():
                pooled.add(sums.n, sums.x, sums.xx)
            item_variance = now.items * pooled.variance
        value = consistency(items=now.items, item_variance=item_variance, total_variance=totals.variance)
        problem = "" if value is not None else "no_spread"
    error = None
    if value is not None:
        error = error_of_measurement(total_variance=totals.variance, consistency=value)
    return Whole(
        n=totals.n,
        items=now.items,
        points=now.points,
        same_items=same_items,
        consistency=value,
        error=error,
        worth=now.worth,
        problem=problem,
    )


def quizzes_asking(question: Question):
    """This function will return the quizzes that name a question or may draw from its category, by name."""
    asking = Q(draws__question=question) | Q(draws__category=question.category_id)
    return Quiz.objects.filter(asking).distinct().order_by("name")
