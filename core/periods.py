"""Calendar months, the period in which the platform counts, and where a day begins and ends."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import formats, timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.db.models.expressions import Combinable


def start_of(day: dt.date) -> dt.datetime:
    """This function will return the first moment of a day in local time."""
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min))


def end_of(day: dt.date) -> dt.datetime:
    """This function will return the last second of a day in local time."""
    return timezone.make_aware(dt.datetime.combine(day, dt.time(23, 59, 59)))


@dataclass(frozen=True, order=True)
class Month:
    """One calendar month. Written and stored as ``2026-11``."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read ``2026-11``. Raises ValueError for anything else."""
        match = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
        if not match or match[1] == "0000":
            raise ValueError(f"{text!r} is not a month; write it like 2026-11.")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, day: dt.date) -> Month:
        """The month in which a day lies (a datetime is taken as it stands: localise it before)."""
        return cls(day.year, day.month)

    @property
    def first_day(self) -> dt.date:
        return dt.date(self.year, self.month, 1)

    @property
    def last_day(self) -> dt.date:
        return dt.date(self.year, self.month, calendar.monthrange(self.year, self.month)[1])

    def plus(self, months: int) -> Month:
        """The month so many months later (or earlier, for a negative number)."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(year, month + 1)

    def through(self, last: Month) -> list[Month]:
        """The months from this one to another, both with; none if that one lies before."""
        found = []
        month = self
        while month <= last:
            found.append(month)
            month = month.next
        return found

    @property
    def next(self) -> Month:
        return self.plus(1)

    @property
    def previous(self) -> Month:
        return self.plus(-1)

    @property
    def label(self) -> str:
        """As people write it in the active language: November 2026, 2026年11月."""
        return formats.date_format(self.first_day, "YEAR_MONTH_FORMAT")

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


def span(first: Month, last: Month) -> str:
    """One month, or the first and the last of several, as people write it."""
    return (
        first.label if first == last else gettext("%(first)s to %(last)s") % {"first": first.label, "last": last.label}
    )


class MonthField(models.CharField):
    """A Month, stored as its seven characters so that it sorts and reads the same in every database."""

    description = _("Month")

    if TYPE_CHECKING:  # what goes in and comes out, for django-stubs; a CharField says str there
        _pyi_private_set_type: Month | Combinable  # type: ignore[assignment]
        _pyi_private_get_type: Month  # type: ignore[assignment]

    def __init__(self, *args, **kwargs):
        kwargs["max_length"] = 7
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_length"]
        return name, path, args, kwargs

    def from_db_value(self, value, expression, connection):
        return None if value is None else Month.parse(value)

    def to_python(self, value):
        if value is None or isinstance(value, Month):
            return value
        try:
            return Month.parse(value)
        except ValueError as error:
            raise ValidationError(_("Write the month like 2026-11.")) from error

    def get_prep_value(self, value):
        return None if value is None else str(self.to_python(value))

    def value_to_string(self, obj):
        return str(self.value_from_object(obj))

    def formfield(self, **kwargs):
        return super().formfield(**{"form_class": MonthFormField, **kwargs})


class MonthFormField(forms.CharField):
    """A month in a form: the browser's month picker where there is one."""

    widget = forms.TextInput(attrs={"type": "month", "pattern": "[0-9]{4}-[0-9]{2}", "placeholder": "2026-11"})

    def to_python(self, value):
        value = super().to_python(value)
        if not value:
            return None
        try:
            return Month.parse(value)
        except ValueError as error:
            raise ValidationError(_("Write the month like 2026-11.")) from error

    def prepare_value(self, value):
        return str(value) if isinstance(value, Month) else value
