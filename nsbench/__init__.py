"""nsbench: a benchmark of probabilistic neural simulators."""

from nsbench.hookspecs import hookimpl

__all__ = ["hookimpl"]
__version__ = "0.1.0"
