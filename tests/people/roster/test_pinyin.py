"""The quick pinyin of many names is the pinyin of each."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from people.domain.queries import pinyin_of
from people.domain.roster_pinyin import pinyin_writer

write = pinyin_writer()


@pytest.mark.parametrize(
    "name", ["王伟", "单雄信", "曾国藩", "长孙无忌", "重庆", "Ann Lee", "欧阳 Ann", "买买提·阿不都", "𠮷田", "·"]
)
def test_names_that_are_read_in_special_ways(name):
    assert write(name) == pinyin_of(name)


@settings(max_examples=300, deadline=None)
@given(st.text("王李张刘陈单曾重长行乐朝阳银会计少校查区仇解盖Aa1 ·", min_size=1, max_size=6))
def test_any_name(name):
    assert write(name) == pinyin_of(name)
