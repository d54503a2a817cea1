"""Options that several commands take, and the registry and session that are made from them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nsbench.errors import Refusal
from nsbench.names import visible
from nsbench.registry.plugin_files import name_files
from nsbench.registry.registry import Registry, installed
from nsbench.store.contents import read_again
from nsbench.store.workspace import DEFAULT_WORKSPACE, Workspace, workspace_at

if TYPE_CHECKING:
    from nsbench.suite.session import Session


def _name_plugins(ctx: click.Context, option: click.Parameter, files: tuple[Path, ...]) -> None:
    if files:
        name_files(files)


def _rehash(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        read_again()


def _workspace(ctx: click.Context, option: click.Parameter, path: Path) -> Workspace:
    return workspace_at(path)


def _tracking_uri(ctx: click.Context, option: click.Parameter, uri: str | None) -> str | None:
    if uri is not None and ctx.params.get("no_tracking"):
        raise click.UsageError("--tracking-uri and --no-tracking exclude each other")
    return uri


suite = click.argument("suite", type=click.Path(path_type=Path))

overrides = click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override an entry of the suite."
)

workspace = click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="NSBENCH_WORKSPACE",
    default=DEFAULT_WORKSPACE,
    show_default=True,
    callback=_workspace,
    help="Where data, models, results and tracking lie.",
)

plugins = click.option(
    "--plugin",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    expose_value=False,
    callback=_name_plugins,
    help="A plugin that is not installed; also NSBENCH_PLUGINS.",
)

rehash = click.option(
    "--rehash",
    is_flag=True,
    expose_value=False,
    callback=_rehash,
    help="Read all data files again, also those whose size, times and inode are what they were.",
)

no_tracking = click.option("--no-tracking", is_flag=True, is_eager=True, help="Do not log to MLflow.")

tracking_uri = click.option(
    "--tracking-uri",
    metavar="URI",
    callback=_tracking_uri,
    help="MLflow server or database; the suite's, MLFLOW_TRACKING_URI or the workspace's own if not given.",
)

yes = click.option("--yes", is_flag=True, help="Send results to the server that the suite names, without a question.")

dataset = click.option("--dataset", metavar="NAME", help="Which of the suite's datasets, where there are several.")


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text as it is, with hidden characters made visible; to standard error if `err`."""
    click.echo(visible(text), err=err, nl=nl)


long = click.option("--long", "long", is_flag=True, help="All numbers, in long tables: intervals, anchors, skill.")


def takes_session(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command's function the `session` in place of SUITE, --set, --plugin and --workspace."""

    @suite
    @overrides
    @plugins
    @workspace
    @rehash
    @functools.wraps(command)
    def with_session(suite: Path, overrides: tuple[str, ...], workspace: Workspace, **arguments: Any) -> None:
        command(session=session(suite, overrides, workspace), **arguments)

    return with_session


def session(suite: Path, overrides: tuple[str, ...], workspace: Workspace) -> Session:
    """The session of a planned suite. Raises Refusal for a faulty suite or a broken plugin file."""
    from nsbench.suite.session import open_session  # most commands need no suite

    return open_session(suite, workspace.root, overrides, registry())


def registry() -> Registry:
    """The registry of installed plugins and of the user's plugin files. Raises Refusal if such a file is broken."""
    plugins = installed()
    broken = [f"{plugin.file}: {plugin.error}" for plugin in plugins.plugins if plugin.file and plugin.error]
    if broken:
        raise Refusal("\n".join(broken))
    return plugins
