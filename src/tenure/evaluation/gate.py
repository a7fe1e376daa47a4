"""Which model may be promoted: non-inferiority, calibration and signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tenure.evaluation.bootstrap import Estimate

__all__ = [
    "AUC_MARGIN",
    "CALIBRATION_TARGET",
    "LOG_LOSS_MARGIN",
    "Verdict",
    "gate",
    "has_signal",
    "inferior",
]

LOG_LOSS_MARGIN = 0.01
"""Share of the baseline's log loss that the model may be worse by."""
AUC_MARGIN = 0.005
CALIBRATION_TARGET = 0.015
SIGNAL = 1.5
"""Times the distance from an AUC to the lower end of its interval that .5 must lie below it."""


@dataclass(frozen=True)
class Verdict:
    """Whether a model may be promoted, and every reason why not.

    Parameters
    ----------
    passed : bool
        It may.
    signal : bool
        Its AUC is clearly above chance; where it is not, nothing is promoted and `score` refuses.
    reasons : tuple of str
        What failed, in words with numbers; empty when passed.
    """

    passed: bool
    signal: bool
    reasons: tuple[str, ...]


def gate(
    model: Mapping[str, Estimate],
    baseline: Mapping[str, Estimate],
    log_loss_gain: Estimate,
    auc_gain: Estimate,
) -> Verdict:
    """Judge a model against the baseline that earlier cutoffs fixed.

    A model passes when the lower ends of its improvements' 90 % intervals are above −1 % of the
    baseline's log loss and above −.005 AUC, its calibration error is at most the larger of .015 and
    the 95th percentile of the floor, and its AUC shows signal (`has_signal`).

    Parameters
    ----------
    model, baseline : mapping
        Metrics as `evaluate` returns them for one model.
    log_loss_gain, auc_gain : dict
        What `paired` returns for the two.
    """
    reasons = []
    signal = has_signal(model["auc"])
    if not signal:
        reasons.append(f"no signal: AUC {_shown(model['auc'])} is not clearly above .5")
    reasons += inferior(baseline["log_loss"]["value"], log_loss_gain, auc_gain)
    error = model["expected_calibration_error"]
    target = max(CALIBRATION_TARGET, error["floor_p95"])
    if not error["value"] <= target:
        reasons.append(f"calibration: error {error['value']:.4f} is above the target {target:.4f}")
    return Verdict(not reasons, signal, tuple(reasons))


def inferior(
    log_loss: float, log_loss_gain: Estimate, auc_gain: Estimate, rival: str = ""
) -> list[str]:
    """Say by which measures a model may be worse than a rival by more than the margins.

    Parameters
    ----------
    log_loss : float
        Of the rival, on the same rows.
    log_loss_gain, auc_gain : dict
        What `paired` returns for the two.
    rival : str
        Its name; the baseline where none is given.
    """
    against, whose = (f" against {rival}", "its") if rival else ("", "the baseline's")
    reasons, allowed = [], LOG_LOSS_MARGIN * log_loss
    if not log_loss_gain["lower"] > -allowed:
        reasons.append(
            f"log loss{against}: improvement {_shown(log_loss_gain)} may be below "
            f"{-allowed:+.4f} (1 % of {whose} {log_loss:.4f})"
        )
    if not auc_gain["lower"] > -AUC_MARGIN:
        reasons.append(
            f"AUC{against}: improvement {_shown(auc_gain)} may be below {-AUC_MARGIN:+.4f}"
        )
    return reasons


def has_signal(auc: Estimate) -> bool:
    """Tell whether an AUC lies above chance by more than chance explains.

    One and a half times the distance to the lower end of its 90 % interval must still lie above
    .5: 2.5 standard errors, one of 150 models that know nothing. The lower end alone lies above .5
    for one of twenty.
    """
    return bool(auc["value"] - SIGNAL * (auc["value"] - auc["lower"]) > 0.5)


def _shown(estimate: Estimate) -> str:
    return "{value:.4f} [{lower:.4f}, {upper:.4f}]".format(**estimate)
