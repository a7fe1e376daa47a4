"""The report in a real browser: nothing overflows, nothing is asked for, nothing is reported.

Each page is served from this machine and framed, unchanged, by a page that measures it; Chromium
prints the measures with --dump-dom.
"""

import html
import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tenure.config import Config
from tenure.report.page import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install it"),
]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
]
SAMPLE = Path(__file__).parents[1] / "samples" / "report.json"
HOSTILE = ["<script>document.title='broken'</script>", "{{7*7}}", "x" * 300, "=1+1", "\"'>"]
FRAME = """<!doctype html><title>frame</title>
<iframe src="%s" style="width:%dpx;height:900px;border:0"></iframe><pre></pre><script>
onload = () => {
  const frame = frames[0], page = frame.document, root = page.documentElement;
  const hidden = e => e.closest(".wide, thead");
  page.querySelectorAll("details").forEach(e => { e.open = true; });
  const past = [...page.querySelectorAll("body *")]
    .filter(e => !hidden(e) && e.getBoundingClientRect().right > root.clientWidth + 1)
    .map(e => e.tagName + "." + e.className);
  document.querySelector("pre").textContent = JSON.stringify({
    width: root.clientWidth, needed: root.scrollWidth, past: past.slice(0, 5), title: page.title,
    asked: frame.performance.getEntriesByType("resource").map(e => e.name),
    shown: page.querySelectorAll("section h2").length,
  });
};
</script>"""


@pytest.fixture
def serve(tmp_path):
    """Return a function that frames a page at a width and returns measures and the log."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, form, *args):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def measure(text, width):
        (tmp_path / "report.html").write_text(text, encoding="utf-8")
        (tmp_path / "frame.html").write_text(FRAME % ("report.html", width), encoding="utf-8")
        address = f"http://127.0.0.1:{server.server_port}/frame.html"
        ran = subprocess.run(
            [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", address],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        found = re.search(r"<pre>(.*?)</pre>", ran.stdout, re.S)
        measures = json.loads(html.unescape(found[1]))
        console = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
        return measures | {"served": list(asked), "console": console}

    yield measure
    server.shutdown()
    server.server_close()
    thread.join()


def written(ids, hostile=False):
    sample = json.loads(SAMPLE.read_text())
    n = len(ids)
    scores = pd.DataFrame(
        {
            "customer_id": ids,
            "status": "scored",
            "churn_probability": np.linspace(0.1, 0.9, n),
            "risk_band": "medium",
            "clv_365d": 123456.78,
            "value_at_risk": 12345.67,
            "expected_saved_value": 321.0,
            "reason_1": HOSTILE[2] if hostile else "Last purchase 60 days ago; 20 days is usual.",
            "reason_2": HOSTILE[0],
            "reason_3": None,
        }
    )
    if hostile:
        table = sample["metrics"]["data"]["transactions"]
        table["notes"] = table["sentences"] = sample["metrics"]["warnings"] = HOSTILE
        for factor in sample["drivers"]["factors"]:
            factor["factor"] = factor["owner"] = factor["action"] = HOSTILE[2]
            factor["how_we_know"] = HOSTILE
            for f in factor["features"]:
                f["feature"] = f["description"] = f["unit"] = HOSTILE[2]
        drivers = sample["drivers"]
        drivers["verdict"] = drivers["goals"][1]["name"] = drivers["goals"][1]["reading"] = HOSTILE[
            2
        ]
        drivers["experiments"]["tests"][0]["campaign"] = HOSTILE[2]
        drivers["experiments"]["says"] = drivers["experiments"]["notes"] = HOSTILE
        drivers["leavers_say"]["tickets"]["kind"][0]["level"] = HOSTILE[2]
        for one in drivers["leavers_say"]["last_scores"]:
            one["kind"] = one["touchpoint"] = HOSTILE[2]
    config = Config.model_validate(
        {"project": "shop", "currency": "EUR", "data": {"tables": {"transactions": {"path": "x"}}}}
    )
    return page(sample["metrics"], sample["drivers"], scores, config, (0.2, 0.5))


PAGES = {
    "usual": ([f"{i:05d}" for i in range(30)], False),
    "hostile": (HOSTILE, True),
    "nobody": ([], False),
    "one": (["007"], False),
}


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", PAGES)
def test_fits_asks_for_nothing_and_is_silent(name, width, serve):
    ids, hostile = PAGES[name]
    seen = serve(written(ids, hostile), width)
    assert seen["shown"] == 12
    assert seen["title"].startswith("Retention report: shop")
    assert seen["width"] <= width
    assert seen["needed"] <= seen["width"]
    assert seen["past"] == []
    assert seen["asked"] == []
    assert set(seen["served"]) <= {"/frame.html", "/report.html", "/favicon.ico"}
    assert seen["console"] == []


def test_the_measures_would_notice(serve):
    bad = (
        "<!doctype html><title>x</title><div class=w style='width:700px'>wide</div>"
        "<img src='/gone.png'><script>console.error('no')</script>"
    )
    seen = serve(bad, 390)
    assert seen["needed"] > 390
    assert seen["past"] == ["DIV.w"]
    assert seen["asked"][0].endswith("/gone.png")
    assert "/gone.png" in seen["served"]
    assert seen["console"]
