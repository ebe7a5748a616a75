"""Acquisitions with known truth."""
