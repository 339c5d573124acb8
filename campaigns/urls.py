"""Addresses that recipients open, below /u/."""

from django.urls import path

from campaigns import views

urlpatterns = [
    path("<str:token>", views.unsubscribe, name="unsubscribe"),
]
