"""Recognition: what is granted at the end of a round, and what becomes of it (DOMAIN section 2).

Nothing is granted over an open objection. An award hangs on the wall, with a photograph, unless whoever was honoured takes
it off; what was granted is revoked with a reason and never deleted.
"""

from __future__ import annotations

import datetime as dt
import io
import secrets
from collections.abc import Iterable
from typing import BinaryIO

from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from PIL import Image, ImageOps
from wagtail.models import Collection

from certificates.domain.issuing import AlreadyRevoked as CertificateRevoked
from certificates.domain.issuing import Subject, issue_certificates, revoke_certificates
from core.events import Link, record_events
from core.models import Picture
from core.notices import notify
from kpi.domain.award_rounds import CHAIN, NotThisState, OwnMatter, ReasonMissing, move, record
from kpi.domain.nominating import honoured_by, is_honoured
from kpi.models import Award, AwardRound, Nomination, Objection
from people.models import Employee, OrgUnit, User

PHOTOS = "Honours"  # where photographs of the wall lie in the library of pictures


class StillPublic(Exception):
    """The names are still public for objections: granting comes after the last day."""


class ObjectionsOpen(Exception):
    """Something was said against a nomination and not answered yet."""


class AlreadyRevoked(Exception):
    """The award was revoked before; its first reason stands."""


@transaction.atomic
def grant(*, round: AwardRound, by: User | None, at: dt.datetime) -> list[Award]:
    """This function will grant what was chosen, after the last day of publicity and with every objection answered.

    Every person honoured gets a numbered certificate; a unit, team or project gets an award of its own beside those of
    its members. Raises NotThisState, StillPublic, ObjectionsOpen, and OwnMatter for somebody who is chosen.
    """
    if round.state != AwardRound.State.PUBLICITY or round.publicity_until is None:
        raise NotThisState
    if timezone.localdate(at) <= round.publicity_until:
        raise StillPublic
    if Objection.objects.filter(nomination__round=round, state=Objection.State.OPEN).exists():
        raise ObjectionsOpen
    chosen = list(
        round.nominations.filter(state=Nomination.State.CHOSEN)
        .select_related("employee__unit", "employee__user", "unit")
        .prefetch_related("members__unit", "members__user")
    )
    if by is not None and is_honoured(by, chosen):
        raise OwnMatter
    move(round, [AwardRound.State.PUBLICITY], AwardRound.State.GRANTED, granted_at=at)
    awards, subjects = [], []
    for nomination in chosen:
        if nomination.employee is None:
            awards.append(_award(round, nomination, None, by, at))
        for person in honoured_by(nomination):
            awards.append(_award(round, nomination, person, by, at))
            subjects.append(Subject(person, *_subject(round, nomination), at))
    certificates = (
        issue_certificates(subjects=subjects, design=round.programme.design, at=at, by=by) if subjects else []
    )
    given = iter(certificates)
    for award in awards:
        if award.employee is not None:
            award.certificate = next(given)
    Award.objects.bulk_create(awards)
    Nomination.objects.filter(pk__in=[each.pk for each in chosen]).update(state=Nomination.State.GRANTED)
    saved = list(Award.objects.filter(nomination__round=round).select_related("employee__user").order_by("pk"))
    record_events(
        chain=CHAIN,
        links=[Link("granted", each, by, at, after={"holder": each.holder, "name": each.name_zh}) for each in saved]
        + [Link("round granted", round, by, at, after={"awards": len(saved)})],
    )
    for award in saved:
        notify(
            user=award.employee.user if award.employee else None,
            text_zh=f"祝贺您荣获「{award.name_zh}」！",
            text_en=f"Congratulations: you were given “{award.name_en or award.name_zh}”.",
            at=at,
            url="/honours/",
            key=f"award-{award.pk}",
        )
    return saved


_MOST = 200  # letters of what a certificate is given for


def _subject(round: AwardRound, nomination: Nomination) -> tuple[str, str]:
    """What a certificate is given for, in both languages: of a member of a team or project, with the name of it."""
    name, name_en = round.name, round.name_en or round.name
    if nomination.employee is not None or not nomination.title:
        return name, name_en
    group, group_en = nomination.title, nomination.title_en or nomination.title
    said, said_en = f"{name}·{group}成员", f"{name_en}, member of {group_en}"
    return said if len(said) <= _MOST else name, said_en if len(said_en) <= _MOST else name_en


def _award(
    round: AwardRound, nomination: Nomination, person: Employee | None, by: User | None, at: dt.datetime
) -> Award:
    unit = person.unit if person else nomination.unit
    path = [] if unit is None else list(OrgUnit.objects.above(unit))
    group = nomination.title or (nomination.unit.name if nomination.unit else "")
    group_en = nomination.title_en or (nomination.unit.name_en if nomination.unit and not nomination.title else "")
    return Award(
        nomination=nomination,
        employee=person,
        name_zh=round.name,
        name_en=round.name_en,
        holder=person.name if person else group,
        holder_en=person.name_latin if person else group_en,
        unit_zh=" / ".join(each.name for each in path),
        unit_en=" / ".join(each.name_en or each.name for each in path),
        citation=nomination.citation,
        citation_en=nomination.citation_en,
        granted_at=at,
        granted_by=by,
    )


def revoked_with(awards: Iterable[Award]) -> dict[int, list[Award]]:
    """This function will say which awards of members fall with the award of their group: by its id, in their order.

    Only what still stands; the award of one person takes nothing with it. One query.
    """
    groups = {award.nomination_id: award.pk for award in awards if award.employee_id is None}
    found: dict[int, list[Award]] = {pk: [] for pk in groups.values()}
    members = Award.objects.filter(nomination__in=groups, employee__isnull=False, revoked_at=None)
    for award in members.select_related("certificate", "employee").order_by("pk"):
        found[groups[award.nomination_id]].append(award)
    return found


@transaction.atomic
def revoke(*, award: Award, reason: str, by: User, at: dt.datetime) -> list[Award]:
    """This function will revoke an award and its certificate, for good, and tell whoever holds it.

    The members of a team or project are honoured through it: with the group's award theirs fall too, for the same
    reason, wherever they work by now. The award of one member falls alone. Returns what was revoked, the group's first.
    Raises ReasonMissing, AlreadyRevoked, OwnMatter, and NotThisState when an award of a member was revoked this moment.
    """
    words = reason.strip()
    if not words:
        raise ReasonMissing
    if is_honoured(by, [award.nomination]):
        raise OwnMatter
    numbers = [award.pk, *(one.pk for one in revoked_with([award]).get(award.pk, []))]
    fallen = {"revoked_at": at, "revoked_by": by, "revoked_reason": words}
    if not Award.objects.filter(pk=award.pk, revoked_at=None).update(**fallen):
        raise AlreadyRevoked
    if Award.objects.filter(pk__in=numbers[1:], revoked_at=None).update(**fallen) != len(numbers) - 1:
        raise NotThisState
    award.refresh_from_db()
    found = {
        one.pk: one for one in Award.objects.filter(pk__in=numbers).select_related("certificate", "employee__user")
    }
    revoked = [found[number] for number in numbers]
    papers = [one.certificate for one in revoked if one.certificate is not None]
    try:
        revoke_certificates(certificates=papers, by=by, at=at, reason=words)
    except CertificateRevoked as meanwhile:
        raise NotThisState from meanwhile
    record_events(
        chain=CHAIN,
        links=[
            Link("revoked", one, by, at, reason=words, after=None if one == award else {"with": award.pk})
            for one in revoked
        ],
    )
    for one in revoked:
        notify(
            user=one.employee.user if one.employee else None,
            text_zh=f"您的荣誉「{one.name_zh}」已被撤销，原因写在“荣誉与致谢”中。",
            text_en=f"Your award “{one.name_en or one.name_zh}” was revoked. The reason stands under “Honours and thanks”.",
            at=at,
            url="/honours/#mine",
            key=f"revoked-{one.pk}",
        )
    return revoked


# --- the wall -----------------------------------------------------------------------------------------------------------
@transaction.atomic
def show_on_wall(*, award: Award, shown: bool, by: User, at: dt.datetime) -> None:
    """This function will put one's own award on the wall or take it off; who else sees it does not change."""
    moved = Award.objects.filter(pk=award.pk, employee__user=by).exclude(on_wall=shown).update(on_wall=shown)
    if moved:
        award.refresh_from_db()
        record(award, "shown" if shown else "hidden", by, at)


PHOTO_SIDE = 1600  # pixels; nothing on the wall is shown larger


class NoPicture(Exception):
    """The file is not a picture that can be read."""


def clean_photo(file: BinaryIO) -> ContentFile:
    """This function will draw a photograph anew as JPEG, upright and at most PHOTO_SIDE wide or high.

    What cameras write into a file (where and when it was taken) stays behind. Raises NoPicture.
    """
    try:
        with Image.open(file) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as broken:
        raise NoPicture from broken
    upright.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    drawn = io.BytesIO()
    upright.save(drawn, "JPEG", quality=88)
    return ContentFile(drawn.getvalue(), name=f"{secrets.token_hex(8)}.jpg")


@transaction.atomic
def set_photo(*, award: Award, file: BinaryIO | None, by: User, at: dt.datetime) -> None:
    """This function will hang a photograph beside an award, or take it away (None); the one before is deleted.

    Raises NoPicture.
    """
    before, picture = award.photo, None
    if file is not None:
        content = clean_photo(file)
        root = Collection.get_first_root_node()
        shelf = root.get_children().filter(name=PHOTOS).first() or root.add_child(name=PHOTOS)
        # Called by the number of the award: the library of pictures names nobody.
        picture = Picture(title=f"{PHOTOS} {award.pk}", file=content, collection=shelf, uploaded_by_user=by)
        picture.save()
    if not Award.objects.filter(pk=award.pk, photo=before).update(photo=picture):
        raise NotThisState
    award.photo = picture
    if before is not None:
        before.delete()
    record(award, "photo set" if picture else "photo taken away", by, at)


# --- reading ------------------------------------------------------------------------------------------------------------
def on_the_wall() -> QuerySet[Award]:
    """This function will return what hangs on the wall: granted, not revoked, and not taken off by who was honoured."""
    return Award.objects.filter(revoked_at=None, on_wall=True).select_related("employee", "nomination__round")


def honours_of(employee: Employee) -> QuerySet[Award]:
    """This function will return everything a person was given, revoked ones too, the newest first."""
    return Award.objects.filter(employee=employee).select_related("certificate", "nomination__round")
