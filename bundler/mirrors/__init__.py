"""What the runtimes at the far side must be told, so that they find images under their old names.

A receipt says what landed where; :mod:`bundler.mirrors.mapping` makes of it the fewest prefixes that lead everyone right,
and one module for each family of runtimes writes these down: pure functions from names to the texts of files, whose paths
lie under the runtime's name as they do under ``/``.

    docker.io/library/nginx:1.27 ──▶ far:5000/hub/library/nginx:1.27
    podman/etc/containers/registries.conf.d/50-bundler.conf
"""
