"""The command line: reads arguments, calls the verbs, turns faults into exit codes."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tenure.config import Config, load_config
from tenure.errors import ConfigError, TenureError

app = typer.Typer(
    help="Which customers are about to leave, what they are worth, and what drives it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The project's YAML file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Leaks = Annotated[
    bool,
    typer.Option("--leaks", help="Prove that no feature sees the future; look for signs of leaks."),
]
Strict = Annotated[bool, typer.Option("--strict", help="With --leaks: any sign ends with exit 3.")]
Why = Annotated[str, typer.Option(help="The reason, in a few words; kept with the model.")]
Day = Annotated[str | None, typer.Option(help="A local day, YYYY-MM-DD.")]


def _say(text: str, value: Any, as_json: bool) -> None:
    typer.echo(json.dumps(value, default=str) if as_json else text)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[..., None]]:
    """Yield what tells the terminal how far we are; silent where nobody watches."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda *_: None
        return
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        stage = ""

        def tell(text: str, done: int | None = None, total: int | None = None) -> None:
            nonlocal stage
            kind = text.split(" at ")[0].split(":")[0]
            if kind != stage:  # the time left is that of the stage
                bar.reset(task, total=total)
                stage = kind
            bar.update(task, description=text, completed=done or 0, total=total)

        yield tell


def _day(text: str | None, option: str) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is not a day; write YYYY-MM-DD.") from None


@app.command()
def init(
    files: Annotated[list[str], typer.Argument(help="CSV, JSON lines or Parquet files.")],
    out: Annotated[Path, typer.Option(help="The YAML file to write.")] = Path("config.yaml"),
    json_: Json = False,
) -> None:
    """Draft a config from the headers of files, and say whether the data suffice."""
    from tenure.drafting import draft

    with _progress() as progress:
        progress("looking at the files")
        done = draft(files, out)
    _say(done.text, done.values, json_)


@app.command()
def check(
    config: ConfigFile,
    leaks: Leaks = False,
    strict: Strict = False,
    json_: Json = False,
) -> None:
    """Check the data against the contract; with --leaks, prove point-in-time and audit columns."""
    from tenure.audit import contract_report
    from tenure.audit import leaks as audit

    if strict and not leaks:
        raise ConfigError("--strict: goes with --leaks; a broken table ends with exit 3 anyway.")
    settings = load_config(config)
    with _progress() as progress:
        if leaks:
            found = audit.leaks(settings, strict=strict, progress=progress)
        else:
            found = contract_report(settings)
    _say(found.text, found.values, json_)


@app.command()
def features(
    config: ConfigFile,
    cutoff: Annotated[str, typer.Option(help="A local day, YYYY-MM-DD.")],
    out: Annotated[Path, typer.Option(help="A .parquet or .csv file.")],
    json_: Json = False,
) -> None:
    """Write the features of every customer as known at a cutoff."""
    from tenure.extract import extract

    settings = load_config(config)
    day = _day(cutoff, "--cutoff")
    assert day is not None
    rows, columns = extract(settings, day, out)
    text = f"{rows:,} customers, {columns} features at {day}: {out}"
    _say(text, {"customers": rows, "features": columns, "out": str(out)}, json_)


@app.command()
def train(config: ConfigFile, json_: Json = False) -> None:
    """Train, evaluate, explain and track; writes out/<project>/ and an MLflow run."""
    from tenure.train import train as run

    settings = load_config(config)
    with _progress() as progress:
        done = run(settings, config, progress=progress)
    _say(done.summary, {"metrics": done.metrics, "out": str(done.folder)}, json_)


@app.command()
def score(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="A .csv or .parquet file.")],
    customers: Annotated[
        Path | None, typer.Option(help="CSV or Parquet with a column customer_id; default: all.")
    ] = None,
    as_of: Day = None,
    json_: Json = False,
) -> None:
    """Score customers with the champion model."""
    from tenure.score import score as run

    settings: Config = load_config(config)
    done = run(settings, out, customers=customers, as_of=_day(as_of, "--as-of"))
    counts = ", ".join(f"{n:,} {status}" for status, n in done.counts.items()) or "no customers"
    lines = [f"{counts} as of {done.as_of}, by model version {done.model_version}: {done.out}"]
    if done.unknown_out is not None:
        lines.append(f"{done.unknown:,} ids are not in the data: {done.unknown_out}")
    lines += [f"Note: {w}" for w in done.warnings]
    _say("\n".join(lines), vars(done), json_)


@app.command()
def promote(
    config: ConfigFile,
    why: Why,
    version: Annotated[
        int | None, typer.Option(help="Of the registered model; default: the challenger.")
    ] = None,
    json_: Json = False,
) -> None:
    """Make a version of the model the champion, which scores from now on."""
    from tenure.promotion import promote as run

    done = run(load_config(config), why, version)
    _say(done.text, done.values, json_)


@app.command()
def rollback(config: ConfigFile, why: Why, json_: Json = False) -> None:
    """Go back to the champion before this one."""
    from tenure.promotion import rollback as run

    done = run(load_config(config), why)
    _say(done.text, done.values, json_)


@app.command()
def drivers(config: ConfigFile, json_: Json = False) -> None:
    """Find why customers leave, by the champion; writes out/<project>/drivers.json."""
    from tenure.drivers import anew

    settings = load_config(config)
    with _progress() as progress:
        done = anew(settings, progress=progress)
    _say(done.text, done.found, json_)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="A folder for the tables, their config and truth/.")],
    customers: Annotated[int, typer.Option(help="How many customers.")] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same company.")] = 7,
    world: Annotated[str, typer.Option(help="shop or subscriptions.")] = "shop",
    json_: Json = False,
) -> None:
    """Write a made-up company of three years, and the truth about why its customers leave."""
    from tenure.simulate import simulate as run
    from tenure.simulate import summary, words, write

    with _progress() as progress:
        progress(f"{customers:,} customers")
        company = run(world, customers, seed)
        write(company, out)
    found = summary(company)
    _say(words(found, out), found | {"out": str(out)}, json_)


@app.command()
def kpis(config: ConfigFile, json_: Json = False) -> None:
    """Compute the figures of the customer experience; writes out/<project>/kpis.parquet."""
    from tenure.kpis import kpis as run
    from tenure.kpis import summary, to_json

    settings = load_config(config)
    with _progress() as progress:
        done = run(settings, progress=progress)
    _say("" if json_ else summary(done), to_json(done), json_)


_stops: list[int] = []  # signals that asked us to end


def _stop(number: int, _: object) -> None:
    # remembered, since DuckDB turns what is raised inside a query into a fault of its own
    _stops.append(number)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit with design.md's codes."""
    _stops.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without our signs gets them spelt
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        # typer returns the code of what it ends by itself: 130 for an interrupt
        code = app(standalone_mode=False) or 0
    except TenureError as fault:
        sys.stderr.write(f"{type(fault).__name__}: {fault}\n")
        code = fault.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except OSError as fault:
        sys.stderr.write(f"{fault.filename or 'a file'}: {fault.strerror or 'failed'}.\n")
        code = 1
    except Exception as fault:
        code = INTERRUPTED if _stops else _other(fault)
    if code == INTERRUPTED:
        sys.stderr.write("Interrupted: nothing half-written is left behind.\n")
    sys.exit(code)


def _other(fault: Exception) -> int:
    """Show click's usage errors as click would; of our own faults show where, not what."""
    if hasattr(fault, "show") and hasattr(fault, "exit_code"):
        fault.show()
        return int(fault.exit_code)
    # the message may quote a row of somebody's data
    where = "".join(traceback.format_tb(fault.__traceback__))
    sys.stderr.write(f"{where}{type(fault).__name__}: a fault of tenure itself; please report.\n")
    return 1


if __name__ == "__main__":
    main()
