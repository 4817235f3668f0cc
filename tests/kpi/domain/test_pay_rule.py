"""The parameters of a pay rule: read into typed values, or refused with the place."""

from decimal import Decimal

import pytest

from kpi.domain.parameters import ParametersWrong, PayRule, UnitBand, pay_rule


def test_a_pay_rule_is_read():
    assert pay_rule(
        {
            "pool": {"mode": "closed", "share": "units"},
            "cap_fen": 1_000_000,
            "cap_share": "150",
            "floor_fen": 10_000,
            "floor_share": "20",
            "reserve_share": "5",
            "without_review": "1.00",
            "unit_bands": [{"grade": "A", "coefficient": "1.05"}],
        }
    ) == PayRule(
        mode="closed",
        share="units",
        cap_fen=1_000_000,
        cap_share=Decimal(150),
        floor_fen=10_000,
        floor_share=Decimal(20),
        reserve_share=Decimal(5),
        without_review=Decimal("1.00"),
        unit_bands=(UnitBand("A", Decimal("1.05")),),
    )


def test_a_pay_rule_needs_little():
    assert pay_rule({"pool": {"mode": "open"}}) == PayRule(mode="open")
    assert pay_rule({"pool": {"mode": "open"}}).unit_coefficient("A") == 1


@pytest.mark.parametrize(
    ("parameters", "places"),
    [
        ({}, ["pool.mode"]),
        ({"pool": []}, ["pool.mode"]),
        ({"pool": {"mode": "closed", "share": "x"}}, ["pool.share"]),
        ({"pool": {"mode": "open", "share": "units"}}, ["pool.share"]),
        ({"pool": {"mode": "open"}, "cap_fen": 1.5}, ["pay.cap_fen"]),
        ({"pool": {"mode": "open"}, "cap_fen": 0}, ["cap"]),
        ({"pool": {"mode": "open"}, "cap_share": "NaN"}, ["pay.cap_share", "cap"]),
        ({"pool": {"mode": "open"}, "cap_fen": 5, "floor_fen": 6}, ["floor"]),
        ({"pool": {"mode": "open"}, "cap_share": "5", "floor_share": "6"}, ["floor"]),
        ({"pool": {"mode": "open"}, "reserve_share": "100"}, ["reserve_share"]),
        ({"pool": {"mode": "open"}, "without_review": "-1"}, ["without_review"]),
        (
            {"pool": {"mode": "open"}, "unit_bands": [{"grade": "A", "coefficient": "-1"}, {"grade": "A"}]},
            ["unit_bands.1.coefficient", "unit_bands.2.coefficient", "unit_bands"],
        ),
    ],
)
def test_a_pay_rule_that_is_wrong_names_the_places(parameters, places):
    with pytest.raises(ParametersWrong) as refused:
        pay_rule(parameters)
    assert [place for place, _words in refused.value.faults] == places
