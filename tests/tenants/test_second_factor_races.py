"""A code counts once, also for those who enter it in the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from tenants.models import SecondFactor
from tenants.services import actors, factors
from tests import factories


def all_at_once(user, code: str) -> int:
    """How many of eight got in by that code."""

    def enter(_number: int) -> bool:
        try:
            return factors.verify(user, code) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(enter, range(8)))


@pytest.mark.attack("A30")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["authenticator", "sheet"])
def test_one_code_lets_one_in(kind):
    user = factories.user()
    device = SecondFactor.new(user, confirmed=True)
    device.save()
    codes = factors.new_codes(user, actor=actors.oneself(user))

    code = f"{device.clock.token():06d}" if kind == "authenticator" else codes[0]

    assert all_at_once(user, code) == 1
