"""The admin app with our site as its default one.

In a module of its own: Django imports this while apps load, when no model may be imported yet.
"""

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    default_site = "outreach.console.site.ConsoleSite"
