"""The command line. Every command imports what it needs itself, so that `--help` answers at once.

Exit codes: 0 fine, 1 some trials failed, 2 the suite or the call is wrong, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

if TYPE_CHECKING:
    from rich.console import Console

    from nsbench.commands.new import NewKind
    from nsbench.components.component import Split
    from nsbench.components.events import Event
    from nsbench.registry.registry import Kind, Registry
    from nsbench.suite.planner import Plan

_suite = click.argument("suite", type=click.Path(path_type=Path))
_overrides = click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override an entry of the suite."
)
_workspace = click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="NSBENCH_WORKSPACE",
    default=Path("nsbench-out"),
    show_default=True,
    help="Where data, models, results and tracking lie.",
)


def _name_plugins(ctx: click.Context, option: click.Parameter, files: tuple[Path, ...]) -> None:
    from nsbench.registry.plugin_files import name_files

    if files:
        name_files(files)


_plugins = click.option(
    "--plugin",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    expose_value=False,
    callback=_name_plugins,
    help="A plugin that is not installed; also NSBENCH_PLUGINS.",
)


class Commands(click.Group):
    """Commands in the order in which people meet them; what the system refuses is said in a line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads on
        except OSError as error:  # a workspace that cannot be written, a full disk
            _fail(f"nsbench: {error}", code=1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nsbench")
def main() -> None:
    """Benchmark probabilistic neural simulators: same data, same budget, same noise floor."""


@main.command()
@_suite
@_overrides
@_plugins
@_workspace
@click.option("--no-tracking", is_flag=True, help="Do not log to MLflow.")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Trials at once; they share the cores."
)
@click.option(
    "--executor",
    type=click.Choice(["local", "inline", "ray"]),
    default="local",
    show_default=True,
    help="local: worker processes, with limits; inline: this process, for debugging; ray: a cluster.",
)
@click.option("--address", help="Of a Ray cluster; one is started on this machine if not given.")
@click.option("--only", multiple=True, metavar="TRIAL", help="This trial only, e.g. snow32/cgne/r0; may be repeated.")
@click.option("--fresh", is_flag=True, help="With --only: make it again beside the store, and compare.")
def run(
    suite: Path,
    overrides: tuple[str, ...],
    workspace: Path,
    no_tracking: bool,
    jobs: int,
    executor: str,
    address: str | None,
    only: tuple[str, ...],
    fresh: bool,
) -> None:
    """Run a suite; run it again and it goes on where it was."""
    from nsbench.commands.run import NoExecutor, choose_executor, run_suite
    from nsbench.results.rows import UnreadableResults

    planned, registry = _plan(suite, overrides)
    root, tracked = workspace.resolve(), not no_tracking
    if fresh and not only:
        raise click.UsageError("--fresh needs --only TRIAL")
    if only:
        planned = _only(planned, only)
    if fresh:
        sys.exit(_make_again(planned, registry, root))
    try:
        sys.exit(
            run_suite(
                planned,
                registry,
                root,
                tracked=tracked,
                console=_console(),
                executor=choose_executor(executor, jobs, address),
                only_part=bool(only),
            )
        )
    except NoExecutor as error:
        _fail(str(error))
    except UnreadableResults as error:
        _fail(f"{error}; mend or remove that file, nothing that was computed is lost")


@main.command()
@_suite
@_overrides
@_plugins
@_workspace
def plan(suite: Path, overrides: tuple[str, ...], workspace: Path) -> None:
    """Say which artifacts a run would make, and why those in the store do not serve."""
    from nsbench.commands.plan import explain

    planned, _ = _plan(suite, overrides)
    console = _console()
    for line in explain(planned, workspace.resolve()):
        console.print(line, highlight=False, soft_wrap=True)


@main.command()
@_suite
@_overrides
@_plugins
@_workspace
def prepare(suite: Path, overrides: tuple[str, ...], workspace: Path) -> None:
    """Make a suite's data, and nothing else."""
    from nsbench.commands.progress import progress_display
    from nsbench.running.run import prepare_all
    from nsbench.store.workspace import Workspace

    planned, registry = _plan(suite, overrides)
    console = _console()
    with progress_display(console) as display:
        count = prepare_all(planned, registry, Workspace(workspace.resolve()), [display])
    console.print(f"{count:,} trajectories are in {workspace / 'store' / 'data'}", highlight=False, markup=False)


@main.command()
@click.argument("dataset")
@click.option("--format", "format_name", required=True, metavar="FORMAT", help="See `nsbench list formats`.")
@click.option("--to", "directory", required=True, type=click.Path(path_type=Path), help="A new or empty directory.")
@click.option("--suite", type=click.Path(path_type=Path), help="Take DATASET of this suite, from the store.")
@click.option("--split", "splits", multiple=True, type=click.Choice(["train", "val", "test"]), help="All if not given.")
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="A parameter, or an entry of the suite.")
@_plugins
@_workspace
def export(
    dataset: str,
    format_name: str,
    directory: Path,
    suite: Path | None,
    splits: tuple[Split, ...],
    overrides: tuple[str, ...],
    workspace: Path,
) -> None:
    """Write a dataset in a format that other programs read."""
    from nsbench.commands.export import (
        CannotExport,
        component_parts,
        find_writer,
        reading_lines,
        suite_parts,
        write_parts,
    )
    from nsbench.components.component import UnreadableData
    from nsbench.registry.registry import BrokenComponent, UnknownComponent
    from nsbench.store.workspace import Workspace
    from nsbench.suite.planner import SPLITS
    from nsbench.suite.yaml import SuiteError

    wanted = tuple(split for split in SPLITS if split in (splits or SPLITS))
    try:
        if suite is None:
            registry = _registry()
            writer = find_writer(registry, format_name)
            parts = component_parts(registry, dataset, overrides, wanted)
        else:
            plan, registry = _plan(suite, overrides)
            writer = find_writer(registry, format_name)
            parts = suite_parts(plan, registry, Workspace(workspace.resolve()), dataset, wanted, _say_notices)
        exported = write_parts(parts, writer, directory.absolute())
    except (CannotExport, SuiteError, UnknownComponent, BrokenComponent, UnreadableData) as error:
        _fail(str(error))
    click.echo(
        f"{directory}: {exported.files:,} files, {exported.trajectories:,} trajectories, {exported.size:,} bytes"
    )
    for line in reading_lines(dataset, format_name, directory, exported, wanted):
        click.echo(line)


@main.command("list")
@click.argument("kind", type=click.Choice(["datasets", "simulators", "metrics", "formats"]), required=False)
@_plugins
def list_components(kind: str | None) -> None:
    """List what is installed: datasets, simulators, metrics, formats."""
    from nsbench.registry.registry import KINDS

    registry = _registry()
    rows = [
        (which, name, "claimed by more than one plugin" if len(claims) > 1 else claims[0][1].summary, claims[0][0].name)
        for which in KINDS
        if kind in (None, f"{which}s")
        for name in registry.names(which)
        for claims in [registry.providers(which, name)]
    ]
    _print_table(["kind", "name", "what it is", "plugin"], rows)


@main.command()
@click.argument("name")
@_plugins
@click.argument("trial", required=False)
@click.option(
    "--suite", type=click.Path(path_type=Path), help="Of a trial: its suite; found in the workspace if not given."
)
@_overrides
@_workspace
def info(name: str, trial: str | None, suite: Path | None, overrides: tuple[str, ...], workspace: Path) -> None:
    """Say what a component is and takes; `info trial ID`: all that is needed to make a number again."""
    from nsbench.commands.info import describe
    from nsbench.registry.registry import KINDS, did_you_mean

    registry = _registry()
    if trial is not None:
        if name != "trial":
            raise click.UsageError(f"info takes a component's name, or the word trial and an identity; got {name!r}")
        _info_trial(trial, suite, overrides, workspace.resolve(), registry)
        return
    found = [(kind, spec) for kind in KINDS for _, spec in registry.providers(kind, name)]
    if not found:
        names = [n for kind in KINDS for n in registry.names(kind)]
        _fail(f"no component {name!r}{did_you_mean(name, names)}")
    console = _console()
    for kind, spec in found:
        for line in describe(kind, spec, registry):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


@main.command()
@_plugins
def plugins() -> None:
    """List the plugins, what each provides, and what is wrong with it."""
    registry = _registry()
    rows = [
        (
            plugin.name,
            plugin.origin,
            ", ".join(f"{kind} {spec.name}" for kind, specs in plugin.specs.items() for spec in specs) or "–",
            plugin.error or "ok",
        )
        for plugin in registry.plugins
    ]
    _print_table(["plugin", "from", "provides", "state"], rows)


@main.command("export-cases")
@_suite
@_overrides
@_plugins
@_workspace
@click.option("--dataset", metavar="NAME", help="Which of the suite's datasets, where there are several.")
@click.option("--to", type=click.Path(path_type=Path), help="A new file; DATASET-cases.h5 if not given.")
@click.option("--truth", type=click.Path(path_type=Path), help="A new file for what really happened, to judge by.")
def export_cases(
    suite: Path, overrides: tuple[str, ...], workspace: Path, dataset: str | None, to: Path | None, truth: Path | None
) -> None:
    """Write the test cases' start states and parameters, for simulators that run elsewhere."""
    from nsbench.commands import export_cases as command_cases
    from nsbench.submissions.scoring import CannotScore

    planned, registry = _plan(suite, overrides)
    root, console = workspace.resolve(), _console()
    try:
        command_cases.export_cases(planned, registry, root, dataset=dataset, to=to, truth=truth, console=console)
    except CannotScore as error:
        _fail(str(error))


@main.command()
@click.argument("rollouts", type=click.Path(path_type=Path))
@click.option("--suite", required=True, type=click.Path(path_type=Path), help="The suite whose test cases these are.")
@click.option("--as", "name", required=True, metavar="NAME", help="What the rollouts' simulator is called in tables.")
@click.option("--dataset", metavar="NAME", help="Which of the suite's datasets, where there are several.")
@click.option("--replicate", default=0, show_default=True, help="Which fit of the simulator these rollouts are of.")
@_overrides
@_plugins
@_workspace
@click.option("--no-tracking", is_flag=True, help="Do not log to MLflow.")
def score(
    rollouts: Path,
    suite: Path,
    name: str,
    dataset: str | None,
    replicate: int,
    overrides: tuple[str, ...],
    workspace: Path,
    no_tracking: bool,
) -> None:
    """Score ROLLOUTS that were made elsewhere, beside a suite's simulators."""
    from nsbench.commands.score import Entry, score_file
    from nsbench.components.component import UnreadableData
    from nsbench.results.rows import UnreadableResults
    from nsbench.submissions.scoring import CannotScore

    planned, registry = _plan(suite, overrides)
    root, tracked, at = workspace.resolve(), not no_tracking, Entry(name, dataset, replicate)
    try:
        sys.exit(score_file(planned, registry, root, rollouts, at, tracked=tracked, console=_console()))
    except (CannotScore, UnreadableData, UnreadableResults) as error:
        _fail(str(error))


@main.command()
@click.argument("kind", type=click.Choice(["simulator", "dataset", "metric"]))
@click.argument("name")
@click.option("--to", "parent", type=click.Path(path_type=Path), default=Path(), help="Where the folder NAME goes.")
def new(kind: NewKind, name: str, parent: Path) -> None:
    """Write a package of your own that already runs: module, test, suite, README."""
    from nsbench.commands.new import CannotMake, new_package, next_steps

    try:
        folder = new_package(kind, name, parent, _registry())
    except CannotMake as error:
        _fail(str(error))
    click.echo(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}\nnext:")
    for command in next_steps(folder, name):
        click.echo(f"  {command}")


@main.command()
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(["dataset", "simulator", "metric", "format"]), help="Where a name is several."
)
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="A parameter of NAME.")
@click.option("--on", metavar="DATASET", help="Check a simulator or format on that dataset.")
@click.option("--on-set", "on_settings", multiple=True, metavar="PATH=VALUE", help="A parameter of that dataset.")
@click.option("--transitions", default=1024, show_default=True, help="Budget of a short fit.")
@_plugins
def check(
    name: str,
    kind: Kind | None,
    settings: tuple[str, ...],
    on: str | None,
    on_settings: tuple[str, ...],
    transitions: int,
) -> None:
    """Check that a component keeps its contract; each finding says what is wrong, where, and what would be right."""
    from nsbench.commands.check import check_component
    from nsbench.suite.yaml import SuiteError
    from nsbench.testing import CannotCheck

    try:
        sys.exit(check_component(_registry(), name, kind, settings, on, on_settings, transitions, click.echo))
    except (CannotCheck, SuiteError) as error:
        _fail(str(error))


@main.command()
@_suite
@_overrides
@_plugins
@_workspace
@click.option("--uri", help="MLflow server; the suite's own, MLFLOW_TRACKING_URI or the workspace's if not given.")
def track(suite: Path, overrides: tuple[str, ...], workspace: Path, uri: str | None) -> None:
    """Log finished results to MLflow, where that has not been done."""
    from nsbench.commands.run import track_suite
    from nsbench.results.rows import UnreadableResults

    planned, registry = _plan(suite, overrides)
    try:
        sys.exit(track_suite(planned, registry, workspace.resolve(), uri=uri, console=_console()))
    except UnreadableResults as error:
        _fail(str(error))


@main.command()
@_suite
@click.argument("a")
@click.argument("b")
@_overrides
@_plugins
@_workspace
@click.option("--format", "format_name", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True)
def compare(
    suite: Path,
    a: str,
    b: str,
    overrides: tuple[str, ...],
    workspace: Path,
    format_name: Literal["text", "csv", "json"],
) -> None:
    """Hold two simulators of a suite against each other, paired over test cases and replicates."""
    from nsbench.commands.compare import compare_suite
    from nsbench.results.comparison import CannotCompare
    from nsbench.results.rows import UnreadableResults

    planned, registry = _plan(suite, overrides)
    try:
        compare_suite(planned, registry, workspace.resolve(), a, b, format_name, _console())
    except (CannotCompare, UnreadableResults) as error:
        _fail(f"{suite}: {error}")


@main.command()
@_suite
@_overrides
@_plugins
@_workspace
@click.option(
    "--format", "format_name", type=click.Choice(["html", "md", "latex", "csv"]), default="html", show_default=True
)
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="File; the run's folder (html) or here if not given."
)
def report(
    suite: Path,
    overrides: tuple[str, ...],
    workspace: Path,
    format_name: Literal["html", "md", "latex", "csv"],
    to: Path | None,
) -> None:
    """Report on finished trials: a page with pictures, or a table for papers and programs."""
    from nsbench.commands.report import NothingToReport, report_suite
    from nsbench.results.rows import UnreadableResults

    planned, registry = _plan(suite, overrides)
    try:
        report_suite(planned, registry, workspace.resolve(), format_name, to)
    except NothingToReport as error:
        _fail(f"{suite}: nothing to report: {error}; `nsbench run {suite}` first")
    except UnreadableResults as error:
        _fail(f"{suite}: {error}")


@main.command()
@click.argument("suite", required=False)
@_workspace
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port to listen on.")
def ui(suite: str | None, workspace: Path, host: str, port: int) -> None:
    """Show the results in MLflow's web interface; SUITE is a suite's name, all if not given."""
    from nsbench.tracking.server import UIError, serve

    try:
        sys.exit(serve(workspace.resolve(), suite, host=host, port=port, say=click.echo))
    except UIError as error:
        _fail(str(error))


@main.group()
def cache() -> None:
    """Look after the store: what it holds, whether it is unharmed, what may go."""


@cache.command("list")
@_workspace
def cache_list(workspace: Path) -> None:
    """List the artifacts: what, size, made, last used, in whose results."""
    from nsbench.commands.cache import list_artifacts

    sys.exit(list_artifacts(workspace.resolve(), _console()))


@cache.command("size")
@_workspace
def cache_size(workspace: Path) -> None:
    """Say how much lies there, stage by stage."""
    from nsbench.commands.cache import show_sizes

    sys.exit(show_sizes(workspace.resolve(), _console()))


@cache.command("verify")
@_workspace
@click.option("--repair", is_flag=True, help="Move what is damaged aside, so that it is made again.")
def cache_verify(workspace: Path, repair: bool) -> None:
    """Check every file against its checksum; exit code 1 if any is damaged."""
    from nsbench.commands.cache import verify

    sys.exit(verify(workspace.resolve(), _console(), repair=repair))


@cache.command("prune")
@_workspace
@click.option("--older-than", metavar="AGE", help="Artifacts not used for so long, e.g. 12h, 30d, 4w.")
@click.option(
    "--keep",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="SUITE",
    help="Keep what this suite needs, or every suite in this folder; may be given again.",
)
@click.option("--yes", is_flag=True, help="Remove it; without this it is only shown.")
def cache_prune(workspace: Path, older_than: str | None, keep: tuple[Path, ...], yes: bool) -> None:
    """Remove leftovers and, if told which, artifacts; they can be made again."""
    from nsbench.commands.cache import prune
    from nsbench.components.component import UnreadableData
    from nsbench.registry.registry import BrokenComponent, UnknownComponent
    from nsbench.registry.source import SourceNotFound
    from nsbench.suite.yaml import SuiteError

    try:
        sys.exit(prune(workspace.resolve(), _console(), older_than=older_than, keep=keep, yes=yes))
    except (ValueError, SuiteError, UnknownComponent, BrokenComponent, SourceNotFound, UnreadableData) as error:
        _fail(f"{error}; nothing was removed")


@main.command()
@_plugins
def schema() -> None:
    """Print the JSON schema of a suite, made from what is installed."""
    import json

    from nsbench.suite.schema import json_schema

    click.echo(json.dumps(json_schema(_registry()), indent=2))


def _say_notices(event: Event) -> None:
    from nsbench.components.events import Notice

    if isinstance(event, Notice):
        click.echo(event.message, err=True)


def _registry() -> Registry:
    """What is installed, and the files that the user named; one that is broken is said, and the exit code is 2."""
    from nsbench.registry.registry import installed

    registry = installed()
    broken = [f"{plugin.file}: {plugin.error}" for plugin in registry.plugins if plugin.file and plugin.error]
    if broken:
        _fail("\n".join(broken))
    return registry


def _plan(suite: Path, overrides: tuple[str, ...]) -> tuple[Plan, Registry]:
    """The plan of a suite; what is wrong with it is printed, and the exit code is 2."""
    from nsbench.components.component import UnreadableData
    from nsbench.registry.registry import BrokenComponent, UnknownComponent
    from nsbench.registry.source import SourceNotFound
    from nsbench.suite.planner import make_plan
    from nsbench.suite.reading import read_suite
    from nsbench.suite.yaml import SuiteError

    registry = _registry()
    try:
        return make_plan(read_suite(suite, registry, overrides), registry), registry
    except SuiteError as error:
        _fail(str(error))
    except (UnknownComponent, BrokenComponent, SourceNotFound, UnreadableData) as error:
        _fail(f"{suite}: {error}")


def _info_trial(trial: str, suite: Path | None, overrides: tuple[str, ...], root: Path, registry: Registry) -> None:
    from nsbench.commands.trial import AmbiguousTrial, show_trial
    from nsbench.components.component import UnreadableData
    from nsbench.registry.registry import BrokenComponent, UnknownComponent
    from nsbench.registry.source import SourceNotFound
    from nsbench.suite.planner import UnknownTrial
    from nsbench.suite.yaml import SuiteError

    try:
        sys.exit(show_trial(trial, suite, overrides, root, registry, _console()))
    except (UnknownTrial, AmbiguousTrial, SuiteError) as error:
        _fail(str(error))
    except (UnknownComponent, BrokenComponent, SourceNotFound, UnreadableData) as error:
        _fail(f"{suite or trial}: {error}")


def _only(plan: Plan, trials: tuple[str, ...]) -> Plan:
    from nsbench.suite.planner import UnknownTrial, only

    try:
        return only(plan, trials)
    except UnknownTrial as error:
        _fail(str(error))


def _make_again(plan: Plan, registry: Registry, root: Path) -> int:
    from nsbench.commands.fresh import NothingStored, make_again

    try:
        return max(make_again(plan, trial, registry, root, _console()) for trial in plan.trials)
    except NothingStored as error:
        _fail(str(error))


def _console() -> Console:
    from rich.console import Console

    return Console()


def _print_table(headings: list[str], rows: list[Any]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))  # a plugin's words are not markup
    _console().print(table)


def _fail(message: str, code: int = 2) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
