"""Which mailboxes of a tenant a command is about: by pool, by tag, by address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from mailboxes import labels
from mailboxes.models import Mailbox, Pool
from outreach.common import addresses, yaml_files
from outreach.common.errors import BadInput, Missing
from tenants.models import Tenant


def add_arguments(parser: CommandParser) -> None:
    """--pool, --tag, --address; together they narrow."""
    parser.add_argument("--pool", metavar="NAME", help="those of the pool")
    parser.add_argument("--tag", action="append", default=[], metavar="T", help="those with the tag; again: with both")
    parser.add_argument("--address", action="append", default=[], metavar="A", help="this one; again: that one as well")


def chosen(owner: Tenant, options: Mapping[str, Any], *, everything: bool = False) -> QuerySet[Mailbox]:
    """The mailboxes, retired ones only by their address. Raises BadInput, Missing for a name that nothing has.

    Without a choice it is an error, or all with `everything`.
    """
    rows = Mailbox.objects.filter(tenant=owner).order_by("pk")
    pool, tags, named = options["pool"], options["tag"], options["address"]
    if pool is None and not tags and not named and not everything:
        raise BadInput("Choose mailboxes with --pool, --tag or --address.")
    if pool is not None:
        rows = rows.filter(pool=pool_of(owner, pool, "--pool"))
    for text in tags:
        rows = rows.filter(tags__contains=[labels.tag(text)])
    if not named:
        return rows.exclude(state=Mailbox.State.RETIRED)
    keys = {addresses.parse(text).key: text for text in named}
    rows = rows.filter(address_key__in=list(keys))
    for key in set(keys) - set(rows.values_list("address_key", flat=True)):
        raise Missing(f"{owner.slug} has no mailbox {keys[key]!r} of that choice.")
    return rows


def pool_of(owner: Tenant, name: str, option: str) -> Pool:
    """The tenant's pool of that name. Raises Missing."""
    found = Pool.objects.filter(tenant=owner, name=name).first() if yaml_files.storable(name) else None
    if found is None:
        raise Missing(f"{option}: {owner.slug} has no pool {name!r}.")
    return found
