"""Where every address leads."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView


def alive(request):
    """For load balancers: this process answers. It says nothing of database or queue; `doctor` does."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("alive", alive, name="alive"),
    path("console/", admin.site.urls),
    path("u/", include("campaigns.urls")),
]
