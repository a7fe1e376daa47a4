"""What is true of a world, in words and numbers: causes, symptoms, confounders, non-causes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from tenure.simulate.world import START, Shop, Subscriptions

__all__ = ["facts"]

Causes = dict[str, tuple[float, str, str]]  # added to the log hazard, of what, factor


def facts(world: Shop | Subscriptions) -> dict[str, Any]:
    """Return what a search for drivers should find in a world, as JSON values."""
    is_shop = isinstance(world, Shop)
    effects = _shop_causes(world) if isinstance(world, Shop) else _subscription_causes(world)
    words = _SHOP if is_shop else _SUBSCRIPTIONS
    causes = {
        name: {"log_hazard": effect, "hazard_ratio": float(np.exp(effect)), "per": per,
               "factor": factor, "half_life_weeks": world.half_life_weeks}
        for name, (effect, per, factor) in effects.items() if effect
    }  # fmt: skip
    idle = [name for name, (effect, _, _) in effects.items() if not effect]
    return {
        "world": "shop" if is_shop else "subscriptions",
        "start": START.date().isoformat(),
        "parameters": asdict(world),
        "causes": causes,
        "campaign": {
            "log_hazard": world.campaign_effect, "weeks": world.campaign_weeks,
            "hazard_ratio": float(np.exp(world.campaign_effect)), "randomised": True,
        },
        **words,
        "non_causes": [*words["non_causes"], *idle],
    }  # fmt: skip


def _shop_causes(world: Shop) -> Causes:
    unsolved = "a ticket reopened or never solved"
    return {
        "late_delivery": (world.late_effect, "a delivery 5 days late", "delivery"),
        "slow_response": (world.slow_effect, "a first response after 48 hours", "responsiveness"),
        "unsolved_ticket": (world.unsolved_effect, unsolved, "resolution"),
    }


def _subscription_causes(world: Subscriptions) -> Causes:
    return {
        "slow_response": (world.slow_effect, "a first response after 48 hours", "responsiveness"),
        "incident": (world.incident_effect, "an outage", "product"),
        "price_rise": (world.price_effect, "a rise of the price", "pricing"),
        "unused": (world.unused_effect, "while the product lies idle", "usage"),
    }


_SHOP: dict[str, Any] = {
    "symptoms": ["surveys.score", "surveys.answered_at", "complaints", "visits", "carts"],
    "confounders": {
        "purchase rate": "heavy buyers stay longer and open more tickets",
        "region": "the south gets more late deliveries and leaves more readily anyway",
    },
    "non_causes": [
        "device", "segment", "category", "discount", "quantity", "email", "loyalty", "handoffs",
        "escalated_at",
    ],
    "only_through_deliveries": ["partner", "channel"],
}  # fmt: skip
_SUBSCRIPTIONS: dict[str, Any] = {
    "symptoms": ["surveys.score", "surveys.answered_at", "complaints"],
    "confounders": {
        "use": "heavy users stay longer and open more tickets",
        "region": "the south has more outages and leaves more readily anyway",
        "yearly plan": "notice is given shortly before the renewal",
    },
    "non_causes": ["sector", "source", "plan", "seats", "handoffs", "escalated_at"],
    "competing": "payments that fail end subscriptions against the customer's will",
}
