"""`nsbench export-cases`: the start of every test case, for simulators that run elsewhere."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from nsbench.commands import options
from nsbench.commands.display.progress import progress_display
from nsbench.commands.display.screen import say
from nsbench.stages.prepare import prepare
from nsbench.stages.workshop import workshop_of
from nsbench.store.files import whole
from nsbench.submissions.cases import write_cases
from nsbench.submissions.scoring import CannotScore, choose_dataset
from nsbench.suite.session import Session
from nsbench.trajectories.hdf5 import write_trajectories


@click.command()
@options.takes_session
@options.dataset
@click.option("--to", type=click.Path(path_type=Path), help="A new file; DATASET-cases.h5 if not given.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="A new file for the test cases' true trajectories, to judge transitions by.",
)
def command(session: Session, dataset: str | None, to: Path | None, truth: Path | None) -> None:
    """Write the test cases' start states and parameters, for simulators that run elsewhere."""
    data, suite, console = choose_dataset(session.plan, dataset), session.suite, Console()
    path = to or Path(f"{data.name}-cases.h5")
    for file in (path, truth):
        if file is not None and file.exists():
            raise CannotScore(f"{file}: is there already; nothing is overwritten")
    with progress_display(console) as display:
        test = prepare(workshop_of(session, display), data.name, data, "test")
    write_cases(path, test, data.protocol, suite=suite.name, dataset=data.name, key=data.keys["test"].digest)
    say(
        console,
        f"{path}: {len(test):,} cases of {data.name}, {data.protocol.members} rollouts of each wanted, "
        f"at most {data.protocol.horizon} frames after the first",
    )
    if truth is not None:
        with whole(truth) as draft:
            write_trajectories(draft, test)
        say(console, f"{truth}: the true trajectories, to judge transitions by; no simulator may see them")
