"""Where every address leads."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path
from django.views import defaults
from django.views.generic import RedirectView

from outreach.common import problems


def alive(request):
    """For load balancers: this process answers. It says nothing of database or queue; `doctor` does."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("alive", alive, name="alive"),
    path("api/v1/", include("outreach.api")),
    path("console/", admin.site.urls),
    path("tls/", include("mailboxes.urls")),
    path("", include("campaigns.urls")),
]


def outside_of_views(page, status):
    """What Django answers where no view does, as a problem for those who speak to the API."""

    def answer(request, *args, **kwargs):
        if request.path.startswith("/api/"):
            return problems.answer(request, status)
        return page(request, *args, **kwargs)

    return answer


handler400 = outside_of_views(defaults.bad_request, 400)
handler404 = outside_of_views(defaults.page_not_found, 404)
handler500 = outside_of_views(defaults.server_error, 500)
