"""The key's own tenant."""

from __future__ import annotations

from tenants.api.base import ReadOnlyTenantViewSet
from tenants.api.shapes import Output
from tenants.models import Tenant


class TenantOutput(Output):
    class Meta:
        model = Tenant
        fields = (
            *("id", "slug", "name", "status", "time_zone", "postal_address", "daily_cap"),
            *("frequency_days", "frequency_person", "frequency_company", "created_at"),
        )


class OwnTenantViewSet(ReadOnlyTenantViewSet):
    """The one tenant that the key belongs to."""

    view_permission = "tenants.view"
    queryset = Tenant.objects.order_by("pk")
    serializer_class = TenantOutput
