"""Who runs a recipient's mail, told from the MX hosts: many domains, one receiver with one patience."""

from __future__ import annotations

from collections.abc import Iterable

OTHER = "other"

# The ends of MX host names.
SUFFIXES: dict[str, str] = {
    "google.com": "google",
    "googlemail.com": "google",
    "smtp.goog": "google",
    "protection.outlook.com": "microsoft",
    "mx.microsoft": "microsoft",
    "hotmail.com": "microsoft",
    "yahoodns.net": "yahoo",
    "mail.yahoo.com": "yahoo",
    "mx.aol.com": "yahoo",
    "mail.icloud.com": "apple",
    "mail.me.com": "apple",
    "mail.ru": "mailru",
    "yandex.ru": "yandex",
    "yandex.net": "yandex",
    "yandex.com": "yandex",
    "pphosted.com": "proofpoint",
    "ppe-hosted.com": "proofpoint",
    "mimecast.com": "mimecast",
    "mimecast.co.za": "mimecast",
    "mimecast-offshore.com": "mimecast",
}


def operator(hosts: Iterable[str]) -> str:
    """Return the operator of the first host that is known, else `other`; the preferred hosts come first."""
    for host in hosts:
        labels = host.lower().removesuffix(".").split(".")
        for start in range(len(labels)):
            if known := SUFFIXES.get(".".join(labels[start:])):
                return known
    return OTHER
