"""The command line: a table of commands, each in a module of its own that is imported when it is asked for.

Exit codes: 0 fine, 1 some trials failed, 2 the suite or the call is wrong, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module
from io import TextIOWrapper
from textwrap import shorten
from typing import Any, NoReturn

import click

from nsbench.errors import Refusal
from nsbench.names import visible

COMMANDS = {
    "run": ("run", "Run a suite; run it again and it goes on where it was."),
    "plan": ("plan", "Say which artifacts a run would make, and why those in the store do not serve."),
    "prepare": ("prepare", "Make a suite's data, and nothing else."),
    "export": ("export", "Write a dataset in a format that other programs read."),
    "list": ("list", "List what is installed: datasets, simulators, metrics, formats."),
    "info": ("info", "Say what a component is and takes; `info trial ID`: all that is needed to make a number again."),
    "plugins": ("plugins", "List the plugins, what each provides, and what is wrong with it."),
    "export-cases": (
        "export_cases",
        "Write the test cases' start states and parameters, for simulators that run elsewhere.",
    ),
    "score": ("score", "Score ROLLOUTS that were made elsewhere, beside a suite's simulators."),
    "new": ("new", "Write a package of your own that already runs: module, test, suite, README."),
    "check": (
        "check",
        "Check that a component keeps its contract; each finding says what is wrong, where, and what would be right.",
    ),
    "track": ("track", "Log finished results to MLflow, where that has not been done."),
    "compare": ("compare", "Hold simulators of a suite against a baseline, paired over test cases and replicates."),
    "report": ("report", "Report on finished trials: a page with pictures, or a table for papers and programs."),
    "ui": ("ui", "Show the results in MLflow's web interface; SUITE is a suite's name, all if not given."),
    "cache": ("cache", "Look after the store: what it holds, whether it is unharmed, what may go."),
    "doctor": ("doctor", "Say what this machine has, and what will be slow or missing here."),
    "schema": ("schema", "Print the JSON schema of a suite, made from what is installed."),
}
"""Name -> (module in this package, help in one line), in the order in which people meet them."""


class Commands(click.Group):
    """The commands of the table. A Refusal or an OSError ends the program with its message, without a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # what a terminal has no letters for is shown as \\u2026
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"nsbench.commands.{COMMANDS[name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for `--help` from the table alone, without importing a command."""
        width = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, shorten(text, width, placeholder="...")) for name, (_, text) in COMMANDS.items()]
            )

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            fail(str(refusal))
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads on
        except OSError as error:  # a workspace that cannot be written, a full disk
            fail(f"nsbench: {error}", code=1)


def fail(message: str, code: int = 2) -> NoReturn:
    """Print a message to standard error, and end the program with this exit code."""
    click.echo(visible(message), err=True)
    sys.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nsbench")
def main() -> None:
    """Benchmark probabilistic neural simulators: same data, same budget, same noise floor."""
