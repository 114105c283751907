"""Whatever clients do in whatever order: what must be there is, what was deleted is not, and garbage leaves a sound store.

The model knows names with what they lead to, and what came to a repository within the last hour (Hypothesis, stateful).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bundler.oci.digest import Digest
from bundler.registry import arrivals, upkeep
from bundler.store import Store
from tests.images import Image, Part, artifact, image, index, layer
from tests.registry.caller import Caller, serving
from tests.store.invariants import assert_sound

BASE = layer("base", 60)
ONE = image(BASE, layer("one", 60))
TWO = image(BASE, layer("two", 60), platform="linux/arm64")
BOTH = index(ONE, TWO)
OUTER = index(BOTH, TWO)
ABOUT = artifact(b"about one", subject=ONE)
IMAGES = (ONE, TWO, BOTH, OUTER, ABOUT)
MANIFESTS: dict[Digest, Image] = {each.root.digest: each for each in IMAGES}
BLOBS: dict[Digest, Part] = {part.descriptor.digest: part for each in IMAGES for part in each.blobs}
CHILDREN: dict[Digest, tuple[Digest, ...]] = {
    **{each.root.digest: tuple(part.descriptor.digest for part in each.blobs) for each in (ONE, TWO, ABOUT)},
    BOTH.root.digest: (ONE.root.digest, TWO.root.digest),
    OUTER.root.digest: (BOTH.root.digest, TWO.root.digest),
}
INDEXES = (BOTH.root.digest, OUTER.root.digest)
SURE = 3600.0 - 120.0
"""Younger than this is kept whatever the rounding; older than an hour is not."""

REPOSITORIES = st.sampled_from(["a", "b/c"])
TAGS = st.sampled_from(["1", "2"])
MANIFEST = st.sampled_from(sorted(MANIFESTS))
BLOB = st.sampled_from(sorted(BLOBS))


@dataclass
class Name:
    """What stands under a tag, or under its digest."""

    root: Digest
    left_out: set[Digest] = field(default_factory=set)

    def reach(self) -> set[Digest]:
        found: set[Digest] = set()
        stack = [self.root]
        while stack:
            digest = stack.pop()
            found.add(digest)
            without = self.left_out if digest in INDEXES else set()
            stack += set(CHILDREN.get(digest, ())) - found - without
        return found


@dataclass
class Model:
    """One repository."""

    names: dict[str, Name] = field(default_factory=dict)
    noted: dict[Digest, float] = field(default_factory=dict)
    known: set[Digest] = field(default_factory=set)
    deleted: set[Digest] = field(default_factory=set)

    def led_to(self) -> set[Digest]:
        return set().union(*(name.reach() for name in self.names.values()))


class RegistryMachine(RuleBasedStateMachine):
    """A registry that anybody may push to and delete from."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="bundler-registry-"))
        self.patch = pytest.MonkeyPatch()
        self.now = time.time()
        for module in (arrivals, upkeep):
            self.patch.setattr(module, "time", SimpleNamespace(time=lambda: self.now))
        self.stack = ExitStack()
        self.model: dict[str, Model] = {"a": Model(), "b/c": Model()}

    def teardown(self) -> None:
        self.look()
        self.stack.close()
        self.patch.undo()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.restart()

    @rule()
    def restart(self) -> None:
        self.stack.close()
        self.store = Store.open(self.folder, create=True)
        self.registry: Caller = self.stack.enter_context(serving(self.store))

    @rule(hours=st.sampled_from([0.4, 1.2]))
    def wait(self, hours: float) -> None:
        self.now += hours * 3600

    def must(self, repository: str) -> set[Digest]:
        model = self.model[repository]
        return model.led_to() | {digest for digest, at in model.noted.items() if self.now - at < SURE}

    def note(self, repository: str, digests: set[Digest]) -> None:
        model = self.model[repository]
        model.noted |= dict.fromkeys(digests, self.now)
        model.known |= digests

    # What clients do

    @rule(repository=REPOSITORIES, digest=BLOB)
    def upload(self, repository: str, digest: Digest) -> None:
        answer = self.registry.call("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", BLOBS[digest].raw)
        assert answer.status == 201
        self.note(repository, {digest})

    @rule(repository=REPOSITORIES, origin=REPOSITORIES, digest=BLOB)
    def mount(self, repository: str, origin: str, digest: Digest) -> None:
        must = digest in self.must(origin)
        answer = self.registry.call("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={origin}")
        if answer.status == 201:
            assert digest in self.model[origin].known
            self.note(repository, {digest})
        else:
            assert not must
            self.registry.call("DELETE", answer.headers["location"])

    @rule(repository=REPOSITORIES, digest=BLOB)
    def head(self, repository: str, digest: Digest) -> None:
        if self.registry.call("HEAD", f"/v2/{repository}/blobs/{digest}").status == 200:
            assert digest in self.model[repository].known
            self.note(repository, {digest})

    @rule(repository=REPOSITORIES, digest=MANIFEST, tag=st.none() | TAGS)
    def put(self, repository: str, digest: Digest, tag: str | None) -> None:
        model, held = self.model[repository], MANIFESTS[digest]
        must = self.must(repository)
        here = {each for each in MANIFESTS if self.has_manifest(repository, each)}
        answer = self.registry.put(repository, tag or digest, held.raw, held.root.media_type)
        needed = set() if digest in INDEXES else set(CHILDREN[digest])
        if answer.status != 201:
            assert (answer.status, answer.errors) == (400, ["MANIFEST_BLOB_UNKNOWN"])
            assert not needed <= must
            return
        assert needed <= model.known
        name = Name(digest)
        name.left_out = {each for each in name.reach() & MANIFESTS.keys() if each not in here and each != digest}
        new = tag or f"@{digest}"
        old = model.names.get(new)
        if tag and old and old.root != digest:
            self.note(repository, old.reach())
        for each in name.reach():
            model.names.pop(f"@{each}", None)
        model.names[new] = name
        model.known |= name.reach()
        model.deleted.discard(digest)
        self.note(repository, {digest})

    @rule(repository=REPOSITORIES, digest=MANIFEST, tag=TAGS)
    def push(self, repository: str, digest: Digest, tag: str) -> None:
        """All of an image, as clients do."""
        for part in MANIFESTS[digest].blobs:
            self.upload(repository, part.descriptor.digest)
        for part in MANIFESTS[digest].manifests[:-1]:
            self.put(repository, part.descriptor.digest, None)
        self.put(repository, digest, tag)
        assert self.model[repository].names[tag].root == digest

    def has_manifest(self, repository: str, digest: Digest) -> bool:
        return self.registry.call("HEAD", f"/v2/{repository}/manifests/{digest}").status == 200

    # What they delete

    @rule(repository=REPOSITORIES, tag=TAGS)
    def delete_tag(self, repository: str, tag: str) -> None:
        answer = self.registry.call("DELETE", f"/v2/{repository}/manifests/{tag}")
        name = self.model[repository].names.pop(tag, None)
        assert answer.status == (404 if name is None else 202)
        if name is not None:
            self.note(repository, name.reach())
        self.look()

    @rule(repository=REPOSITORIES, digest=MANIFEST)
    def delete_manifest(self, repository: str, digest: Digest) -> None:
        model, must = self.model[repository], digest in self.must(repository)
        answer = self.registry.call("DELETE", f"/v2/{repository}/manifests/{digest}")
        assert answer.status == 202 if must else answer.status in (202, 404)
        model.names = {key: name for key, name in model.names.items() if name.root != digest}
        for name in model.names.values():
            if digest in name.reach():
                name.left_out.add(digest)
        model.noted.pop(digest, None)
        model.deleted.add(digest)
        self.look()

    @rule(repository=REPOSITORIES, digest=BLOB)
    def delete_blob(self, repository: str, digest: Digest) -> None:
        model, must = self.model[repository], digest in self.must(repository)
        answer = self.registry.call("DELETE", f"/v2/{repository}/blobs/{digest}")
        if digest in model.led_to():
            assert answer.status == 405
            return
        assert answer.status == 202 if must else answer.status in (202, 404)
        model.noted.pop(digest, None)
        assert self.registry.call("HEAD", f"/v2/{repository}/blobs/{digest}").status == 404

    # What is done for them

    @rule(untagged=st.booleans())
    def gc(self, untagged: bool) -> None:
        target = f"/admin/gc?untagged={str(untagged).lower()}"
        said = self.registry.call("POST", f"{target}&dry-run=true")
        self.look()
        done = self.registry.call("POST", target)
        assert (done.status, done.json) == (200, said.json)
        for text in done.json["names"]:
            repository, _, digest = text.partition("@")
            model = self.model[repository]
            model.names.pop(f"@{digest}")
            assert digest not in self.must(repository)
            subject_is_here = digest == ABOUT.root.digest and ONE.root.digest in self.must(repository)
            assert not subject_is_here
        report = self.store.check()
        assert report.sound
        young = {each for model in self.model.values() for each, at in model.noted.items() if self.now - at <= 3660}
        kept = set().union(*(Name(each).reach() for each in young))
        assert {digest for digest, _ in report.orphans} <= kept  # nothing else is kept without a name
        self.look()

    def look(self) -> None:
        """Compare everything that can be asked for with the model."""
        for repository, model in self.model.items():
            tags = {key: name for key, name in model.names.items() if not key.startswith("@")}
            listed = self.registry.call("GET", f"/v2/{repository}/tags/list")
            assert (listed.json["tags"] if listed.status == 200 else []) == sorted(tags)
            for tag, name in tags.items():
                assert self.registry.call("GET", f"/v2/{repository}/manifests/{tag}").body == MANIFESTS[name.root].raw
            must = self.must(repository)
            for digest, held in MANIFESTS.items():
                answer = self.registry.call("GET", f"/v2/{repository}/manifests/{digest}")
                assert answer.body == held.raw or (answer.status == 404 and digest not in must)
                assert answer.status == 404 or digest not in model.deleted
            for digest, blob in BLOBS.items():
                answer = self.registry.call("GET", f"/v2/{repository}/blobs/{digest}")
                assert answer.body == blob.raw or (answer.status == 404 and digest not in must)
                assert answer.status == 404 or digest in model.known
            subject = f"/v2/{repository}/referrers/{ONE.root.digest}"
            listed_there = [each["digest"] for each in self.registry.call("GET", subject).json["manifests"]]
            assert listed_there == ([ABOUT.root.digest] if ABOUT.root.digest in model.led_to() else [])
        assert len(assert_sound(self.folder)) == sum(len(model.names) for model in self.model.values())


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
