"""The command line: one verb per job, no logic of its own. A verb's module is loaded only when the verb is used."""

from __future__ import annotations

import os
import select
import sys
import warnings
from collections.abc import Sequence

from cyclopts import App, CycloptsError

import vireid
from vireid.types import VireidError

# Read when PyTorch is first imported: waiting threads spin for microseconds and then sleep. This is a little slower
# than endless spinning on an idle machine, but much faster if another process wants the core (docs/performance.md).
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

VERBS = {
    "demo": ("runs:demo", "Render a day-and-night set, train the full method on it, evaluate it and write a report."),
    "data": ("data:data", "Check a data set, or render a synthetic one."),
    "train": ("train:train", "Train a recipe on a data set's training identities."),
    "evaluate": ("runs:evaluate", "Evaluate a model, or the mean of several runs, and write results and a report."),
    "score": ("runs:score", "Score the features of any model: CMC, mAP and mINP of queries against a gallery."),
    "embed": ("runs:embed", "Write the features of a data set's test part, or of loose images."),
    "cost": ("runs:cost", "Print parameters, multiply-accumulates, peak memory and speed of embedding (Table 2)."),
    "export": ("deploy:export", "Write a run in another format, after comparing its features with PyTorch's."),
    "gallery": ("gallery:gallery", "Manage a gallery of embedded images, and find a person in it."),
    "serve": ("serve:serve", "Serve a gallery: a page to search with, and a REST interface."),
    "token": ("serve:token", "Create, list and revoke the tokens for a service."),
    "reproduce": ("reproduce:reproduce", "Train what a table or figure of the paper needs, and write it."),
    "noise": ("studies:noise", "Score models under noise, blur, low light, occlusion, JPEG and fog."),
    "scale": ("studies:scale", "Measure time and memory of ranking, scoring and re-ranking against gallery size."),
    "tune": ("studies:tune", "Search a recipe's settings on held-out training identities."),
}
"""The place of each verb, and its line in `vireid --help`, which is shown without loading the verb."""


def make_app(verb: str | None = None) -> App:
    """Return the command line. ``verb`` is the verb typed, whose help is its docstring instead of one line."""
    app = App(
        name="vireid",
        help="Find the same person across day and night cameras: visible-infrared person re-identification.",
        version=vireid.__version__,
        help_format="markdown",
        suppress_keyboard_interrupt=False,  # main says how to resume
    )
    for name, (place, line) in VERBS.items():
        more = _more_help(name) if name == verb else {"help": line}
        app.command(f"vireid.cli.{place}", name=name, **more)
    app.register_install_completion_command(help="Install completion of verbs and options for your shell.")
    return app


def _more_help(verb: str) -> dict[str, str]:
    if verb != "train":
        return {}
    from vireid.cli.train import fields_table

    return {"help_epilogue": fields_table()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit 2 with one line for a user error, 130 if interrupted, 141 if output is not read."""
    words = sys.argv[1:] if arguments is None else arguments
    warnings.showwarning = lambda message, *_: print(f"vireid: warning: {message}", file=sys.stderr)
    try:
        app = make_app(words[0] if words else None)
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except VireidError as error:
        _fail(str(error), 2)
    except CycloptsError as error:
        _fail(f"{' '.join(str(error).split())} See vireid --help.", 2)
    except KeyboardInterrupt:
        how = " with --resume" if list(words[:1]) == ["train"] else ""
        _fail(f"interrupted; run the same command again{how} to resume", 130)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():  # for example `vireid score ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at exit
            sys.exit(141)
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}; check the path and its permissions", 2)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # PyTorch's, which may not be loaded
            raise
        _fail("out of GPU memory; lower data.identities, data.images or the image size", 2)
    sys.exit(status or 0)


def _nobody_reads() -> bool:
    """Return whether standard output is a pipe whose reader has gone; a pipe to a worker can break, too."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _fail(message: str, status: int) -> None:
    print(f"vireid: {message}", file=sys.stderr)
    sys.exit(status)
