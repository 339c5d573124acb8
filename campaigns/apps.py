from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CampaignsConfig(AppConfig):
    name = "campaigns"
    verbose_name = _("Campaigns")

    def ready(self) -> None:
        """Listen to the apps below, and say which acts may need a second person."""
        from campaigns import acts, hooks

        hooks.register()
        acts.register_all()
