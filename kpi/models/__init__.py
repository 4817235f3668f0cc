from kpi.models.development import CourseForIndicator, DevelopmentItem
from kpi.models.looks import Look
from kpi.models.measures import Indicator, Measure, MeasureImport
from kpi.models.pages import HonourWallPage
from kpi.models.pay_runs import (
    PayAttendance,
    PayBase,
    PayFile,
    PayLine,
    PayPool,
    PayReturn,
    PayRun,
)
from kpi.models.recognition import (
    Award,
    AwardProgramme,
    AwardQuota,
    AwardRound,
    Nomination,
    Objection,
    Thanks,
    Vote,
)
from kpi.models.reviews import Appeal, Calibration, CalibrationGroup, Rating, Review, ReviewCycle
from kpi.models.rules import Acknowledgement, ConsultationNote, Rule, RuleVersion
from kpi.models.scorecards import Scorecard, ScorecardLine

__all__ = [
    "Acknowledgement",
    "Appeal",
    "Award",
    "AwardProgramme",
    "AwardQuota",
    "AwardRound",
    "Calibration",
    "CalibrationGroup",
    "ConsultationNote",
    "CourseForIndicator",
    "DevelopmentItem",
    "HonourWallPage",
    "Indicator",
    "Look",
    "Measure",
    "MeasureImport",
    "Nomination",
    "Objection",
    "PayAttendance",
    "PayBase",
    "PayFile",
    "PayLine",
    "PayPool",
    "PayReturn",
    "PayRun",
    "Rating",
    "Review",
    "ReviewCycle",
    "Rule",
    "RuleVersion",
    "Scorecard",
    "ScorecardLine",
    "Thanks",
    "Vote",
]
