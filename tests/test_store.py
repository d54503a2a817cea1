"""An artifact is there whole or not at all, and what is read is what was written."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from nsbench.components.events import Notice
from nsbench.store import store as store_module
from nsbench.store.files import whole
from nsbench.store.key import Key, digest_of
from nsbench.store.locks import Busy, NoLocks, locked
from nsbench.store.manifest import Damaged, verified_manifest
from nsbench.store.owner import this_process
from nsbench.store.store import Store, Unwritable, owner_file
from nsbench.trajectories.hdf5 import read_trajectories

pytestmark = pytest.mark.usefixtures("quick_disk")

KEY = Key("model", {"name": "cgne", "params": {"width": 16}})


@pytest.fixture
def store(tmp_path):
    messages = []
    store = Store(tmp_path / "store", messages.append)
    store.messages = messages
    return store


def put(store, key=KEY, content="weights"):
    with store.writing(key) as draft:
        (draft.folder / "deep").mkdir()
        (draft.folder / "deep" / "weights").write_text(content)
        draft.facts["seconds"] = 1.5


def test_what_was_put_is_found_with_its_facts_and_fields(store):
    assert store.find(KEY) is None
    put(store)
    artifact = store.find(KEY)
    assert (artifact.folder / "deep" / "weights").read_text() == "weights"
    assert artifact.facts == {"seconds": 1.5}
    assert artifact.manifest["fields"] == KEY.fields
    assert artifact.manifest["environment"]["packages"]["numpy"]


def test_a_failed_draft_leaves_nothing(store):
    def write_half():
        with store.writing(KEY) as draft:
            (draft.folder / "half").write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert store.find(KEY) is None
    assert [p.name for p in store.root.rglob("*") if p.is_file()] == [".lock"]


def test_the_same_artifact_twice_is_one(store):
    put(store)
    put(store)
    assert len(list(store.manifests("model"))) == 1
    assert not list((store.root / "drafts").iterdir())


@pytest.mark.parametrize("name", ["deep/weights", "manifest.json"])
def test_a_flipped_bit_is_found_named_and_moved_aside(store, name):
    put(store)
    path = store.path(KEY) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert store.find(KEY) is None
    assert name.rpartition("/")[2] in store.messages[0]
    assert "moved to" in store.messages[0]
    assert not store.has(KEY)
    assert len(list((store.root / "damaged").iterdir())) == 1
    put(store)
    assert store.find(KEY) is not None


def test_a_missing_file_is_damage(store):
    put(store)
    (store.path(KEY) / "deep" / "weights").unlink()
    assert store.find(KEY) is None
    assert "is missing" in store.messages[0]


def test_a_manifest_of_another_key_is_damage(store):
    put(store)
    other = Key("model", {"name": "pns"})
    store.path(KEY).rename(store.path(other))
    assert store.find(other) is None
    assert "does not belong to its key" in store.messages[0]


def test_keys_are_digests_of_content_and_stage():
    same = Key("model", json.loads(json.dumps({"params": {"width": 16}, "name": "cgne"})))
    assert same.digest == KEY.digest
    assert Key("score", KEY.fields).digest != KEY.digest
    assert Key("model", {"name": "cgne", "params": {"width": 17}}).digest != KEY.digest


def test_a_key_of_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        _ = Key("model", {"x": float("nan")}).digest


def flip(path, at=0.5):
    """Flip a bit of a file."""
    content = bytearray(path.read_bytes())
    content[min(int(at * len(content)), len(content) - 1)] ^= 1
    path.write_bytes(content)


FILES = [
    ("data", "trajectories.h5"),
    ("model", "curves.json"),
    ("model", "weights/coin.json"),
    ("model", "manifest.json"),
    ("evidence", "rollouts.h5"),
    ("evidence", "likelihood.npz"),
    ("evidence", "cost.json"),
    ("score", "score.json"),
    ("score", "items.npy"),
    ("score", "manifest.json"),
]


@pytest.mark.parametrize(("stage", "name"), FILES)
def test_a_flipped_bit_in_any_file_is_found_named_moved_aside_and_made_again(bench, stage, name):
    """What comes after the damaged artifact is taken away first, so that a run has to read it."""
    stages = ["data", "model", "evidence", "score"]
    first, _, _ = bench()
    flipped = sorted((bench.workspace.store / stage).glob(f"*/{name}"))
    for path in flipped:
        flip(path)
    for later in stages[stages.index(stage) + 1 :]:
        shutil.rmtree(bench.workspace.store / later)
    second, made, events = bench()
    notices = [e.message for e in events if isinstance(e, Notice)]
    named = {path for path in flipped if any(str(path) in message and "moved to" in message for message in notices)}
    aside = {folder.name.split("-")[1] for folder in (bench.workspace.store / "damaged").iterdir()}
    asked = {path.relative_to(bench.workspace.store / stage).parts[0] for path in named}
    assert named
    assert aside == asked
    assert made
    for before, after in zip(first.rows, second.rows, strict=True):
        kept = [score for score in before.scores if score.metric != "wall_clock"]
        assert [score for score in after.scores if score.metric != "wall_clock"] == kept


def test_a_flipped_bit_in_weights_is_found(store):
    with store.writing(KEY) as draft:
        save_file({"layer": np.arange(12.0)}, draft.folder / "weights.safetensors")
    flip(store.path(KEY) / "weights.safetensors", at=0.9)
    assert store.find(KEY) is None
    assert "weights.safetensors has changed since it was written" in store.messages[0]


def test_what_was_added_to_an_artifact_is_damage(store):
    """A figure that the manifest does not know would be shown as the metric's own."""
    put(store)
    (store.path(KEY) / "figure.png").write_bytes(b"not ours")
    assert store.find(KEY) is None
    assert "figure.png was added" in store.messages[0]


def test_what_a_network_file_system_leaves_of_a_removed_file_is_no_damage(store):
    put(store)
    (store.path(KEY) / ".nfs000000000001").write_bytes(b"")
    assert store.find(KEY) is not None


def test_a_link_in_place_of_a_file_is_damage(store, tmp_path):
    put(store)
    (tmp_path / "elsewhere").write_text("weights")
    (store.path(KEY) / "deep" / "weights").unlink()
    (store.path(KEY) / "deep" / "weights").symlink_to(tmp_path / "elsewhere")
    assert store.find(KEY) is None


def test_a_manifest_that_is_a_link_is_damage(store, tmp_path):
    put(store)
    manifest = store.path(KEY) / "manifest.json"
    manifest.rename(tmp_path / "elsewhere")
    manifest.symlink_to(tmp_path / "elsewhere")
    assert store.find(KEY) is None


def rewritten(store, change):
    """The manifest with a change, and its digest made anew: consistent in itself, and wrong."""
    path = store.path(KEY) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["digest"]
    change(manifest)
    path.write_text(json.dumps(manifest | {"digest": digest_of(manifest)}))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["fields"].update(name="pns"),
        lambda m: m.update(stage="score"),
        lambda m: m.update(key="0" * 32),
        lambda m: m["files"].clear(),
        lambda m: m["files"].update({"../../../../etc/passwd": "0"}),
        lambda m: m["files"].update({"/etc/passwd": "0"}),
        lambda m: m["files"].update({"deep": "0"}),
        lambda m: m.update(files=[]),
        lambda m: m.update(facts=None),
        lambda m: m.pop("environment"),
    ],
)
def test_a_manifest_that_is_consistent_and_wrong_is_damage(store, change):
    put(store)
    rewritten(store, change)
    assert store.find(KEY) is None
    assert "moved to" in store.messages[0]


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"digest": NaN}', "\ud800"])
def test_a_manifest_that_is_none_is_damage(store, text):
    put(store)
    (store.path(KEY) / "manifest.json").write_bytes(text.encode(errors="surrogatepass"))
    assert store.find(KEY) is None


def test_of_two_who_find_the_damage_one_moves_it(store):
    put(store)
    flip(store.path(KEY) / "deep" / "weights")
    shutil.move(store.path(KEY), store.root / "taken")
    store.set_aside(KEY, "damage")
    assert store.messages == []


def test_of_two_who_make_the_same_artifact_the_first_has_made_it(store):
    with store.writing(KEY) as draft:
        (draft.folder / "weights").write_text("second")
        put(store, content="first")
    assert (store.find(KEY).folder / "deep" / "weights").read_text() == "first"
    assert not list((store.root / "drafts").iterdir())


def refuse(monkeypatch, name, code, owner=os):
    def refused(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(owner, name, refused)


def test_a_store_that_may_only_be_read_serves_what_it_holds_and_says_what_it_lacks(store, monkeypatch):
    put(store)
    refuse(monkeypatch, "mkdir", errno.EROFS)
    refuse(monkeypatch, "utime", errno.EROFS)
    assert store.find(KEY) is not None
    other, begun = Key("score", {"name": "ewd"}), []
    with (
        pytest.raises(Unwritable, match=rf"the score {other.digest} is not in the store.*Read-only file system"),
        store.writing(other),
    ):
        begun.append("work")
    assert not begun


def test_damage_in_a_store_that_may_only_be_read_is_named_and_left(store, monkeypatch):
    put(store)
    flip(store.path(KEY) / "deep" / "weights")
    refuse(monkeypatch, "rename", errno.EROFS)
    assert store.find(KEY) is None
    assert "it cannot be moved aside (Read-only file system)" in store.messages[0]


def test_a_lock_is_had_by_one_or_shared_by_many(tmp_path):
    path = tmp_path / "lock"
    with (
        locked(path, shared=True),
        locked(path, shared=True, wait=False),
        pytest.raises(Busy),
        locked(path, wait=False),
    ):
        pass
    with locked(path, wait=False):
        pass


def test_a_file_system_without_locks_is_named_and_the_store_works_without(store, monkeypatch):
    refuse(monkeypatch, "flock", errno.ENOLCK, fcntl)
    with pytest.raises(NoLocks, match="this file system has no locks"), locked(store.root / "lock"):
        pass
    with store.in_use():
        put(store)
        put(store, Key("model", {"name": "pns"}))
    assert store.find(KEY) is not None
    (message,) = store.messages
    assert "has no locks" in message


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("times", [1, 99])
def test_what_cannot_be_read_is_no_damage(store, monkeypatch, number, times):
    put(store)
    monkeypatch.setattr("nsbench.store.files._PAUSES", (0.0, 0.0))
    left, file_digest = [times], hashlib.file_digest

    def sick(file, kind):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(number, os.strerror(number))
        return file_digest(file, kind)

    monkeypatch.setattr("nsbench.store.manifest.hashlib.file_digest", sick)
    if times == 1:
        assert store.find(KEY) is not None
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            store.find(KEY)
    monkeypatch.undo()
    assert store.messages == []
    assert store.find(KEY) is not None


@pytest.mark.parametrize("link", ["a file", "a folder", "nothing"])
def test_a_draft_with_a_link_is_refused_by_name(store, tmp_path, link):
    target = {"a file": tmp_path / "there.txt", "a folder": tmp_path, "nothing": tmp_path / "gone"}[link]
    (tmp_path / "there.txt").write_text("x")
    with pytest.raises(ValueError, match="and weights is a link: save what it leads to"), store.writing(KEY) as draft:
        (draft.folder / "weights").symlink_to(target)
    assert not store.has(KEY)
    assert list((store.root / "drafts").iterdir()) == []


def test_a_link_to_a_folder_that_was_added_or_put_in_place_is_damage(store, tmp_path):
    put(store)
    (store.path(KEY) / "more").symlink_to(tmp_path, target_is_directory=True)
    assert store.find(KEY) is None
    put(store)
    deep = store.path(KEY) / "deep"
    deep.rename(tmp_path / "deep")
    deep.symlink_to(tmp_path / "deep", target_is_directory=True)
    assert store.find(KEY) is None
    assert "is missing" in store.messages[-1]


def test_what_was_repaired_meanwhile_is_not_moved_aside(store, monkeypatch):
    """A slow reader found the damage, a quick one moved it aside and made it again."""
    put(store)
    flip(store.path(KEY) / "deep" / "weights")
    quick, verify, done = Store(store.root), store_module.verified_manifest, []

    def slowly(folder, key):
        try:
            return verify(folder, key)
        except Damaged:
            if not done:
                done.append("repaired")
                assert quick.find(KEY) is None
                put(quick)
            raise

    monkeypatch.setattr(store_module, "verified_manifest", slowly)
    assert store.find(KEY) is not None
    assert store.messages == []
    monkeypatch.undo()
    assert store.find(KEY) is not None


def test_a_draft_whose_maker_lives_is_not_swept_whoever_holds_the_lock(store):
    with store.writing(KEY) as draft:
        (draft.folder / "hours").write_text("of a fit")
        Store(store.root).clear_drafts(KEY)
        assert (draft.folder / "hours").exists()
    assert store.find(KEY) is not None


@pytest.mark.parametrize(
    ("owner", "swept"),
    [
        (this_process(), False),
        (replace(this_process(), pid=2**22 + 5), True),
        (replace(this_process(), started="1"), True),
        (replace(this_process(), boot="another"), True),
        (replace(this_process(), host="elsewhere", pid=2**22 + 5), False),
        (replace(this_process(), space="pid:[1]", pid=2**22 + 5), False),
        (None, False),
    ],
    ids=["alive", "gone", "another by its number", "before the machine started", "elsewhere", "a container", "unknown"],
)
def test_a_draft_is_swept_if_its_maker_is_gone_for_certain_or_after_a_day(store, owner, swept):
    draft = store.root / "drafts" / f"{KEY.kind}-{KEY.digest}-abc"
    draft.mkdir(parents=True)
    (draft / "file").write_text("x")
    if owner is not None:
        owner_file(draft).write_text(owner.to_text())
    store.clear_drafts(KEY)
    assert draft.exists() != swept
    then = time.time() - 2 * 86_400
    for path in (draft / "file", draft):
        if path.exists():
            os.utime(path, (then, then))
    store.clear_drafts(KEY)
    assert not draft.exists()
    assert not owner_file(draft).exists()


def test_temporary_names_are_nobody_elses(tmp_path):
    """Two processes of one number, in two containers."""
    with whole(tmp_path / "file") as one, whole(tmp_path / "file") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_manifest_tells_the_day_of_its_last_use(store):
    put(store)
    manifest = store.path(KEY) / "manifest.json"
    os.utime(manifest, (0, 0))
    store.find(KEY)
    assert time.time() - manifest.stat().st_mtime < 60


def test_hdf5_that_shows_another_file_is_refused(bench, tmp_path):
    """A link would let an artifact change without its checksum, or show what its reader may read and others not."""
    import h5py

    bench()
    source = next((bench.workspace.store / "data").glob("*/trajectories.h5"))
    for k, name in enumerate(("external link", "external data")):
        path = tmp_path / f"{k}.h5"
        shutil.copy(source, path)
        with h5py.File(path, "a") as file:
            if name == "external link":
                del file["params"]
                file["params"] = h5py.ExternalLink(str(source), "/params")
            else:
                file.create_dataset("secret", (4,), "u1", external=[("/etc/hostname", 0, 4)])
        with pytest.raises(ValueError, match="another file"):
            read_trajectories(path, None)


def test_verification_reads_every_file(store):
    put(store)
    assert verified_manifest(store.path(KEY), KEY)["facts"] == {"seconds": 1.5}
    Path(store.path(KEY) / "deep" / "weights").write_text("other")
    with pytest.raises(Damaged, match="weights has changed"):
        verified_manifest(store.path(KEY), KEY)
