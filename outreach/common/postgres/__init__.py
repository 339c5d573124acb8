"""Django's PostgreSQL backend with the tenants in scope: an ENGINE, used by nothing but the settings."""
