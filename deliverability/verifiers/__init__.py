"""Paid verifiers of addresses, behind one seam. Pure: no Django, no models, no settings. Off unless one is set.

`base` is what an adapter has to be, `web` a bounded way to ask over HTTPS, `json_api` an adapter that works and serves
as the example: see docs/verifiers.md.
"""
