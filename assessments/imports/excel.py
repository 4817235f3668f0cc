"""Questions from a workbook: the template that is offered, the check, and its application.

One row is one question. Columns are found by their Chinese or English header in any order. A check changes nothing; it
says for every row what it would do, and for every fault the place, the value and the cure.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import BinaryIO

from django.db import transaction
from django.utils.translation import gettext as _

from assessments import shapes
from assessments.domain.bank import QuestionFaulty, validate_question
from assessments.domain.marking import NotANumber, parse_number
from assessments.imports.template import WORKED_ROWS
from assessments.models import AnswerOption, Question, QuestionCategory, QuestionImport
from core.spreadsheets import BROKEN_ROW, Limits, Unreadable, open_table, unescape

LIMITS = Limits(
    csv_bytes=5_000_000, xlsx_bytes=5_000_000, unpacked_bytes=60_000_000, rows=1_000, columns=60, cells=100_000
)
LETTERS = "ABCDEFGHIJ"
TEMPLATE_LETTERS = "ABCDEF"
EXAMPLE = "EXAMPLE-"  # rows with such a number are the worked rows of the template: left out
HEADER_WITHIN = 10

Kind, Difficulty = Question.Kind, Question.Difficulty


@dataclass(frozen=True)
class Column:
    """A column: how it is called in both languages, and what else people call it (all compared after folding)."""

    name: str
    zh: str
    en: str
    others: tuple[str, ...] = ()
    width: int = 14

    def label(self, language: str) -> str:
        return self.en if (language or "").startswith("en") else self.zh


def _columns() -> list[Column]:
    found = [
        Column("key", "题号", "Number", ("编号", "id", "no", "key", "questionnumber"), 14),
        Column("category", "分类", "Category", ("类别", "目录", "shelf"), 18),
        Column("kind", "题型", "Kind", ("类型", "type", "questiontype"), 12),
        Column("difficulty", "难度", "Difficulty", ("level",), 8),
        Column("text_zh", "题目（中文）", "Question (Chinese)", ("题目", "题干", "问题", "question", "text"), 40),
        Column("text_en", "题目（英文）", "Question (English)", ("英文题目",), 40),
    ]
    for letter in LETTERS:
        others = (f"选项{letter}", f"答案{letter}", letter, f"option{letter}")
        found.append(Column(f"{letter}_zh", f"选项{letter}（中文）", f"{letter} (Chinese)", others, 22))
        found.append(
            Column(f"{letter}_en", f"选项{letter}（英文）", f"{letter} (English)", (f"option{letter}english",), 22)
        )
    found += [
        Column("answer", "答案", "Answer", ("正确答案", "rightanswer", "correct", "key answer"), 12),
        Column("tolerance", "允许误差", "Tolerance", ("误差",), 10),
        Column("unit_zh", "单位（中文）", "Unit (Chinese)", ("单位", "unit"), 10),
        Column("unit_en", "单位（英文）", "Unit (English)", (), 10),
        Column("feedback_zh", "解析（中文）", "Explanation (Chinese)", ("解析", "explanation", "feedback"), 40),
        Column("feedback_en", "解析（英文）", "Explanation (English)", (), 40),
        Column("tags", "标签", "Tags", ("tag", "关键词"), 16),
    ]
    return found


def _folded(text: str) -> str:
    return re.sub(r"[\s()_:*\[\]]+", "", unicodedata.normalize("NFKC", text).casefold())


COLUMNS = {column.name: column for column in _columns()}
_BY_HEADER = {
    _folded(name): column.name for column in COLUMNS.values() for name in (*column.others, column.zh, column.en)
}
REQUIRED = ("key", "category", "kind", "text_zh")

_KIND_WORDS = {
    Kind.SINGLE: ("single", "singlechoice", "单选", "单选题", "one right answer", "单项选择", "单项选择题"),
    Kind.MULTIPLE: ("multiple", "multiplechoice", "多选", "多选题", "several right answers", "多项选择", "多项选择题"),
    Kind.TRUE_FALSE: ("true_false", "true/false", "truefalse", "true or false", "判断", "判断题", "是非题", "对错题"),
    Kind.NUMERICAL: ("numerical", "number", "a number", "数字", "数字题", "数值", "数值题", "计算题"),
    Kind.SHORT_TEXT: ("short_text", "short text", "a short text", "text", "填空", "填空题", "简答", "简答题"),
    Kind.MATCHING: ("matching", "matching pairs", "pairs", "配对", "配对题", "连线题", "匹配题"),
    Kind.ORDERING: ("ordering", "putting in order", "order", "排序", "排序题"),
}
_KINDS = {_folded(word): kind for kind, words in _KIND_WORDS.items() for word in words}
_DIFFICULTY_WORDS = {
    Difficulty.EASY: ("easy", "易", "简单", "容易", "低"),
    Difficulty.MEDIUM: ("medium", "中", "中等", "一般", "普通"),
    Difficulty.HARD: ("hard", "难", "困难", "较难", "高", "difficult"),
}
_DIFFICULTIES = {_folded(word): level for level, words in _DIFFICULTY_WORDS.items() for word in words}
_TRUE = {_folded(word) for word in ("true", "t", "yes", "y", "right", "对", "正确", "是", "√", "✓", "1", "a")}
_FALSE = {_folded(word) for word in ("false", "f", "no", "n", "wrong", "错", "错误", "否", "×", "x", "0", "b")}


# --- what a check says --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class CellFault:
    """One fault: where, what stands there, what is wrong and what to do."""

    sheet: str
    row: int
    column: str
    value: str
    problem: str
    cure: str


@dataclass
class CheckedRow:
    """One row and what applying it would do: new, changed, unchanged or refused."""

    sheet: str
    row: int
    key: str
    outcome: str = "new"
    faults: list[CellFault] = field(default_factory=list)
    changes: list[tuple[str, str, str]] = field(default_factory=list)  # what, before, after
    question: Question | None = None  # as it would be; never saved by a check
    options: list[AnswerOption] = field(default_factory=list)
    tags: list[str] | None = None  # None: the file says nothing about tags
    said: frozenset[str] = frozenset()  # the columns the file has

    @property
    def text(self) -> str:
        return self.question.text_zh if self.question else ""


@dataclass
class CheckedFile:
    """A whole file. ``problem`` (with ``cure``) says why it cannot be read at all; then there are no rows."""

    rows: list[CheckedRow] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)  # headers nobody knows
    examples: int = 0  # worked rows of the template that were left out
    problem: str = ""
    cure: str = ""

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(row.outcome for row in self.rows)
        return {outcome: found[outcome] for outcome in ("new", "changed", "unchanged", "refused")}

    @property
    def faults(self) -> list[CellFault]:
        return [fault for row in self.rows for fault in row.faults]


# --- reading --------------------------------------------------------------------------------------------------------------
def check_file(*, file: BinaryIO, language: str) -> CheckedFile:
    """This function will read a workbook or CSV file and say, row by row, what importing it would do. It changes nothing.

    ``language`` is that of the column names in its words. A file that cannot be read, has no header row or no questions
    comes back with ``problem`` and ``cure``.
    """
    checked = CheckedFile()
    try:
        with open_table(file, limits=LIMITS) as table:
            found_header = False
            for sheet in table.sheets:
                found_header |= _read_sheet(sheet, checked, language)
    except Unreadable as problem:
        return CheckedFile(problem=problem.problem, cure=problem.cure)
    if not found_header:
        names = ", ".join(COLUMNS[name].label(language) for name in REQUIRED)
        return CheckedFile(
            problem=_("No sheet has the header of a question list."),
            cure=_("Use the template, or give the first row these headers: %(names)s.") % {"names": names},
        )
    if not checked.rows:
        return CheckedFile(
            examples=checked.examples,
            problem=_("There is no question below the header."),
            cure=_(
                "Write one question in each row and upload the file again. Rows whose number starts with “EXAMPLE-” are left out."
            ),
        )
    _compare_with_bank(checked.rows, language)
    return checked


def _read_sheet(sheet, checked: CheckedFile, language: str) -> bool:
    """Add the questions of a sheet; False when it has no header."""
    places: dict[str, int] | None = None
    categories = _categories()
    seen = {row.key: row for row in checked.rows}
    for number, cells in enumerate(sheet.rows(), 1):
        if places is None:
            if cells is BROKEN_ROW:
                continue
            places = _header(cells, checked)
            if places is None and number >= HEADER_WITHIN:
                return False
            continue
        if cells is BROKEN_ROW:
            row = CheckedRow(sheet.name, number, "", outcome="refused")
            row.faults.append(
                CellFault(
                    sheet.name,
                    number,
                    "",
                    "",
                    _("The quotes of this line do not fit together."),
                    _("Mend the line, or save the table as .xlsx."),
                )
            )
            checked.rows.append(row)
            continue
        values = {name: cells[place] if place < len(cells) else None for name, place in places.items()}
        if all(value in (None, "") for value in values.values()):
            continue
        reader = _RowReader(sheet.name, number, values, language, categories)
        if reader.text("key").upper().startswith(EXAMPLE):
            checked.examples += 1
            continue
        row = reader.read()
        if row.key and row.key in seen:
            first = seen[row.key]
            reader.fault(
                "key",
                _("This number stands in row %(row)d already.") % {"row": first.row},
                _("Give each question a number of its own."),
            )
            row.outcome = "refused"
        elif row.key:
            seen[row.key] = row
        checked.rows.append(row)
    return places is not None


def _header(cells, checked: CheckedFile) -> dict[str, int] | None:
    """The place of each known column, when this row is a header."""
    places: dict[str, int] = {}
    strangers = []
    for place, cell in enumerate(cells):
        text = unescape(str(cell or "")).strip()
        name = _BY_HEADER.get(_folded(text))
        if name and name not in places:
            places[name] = place
        elif text:
            strangers.append(text)
    if not all(name in places for name in REQUIRED):
        return None
    checked.ignored += strangers
    return places


def _categories() -> dict[str, QuestionCategory]:
    found: dict[str, QuestionCategory] = {}
    for category in QuestionCategory.objects.all():
        for name in (category.name_en, category.name, category.slug):
            if name:
                found[_folded(name)] = category
    return found


class _RowReader:
    """Turns the cells of one row into a question, or into faults."""

    def __init__(self, sheet: str, number: int, values: dict, language: str, categories: dict[str, QuestionCategory]):
        self.values, self.language, self.categories = values, language, categories
        self.row = CheckedRow(sheet, number, "", said=frozenset(values))

    def fault(self, name: str, problem: str, cure: str) -> None:
        column = COLUMNS[name].label(self.language)
        self.row.faults.append(CellFault(self.row.sheet, self.row.row, column, self.text(name)[:80], problem, cure))

    def has(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str:
        """The cell as text: whole numbers without their ".0", the apostrophe of a neutralised text taken away."""
        value = self.values.get(name)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        return unescape(str(value)).replace("\r\n", "\n").strip()

    def read(self) -> CheckedRow:
        self._refuse_strange_cells()
        self.row.key = self._key()
        category, kind, difficulty = self._category(), self._kind(), self._difficulty()
        question = Question(key=self.row.key, kind=kind or Kind.SINGLE, difficulty=difficulty or Difficulty.MEDIUM)
        if category:
            question.category = category
        question.text_zh, question.text_en = self.text("text_zh"), self.text("text_en")
        question.feedback_zh, question.feedback_en = self.text("feedback_zh"), self.text("feedback_en")
        self.row.question = question
        if self.has("tags"):
            self.row.tags = sorted({tag.strip() for tag in re.split(r"[,，;；、]", self.text("tags")) if tag.strip()})
            if any(len(tag) > 100 for tag in self.row.tags):
                self.fault(
                    "tags",
                    _("A tag is too long: at most 100 characters."),
                    _("Write short words, separated by commas."),
                )
        if kind:
            self._answers(question, kind)
        question.options = self.row.options
        if kind and not self.row.faults:
            self._validate(question)
        if self.row.faults:
            self.row.outcome = "refused"
        return self.row

    def _refuse_strange_cells(self) -> None:
        for name, value in self.values.items():
            if isinstance(value, dt.date | dt.time | dt.timedelta):
                self.fault(
                    name,
                    _("The spreadsheet turned this into a date or a time."),
                    _("Format the column as text and type the value again."),
                )
            elif isinstance(value, str) and any(
                unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\n\r\t" for letter in value
            ):
                self.fault(name, _("This holds characters that cannot be shown."), _("Type the text again."))

    def _key(self) -> str:
        key = self.text("key")
        if not key:
            self.fault(
                "key", _("The number is missing."), _("Give each question a number of its own, for example ETQ-01-001.")
            )
        elif len(key) > 40:
            self.fault("key", _("The number is too long: at most 40 characters."), _("Shorten it."))
            return key[:40]
        elif isinstance(self.values.get("key"), float) and abs(self.values["key"]) >= 1e15:
            self.fault(
                "key",
                _("The spreadsheet changed this number."),
                _("Format the column as text and type the number again."),
            )
        return key

    def _category(self) -> QuestionCategory | None:
        found = self.categories.get(_folded(self.text("category")))
        if found is None:
            known = ", ".join(dict.fromkeys(category.slug for category in self.categories.values()))[:300]
            cure = (
                _("Use one of these: %(known)s; or make the category first.") % {"known": known}
                if known
                else _("Make the category first.")
            )
            problem = _("There is no such category.") if self.text("category") else _("The category is missing.")
            self.fault("category", problem, cure)
        return found

    def _kind(self) -> str | None:
        found = _KINDS.get(_folded(self.text("kind")))
        if found is None:
            if (self.language or "").startswith("zh"):
                words = "、".join(next(word for word in _KIND_WORDS[kind] if word.endswith("题")) for kind in Kind)
            else:
                words = ", ".join(kind.value for kind in Kind)
            self.fault(
                "kind", _("This kind of question is not known."), _("Use one of these: %(known)s.") % {"known": words}
            )
        return found

    def _difficulty(self) -> str | None:
        text = self.text("difficulty")
        found = _DIFFICULTIES.get(_folded(text)) if text else Difficulty.MEDIUM
        if found is None:
            known = "易、中、难" if (self.language or "").startswith("zh") else "easy, medium, hard"
            self.fault(
                "difficulty", _("This difficulty is not known."), _("Use one of these: %(known)s.") % {"known": known}
            )
        return found

    # the answers, by kind
    def _cells(self) -> list[tuple[str, str, str]]:
        """(letter, Chinese, English) of the option columns that are filled."""
        cells = [(letter, self.text(f"{letter}_zh"), self.text(f"{letter}_en")) for letter in LETTERS]
        return [cell for cell in cells if cell[1] or cell[2]]

    def _add(self, letter: str, zh: str, en: str, **more) -> None:
        for name, text in ((f"{letter}_zh", zh), (f"{letter}_en", en)):
            if len(text) > 500:
                self.fault(
                    name, _("This is too long: at most %(longest)d characters.") % {"longest": 500}, _("Shorten it.")
                )
        self.row.options.append(AnswerOption(text_zh=zh, text_en=en, sort_order=len(self.row.options), **more))

    def _answers(self, question: Question, kind: str) -> None:
        if kind in {Kind.SINGLE, Kind.MULTIPLE}:
            self._choices(kind)
        elif kind == Kind.TRUE_FALSE:
            self._true_false()
        elif kind == Kind.NUMERICAL:
            self._number(question)
        elif kind == Kind.MATCHING:
            self._pairs()
        else:
            for letter, zh, en in self._cells():
                self._add(letter, zh, en, is_correct=True)

    def _choices(self, kind: str) -> None:
        cells = self._cells()
        letters = [letter for letter, _zh, _en in cells]
        text = unicodedata.normalize("NFKC", self.text("answer")).upper()
        right = re.findall(r"[A-Z]", text)
        leftover = re.sub(r"[A-Z,;、/和及&+\s]", "", text)
        if not right or leftover:
            cure = (
                _("Write the letter of the right answer, for example B.")
                if kind == Kind.SINGLE
                else _("Write the letters of the right answers, for example A,C.")
            )
            self.fault("answer", _("The right answer cannot be read."), cure)
        elif missing := [letter for letter in right if letter not in letters]:
            self.fault(
                "answer",
                _("There is no answer %(letter)s in this row.") % {"letter": missing[0]},
                _("Write the text of that answer, or another letter."),
            )
        elif kind == Kind.SINGLE and len(set(right)) > 1:
            self.fault(
                "answer",
                _("This kind has one right answer."),
                _("Write one letter, or choose the kind with several right answers."),
            )
        for letter, zh, en in cells:
            self._add(letter, zh, en, is_correct=letter in right)

    def _true_false(self) -> None:
        text = _folded(self.text("answer"))
        if text not in _TRUE | _FALSE:
            self.fault("answer", _("The right answer cannot be read."), _("Write true or false, or 对 or 错."))
        for place, (letter, words) in enumerate((("A", shapes.TRUE_WORDS), ("B", shapes.FALSE_WORDS))):
            zh, en = self.text(f"{letter}_zh"), self.text(f"{letter}_en")
            right = text in (_FALSE if place else _TRUE)
            self._add(letter, zh or words["zh"], en or words["en"], is_correct=right)

    def _number(self, question: Question) -> None:
        question.number_unit_zh, question.number_unit_en = self.text("unit_zh"), self.text("unit_en")
        for name in ("unit_zh", "unit_en"):
            if len(self.text(name)) > 20:
                self.fault(
                    name, _("This is too long: at most %(longest)d characters.") % {"longest": 20}, _("Shorten it.")
                )
        question.number = self._decimal("answer")
        question.tolerance = self._decimal("tolerance") if self.text("tolerance") else Decimal(0)

    def _decimal(self, name: str) -> Decimal | None:
        try:
            number = parse_number(self.text(name))
        except NotANumber:
            self.fault(name, _("This cannot be read as a number."), _("Write it with digits, for example 12 or 0.5."))
            return None
        if abs(number) >= Decimal(10) ** 12 or -number.normalize().as_tuple().exponent > 6:
            self.fault(
                name, _("This number is too long."), _("Use at most twelve digits before and six behind the point.")
            )
            return None
        return number

    def _pairs(self) -> None:
        for letter, zh, en in self._cells():
            left_zh, right_zh = _split_pair(zh)
            left_en, right_en = _split_pair(en)
            if not right_zh:
                self.fault(
                    f"{letter}_zh",
                    _("This pair has no second side."),
                    _("Write both sides with = between them, for example 倾听 = 先让客户说完."),
                )
            self._add(letter, left_zh, left_en, is_correct=True, match_zh=right_zh, match_en=right_en)

    def _validate(self, question: Question) -> None:
        try:
            validate_question(content=question.content())
        except QuestionFaulty as problem:
            filled = [letter for letter, _zh, _en in self._cells()]
            for fault in problem.faults:
                name = _OPTION_COLUMNS.get(fault.field, fault.field)
                if fault.option is not None:
                    letter = filled[fault.option] if fault.option < len(filled) else LETTERS[fault.option]
                    name = f"{letter}_{fault.field[-2:]}"
                self.fault(
                    name if name in COLUMNS else "answer", fault.message, _("Mend it in the file and upload it again.")
                )


_OPTION_COLUMNS = {"options": "answer", "number": "answer"}


def _split_pair(text: str) -> tuple[str, str]:
    """The two sides of "left = right" or "left | right"; a bar counts before an equals sign."""
    for sign in ("|", "｜", "=", "＝"):
        if sign in text:
            left, _sign, right = text.partition(sign)
            return left.strip(), right.strip()
    return text, ""


# --- comparing --------------------------------------------------------------------------------------------------------------
def _compare_with_bank(rows: list[CheckedRow], language: str) -> None:
    wanted = [row.key for row in rows if row.outcome != "refused"]
    known = {
        question.key: question
        for question in Question.objects.filter(key__in=wanted)
        .select_related("latest_revision", "category")
        .prefetch_related("tagged_items__tag", "options")
    }
    for row in rows:
        stored = known.get(row.key)
        if row.outcome == "refused" or stored is None:
            continue
        if stored.locked:
            row.outcome = "refused"
            row.faults.append(
                CellFault(
                    row.sheet,
                    row.row,
                    COLUMNS["key"].label(language),
                    row.key,
                    _("This question is locked in the bank."),
                    _("Ask for it to be unlocked, then upload the file again."),
                )
            )
            continue
        _compare(row, _newest(stored), language)


def _newest(stored: Question) -> Question:
    """The question with its unpublished changes, as its author sees it."""
    return stored.latest_revision.as_object() if stored.has_unpublished_changes and stored.latest_revision else stored


def _compare(row: CheckedRow, before: Question, language: str) -> None:
    """Say what differs. What a file has no column for stays: explanations of single answers, missing languages."""
    after = row.question
    row.question.pk = before.pk
    _keep_what_is_not_said(row, before)
    after.options = row.options
    old, new = before.content(), after.content()
    tags_before = sorted(item.tag.name for item in before.tagged_items.all())  # (tags.all() would ask for each row)
    pairs = [
        (_("category"), str(before.category), str(after.category)),
        (_("question kind"), before.get_kind_display(), after.get_kind_display()),
        (_("difficulty"), before.get_difficulty_display(), after.get_difficulty_display()),
        (_("question (Chinese)"), old["text"]["zh"], new["text"]["zh"]),
        (_("question (English)"), old["text"]["en"], new["text"]["en"]),
        (_("answers"), _answer_words(old, language), _answer_words(new, language)),
        (_("explanation (Chinese)"), old["feedback"]["zh"], new["feedback"]["zh"]),
        (_("explanation (English)"), old["feedback"]["en"], new["feedback"]["en"]),
        (_("tags"), ", ".join(tags_before), ", ".join(tags_before if row.tags is None else row.tags)),
    ]
    row.changes = [pair for pair in pairs if pair[1] != pair[2]]
    if not row.changes and old != new:
        row.changes = [(_("answers"), _answer_words(old, "zh"), _answer_words(new, "zh"))]
    row.outcome = "changed" if row.changes else "unchanged"


def _keep_what_is_not_said(row: CheckedRow, before: Question) -> None:
    after, said = row.question, row.said
    for name in ("text_en", "feedback_zh", "feedback_en"):
        if name not in said:
            setattr(after, name, getattr(before, name))
    if "difficulty" not in said:
        after.difficulty = before.difficulty
    if after.kind == before.kind == Kind.NUMERICAL:
        for name, column in (("number_unit_zh", "unit_zh"), ("number_unit_en", "unit_en"), ("tolerance", "tolerance")):
            if column not in said:
                setattr(after, name, getattr(before, name))
    options = {option.text_zh.strip(): option for option in before.options.all()}
    for option in row.options:
        kept = options.get(option.text_zh)
        if kept is None:
            continue
        option.feedback_zh, option.feedback_en = kept.feedback_zh, kept.feedback_en
        if not any(name.endswith("_en") and name[0] in LETTERS and len(name) == 4 for name in said):
            option.text_en, option.match_en = kept.text_en, kept.match_en


def _answer_words(content: dict, language: str) -> str:
    """All answers of a question in one line, the right ones marked."""
    if content["kind"] in shapes.CHOICES:
        return " · ".join(
            ("✓ " if option["correct"] else "") + _both(option["zh"], option["en"]) for option in content["options"]
        )
    if content["kind"] == shapes.MATCHING:
        return " · ".join(
            f"{_both(option['zh'], option['en'])} = {_both(option['match_zh'], option['match_en'])}"
            for option in content["options"]
        )
    if content["kind"] == shapes.NUMERICAL:
        unit = _both(content["unit"]["zh"], content["unit"]["en"])
        return f"{content['number']} ± {content['tolerance']} {unit}".strip()
    return " · ".join(_both(option["zh"], option["en"]) for option in content["options"])


def _both(zh: str, en: str) -> str:
    return f"{zh} / {en}" if zh and en else zh or en


# --- applying -----------------------------------------------------------------------------------------------------------------
class AppliedAlready(Exception):
    """The file was applied before: it is applied once."""


def apply_import(*, upload: QuestionImport, checked: CheckedFile, publish: bool, by, at: dt.datetime) -> dict[str, int]:
    """This function will write the new and changed questions of a checked file, as drafts or published, and return counts.

    Refused rows are left out. All in one transaction, once: a second call raises AppliedAlready. A question that is
    unchanged but was never published is published too when ``publish`` is chosen.
    """
    with transaction.atomic():
        claimed = QuestionImport.objects.filter(pk=upload.pk, state=QuestionImport.State.CHECKED).update(
            state=QuestionImport.State.APPLIED, counts=checked.counts, applied_at=at
        )
        if not claimed:
            raise AppliedAlready
        for row in checked.rows:
            if row.outcome == "new":
                question = row.question
                question.live, question.has_unpublished_changes = False, True
                if row.tags:
                    question.tags.set(row.tags)
                question.save()
            elif row.outcome == "changed":
                question = Question.objects.get(pk=row.question.pk).get_latest_revision_as_object()
                _copy(row, question)
            elif row.outcome == "unchanged" and publish:
                question = Question.objects.get(pk=row.question.pk)
                if question.live and not question.has_unpublished_changes:
                    continue
                question = question.get_latest_revision_as_object()
            else:
                continue
            revision = question.save_revision(user=by, log_action=True)
            if publish:
                revision.publish(user=by)
    return checked.counts


_COPIED = [
    "category", "kind", "difficulty", "text_zh", "text_en", "feedback_zh", "feedback_en",
    "number", "tolerance", "number_unit_zh", "number_unit_en",
]  # fmt: skip


def _copy(row: CheckedRow, question: Question) -> None:
    for name in _COPIED:
        setattr(question, name, getattr(row.question, name))
    question.options = row.options
    if row.tags is not None:
        question.tags.set(row.tags)


# --- the template ---------------------------------------------------------------------------------------------------------------
def template_columns() -> list[Column]:
    """The columns of the template: all, but answers only up to F."""
    late = set(LETTERS) - set(TEMPLATE_LETTERS)
    return [column for column in COLUMNS.values() if not (column.name[0] in late and column.name[1:] in {"_zh", "_en"})]


def template_rows(language: str) -> list[list[str]]:
    """Two worked rows for each kind. Their numbers start with EXAMPLE-, so they are left out when they are uploaded."""
    category = QuestionCategory.objects.order_by("slug").values_list("slug", flat=True).first() or "etiquette"
    rows = []
    for number, (kind, level, zh, en, options, answer, more) in enumerate(WORKED_ROWS, 1):
        values = {
            "key": f"{EXAMPLE}{number:02d}",
            "category": category,
            "kind": kind if not (language or "").startswith("en") else _KIND_WORDS[_KINDS[_folded(kind)]][0],
            "difficulty": level if not (language or "").startswith("en") else str(_DIFFICULTIES[_folded(level)].value),
            "text_zh": zh,
            "text_en": en,
            "answer": answer,
            **more,
        }
        for letter, (option_zh, option_en) in zip(TEMPLATE_LETTERS, options, strict=False):
            values[f"{letter}_zh"], values[f"{letter}_en"] = option_zh, option_en
        rows.append([values.get(column.name, "") for column in template_columns()])
    return rows
