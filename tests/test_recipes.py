"""The Slurm scripts of docs/scaling.md, run by bash with stand-ins for Slurm, Ray and nsbench that note what they see."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"

NOTES = 'echo "$(basename "$0") $1 mode=$RAY_AUTH_MODE token=$(cat "$RAY_AUTH_TOKEN_PATH" 2>&1) stat=$(stat -c %a "$RAY_AUTH_TOKEN_PATH" 2>&1)" >> "$NOTES"\n'

AFTER_RAY = """\
[ -z "$RAY_AUTH_MODE" ] || for _ in {1..200}; do
  [ "$(cat "$NOTES" 2>&1 | grep -c '^ray')" = 2 ] && break
  /bin/sleep 0.05
done
"""

STAND_INS = {
    "srun": 'while [ "${1#-}" != "$1" ]; do if [ "$1" = -w ]; then shift; fi; shift; done; exec "$@"\n',
    "scontrol": "printf 'node1\\nnode2\\nnode3\\n'\n",
    "hostname": "echo 10.0.0.1\n",
    "sleep": ":\n",
    "ray": NOTES,
    "nsbench": AFTER_RAY + NOTES,
}


@pytest.fixture
def scripts():
    found = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", PAGE.read_text(), re.DOTALL)
    return {"array" if "--array" in text else "ray": text for text in found}


@pytest.fixture
def run(tmp_path):
    for name, text in STAND_INS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(0o755)
    (tmp_path / "activate").touch()

    def go(script):
        text = script.replace("/path/to/venv/bin/activate", str(tmp_path / "activate"))
        environment = {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "NOTES": str(tmp_path / "notes"),
            "HOME": str(tmp_path),
            "SCRATCH": str(tmp_path),
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_NNODES": "3",
            "SLURM_CPUS_PER_TASK": "4",
        }
        command = ["bash", "-u", "-c", f"umask 022\n{text}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        notes = tmp_path / "notes"
        return done, notes.read_text().splitlines() if notes.exists() else []

    return go


def test_every_process_of_a_slurm_cluster_has_the_token_and_nobody_else_can_read_it(run, scripts, tmp_path):
    done, notes = run(scripts["ray"])
    assert done.stderr == ""
    assert sorted(note.split(" mode=")[0] for note in notes) == ["nsbench run", "ray start", "ray start"]
    tokens = {re.search(r"mode=token token=([0-9a-f]{64}) stat=600$", note) for note in notes}
    assert None not in tokens, notes
    assert len({match[1] for match in tokens}) == 1
    assert list(tmp_path.glob(".nsbench-ray*")) == []
    assert stat.S_IMODE((tmp_path / "notes").stat().st_mode) == 0o644  # the run's own files stay shared


def test_the_script_without_ray_runs_too(run, scripts):
    done, notes = run(scripts["array"].replace("export OMP", "export RAY_AUTH_MODE= RAY_AUTH_TOKEN_PATH=/dev/null OMP"))
    assert done.stderr == ""
    assert [note.split(" mode=")[0] for note in notes] == ["nsbench run"]
