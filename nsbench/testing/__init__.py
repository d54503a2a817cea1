"""Conformance: does a component keep its contract? From the command line `nsbench check NAME`, and in a test:

    from nsbench.testing import conformance

    test_conformance = conformance("simulator", "mine")

Each finding says what is wrong, where, and what would be right. See docs/plugins.md.
"""

from __future__ import annotations

from nsbench.testing.check import CannotCheck, check, conformance
from nsbench.testing.findings import Finding, Report

__all__ = ["CannotCheck", "Finding", "Report", "check", "conformance"]
