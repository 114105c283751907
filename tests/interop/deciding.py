"""Whether skopeo, as a program, and bundler, as the journey behind ``copy``, let an image in under a policy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bundler.errors import ConfigError, PolicyError
from bundler.journey.access import Access, Surroundings
from bundler.journey.copying import Orders, copy
from bundler.journey.ends import Ends
from bundler.journey.fitting import Instances, Wanted
from bundler.journey.host import running_platform
from tests.peers import attempt


def skopeo_lets_in(
    source: str, policy: Path, work: Path, registries_d: Path | None = None, *, program: str = "skopeo"
) -> bool:
    """Whether skopeo copies ``source``, whose paths are relative to ``work``; it must end well or say why not."""
    shutil.rmtree(work / "theirs", ignore_errors=True)
    options = () if registries_d is None else ("--registries.d", registries_d)
    command = (program, "--policy", policy, *options, "copy", "--remove-signatures", "--src-tls-verify=false")
    done = attempt(*command, source, "dir:theirs", cwd=work)
    assert done.returncode in (0, 1, 2), done.stderr
    return done.returncode == 0


def bundler_lets_in(source: str, policy: Path, work: Path, registries_d: Path | None = None) -> bool:
    """The same of bundler, which refuses with POLICY, or with CONFIG for what can't be read, and then writes nothing."""
    shutil.rmtree(work / "ours", ignore_errors=True)
    around = Surroundings(policy=policy, registries_d=registries_d)
    orders = Orders(Wanted(running_platform(), Instances.SYSTEM), remove_signatures=True)
    with (
        ThreadPoolExecutor(1) as executor,
        Ends(Access(tls_verify=False), surroundings=around, base=work) as near,
        Ends(Access()) as far,
    ):
        try:
            copy(source, f"dir:{work}/ours", orders, near, far, executor=executor)
        except (ConfigError, PolicyError):
            assert not (work / "ours").exists(), "refused, and still written"
            return False
    return True


def written(folder: Path, default: Sequence[Any], **transports: Any) -> Path:
    """A policy.json."""
    path = folder / "policy.json"
    path.write_text(json.dumps({"default": default, "transports": transports}))
    return path
