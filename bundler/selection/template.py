"""The commented ``bundle.yaml`` that ``bundler init`` writes. It is read by the tests, so it can't rot."""

from __future__ import annotations

from collections.abc import Sequence

TEMPLATE = r"""# What to carry across the gap. Next: `bundler lock FILE`, then `bundler build FILE -o OUT --key KEY`.
apiVersion: bundler/v1
kind: Bundle

# The line of bundles. Serial numbers rise within a name and channel.
name: edge-platform
channel: stable

# Defaults for every image below; each image may say otherwise.
platforms: [linux/amd64]        # a list, or `all`
attachments: all                # all | none | a list of: signatures, sboms, attestations, referrers
index: sparse                   # if some platforms of an image are carried: keep | sparse | strip

# How to reach registries, where the defaults do not do. Credentials belong into auth.json.
# registries:
#   registry.example.com:
#     tls-verify: true
#     ca: certs/site.pem        # relative to this file

images:
  # A name with a tag, or with a digest, or with both.
  - docker.io/library/nginx:1.27
  # - ghcr.io/acme/api@sha256:<64 hexadecimal digits>

  # Several tags, under another path at the far registry.
  - image: quay.io/prometheus/node-exporter
    tags: [v1.8.1, v1.8.2]
    as: monitoring/node-exporter

  # A rule over all tags: every condition must hold. Regular expressions match anywhere unless anchored.
  - image: registry.k8s.io/pause
    tags: {regex: '^3\.[0-9]+$', newest: 2}
  # - image: docker.io/library/httpd
  #   tags: {regex: '^2\.4\.[0-9]+-alpine$', semver: '>=2.4.50 <3', newest: 3, exclude: ['-rc']}
  #   platforms: all
  #   optional: true            # nothing is fine too

  # Any transport can be a source.
  # - image: oci:./build/app:latest
  #   as: acme/app
"""


def filled_in(*, name: str, platforms: Sequence[str], images: Sequence[str], comments: Sequence[str] = ()) -> str:
    """The template with these values, its examples gone. ``comments`` are lines put after the images."""
    head, _, _ = TEMPLATE.partition("\nimages:\n")
    chosen = "all" if list(platforms) == ["all"] else f"[{', '.join(platforms)}]"
    head = head.replace("name: edge-platform\n", f"name: {name}\n")
    if platforms:
        head = head.replace("platforms: [linux/amd64]  ", f"platforms: {chosen}  ")
    lines = [f"  - {image}\n" for image in images]
    return f"{head}\nimages:\n{''.join(lines)}" + "".join(f"  # {comment}\n" for comment in comments)
