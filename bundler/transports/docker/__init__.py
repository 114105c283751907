"""Registries by the distribution specification 1.1, as Docker and everyone since speaks it."""
