"""A second person is somebody whom the first one has not made."""

from __future__ import annotations

import pytest

from outreach.common.errors import NotAllowed
from tenants.models import User
from tenants.services import approvals, invitations, members, users
from tenants.services.actors import SYSTEM, Actor, of_grants
from tests import factories
from tests.tenants.approvals.cases import Case, somebody

pytestmark = pytest.mark.django_db


def test_a_right_that_is_younger_than_the_wish_does_not_count(case, tenant, first):
    asked = case.ask(first)
    with pytest.raises(NotAllowed, match="younger than the wish"):
        approvals.grant(asked, actor=somebody(tenant))
    asked.refresh_from_db()
    assert asked.state == "asked"


def test_whom_the_first_person_invited_is_no_second_one(tenant):
    manager = factories.user()
    members.grant(manager, "platform_admin", None, actor=SYSTEM)
    asking = of_grants("user", "chief", [(None, "platform_admin")], user_id=manager.pk)
    _invitation, token = invitations.invite("puppet@example.net", "ops_manager", tenant.pk, actor=asking)
    puppet = invitations.accept(token, "correct horse battery staple", actor=Actor("user", "nobody"))
    asked = Case(tenant, "mailbox.release").ask(asking)

    with pytest.raises(NotAllowed, match="invited you"):
        approvals.grant(asked, actor=of_grants("user", "puppet", [(tenant.pk, "ops_manager")], user_id=puppet.pk))


def test_whose_sign_in_the_first_person_renewed_is_no_second_one(tenant, second):
    chief = factories.user(is_superuser=True)
    members.grant(chief, "platform_admin", None, actor=SYSTEM)
    asking = of_grants("user", "chief", [(None, "platform_admin")], user_id=chief.pk)
    asked = Case(tenant, "mailbox.release").ask(asking)
    users.new_password(User.objects.get(pk=second.user_id), actor=asking)

    with pytest.raises(NotAllowed, match="renewed your sign-in"):
        approvals.grant(asked, actor=second)
