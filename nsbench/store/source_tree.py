"""Source trees: the code that artifacts were made with, written out of a store as Python would import it."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nsbench.errors import Refusal
from nsbench.store.manifest import Damaged, read_manifest
from nsbench.store.sources import Listing, content, named_digests, read_listing

INDEX = "sources.json"
"""The file that says which digest lies where."""


@dataclass
class Tree:
    """A folder of code in the making. files: path -> SHA-256."""

    name: str
    files: dict[str, str] = field(default_factory=dict)

    def takes(self, listing: Listing) -> bool:
        """Whether all files of a listing can lie here beside those that do."""
        return all(self.files.get(path, checksum) == checksum for path, checksum in listing.files.items())


@dataclass(frozen=True)
class Piece:
    """A piece of code that an artifact was made with. folder: the tree in which its files lie."""

    artifact: str
    key: str
    digest: str
    targets: tuple[str, ...]
    folder: str
    files: tuple[str, ...]
    left_out: dict[str, int]


def write_sources(store: Path, keys: Mapping[str, str], folder: Path) -> tuple[list[str], list[str]]:
    """Write the code behind artifacts to a folder; returns (what was written, what is missing), in lines.

    keys: the key of each artifact by its name, "score/ewd", as a row of results holds them. A file that was edited
    between two artifacts lies in a second tree. Raises Refusal for a folder that holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal(f"{folder} is there already and not an empty folder: nothing is overwritten")
    missing: list[str] = []
    trees: list[Tree] = []
    pieces = [_piece(trees, *found) for found in _listings(store, keys, missing)]
    draft = folder.absolute().with_name(f".{folder.absolute().name}.{uuid.uuid4().hex}")
    try:
        draft.mkdir(parents=True)
        for tree in trees:
            missing += _write(store, tree, draft / tree.name)
        too_large = {path: size for piece in pieces for path, size in piece.left_out.items()}
        missing += [f"{path}: {size:,} bytes are too large to be kept" for path, size in sorted(too_large.items())]
        index = {"code": [asdict(piece) for piece in pieces], "missing": missing}
        (draft / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    written = [f"{folder / tree.name}: {len(tree.files):,} files" for tree in trees]
    return [*written, f"{folder / INDEX}: which digest of which artifact lies where"], missing


def _listings(store: Path, keys: Mapping[str, str], missing: list[str]) -> Iterator[tuple[str, str, Listing]]:
    """(artifact, its key, listing) of each digest of code in the artifacts' manifests; notes what is missing."""
    for artifact, key in keys.items():
        kind = artifact.partition("/")[0]
        if kind == "rollouts":
            continue  # the digest of a submission's content: they were made elsewhere
        if not (store / kind / key).is_dir():
            missing.append(f"the code of {artifact}: {key} is not in the store any more")
            continue
        try:
            fields: dict[str, Any] = read_manifest(store / kind / key)["fields"]
        except (Damaged, OSError) as fault:
            missing.append(f"the manifest of {artifact}: {fault}")
            continue
        for digest in sorted(named_digests(fields)):
            try:
                listing = read_listing(store, digest)
            except (Damaged, OSError) as fault:
                missing.append(f"the code of {artifact}: {fault}")
                continue
            if listing is None:
                missing.append(f"the code of {artifact}, {digest}: it was never kept in {store}")
            else:
                yield artifact, key, listing


def _piece(trees: list[Tree], artifact: str, key: str, listing: Listing) -> Piece:
    """The piece of a listing, placed into the first tree that takes it."""
    tree = next((tree for tree in trees if tree.takes(listing)), None)
    if tree is None:
        tree = Tree(f"code-{len(trees) + 1}" if trees else "code")
        trees.append(tree)
    tree.files |= listing.files
    return Piece(artifact, key, listing.digest, listing.targets, tree.name, tuple(listing.files), listing.left_out)


def _write(store: Path, tree: Tree, folder: Path) -> Iterator[str]:
    """Write the files of a tree; yields a line for each that is damaged or missing."""
    for path, checksum in sorted(tree.files.items()):
        try:
            data = content(store, checksum)
        except (Damaged, OSError) as fault:
            yield f"{path}: {fault}"
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
