"""The section `playbook`: what to do about each factor, and who owns it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, field_validator

__all__ = ["PLAYBOOK", "Play", "play_of"]

LONGEST = 200  # characters: an action is a line in a list


class Play(BaseModel):
    """What to do where a factor drives customers away.

    Attributes
    ----------
    action : str or None
        What whoever talks to the customer does, in a few words.
    owner : str or None
        The team that can change the factor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    action: str | None = None
    owner: str | None = None

    @field_validator("action", "owner")
    @classmethod
    def _one_line(cls, text: str | None) -> str | None:
        if text is None:
            return None
        line = " ".join(text.split())
        if not line or len(line) > LONGEST:
            raise ValueError(f"give a few words, at most {LONGEST} characters")
        return line


PLAYBOOK: Mapping[str, Play] = {
    "delivery": Play(action="Call about the late order", owner="Delivery"),
    "responsiveness": Play(action="Answer what is open today", owner="Support"),
    "resolution": Play(action="Solve the open ticket and report back", owner="Support"),
    "effort": Play(action="Give one contact who sees it through", owner="Support"),
    "satisfaction": Play(action="Ask what went wrong", owner="Support"),
    "loyalty": Play(action="Ask what would bring them back", owner="Marketing"),
    "contact": Play(action="Pause campaigns and surveys", owner="Marketing"),
    "pricing": Play(action="Go through the price and the plan together", owner="Product"),
    "billing": Play(action="Help with the payment that failed", owner="Support"),
    "product": Play(action="Tell what has been done about the fault", owner="Product"),
    "engagement": Play(),
    "value": Play(),
    "lifecycle": Play(),
    "usage": Play(),
    "profile": Play(),
}
"""What holds where the config says nothing; circumstances have neither owner nor action."""


def play_of(factor: str, playbook: Mapping[str, Play]) -> Play:
    """Return action and owner of a factor: the config's words, and the defaults for the rest.

    A key that the config sets to null stays null.

    Parameters
    ----------
    factor : str
        One of the factors of experience.
    playbook : mapping of str to Play
        `config.playbook`.

    Examples
    --------
    >>> play_of("delivery", {"delivery": Play(owner="Logistics")})
    Play(action='Call about the late order', owner='Logistics')
    """
    usual, given = PLAYBOOK[factor], playbook.get(factor, Play())
    return usual.model_copy(update={k: getattr(given, k) for k in given.model_fields_set})
