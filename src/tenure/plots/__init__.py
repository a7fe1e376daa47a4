"""Charts of the value models, each a function from plain data to axes: for notebooks and reports.

The data are those of `clv.holdout` in `metrics.json`. Nothing is set for the whole process: no
pyplot, no lasting rcParams.
"""

import logging

# a home that cannot be written, or fonts seen for the first time, are no news to our readers
_log = logging.getLogger("matplotlib")
_level = _log.level
_log.setLevel(logging.ERROR)
import matplotlib.figure  # noqa: E402, F401  (first, and quietly)

_log.setLevel(_level)

from tenure.plots.alive import alive_history, alive_map  # noqa: E402
from tenure.plots.calibration import conditional_expectation, decile_calibration  # noqa: E402
from tenure.plots.svg import inline_svg  # noqa: E402
from tenure.plots.weeks import tracking  # noqa: E402

__all__ = [
    "alive_history",
    "alive_map",
    "conditional_expectation",
    "decile_calibration",
    "inline_svg",
    "tracking",
]
