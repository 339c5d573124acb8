"""Addresses that web servers ask, below /tls/."""

from django.urls import path

from mailboxes import views

urlpatterns = [
    path("ask", views.may_have_certificate, name="tls_ask"),
]
