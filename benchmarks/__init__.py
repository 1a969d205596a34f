"""Side-by-side measurements of gradloom and its peers.  ``make bench`` makes all of them and writes RESULTS.md.

In the order in which to read: ``work`` (what is done), ``systems/`` (how each library does it, one file a library),
``worker`` (a system in a process of its own), ``rounds`` (systems taking turns), ``fresh`` (what needs a process that
has done nothing yet), ``parts/`` (one file a question, with its table and its goals), ``report`` (RESULTS.md).
"""
