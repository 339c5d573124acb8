from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DeliverabilityConfig(AppConfig):
    name = "deliverability"
    verbose_name = _("Deliverability")

    def ready(self) -> None:
        """Listen to the apps below."""
        from deliverability import hooks

        hooks.register()
