"""The format: a signed statement, an inventory, and volumes that any tar and zstd can open.

Pure:
    statement    what is signed                     frames       zstd frames, stored or compressed; the seek table
    inventory    content -> volume, offset, length  tar          the one ustar dialect
    layout       which content in which volume      volume       from an inventory to the exact bytes between contents
    closure      whether every image is whole       verify_text  VERIFY.txt
    members      what documents have in common

On disk:
    pack         writes a bundle: a target          unpack       reads a bundle that was let through: a source
    writer       one volume being written           check        every byte of every volume, and every image
    hashing      its digest, while it grows         framing      only what lies between the contents
    directory    claimed, swept, durable
"""
