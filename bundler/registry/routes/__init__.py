"""The endpoints of distribution-spec 1.1, one module per family, and what every one of them has in common.

endpoint.py     a request on its way to its handler: who asks, for which repository, and whether they may
sending.py      a content as an answer: ranges, conditions, headers
file_body.py    a file as a body, from memory where it is
listing.py      base, catalog, tags, referrers, by pages
manifests.py    manifests and tags
blobs.py        blobs
uploading.py    upload sessions and mounts
upkeep.py       garbage collection, for an admin
"""
