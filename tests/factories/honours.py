"""A house that honours its people: its units, a rule and a committee, and the days of a round."""

import datetime as dt
from decimal import Decimal

from core.periods import Month
from kpi.domain import award_rounds, awards, committee, nominating
from kpi.domain.measures import NewMeasure, write_measures
from tests.factories.certificates import make_design
from tests.factories.courses import local
from tests.factories.kpi import AWARD, make_indicators, make_published_version
from tests.factories.people import make_employee, make_unit, make_user

Q3 = (Month(2026, 7), Month(2026, 9))
AT = local(2026, 10, 10)
VOTE = local(2026, 10, 20)
PUBLIC = local(2026, 10, 25)
GRANT = local(2026, 10, 31)


class House:
    """A province with two cities, an honour of persons, a committee of four, and people who meet the conditions."""

    def __init__(self, kind="person"):
        self.province = make_unit(code="P", name="华东")
        self.cities = [make_unit(self.province, code=code, name=code) for code in ("C1", "C2")]
        self.branches = [make_unit(city, name=f"{city.code}网点") for city in self.cities]
        self.indicators = make_indicators()
        self.hr = make_user()
        self.committee = [make_user() for _ in range(4)]
        self.version = make_published_version(
            AWARD, scope=self.province, code="star", family="award", effective_from=dt.date(2026, 7, 1)
        )
        self.programme = award_rounds.make_programme(
            rule=self.version.rule, kind=kind, design=make_design(AT), by=self.hr, at=AT
        )
        self.by = make_user()

    def person(self, branch=0, training="100", complaints="0", **fields):
        employee = make_employee(unit=self.branches[branch], **fields)
        rows = [
            NewMeasure(indicator=self.indicators[code], month=month, value=Decimal(value), employee=employee.pk)
            for code, value in (("training", training), ("complaints_liable", complaints))
            for month in Q3
            if value is not None
        ]
        write_measures(rows=rows, by=None, at=AT)
        return employee

    def open(self, **fields):
        values = {
            "programme": self.programme,
            "version": self.version,
            "name": "三季度服务明星",
            "name_en": "Service stars, third quarter",
            "first_month": Q3[0],
            "last_month": Q3[1],
            "nominate_until": dt.date(2026, 10, 15),
            "committee": self.committee,
            "by": self.hr,
            "at": AT,
        }
        return award_rounds.open_round(**(values | fields))

    def nominate(self, round, employee, **fields):
        values = {
            "employee": employee,
            "citation": "有口皆碑",
            "citation_en": "Praised by all",
            "by": self.by,
            "at": AT,
        }
        return nominating.nominate(round=round, **(values | fields))

    def all_vote(self, nomination, choices="yyyn"):
        words = {"y": "yes", "n": "no", "a": "abstain"}
        for member, choice in zip(self.committee, choices, strict=False):
            committee.vote(nomination=nomination, member=member, choice=words[choice], at=VOTE)


def honoured_team(house, *members):
    """A team that was honoured: its award, then those of its members."""
    round = house.open()
    nomination = house.nominate(round, None, title="晨星QC小组", title_en="Morning Star", members=members)
    committee.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, "yyyy")
    committee.make_public(round=round, by=house.hr, at=PUBLIC)
    return awards.grant(round=round, by=house.hr, at=GRANT)
