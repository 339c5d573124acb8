"""People of each role, and two tenants."""

from __future__ import annotations

import pytest

from tenants.models import Tenant, User
from tenants.services import actors, members
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.console.conftest import _nothing_kept, as_chief, chief, world

__all__ = ["_nothing_kept", "actor_as", "as_chief", "chief", "other", "tenant", "user_of", "world"]


@pytest.fixture
def tenant(db) -> Tenant:
    return factories.tenant(slug="acme")


@pytest.fixture
def other(db) -> Tenant:
    return factories.tenant(slug="other")


@pytest.fixture
def actor_as(tenant):
    """`actor_as("operator", tenant)`: somebody who holds that role there; without a tenant: everywhere."""

    def made(role: str, place: Tenant | None = None) -> Actor:
        user = factories.user(is_staff=True, is_superuser=role == "superuser")
        if role not in ("superuser", "nobody"):
            members.grant(user, role, place and place.pk, actor=SYSTEM)
        return actors.of_user(user)

    return made


def user_of(actor: Actor) -> User:
    return User.objects.get(pk=actor.user_id)
