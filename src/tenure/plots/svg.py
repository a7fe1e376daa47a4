"""A chart as SVG that stands inside an HTML page and takes its fonts and colours from there."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["inline_svg"]

_LEFT_OUT = {"metadata", "style", "clipPath"}
_KEPT = ("d", "x", "y", "x1", "x2", "y1", "y2", "points", "transform", "style")
_NONE = {"Date": None, "Creator": None, "Format": None, "Type": None}


def inline_svg(ax: Axes, name: str, label: str, colours: Mapping[str, str]) -> str:
    """Write the figure of these axes as one `<svg>` element.

    It asks for nothing, runs nothing, and is the same for the same data: no date, no address, no
    style sheet, no clipping; text stays text in the font of the page.

    Parameters
    ----------
    ax : Axes
    name : str
        Begins all ids, so that several charts can stand on one page.
    label : str
        What somebody hears who cannot see the chart.
    colours : mapping of str to str
        What the chart's colours become, as `#0072b2` to `var(--expected)`.

    Returns
    -------
    str
    """
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    written = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata=_NONE, transparent=True)
    root = ET.fromstring(written.getvalue())
    _plain(root, colours)
    _rename(root, name)
    title = ET.Element("title", id=f"{name}-title")
    title.text = label
    root.insert(0, title)
    # the width is the page's; what has no colour of its own takes that of its text
    root.attrib = {
        "viewBox": root.attrib["viewBox"], "role": "img", "aria-labelledby": f"{name}-title",
        "fill": "currentColor", "stroke-linejoin": "round", "stroke-linecap": "butt",
    }  # fmt: skip
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _plain(element: ET.Element, colours: Mapping[str, str]) -> None:
    """Take away what only a file of its own needs, and hand the looks over to the page."""
    element.tag = _local(element.tag)
    element.text = (element.text or "").strip() or None
    element.tail = None
    for child in [c for c in element if _local(c.tag) in _LEFT_OUT]:
        element.remove(child)
    kept = {_local(key): value for key, value in element.attrib.items()}
    kept.pop("clip-path", None)
    for key in set(_KEPT) & kept.keys():
        kept[key] = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.6g}", kept[key])
    if "d" in kept:
        kept["d"] = " ".join(kept["d"].split())
    if "style" in kept:
        style = re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", kept["style"])
        style = re.sub(r"; font-family:[^;]*|font-family:[^;]*;?", "", style)
        kept["style"] = re.sub(
            r"#[0-9a-f]{6}", lambda colour: colours.get(colour[0], colour[0]), style
        )
    element.attrib = kept
    for child in element:
        _plain(child, colours)


def _rename(root: ET.Element, name: str) -> None:
    """Keep the ids that something points to, under names of this chart's own."""
    aims = [e.attrib["href"][1:] for e in root.iter() if "href" in e.attrib]
    names = {aim: f"{name}-{k}" for k, aim in enumerate(dict.fromkeys(aims))}
    for element in root.iter():
        if "href" in element.attrib:
            element.attrib["href"] = f"#{names[element.attrib['href'][1:]]}"
        own = element.attrib.pop("id", None)
        if own in names:
            element.attrib["id"] = names[own]


def _local(name: str) -> str:
    """Return a name without its namespace.

    Examples
    --------
    >>> _local("{urn:x}path"), _local("d")
    ('path', 'd')
    """
    return name.split("}")[-1]
