"""The journey as functions: the composition root, which chooses transports, and opens stores, bundles and registries.

:mod:`near` is the connected side, :mod:`far` the other one. Nothing here prints or exits; the command line is one caller,
and a program that imports bundler is another.
"""
