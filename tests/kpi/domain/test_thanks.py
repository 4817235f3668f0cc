import datetime as dt

import pytest

from kpi.domain.thanks import A_DAY, NotOneself, TooMany, WordsMissing, hide_thanks, say_thanks, thanks_for
from tests.factories.courses import local
from tests.factories.people import make_employee, make_user

pytestmark = pytest.mark.django_db
AT = local(2026, 10, 10)


def test_thanks_reach_a_colleague_who_can_hide_them():
    giver, receiver = make_employee(name="甲"), make_employee(user=make_user())
    made = say_thanks(giver=giver, receiver=receiver, text=" 多谢帮忙 ", at=AT)
    assert [(each.giver, each.text) for each in thanks_for(receiver)] == [(giver, "多谢帮忙")]
    assert [notice.text_zh for notice in receiver.user.notices.all()] == ["甲 向您致谢。"]
    assert (hide_thanks(thanks=made, at=AT), hide_thanks(thanks=made, at=AT)) == (True, False)
    assert (list(thanks_for(receiver)), list(thanks_for(receiver, hidden=True))) == ([], [made])


def test_thanks_have_limits():
    giver, receiver = make_employee(), make_employee()
    with pytest.raises(NotOneself):
        say_thanks(giver=giver, receiver=giver, text="我", at=AT)
    with pytest.raises(WordsMissing):
        say_thanks(giver=giver, receiver=receiver, text=" ", at=AT)
    for _ in range(A_DAY):
        say_thanks(giver=giver, receiver=receiver, text="谢谢", at=AT)
    with pytest.raises(TooMany):
        say_thanks(giver=giver, receiver=receiver, text="谢谢", at=AT)
    assert say_thanks(giver=giver, receiver=receiver, text="谢谢", at=AT + dt.timedelta(days=1)).pk
