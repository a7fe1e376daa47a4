"""What a simulated company is like: sizes, causes, confounders, and what is changed in a re-run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

__all__ = ["START", "TEMPERAMENTS", "Intervention", "Shop", "Subscriptions"]

START = dt.datetime(2023, 1, 2)  # a Monday, UTC
TEMPERAMENTS = (-1.2816, -0.5244, 0.0, 0.5244, 1.2816)  # equally frequent, never observed


@dataclass(frozen=True)
class Intervention:
    """What is done differently in a re-run, for orders and tickets from a week on.

    Parameters
    ----------
    from_week : int
        Orders placed and tickets opened before this week stay as they were.
    most_days_late : float, optional
        No delivery comes later than this after the promised moment.
    first_response_hours : float, optional
        No ticket waits longer for its first response.
    no_reopening : bool
        No ticket stays unresolved or is reopened.
    price_rises : bool
        Subscriptions: False leaves the price rises out.
    """

    from_week: int = 0
    most_days_late: float | None = None
    first_response_hours: float | None = None
    no_reopening: bool = False
    price_rises: bool = True


@dataclass(frozen=True)
class Shop:
    """A shop. Effects are added to the log hazard of leaving; 0 makes the cause none.

    Parameters
    ----------
    purchases_per_year, purchase_shape : float
        Mean of the customers' rates and shape of their gamma distribution.
    base_hazard : float
        Weekly hazard of leaving for good of a customer without any bad experience.
    late_effect : float
        Of a delivery 5 days late, when it arrives; in proportion for others, at most 10 days.
    slow_effect : float
        Of a first response after 48 hours, when it comes; none up to 8 hours, at most twofold.
    unsolved_effect : float
        Of a ticket reopened, or still open after two weeks.
    half_life_weeks : float
        After which half of an effect is gone.
    most_grievance : float
        Effects together add at most so much.
    temperament : float
        Spread of the unobserved disposition, which lowers the hazard and raises scores.
    buyers_effect : float
        Per log of the purchase rate: heavy buyers stay longer (and open more tickets).
    region_effects, region_late : tuple of float
        Added to the log hazard, and multiplies the share of late deliveries, by region.
    late_share, slow_hours : float
        Usual share of late deliveries, and median hours until the first response.
    tickets_per_order, ticket_confounding : float
        Questions per order, and how they grow with the purchase rate (an exponent).
    campaign_effect, campaign_weeks : float, int
        Added to the log hazard for so many weeks after a contact of the campaign.
    visits_per_purchase, stray_visits : float
        Visits beside purchases, and the share of them that goes on after leaving.
    response_slope : float
        How much the happy answer surveys rather than the unhappy, per unit of satisfaction.
    gone_response : float
        Answers of those who have left, as a share of what they answered before.
    dirt : float
        Share of rows of each kind of dirt.
    """

    purchases_per_year: float = 9.0
    purchase_shape: float = 2.5
    base_hazard: float = 0.0035
    late_effect: float = 1.6
    slow_effect: float = 1.2
    unsolved_effect: float = 0.9
    half_life_weeks: float = 9.0
    most_grievance: float = 4.5
    temperament: float = 0.5
    buyers_effect: float = -0.2
    region_effects: tuple[float, ...] = (0.0, 0.0, 0.0, 0.35)
    region_late: tuple[float, ...] = (1.0, 1.0, 0.7, 2.0)
    late_share: float = 0.16
    slow_hours: float = 8.0
    tickets_per_order: float = 0.12
    ticket_confounding: float = 0.7
    campaign_effect: float = -0.7
    campaign_weeks: int = 12
    visits_per_purchase: float = 1.5
    stray_visits: float = 0.25
    response_slope: float = 0.5
    gone_response: float = 0.3
    dirt: float = 0.002


@dataclass(frozen=True)
class Subscriptions:
    """A company of subscribers. Effects are added to the log hazard of giving notice.

    Parameters
    ----------
    base_hazard : float
        Weekly hazard of giving notice, monthly plans.
    slow_effect, incident_effect, price_effect : float
        Of a first response after 48 hours, of an incident, of a price rise, when it comes.
    unused_effect : float
        While the product lies idle.
    half_life_weeks, most_grievance, temperament, response_slope, slow_hours, campaign_effect, \
    campaign_weeks, ticket_confounding, dirt : float
        As in `Shop`.
    idle_start, idle_end : float
        Weekly chances that a customer stops using the product, and starts again.
    region_effects, region_incidents : tuple of float
        Added to the log hazard, and multiplies the incidents, by region.
    heavy_effect : float
        Per log of the usual use: heavy users stay longer (and open more tickets).
    incident_share, price_rise_share, tickets_per_week : float
        Weekly chances of an incident, a price rise, and a ticket.
    payment_failures, lost_payments : float
        Weekly chance of a failed payment, and the share of them that ends the subscription.
    return_share : float
        Share of those whose subscription ended who come back after a pause.
    """

    base_hazard: float = 0.014
    slow_effect: float = 1.3
    incident_effect: float = 1.0
    price_effect: float = 0.8
    unused_effect: float = 1.5
    half_life_weeks: float = 6.0
    most_grievance: float = 4.0
    temperament: float = 0.5
    response_slope: float = 0.5
    idle_start: float = 0.015
    idle_end: float = 0.06
    region_effects: tuple[float, ...] = (0.0, 0.0, 0.0, 0.35)
    region_incidents: tuple[float, ...] = (1.0, 1.0, 0.7, 2.0)
    heavy_effect: float = -0.2
    slow_hours: float = 8.0
    incident_share: float = 0.02
    price_rise_share: float = 0.012
    tickets_per_week: float = 0.035
    ticket_confounding: float = 0.7
    campaign_effect: float = -0.7
    campaign_weeks: int = 8
    payment_failures: float = 0.006
    lost_payments: float = 0.3
    return_share: float = 0.15
    dirt: float = 0.002
