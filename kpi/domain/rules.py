"""Rules of the house: drafted, put to consultation, published by another person, and read by those they concern.

The life of a version: ``propose_version`` (a copy of the newest) -> ``change_draft`` -> ``begin_consultation`` ->
``publish_version``. Published it stands still: the database refuses a change, and ``content_hash`` shows one that was
made past it. Whatever moves a grade, pay or an award asks ``require_in_force`` first.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from core.events import record_event, sealed
from core.models import Event
from courses.domain.audiences import select_people
from courses.models import Audience
from kpi.domain import parameters as readers
from kpi.models import Acknowledgement, ConsultationNote, Indicator, Rule, RuleVersion
from people.models import Employee, OrgUnit, User

_State, _Kind = RuleVersion.State, ConsultationNote.Kind
_CHAIN = "rules"
_PUBLISHED = "rule published"

# Who reads and checks the parameters of a family: functions of kpi.domain.parameters.
READERS = {
    Rule.Family.SCORECARD: "scorecard_rule",
    Rule.Family.PAY: "pay_rule",
    Rule.Family.AWARD: "award_rule",
}
USUAL_NOTICE = 7
MOST_NOTICE = 366  # days


class InForceMissing(Exception):
    """No published version is in force on that day, or the version asked for is another one: unannounced rules move nothing."""


class InWork(Exception):
    """A version of this rule is being worked on already; there is one at a time."""


class NotInWork(Exception):
    """The version is published, or in another step than this needs."""


class ChangedMeanwhile(Exception):
    """Somebody changed the draft since it was looked at."""


class TextMissing(Exception):
    """The version has no Chinese text that staff could read."""


class NotAnother(Exception):
    """Who proposed a version, or changed it last, does not publish it (TRUST PM-V12, PM-Y12)."""


class TooEarly(Exception):
    """The notice period would be cut short, or the version before would be passed; ``earliest`` is the first possible day."""

    def __init__(self, earliest: dt.date):
        super().__init__(earliest.isoformat())
        self.earliest = earliest


class AudienceElsewhere(Exception):
    """The audience selects nobody in the unit of the rule."""


class NotInConsultation(Exception):
    """Something was to be said about a version that is not in consultation."""


class HasNotes(Exception):
    """Something was said about the draft: that stays, so the draft is changed and not withdrawn."""


class NotConcerned(Exception):
    """The rule is not for this person, or somebody tried to read for another one."""


class NotPublished(Exception):
    """Only a published version is read and acknowledged."""


# --- drafting ---------------------------------------------------------------------------------------------------------
def make_rule(
    *,
    family: str,
    code: str,
    name: str,
    scope: OrgUnit,
    by: User | None,
    at: dt.datetime,
    name_en: str = "",
    subject: str = Rule.Subject.EMPLOYEE,
    audience: Audience | None = None,
) -> Rule:
    """This function will make a rule without content (see propose_version). One event on the chain ``rules``.

    Raises AudienceElsewhere when the audience belongs to other units than the rule; the database refuses a code that is
    taken (IntegrityError).
    """
    if audience is not None and not (audience.scope.contains(scope) or scope.contains(audience.scope)):
        raise AudienceElsewhere
    with transaction.atomic():
        rule = Rule.objects.create(
            family=family, code=code, name=name, name_en=name_en, subject=subject, scope=scope, audience=audience
        )
        after = {
            "family": family,
            "code": code,
            "name": name,
            "subject": subject,
            "scope": scope.code,
            "audience": audience.pk if audience else None,
        }
        record_event(chain=_CHAIN, action="rule made", subject=rule, actor=by, at=at, after=after)
    return rule


def propose_version(
    *,
    rule: Rule,
    by: User | None,
    at: dt.datetime,
    parameters: dict | None = None,
    text_zh: str | None = None,
    text_en: str | None = None,
    notice_days: int | None = None,
) -> RuleVersion:
    """This function will begin the next version of a rule as a draft; what is not given is copied from the newest one.

    Parameters that are given are checked; the first version of all may be begun without any. Raises InWork when one is
    begun already, and ParametersWrong.
    """
    if parameters:
        check_parameters(rule=rule, parameters=parameters)
    try:
        with transaction.atomic():
            newest = rule.versions.order_by("-number").first()
            if newest is not None and newest.state != _State.PUBLISHED:
                raise InWork
            values: dict[str, Any] = {
                "parameters": parameters,
                "text_zh": None if text_zh is None else _plain(text_zh),
                "text_en": None if text_en is None else _plain(text_en),
                "notice_days": notice_days,
            }
            first = {"parameters": {}, "text_zh": "", "text_en": "", "notice_days": USUAL_NOTICE}
            for name, value in values.items():
                if value is None:
                    values[name] = getattr(newest, name) if newest else first[name]
            version = RuleVersion.objects.create(
                rule=rule, number=newest.number + 1 if newest else 1, proposed_by=by, proposed_at=at, **values
            )
            after = {"rule": rule.code, "number": version.number, "copied_from": newest.number if newest else None}
            record_event(chain=_CHAIN, action="rule proposed", subject=version, actor=by, at=at, after=after)
    except IntegrityError as collision:  # somebody began one at the same moment
        raise InWork from collision
    return version


def change_draft(
    *,
    version: RuleVersion,
    by: User | None,
    at: dt.datetime,
    seen: int | None = None,
    parameters: dict | None = None,
    text_zh: str | None = None,
    text_en: str | None = None,
    notice_days: int | None = None,
) -> RuleVersion:
    """This function will change a version that is not published yet; what is None stays. The event keeps before and after.

    ``seen`` is the ``revision`` on which the change was made (of a page; otherwise that of ``version``). Saving what is
    there already changes nothing and leaves no event. Raises ParametersWrong, NotInWork and ChangedMeanwhile.
    """
    if parameters is not None:
        check_parameters(rule=version.rule, parameters=parameters)
    wanted: dict[str, Any] = {
        "parameters": parameters,
        "text_zh": None if text_zh is None else _plain(text_zh),
        "text_en": None if text_en is None else _plain(text_en),
        "notice_days": notice_days,
    }
    with transaction.atomic():
        now = _in_work(version, version.revision if seen is None else seen)
        after = {name: value for name, value in wanted.items() if value is not None and value != getattr(now, name)}
        if not after:
            return now
        before = {name: getattr(now, name) for name in after}
        _move(now, edited_by=by, revision=F("revision") + 1, **after)
        record_event(chain=_CHAIN, action="rule changed", subject=now, actor=by, at=at, before=before, after=after)
        now.refresh_from_db()
    return now


def withdraw_draft(*, version: RuleVersion, by: User | None, at: dt.datetime) -> None:
    """This function will delete a version that is not published; the event keeps what it said.

    Raises NotInWork, ChangedMeanwhile, and HasNotes when something was said about it in the consultation.
    """
    with transaction.atomic():
        now = _in_work(version, version.revision)
        if now.notes.exists():
            raise HasNotes
        before = {"rule": now.rule.code, "number": now.number, **_content(now)}
        record_event(chain=_CHAIN, action="rule withdrawn", subject=now, actor=by, at=at, before=before)
        if not RuleVersion.objects.filter(pk=now.pk, revision=now.revision, state=now.state).delete()[0]:
            raise ChangedMeanwhile


def check_parameters(*, rule: Rule, parameters: dict) -> Any:
    """This function will read parameters with the reader of the rule's family. Raises ParametersWrong with every fault.

    Indicators that nobody has heard of are faults, where the reader knows of indicators.
    """
    read = getattr(readers, READERS[Rule.Family(rule.family)])
    if "known" in inspect.signature(read).parameters:
        return read(parameters, known=frozenset(Indicator.objects.values_list("code", flat=True)))
    return read(parameters)


def read_parameters(version: RuleVersion) -> Any:
    """This function will return the typed parameters of a version; indicators are not looked up (they were checked)."""
    return getattr(readers, READERS[Rule.Family(version.rule.family)])(version.parameters)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _content(version: RuleVersion) -> dict[str, Any]:
    return {
        "parameters": version.parameters,
        "text_zh": version.text_zh,
        "text_en": version.text_en,
        "notice_days": version.notice_days,
    }


def _in_work(version: RuleVersion, seen: int) -> RuleVersion:
    """The version as it is by now, if it may still be changed and nobody else has changed it since it was read."""
    now = RuleVersion.objects.select_related("rule").filter(pk=version.pk).first()
    if now is None or now.state == _State.PUBLISHED:
        raise NotInWork
    if now.revision != seen:
        raise ChangedMeanwhile
    return now


def _move(now: RuleVersion, **values: Any) -> None:
    """Change the row if it is still as it was read."""
    as_read = RuleVersion.objects.filter(pk=now.pk, state=now.state, revision=now.revision)
    if not as_read.update(**values):
        raise ChangedMeanwhile


# --- consultation -----------------------------------------------------------------------------------------------------
def begin_consultation(*, version: RuleVersion, by: User | None, at: dt.datetime) -> RuleVersion:
    """This function will show a draft to those it concerns, so that they can say something about it.

    Raises NotInWork (it is in consultation already, or published), ChangedMeanwhile, TextMissing, ParametersWrong.
    """
    with transaction.atomic():
        now = _in_work(version, version.revision)
        if now.state != _State.DRAFT:
            raise NotInWork
        _complete(now)
        _move(now, state=_State.CONSULTING)
        record_event(
            chain=_CHAIN,
            action="consultation begun",
            subject=now,
            actor=by,
            at=at,
            before={"state": _State.DRAFT},
            after={"state": _State.CONSULTING, "revision": now.revision},
        )
        now.refresh_from_db()
    return now


def add_note(*, version: RuleVersion, kind: str, text: str, by: User | None, at: dt.datetime) -> ConsultationNote:
    """This function will add what was said about a version: a meeting, a comment, or an answer. It stays for good.

    HR may write a meeting down while the version is a draft or in consultation; comments and answers belong to the
    consultation. Raises NotInConsultation.
    """
    with transaction.atomic():
        # The row is moved to itself first: so nobody publishes between looking and writing.
        states = [_State.CONSULTING, _State.DRAFT] if kind == _Kind.MEETING else [_State.CONSULTING]
        if not RuleVersion.objects.filter(pk=version.pk, state__in=states).update(state=F("state")):
            raise NotInConsultation
        note = ConsultationNote.objects.create(version=version, kind=kind, text=_plain(text), by=by, at=at)
        after = {"note": note.pk, "kind": kind}
        record_event(chain=_CHAIN, action="consultation noted", subject=version, actor=by, at=at, after=after)
    return note


def _complete(version: RuleVersion) -> None:
    if not version.text_zh.strip():
        raise TextMissing
    check_parameters(rule=version.rule, parameters=version.parameters)


# --- publishing -------------------------------------------------------------------------------------------------------
def content_hash(version: RuleVersion) -> str:
    """This function will return the SHA-256 of a version's canonical form, as 64 hexadecimal digits.

    The form is JSON with sorted keys, without white space and in ASCII, of the rule's code, the number, the parameters,
    both texts and the day from which it is in force.
    """
    said = {
        "code": version.rule.code,
        "number": version.number,
        "parameters": version.parameters,
        "text_zh": version.text_zh,
        "text_en": version.text_en,
        "effective_from": version.effective_from,
    }
    text = json.dumps(said, cls=DjangoJSONEncoder, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def earliest_effect(*, version: RuleVersion, on: dt.date) -> dt.date:
    """This function will return the first day from which a version published on a day may be in force.

    The days of notice lie in between, and it comes after every version that is published already.
    """
    earliest = on + dt.timedelta(days=version.notice_days)
    published = RuleVersion.objects.filter(rule=version.rule_id, state=_State.PUBLISHED)
    last = published.aggregate(last=Max("effective_from"))["last"]
    return max(earliest, last + dt.timedelta(days=1)) if last else earliest


def may_publish(*, version: RuleVersion, by: User) -> bool:
    """This function will say whether this person is another one than who proposed the version and who changed it last."""
    return by.pk not in (version.proposed_by_id, version.edited_by_id)


def publish_version(
    *, version: RuleVersion, effective_from: dt.date, by: User, at: dt.datetime, seen: int | None = None
) -> RuleVersion:
    """This function will publish a version that is in consultation, in force from a day on, and seal it.

    It never changes again. ``seen`` is the ``revision`` that the person looked at. One event on the chain ``rules``,
    which keeps the seal as well. Raises NotInWork (not in consultation), ChangedMeanwhile, NotAnother, TooEarly,
    TextMissing and ParametersWrong.
    """
    with transaction.atomic():
        now = _in_work(version, version.revision if seen is None else seen)
        if now.state != _State.CONSULTING:
            raise NotInWork
        if not may_publish(version=now, by=by):
            raise NotAnother
        earliest = earliest_effect(version=now, on=timezone.localdate(at))
        if effective_from < earliest:
            raise TooEarly(earliest)
        _complete(now)
        now.effective_from = effective_from
        digest = content_hash(now)
        _move(
            now,
            state=_State.PUBLISHED,
            effective_from=effective_from,
            published_by=by,
            published_at=at,
            content_hash=digest,
        )
        after = {"rule": now.rule.code, "number": now.number, "effective_from": effective_from, "content_hash": digest}
        record_event(chain=_CHAIN, action=_PUBLISHED, subject=now, actor=by, at=at, after=after)
        now.refresh_from_db()
    return now


def version_in_force(rule: Rule, on: dt.date) -> RuleVersion | None:
    """This function will return the published version that governs a day, or None when none does yet."""
    return _in_force(RuleVersion.objects.filter(rule=rule), on).first()


def _in_force(versions: QuerySet[RuleVersion], on: dt.date) -> QuerySet[RuleVersion]:
    found = versions.filter(state=_State.PUBLISHED, effective_from__lte=on)
    return found.select_related("rule").order_by("-effective_from", "-number")


def require_in_force(*, version: RuleVersion, on: dt.date) -> None:
    """This function will refuse a version that is not the published one in force on a day. Raises InForceMissing."""
    found = version_in_force(version.rule, on)
    if found is None or found.pk != version.pk:
        raise InForceMissing


def current_versions(versions: QuerySet[RuleVersion], *, on: dt.date) -> QuerySet[RuleVersion]:
    """This function will keep the published versions that matter on a day: the one in force of each rule, and later ones."""
    governs = RuleVersion.objects.filter(
        Q(effective_from__gt=OuterRef("effective_from")), rule=OuterRef("rule"), state=_State.PUBLISHED
    ).filter(effective_from__lte=on)
    return versions.filter(state=_State.PUBLISHED).filter(~Exists(governs))


# --- whom it concerns -------------------------------------------------------------------------------------------------
def people_of(rule: Rule, on: dt.date) -> QuerySet[Employee]:
    """This function will return the people a rule is for on a day: at work in its unit or below, and of its audience.

    A card of units concerns everybody who works in them.
    """
    here = Employee.objects.active_on(on).in_unit(rule.scope)
    if rule.audience is None:
        return here
    chosen = select_people(rule=rule.audience.rule, scope=rule.audience.scope, on=on)
    if rule.scope.contains(rule.audience.scope):
        return chosen
    return chosen.filter(unit__path__startswith=rule.scope.path)


def rules_of(employee: Employee, on: dt.date) -> list[Rule]:
    """This function will return the rules that are for one person on a day.

    One query for the rules on the way up from the unit and one for all their audiences (audiences that name units look
    those up besides).
    """
    if employee.unit is None:
        return []
    above = OrgUnit.objects.above(employee.unit).order_by().values("pk")
    rules = list(
        Rule.objects.filter(scope__in=above).select_related("scope", "audience__scope").order_by("family", "code")
    )
    me = Employee.objects.active_on(on).filter(pk=employee.pk)
    audiences = {rule.audience_id: rule.audience for rule in rules if rule.audience is not None}
    asked = {
        f"of_{pk}": Exists(
            select_people(rule=one.rule, scope=one.scope, on=on).filter(pk=OuterRef("pk")).order_by().values("pk")
        )
        for pk, one in audiences.items()
    }
    answer = me.annotate(**asked).values(*asked, "pk").first()
    if answer is None:
        return []
    return [rule for rule in rules if rule.audience_id is None or answer[f"of_{rule.audience_id}"]]


def is_for(*, rule: Rule, employee: Employee, on: dt.date) -> bool:
    """This function will say whether a rule is for one person on a day."""
    return people_of(rule, on).filter(pk=employee.pk).exists()


# --- reading and acknowledging ----------------------------------------------------------------------------------------
def must_acknowledge(version: RuleVersion, employee: Employee, on: dt.date) -> bool:
    """This function will say whether a person has to read this version: it is theirs, and in force or announced."""
    current = current_versions(RuleVersion.objects.filter(pk=version.pk), on=on).exists()
    return current and is_for(rule=version.rule, employee=employee, on=on)


def to_acknowledge(employee: Employee, on: dt.date) -> list[RuleVersion]:
    """This function will return what a person has to read and has not acknowledged yet, what comes first in force first."""
    versions = current_versions(RuleVersion.objects.filter(rule__in=rules_of(employee, on)), on=on)
    read = Acknowledgement.objects.filter(version=OuterRef("pk"), employee=employee)
    return list(versions.filter(~Exists(read)).select_related("rule").order_by("effective_from", "pk"))


def acknowledge(*, version: RuleVersion, employee: Employee, by: User, at: dt.datetime) -> Acknowledgement:
    """This function will write down that a person has read a published version, with its seal. Done twice, the first counts.

    A read receipt, not agreement. Raises NotPublished, and NotConcerned when the rule is not for this person or
    somebody else than the person tries.
    """
    if version.state != _State.PUBLISHED:
        raise NotPublished
    if employee.user_id is None or employee.user_id != by.pk:
        raise NotConcerned
    if not is_for(rule=version.rule, employee=employee, on=timezone.localdate(at)):
        raise NotConcerned
    with transaction.atomic():
        values = {"at": at, "content_hash": version.content_hash}
        made, is_new = Acknowledgement.objects.get_or_create(version=version, employee=employee, defaults=values)
        if is_new:
            after = {"employee": employee.employee_no, "content_hash": version.content_hash}
            record_event(chain=_CHAIN, action="rule acknowledged", subject=version, actor=by, at=at, after=after)
    return made


def acknowledged_of(version: RuleVersion, on: dt.date) -> QuerySet[Employee]:
    """This function will return those the version is for on a day who have acknowledged it."""
    return people_of(version.rule, on).filter(_read(version))


def missing_of(version: RuleVersion, on: dt.date) -> QuerySet[Employee]:
    """This function will return those the version is for on a day who have not acknowledged it."""
    return people_of(version.rule, on).filter(~_read(version))


def _read(version: RuleVersion) -> Exists:
    return Exists(Acknowledgement.objects.filter(version=version, employee=OuterRef("pk")))


def acknowledged_at(*, version: RuleVersion, employees: Iterable[Employee]) -> Mapping[int, dt.datetime]:
    """This function will return when some people acknowledged a version, by the id of the person. One query."""
    rows = Acknowledgement.objects.filter(version=version, employee__in=[one.pk for one in employees])
    return dict(rows.values_list("employee_id", "at"))


# --- what was sealed --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Seal:
    """What is sealed of a version: its own hash, the hash in the event of its publication, and what it is now."""

    kept: str
    in_event: str
    now: str

    @property
    def is_sound(self) -> bool:
        return self.kept == self.in_event == self.now


def seal_of(version: RuleVersion) -> Seal:
    """This function will compare what a published version says with what was sealed when it was published."""
    kind = RuleVersion._meta.label_lower
    event = Event.objects.filter(subject_type=kind, subject_id=str(version.pk), chain=_CHAIN, action=_PUBLISHED).first()
    in_event = (event.after or {}).get("content_hash", "") if event else ""
    return Seal(kept=version.content_hash, in_event=in_event, now=content_hash(version))


@sealed
def check_published_rules() -> Iterator[tuple[str, bool]]:
    """For manage.py verify_events: each published rule and whether it, and what its readers acknowledged, is unchanged."""
    published = (
        RuleVersion.objects.filter(state=_State.PUBLISHED).select_related("rule").order_by("rule__code", "number")
    )
    other = Acknowledgement.objects.exclude(content_hash=F("version__content_hash"))
    read_otherwise = set(other.values_list("version_id", flat=True).distinct())
    for version in published:
        sound = seal_of(version).is_sound and version.pk not in read_otherwise
        yield f"rule {version.rule.code} version {version.number}", sound
