"""Addresses that recipients open. They are all that a tracking host answers (campaigns.middleware)."""

from django.urls import include, path

from campaigns import views

UNSUBSCRIBE = "u/"
CLICK = "c/"

urlpatterns = [
    path(UNSUBSCRIBE, include([path("<str:token>", views.unsubscribe, name="unsubscribe")])),
    path(CLICK, include([path("<str:token>", views.click, name="click")])),
]

handler400 = views.nothing_here
handler404 = views.nothing_here
