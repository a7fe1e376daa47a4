"""What can go wrong, and the exit code each kind ends with."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ConfigError", "DataError", "EnvironmentFault", "ModelError", "TenureError", "listing"]


class TenureError(Exception):
    """A fault a user can act on: the message says where, what, how many and what to do."""

    exit_code = 1


class EnvironmentFault(TenureError):
    """The machine said no: a full disk, a missing permission."""

    exit_code = 1


class ConfigError(TenureError):
    """The command line or the config is wrong."""

    exit_code = 2


class DataError(TenureError):
    """The data cannot carry the question: a broken table, one class, no history."""

    exit_code = 3


class ModelError(TenureError):
    """A model, the registry or the gate refuses."""

    exit_code = 4


def listing(where: str, problems: Sequence[str]) -> str:
    """Put every problem of one place into one message.

    Examples
    --------
    >>> print(listing("orders.csv", ["amount: 2 of 9 rows are not numbers."]))
    orders.csv: 1 problem
      amount: 2 of 9 rows are not numbers.
    """
    noun = "problem" if len(problems) == 1 else "problems"
    return "\n".join([f"{where}: {len(problems)} {noun}", *(f"  {p}" for p in problems)])
