"""Plug-ins of a package that vireid knows nothing of."""
