"""Artifacts that travel between stores arrive whole, and stay where they belong."""

from __future__ import annotations

import pytest

from nsbench.store.key import Key
from nsbench.store.store import Store
from nsbench.store.transfer import pack, unpack

KEY = Key("model", {"name": "m"})


def test_an_artifact_arrives_as_it_left(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    with here.writing(KEY) as draft:
        (draft.folder / "weights").mkdir()
        (draft.folder / "weights" / "w").write_bytes(b"\x00\x01")
    assert pack(there.root, KEY.kind, KEY.digest) is None
    parcel = pack(here.root, KEY.kind, KEY.digest)
    unpack(there.root, KEY.kind, KEY.digest, parcel)
    unpack(there.root, KEY.kind, KEY.digest, parcel)  # a second one changes nothing
    found = there.find(KEY)
    assert (found.folder / "weights" / "w").read_bytes() == b"\x00\x01"
    assert not list((there.root / "drafts").iterdir())


def test_a_parcel_that_was_tampered_with_is_not_believed(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    with here.writing(KEY) as draft:
        (draft.folder / "w").write_bytes(b"1")
    parcel = pack(here.root, KEY.kind, KEY.digest)
    unpack(there.root, KEY.kind, KEY.digest, parcel | {"w": b"2"})
    assert there.find(KEY) is None


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out"])
def test_no_file_leaves_its_artifact(tmp_path, name):
    with pytest.raises(ValueError, match="leads out"):
        unpack(tmp_path / "store", "model", "k", {name: b""})
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
