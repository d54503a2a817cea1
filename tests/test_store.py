"""An artifact is there whole or not at all, and what is read is what was written."""

from __future__ import annotations

import json

import pytest

from nsbench.store import Key, Store

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
    assert [p for p in store.root.rglob("*") if p.is_file()] == []


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
