"""The made-up company of the demo: its units, its people, and what happened to them in twelve months. Data only.

Everything follows from a seed, the number of people and the first day, so the same call gives the same company.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from pypinyin import lazy_pinyin

from core.periods import Month

SEED = 20240901
DOMAIN = "@huaxintong.example"
MONTHS = 12  # of history, the present one included


@dataclass(frozen=True)
class UnitSpec:
    code: str
    kind: str
    name: str
    name_en: str
    parent: str = ""


GROUP = UnitSpec("HX", "group", "华信通服务集团", "Huaxintong Service Group")
DEPARTMENTS = (
    ("HX-TRN", "集团培训中心", "Group Training Centre"),
    ("HX-HR", "人力资源部", "Human Resources"),
    ("HX-OPS", "营业服务部", "Retail Operations"),
    ("HX-AUD", "审计部", "Internal Audit"),
    ("HX-IT", "信息技术部", "Information Technology"),
)
# province -> cities -> branches; the third name is the Latin form that branches of the city share
TREE = {
    ("JS", "江苏省公司", "Jiangsu"): {
        ("NJ", "南京市公司", "Nanjing"): (
            ("新街口网点", "Xinjiekou"),
            ("夫子庙网点", "Fuzimiao"),
            ("河西网点", "Hexi"),
            ("江宁网点", "Jiangning"),
        ),
        ("SZ", "苏州市公司", "Suzhou"): (
            ("观前街网点", "Guanqian Street"),
            ("湖东网点", "Hudong"),
            ("吴中网点", "Wuzhong"),
        ),
        ("WX", "无锡市公司", "Wuxi"): (
            ("三阳广场网点", "Sanyang Plaza"),
            ("蠡湖网点", "Lihu"),
            ("惠山网点", "Huishan"),
        ),
    },
    ("SC", "四川省公司", "Sichuan"): {
        ("CD", "成都市公司", "Chengdu"): (
            ("春熙路网点", "Chunxi Road"),
            ("天府网点", "Tianfu"),
            ("双流网点", "Shuangliu"),
            ("龙泉驿网点", "Longquanyi"),
        ),
        ("MY", "绵阳市公司", "Mianyang"): (
            ("涪城网点", "Fucheng"),
            ("园艺山网点", "Yuanyishan"),
            ("江油网点", "Jiangyou"),
        ),
    },
    ("HB", "湖北省公司", "Hubei"): {
        ("WH", "武汉市公司", "Wuhan"): (
            ("江汉路网点", "Jianghan Road"),
            ("光谷网点", "Guanggu"),
            ("徐东网点", "Xudong"),
            ("汉口北网点", "Hankou North"),
        ),
        ("YC", "宜昌市公司", "Yichang"): (
            ("夷陵广场网点", "Yiling Plaza"),
            ("伍家岗网点", "Wujiagang"),
            ("西陵网点", "Xiling"),
        ),
    },
}
# Branches in which everybody finishes, month after month.
PERFECT = {"JS-SZ-2", "SC-CD-1", "SC-MY-3", "HB-WH-2", "HB-YC-1", "JS-WX-2"}
# Branches that have a hard time.
STRUGGLING = {"JS-WX-3", "SC-CD-4", "HB-WH-4", "JS-NJ-4"}

MANAGEMENT, SALES, SERVICE, FIELD, SUPPORT = (
    "管理 Management",
    "销售 Sales",
    "服务 Service",
    "装维 Field",
    "职能 Support",
)
POSITIONS = {
    "集团总经理": ("Group general manager", MANAGEMENT),
    "省公司总经理": ("Province general manager", MANAGEMENT),
    "市公司经理": ("City manager", MANAGEMENT),
    "部门经理": ("Head of department", MANAGEMENT),
    "网点经理": ("Branch manager", MANAGEMENT),
    "值班经理": ("Shift supervisor", SERVICE),
    "大堂引导员": ("Lobby host", SERVICE),
    "营业员": ("Sales associate", SALES),
    "高级营业员": ("Senior sales associate", SALES),
    "客户经理": ("Account manager", SALES),
    "政企客户经理": ("Business account manager", SALES),
    "装维工程师": ("Field engineer", FIELD),
    "培训师": ("Trainer", SUPPORT),
    "课程编辑": ("Course editor", SUPPORT),
    "人力资源专员": ("HR officer", SUPPORT),
    "运营专员": ("Operations officer", SUPPORT),
    "审计专员": ("Auditor", SUPPORT),
    "系统管理员": ("System administrator", SUPPORT),
}
FRONT_LINE = [SALES, SERVICE]

# A branch from its manager down; longer branches repeat from the fourth place.
_BRANCH = [
    "网点经理",
    "值班经理",
    "大堂引导员",
    "高级营业员",
    "营业员",
    "营业员",
    "客户经理",
    "装维工程师",
    "营业员",
    "客户经理",
    "营业员",
    "高级营业员",
]

_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈彭吕苏卢蒋蔡贾丁魏薛叶阎余"
    "潘杜戴夏钟汪田姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
_GIVEN = [
    "伟",
    "芳",
    "娜",
    "敏",
    "静",
    "丽",
    "强",
    "磊",
    "洋",
    "艳",
    "勇",
    "军",
    "杰",
    "娟",
    "涛",
    "明",
    "超",
    "霞",
    "平",
    "刚",
    "桂英",
    "建华",
    "建国",
    "秀兰",
    "志强",
    "文博",
    "子涵",
    "雨桐",
    "思远",
    "嘉怡",
    "浩然",
    "晓东",
    "晓燕",
    "海燕",
    "玉梅",
    "国栋",
    "立新",
    "春梅",
    "红霞",
    "佳琪",
    "梦洁",
    "天宇",
    "俊杰",
    "宇航",
    "欣怡",
    "诗涵",
    "一鸣",
    "子轩",
    "美玲",
    "雪梅",
    "振华",
    "卫东",
    "爱民",
    "素珍",
    "亚楠",
    "云飞",
    "家豪",
    "丹丹",
    "婷婷",
    "倩",
    "颖",
    "慧",
    "鑫",
    "鹏",
    "斌",
    "波",
    "辉",
    "宁",
    "凯",
    "琳",
    "璐",
    "瑶",
    "晨",
    "旭",
    "昊",
    "睿",
    "博文",
    "若曦",
    "景行",
    "知远",
    "书瑶",
    "明轩",
    "可欣",
]
# People who read English; the names are made up like all others.
_ENGLISH = ("Anna Lindqvist", "James Carter", "Priya Nair", "Daniel Okafor", "Sofia Marino", "Liam Walsh")

# One sentence for all sign-ins of the demo. Made only by load_demo, which production refuses.
PASSPHRASE = "the kettle sings before breakfast"  # noqa: S105

# Whoever is signed in for, by what they do in the demo: (unit, position, name). They neither move nor leave.
EMPLOYEE, MANAGER, HR, AUTHOR = "employee", "manager", "hr", "author"
MODERATOR, AUDITOR, ADMIN = "moderator", "auditor", "admin"
CAST = {
    EMPLOYEE: ("JS-NJ-1", "营业员", "林晓雨"),
    MANAGER: ("JS-NJ-1", "网点经理", "周文静"),
    HR: ("HX-HR", "人力资源专员", "何思远"),
    AUTHOR: ("HX-TRN", "课程编辑", "顾诗涵"),
    MODERATOR: ("HX-TRN", "部门经理", "苏敏"),
    AUDITOR: ("HX-AUD", "审计专员", "郑立新"),
    ADMIN: ("HX-IT", "系统管理员", "田宇航"),
}
CAST_NUMBERS = {
    EMPLOYEE: "002016",
    MANAGER: "002001",
    HR: "001012",
    AUTHOR: "001007",
    MODERATOR: "001002",
    AUDITOR: "001031",
    ADMIN: "001041",
}


@dataclass
class Person:
    """One row of the roster as it stands at some moment."""

    employee_no: str
    name: str
    name_latin: str
    unit: str
    position: str
    manager_no: str
    hired_on: dt.date
    language: str = "zh-hans"
    cast: str = ""
    diligence: float = 0.9  # how sure it is that the month gets done
    ability: float = 1.0  # how well quizzes go
    left_on: dt.date | None = None

    @property
    def email(self) -> str:
        return f"{self.employee_no}{DOMAIN}"

    @property
    def mobile(self) -> str:
        # A range that belongs to nobody: the numbers begin with 199 0000.
        return f"1990000{int(self.employee_no) % 10000:04d}"


@dataclass(frozen=True)
class Happening:
    """One thing that happened to one person on one day."""

    on: dt.date
    kind: str  # join, move, left, leave
    employee_no: str
    unit: str = ""
    position: str = ""
    manager_no: str = ""
    until: dt.date | None = None
    reason: str = ""


@dataclass
class Company:
    """Everything there is to know: ``people`` as they began, and what happened afterwards in the order of days."""

    units: list[UnitSpec]
    people: dict[str, Person]
    happenings: list[Happening] = field(default_factory=list)

    def path_of(self, code: str) -> str:
        """The names of a unit and all above it, from the top, as a roster writes them."""
        by_code = {unit.code: unit for unit in self.units}
        names, unit = [], by_code[code]
        while unit:
            names.insert(0, unit.name)
            unit = by_code.get(unit.parent)
        return " / ".join(names)


def units(branches_per_city: int = 9) -> list[UnitSpec]:
    """The tree from the top down, every unit after the one above it."""
    found = [GROUP, *(UnitSpec(code, "department", name, name_en, GROUP.code) for code, name, name_en in DEPARTMENTS)]
    for (province, name, name_en), cities in TREE.items():
        found.append(UnitSpec(province, "province", name, f"{name_en} Province", GROUP.code))
        for (city, city_name, city_en), branches in cities.items():
            code = f"{province}-{city}"
            found.append(UnitSpec(code, "city", city_name, f"{city_en} City", province))
            for number, (branch, branch_en) in enumerate(branches[:branches_per_city], start=1):
                found.append(UnitSpec(f"{code}-{number}", "branch", branch, f"{branch_en} Branch", code))
    return found


def make_company(*, people: int, today: dt.date) -> Company:
    """This function will make a company of about so many people with its happenings of twelve months up to today."""
    rng = random.Random(SEED)  # noqa: S311 - a made-up company, no secret
    first = Month.of(today).plus(-(MONTHS - 1))
    company = Company(units=units(1 if people < 200 else 9), people={})
    _People(company, rng, first.first_day).hire_all(people)
    _happenings(company, rng, first, today)
    return company


class _People:
    """Fills the units from the top down, so that everybody's manager is there before."""

    def __init__(self, company: Company, rng: random.Random, first_day: dt.date):
        self.company, self.rng, self.first_day = company, rng, first_day
        self.names: set[str] = {name for _unit, _position, name in CAST.values()}
        self.next_number = 0
        self.english = list(_ENGLISH)

    def hire_all(self, count: int) -> None:
        rng = self.rng
        boss = self.add("HX", "集团总经理", "", number=1001)
        desks = {
            "HX-TRN": "培训师",
            "HX-HR": "人力资源专员",
            "HX-OPS": "运营专员",
            "HX-AUD": "审计专员",
            "HX-IT": "系统管理员",
        }
        number = 1001
        for code, position in desks.items():
            head = self.add(code, "部门经理", boss, number=number + 1)
            for place in range(4 if code != "HX-OPS" else 6):
                self.add(
                    code, "课程编辑" if code == "HX-TRN" and place == 3 else position, head, number=number + 2 + place
                )
            number += 10
        number = 2000
        branches = [unit for unit in self.company.units if unit.kind == "branch"]
        offices = sum(4 + 4 * len(cities) for cities in TREE.values())
        each = max(5, (count - len(self.company.people) - offices) // len(branches))
        for (province, _name, _en), cities in TREE.items():
            chief = self.add(province, "省公司总经理", boss, number=1100 + len(self.company.people))
            for position in ("人力资源专员", "培训师", "运营专员"):
                self.add(province, position, chief, number=1100 + len(self.company.people))
            for city, _city_name, _city_en in cities:
                lead = self.add(f"{province}-{city}", "市公司经理", chief, number=1100 + len(self.company.people))
                for position in ("培训师", "政企客户经理", "政企客户经理"):
                    self.add(f"{province}-{city}", position, lead, number=1100 + len(self.company.people))
                for branch in (one for one in branches if one.parent == f"{province}-{city}"):
                    code, manager = branch.code, ""
                    size = each + rng.choice((-2, -1, 0, 0, 1, 2))
                    for seat in range(max(5, size)):
                        position = _BRANCH[seat] if seat < len(_BRANCH) else _BRANCH[4 + seat % 8]
                        number += 1
                        hired = self.add(code, position, manager or lead, number=number)
                        manager = manager or hired
        for part, (unit, position, name) in CAST.items():
            self._cast(part, unit, position, name)

    def _cast(self, part: str, unit: str, position: str, name: str) -> None:
        """Give a part of the demo to somebody who does that work there, and the number that the sign-ins name."""
        people = self.company.people
        person = next(one for one in people.values() if (one.unit, one.position) == (unit, position) and not one.cast)
        number, old = CAST_NUMBERS[part], person.employee_no
        if number != old:
            other = people.pop(number, None)
            del people[old]
            person.employee_no, people[number] = number, person
            if other:  # they change numbers
                other.employee_no, people[old] = old, other
            self._renumber({number: old, old: number})
        person.name, person.name_latin, person.language, person.cast = name, latin(name), "zh-hans", part
        person.diligence, person.ability = 0.97, 1.6

    def _renumber(self, new: dict[str, str]) -> None:
        for one in self.company.people.values():
            one.manager_no = new.get(one.manager_no, one.manager_no)

    def add(self, unit: str, position: str, manager_no: str, *, number: int, hired_on: dt.date | None = None) -> str:
        rng = self.rng
        number_text = f"{number:06d}"
        while number_text in self.company.people:
            number += 1
            number_text = f"{number:06d}"
        english = bool(self.english) and position in {"客户经理", "政企客户经理"} and rng.random() < 0.4
        name = self.english.pop(0) if english else self.name()
        culture = 0.995 if unit in PERFECT else 0.80 if unit in STRUGGLING else 0.94
        self.company.people[number_text] = Person(
            employee_no=number_text,
            name=name,
            name_latin=name if english else latin(name),
            unit=unit,
            position=position,
            manager_no=manager_no,
            hired_on=hired_on or self.first_day - dt.timedelta(days=rng.randint(40, 5200)),
            language="en" if english else "zh-hans",
            diligence=min(0.999, max(0.3, rng.gauss(culture, 0.02 if unit in PERFECT else 0.08))),
            ability=rng.gauss(1.2, 0.7),
        )
        return number_text

    def name(self) -> str:
        while True:
            name = self.rng.choice(_SURNAMES) + self.rng.choice(_GIVEN)
            if name not in self.names:
                self.names.add(name)
                return name


def latin(name: str) -> str:
    """王晓明 -> Wang Xiaoming."""
    surname, given = lazy_pinyin(name[0])[0], "".join(lazy_pinyin(name[1:]))
    return f"{surname.capitalize()} {given.capitalize()}"


def _happenings(company: Company, rng: random.Random, first: Month, today: dt.date) -> None:
    """Joiners, transfers, leavers and leave of twelve months; nobody's manager and nobody of the cast goes away."""
    branches = [unit for unit in company.units if unit.kind == "branch"]
    posts = {one.employee_no: (one.unit, one.position) for one in company.people.values()}
    manager_of = {one.unit: one.employee_no for one in company.people.values() if one.position == "网点经理"}
    busy = {one.employee_no for one in company.people.values() if one.cast or one.position not in _BRANCH[1:]}
    hirer = _People(company, rng, first.first_day)
    hirer.names = {one.name for one in company.people.values()}
    hirer.english = []
    number = 4000
    for back in range(MONTHS - 1, -1, -1):
        month = Month.of(today).plus(-back)
        days = [month.first_day + dt.timedelta(days=n) for n in range(month.last_day.day)]
        days = [day for day in days if day <= today]
        free = sorted(posts.keys() - busy)
        rng.shuffle(free)
        for day in sorted(rng.sample(days, min(len(days), rng.choice((2, 3))))):
            unit = rng.choice(branches).code
            number += 1
            position = rng.choice(("营业员", "客户经理", "大堂引导员"))
            hirer.add(unit, position, manager_of[unit], number=number, hired_on=day)
            joined = f"{number:06d}"
            company.happenings.append(Happening(day, "join", joined, unit, position, manager_of[unit]))
            busy.add(joined)
        for day in sorted(rng.sample(days, min(len(days), len(free), rng.choice((1, 2))))):
            who = free.pop()
            unit, position = posts[who]
            near = [one.code for one in branches if one.parent == unit.rpartition("-")[0] and one.code != unit]
            to = rng.choice(near or [one.code for one in branches if one.code != unit])
            if position == "营业员" and rng.random() < 0.4:
                position = "高级营业员"
            company.happenings.append(Happening(day, "move", who, to, position, manager_of[to]))
            posts[who] = (to, position)
            busy.add(who)
        for day in sorted(rng.sample(days, min(len(days), len(free), rng.choice((1, 1, 2))))):
            who = free.pop()
            del posts[who]
            company.happenings.append(Happening(day, "left", who, reason="个人原因 / personal reasons"))
            company.people[who].left_on = day
        for place in range(min(len(free), rng.choice((2, 3)))):
            who = free.pop()
            busy.add(who)
            if place == 0:  # away for months
                start = month.first_day - dt.timedelta(days=rng.randint(0, 3))
                until = start + dt.timedelta(days=rng.choice((62, 98, 128)))
                reason = "产假 / parental leave"
            else:
                start = rng.choice(days)
                until = start + dt.timedelta(days=rng.randint(3, 12))
                reason = "年假 / annual leave"
            company.happenings.append(Happening(start, "leave", who, until=until, reason=reason))
    company.happenings.sort(key=lambda one: (one.on, one.kind, one.employee_no))


def by_month(company: Company, today: dt.date) -> Iterator[tuple[Month, list[Happening]]]:
    """The happenings month by month; what began before the first month (leave) comes with it."""
    first = Month.of(today).plus(-(MONTHS - 1))
    for back in range(MONTHS):
        month = first.plus(back)
        found = [
            one
            for one in company.happenings
            if one.on <= month.last_day and (one.on >= month.first_day or (back == 0 and one.on < month.first_day))
        ]
        yield month, found
