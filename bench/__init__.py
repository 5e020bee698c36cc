"""Measurements, side by side: ``python bench [NAME...]``."""
