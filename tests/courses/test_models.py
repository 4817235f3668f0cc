"""What the database itself keeps: every change of a duty, and that neither history nor closed figures are rewritten."""

import datetime as dt

import pytest
from django.db import DatabaseError, transaction

from courses.models import Enrolment, EnrolmentChange
from tests.factories.courses import make_enrolment

pytestmark = pytest.mark.django_db

LATER = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)


def test_enrolment_change_is_kept_for_a_new_duty_and_for_every_change_of_it():
    enrolment = make_enrolment()

    Enrolment.objects.filter(pk=enrolment.pk).update(state="in_progress", started_at=LATER, changed_at=LATER)
    Enrolment.objects.filter(pk=enrolment.pk).update(steps_done=1)  # not a change of the duty

    rows = EnrolmentChange.objects.filter(enrolment=enrolment).values_list("state", "at", "unit", "run", "due_at")
    same = (enrolment.unit_id, enrolment.run_id, enrolment.due_at)
    assert list(rows) == [("assigned", enrolment.assigned_at, *same), ("in_progress", LATER, *same)]


def test_enrolment_change_is_kept_for_changes_in_bulk():
    enrolments = [make_enrolment() for _number in range(3)]

    Enrolment.objects.update(state="exempt", reason="leave", changed_at=LATER)

    kept = EnrolmentChange.objects.filter(at=LATER, state="exempt", reason="leave").values_list("enrolment", flat=True)
    assert sorted(kept) == sorted(enrolment.pk for enrolment in enrolments)


@pytest.mark.parametrize("do", [lambda rows: rows.update(state="completed"), lambda rows: rows.delete()])
def test_au_03_enrolment_change_is_append_only(do):
    enrolment = make_enrolment()

    with pytest.raises(DatabaseError), transaction.atomic():
        do(EnrolmentChange.objects.filter(enrolment=enrolment))

    assert EnrolmentChange.objects.filter(enrolment=enrolment).count() == 1
