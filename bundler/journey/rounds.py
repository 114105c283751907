"""How far the signing of a bundle has come: by the signers' public keys, or by whom a trust directory lists.

    found = signing_status(Path("edge-000001"), keys=(Path("ann.pub"), Path("bob.pub")), threshold=2)
    found = signing_status(Path("edge-000001"), trust=Path("site"))

Nothing is accepted or changed by it: the verdict is `bundler verify`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.statement import parse_statement
from bundler.bundle.unpack import read_documents
from bundler.errors import ConfigError
from bundler.journey.keys import existing, read_public_keys
from bundler.trust.dsse import parse_envelope
from bundler.trust.rounds import Round, survey

if TYPE_CHECKING:
    from bundler.trust.verify import Documents


def signing_status(
    directory: Path, *, keys: Sequence[Path] = (), trust: Path | None = None, threshold: int | None = None
) -> Round:
    """Who of the signers has signed a bundle. A view: it reads the bundle's small files, and accepts nothing.

    Raises :class:`ConfigError` if nothing, or too much, says who the signers are and how many are needed.
    """
    if bool(keys) == (trust is not None):
        raise ConfigError(
            "whose signatures are wanted? give the signers' public keys or a trust directory, and not both",
            hint="--key ann.pub --key bob.pub --threshold 2, or --trust DIR",
        )
    if trust is not None and threshold is not None:
        raise ConfigError("--threshold goes with --key; a trust directory has a threshold of its own")
    documents = read_documents(existing(directory))
    if trust is not None:
        return _by_site(documents, directory, trust)
    named = [(path.name, key) for path, key in zip(keys, read_public_keys(keys), strict=True)]
    return survey(documents, named, threshold=1 if threshold is None else threshold)


def _by_site(documents: Documents, directory: Path, trust: Path) -> Round:
    """The site's newest root decides, or a newer one that the bundle brings and that the site's own roots vouch for."""
    from bundler.journey.trusting import Site, roots_beside
    from bundler.trust.root import walk

    root = Site.open(trust).root
    for newer in walk(root, roots_beside(directory, since=root.version)):
        root = newer
    # The channel is only claimed as yet; whoever claims another is shown its signers, and fails verification.
    statement = parse_statement(parse_envelope(documents.envelope).payload)
    role = root.role_for(statement.channel)
    named = [(root.names.get(key.key_id) or key.short_id, key) for key in role.keys]
    return survey(documents, named, threshold=role.threshold, denied=root.denied_keys)
