"""``python -m tests.benchmarks --corpus DIR``: bundler beside what a user would do otherwise, on the same images.

Both sides of a step run in one round, taking turns at going first, so that whatever the machine does befalls both. The
figures are medians over the rounds. Work happens in memory (``/dev/shm``) and is removed at the end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from bundler.registry.process import running
from tests.benchmarks import between, chain, fast, ours, registries
from tests.benchmarks.ground import Ground, prepared
from tests.benchmarks.measure import Cost
from tests.benchmarks.table import Step, rendered, write_json
from tests.peers import missing

CHAIN, CRANE, IMGPKG = "skopeo, tar, zstd, openssl", "crane", "imgpkg"
TARGETS = {
    "pull": (CHAIN, 0.35),
    "pull again": (CHAIN, 1.0),
    "pack": (CHAIN, 0.22),
    "verify": (CHAIN, 0.4),
    "verify and push": (CHAIN, 0.32),
    "push again": (CHAIN, 1.0),
    "pull, the fastest": (CRANE, 1.0),
    "registry to archive": (IMGPKG, 1.1),
    "archive to registry": (IMGPKG, 1.1),
    **{
        between.row(step, peer): (peer, target)
        for peer in between.PEERS
        for step, target in (("copy, each", 0.6), ("sync", 0.4), ("sync again", 1.0))
    },
    **{step: ("docker-registry", target) for step, target in registries.TARGETS.items()},
    "first pull of a bundle": ("", 1.0),
    "--help": ("", 0.25),
    "first request": ("", 0.35),
    "plan 2,000 images": ("", 2.0),
    "bare python": ("", 0.08),
}


class Measurements:
    """Costs by step and side."""

    def __init__(self) -> None:
        self.ours: defaultdict[str, list[Cost]] = defaultdict(list)
        self.peer: defaultdict[str, list[Cost]] = defaultdict(list)

    def note(self, step: str, *, ours: Cost | None = None, peer: Cost | None = None) -> None:
        """Keep a cost and say so."""
        for side, cost, kept in (("ours", ours, self.ours), ("peer", peer, self.peer)):
            if cost is not None:
                kept[step].append(cost)
                sys.stderr.write(f"  {step} ({side}): {cost.seconds:.2f} s, {cost.cpu:.2f} CPU-s\n")

    def steps(self) -> list[Step]:
        """In the table's order; only what was measured."""
        return [
            Step(name, peer_name, target, self.ours[name], self.peer[name])
            for name, (peer_name, target) in TARGETS.items()
            if self.ours[name] and (self.peer[name] or not peer_name)
        ]


def chain_journey(ground: Ground, found: Measurements) -> None:
    """The peer's chain from registry to registry."""
    work = ground.fresh("chain")
    found.note("pull", peer=chain.pull(ground, work))
    found.note("pull again", peer=chain.pull(ground, work))
    found.note("pack", peer=chain.pack(ground, work))
    checked = chain.verify(ground, work)
    found.note("verify", peer=checked)
    unpacked = chain.unpack(ground, work)
    with ground.far() as far:
        found.note("verify and push", peer=checked + unpacked + chain.push(ground, work, far))
        found.note("push again", peer=chain.push(ground, work, far))
    shutil.rmtree(work)


def our_journey(ground: Ground, found: Measurements) -> None:
    """bundler from registry to registry."""
    work = ground.fresh("ours")
    ours.manifest(ground, work)
    pulled = ours.pull(ground, work)
    found.note("pull", ours=pulled)
    found.note("pull, the fastest", ours=pulled)
    found.note("pull again", ours=ours.pull(ground, work))
    found.note("pack", ours=ours.pack(ground, work))
    found.note("verify", ours=ours.verify(ground, work))
    with ground.far() as far:
        pushed = ours.push(ground, work, far)
        found.note("verify and push", ours=pushed)
        found.note("archive to registry", ours=pushed)
        found.note("push again", ours=ours.push(ground, work, far))
    shutil.rmtree(work)
    work = ground.fresh("ours-streamed")
    ours.manifest(ground, work)
    found.note("registry to archive", ours=ours.build_without_store(ground, work))
    shutil.rmtree(work)


def fast_journey(ground: Ground, found: Measurements) -> None:
    """The fastest peers, as far as they are installed."""
    if shutil.which("crane"):
        work = ground.fresh("crane")
        found.note("pull, the fastest", peer=fast.crane_pull(ground, work))
        shutil.rmtree(work)
    if shutil.which("imgpkg"):
        work = ground.fresh("imgpkg")
        found.note("registry to archive", peer=fast.imgpkg_archive(ground, work))
        with ground.far() as far:
            found.note("archive to registry", peer=fast.imgpkg_push(ground, work, far))
        shutil.rmtree(work)


def skopeo_between(ground: Ground, found: Measurements) -> None:
    """skopeo from registry to registry, each version that is installed."""
    for peer, program in between.programs().items():
        for step, cost in _between(ground, program).items():
            found.note(between.row(step, peer), peer=cost)


def ours_between(ground: Ground, found: Measurements) -> None:
    """bundler from registry to registry, against each of them."""
    for step, cost in _between(ground, between.ours()).items():
        for peer in between.programs():
            found.note(between.row(step, peer), ours=cost)


def _between(ground: Ground, program: str) -> dict[str, Cost]:
    costs = {}
    work, env = between.fresh_home(ground, "copy")
    with ground.far() as far:
        costs["copy, each"] = between.copy_each(ground, program, work, env, far)
    shutil.rmtree(work)
    work, env = between.fresh_home(ground, "sync")
    between.write_list(ground, work)
    with ground.far() as far:
        costs["sync"] = between.sync(program, work, env, far)
        costs["sync again"] = between.sync(program, work, env, far)
    shutil.rmtree(work)
    return costs


def start_ups(ground: Ground, found: Measurements) -> None:
    """What has no peer: start-up, and planning."""
    work = ground.fresh("starts")
    found.note("bare python", ours=ours.start_python(ground, work))
    found.note("--help", ours=ours.start_help(ground, work))
    found.note("first request", ours=ours.start_request(ground, work))
    found.note("plan 2,000 images", ours=ours.plan_many(ground, work, 2000))
    shutil.rmtree(work)


def served(ground: Ground, found: Measurements) -> None:
    """The embedded registry and docker-registry, given the same bytes."""
    work = ground.fresh("served")
    registries.prepare(work)
    with ground.far() as far:
        for step, cost in registries.measure(ground, f"http://{far.host}", work).items():
            found.note(step, peer=cost)
    with running(work / "store") as url:
        for step, cost in registries.measure(ground, url, work).items():
            found.note(step, ours=cost)
    shutil.rmtree(work)


def first_pull(ground: Ground, found: Measurements) -> None:
    """From starting to serve a bundle to its first manifest."""
    work = ground.fresh("bundle")
    ours.manifest(ground, work)
    ours.build_without_store(ground, work)
    found.note("first pull of a bundle", ours=ours.first_pull(ground, work))
    shutil.rmtree(work)


JOURNEYS: dict[str, Callable[[Ground, Measurements], None]] = {
    "chain": chain_journey,
    "ours": our_journey,
    "fast": fast_journey,
    "skopeo-between": skopeo_between,
    "ours-between": ours_between,
    "served": served,
    "first-pull": first_pull,
    "starts": start_ups,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write JSON; the status is 0 whatever was reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--corpus", type=Path, required=True, help="an OCI layout of images, or a folder with one in oci/"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    parser.add_argument("--work", type=Path, default=Path("/dev/shm"), help="where to work: a memory file system")
    parser.add_argument("--only", choices=JOURNEYS, action="append", help="these parts alone; repeat for more")
    options = parser.parse_args(arguments)
    if absent := missing(["skopeo", "docker-registry", "tar", "zstd", "sha256sum", "openssl"]):
        parser.error(f"not on PATH: {', '.join(absent)}")
    found = Measurements()
    wanted = options.only or list(JOURNEYS)
    with prepared(options.corpus.resolve(), options.work) as ground:
        size = ground.size()
        sys.stderr.write(f"{len(ground.names)} images, {size / 1e6:.0f} MB\n")
        for turn in range(options.rounds):
            sys.stderr.write(f"round {turn + 1} of {options.rounds}\n")
            for name in wanted if turn % 2 == 0 else reversed(wanted):
                JOURNEYS[name](ground, found)
    steps = found.steps()
    if steps:
        sys.stdout.write(rendered(steps))
    if options.json:
        write_json(options.json, steps, corpus_size=size, rounds=options.rounds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
