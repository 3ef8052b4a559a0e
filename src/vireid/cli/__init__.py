"""The command line: one verb per job, no logic of its own."""

from __future__ import annotations

import os
import select
import sys
import warnings
from collections.abc import Sequence

from cyclopts import App, CycloptsError

# Read when PyTorch is first imported: threads that wait spin for microseconds and then sleep. A little slower than
# endless spinning on an idle machine, much faster where another process wants the core (docs/performance.md).
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

import torch

import vireid
from vireid.cli.data import data
from vireid.cli.deploy import export
from vireid.cli.gallery import gallery
from vireid.cli.options import fields_table
from vireid.cli.reproduce import reproduce
from vireid.cli.runs import cost, demo, embed, evaluate, score, train
from vireid.cli.serve import serve, token
from vireid.cli.studies import noise, scale
from vireid.cli.tune import tune
from vireid.types import VireidError

app = App(
    name="vireid",
    help="Find the same person across day and night cameras: visible-infrared person re-identification.",
    version=vireid.__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # main says how to go on
)
app.command(demo)
app.command(data)
app.command(gallery)
app.command(train, help_epilogue=fields_table())
for verb in (evaluate, score, cost, embed, export, reproduce, noise, scale, tune, serve, token):
    app.command(verb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit 2 with one line on a user's mistake, 130 when interrupted, 141 when nobody reads."""
    words = sys.argv[1:] if arguments is None else arguments
    warnings.showwarning = lambda message, *_: print(f"vireid: warning: {message}", file=sys.stderr)
    try:
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except VireidError as error:
        _fail(str(error), 2)
    except CycloptsError as error:
        _fail(f"{' '.join(str(error).split())} See vireid --help.", 2)
    except KeyboardInterrupt:
        how = " with --resume" if list(words[:1]) == ["train"] else ""
        _fail(f"interrupted; run the same command again{how} to go on", 130)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():  # as of `vireid score ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
            sys.exit(141)
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}; check the path and its permissions", 2)
    except torch.OutOfMemoryError:
        _fail("out of GPU memory; lower data.identities, data.images or the image size", 2)
    sys.exit(status or 0)


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has gone; a pipe to a worker can break, too."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _fail(message: str, status: int) -> None:
    print(f"vireid: {message}", file=sys.stderr)
    sys.exit(status)
