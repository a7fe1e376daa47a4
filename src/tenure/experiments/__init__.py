"""Randomised treatments: is a contact's effect proven, who is persuadable, how large a test."""

from tenure.experiments.findings import experiments

__all__ = ["experiments"]
