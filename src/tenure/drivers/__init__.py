"""Why customers leave: every factor with its size, its noise, how sure we are, and who owns it."""

from tenure.drivers.anew import anew
from tenure.drivers.found import Subject, find_drivers

__all__ = ["Subject", "anew", "find_drivers"]
